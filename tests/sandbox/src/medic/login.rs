//! Who is let in.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::answer;

/// So many failed logins lock a user name, and the address that they come from …
const FAILURES: u32 = 10;
/// The address: whoever calls a stand-in is on this machine, as if behind one proxy.
const ADDRESS: &str = "127.0.0.1";
/// … when they come within this time, and until it has passed.
const WINDOW: Duration = Duration::from_secs(10);

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// 429.
    Locked,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
}

/// The one user of the gateway's API, and the failed logins of all names and of the address.
#[derive(Debug)]
pub(super) struct Logins {
    pub user: String,
    pub password: String,
    pub permitted: bool,
    failures: HashMap<String, (Instant, u32)>,
    ahead: Duration,
}

impl Logins {
    pub(super) fn new(user: String, password: String) -> Self {
        Self {
            user,
            password,
            permitted: true,
            failures: HashMap::new(),
            ahead: Duration::ZERO,
        }
    }

    /// Lets so much time pass for the locks.
    pub(super) fn pass_time(&mut self, time: Duration) {
        self.ahead = self.ahead.saturating_add(time);
    }

    pub(super) fn admit(&mut self, headers: &HeaderMap) -> Result<(), Denied> {
        let now = Instant::now() + self.ahead;
        self.failures
            .retain(|_, (since, _)| now.duration_since(*since) < WINDOW);
        let (name, password) = credentials(headers).unwrap_or_default();
        let is_locked = |key: &str| {
            let failures = self.failures.get(key);
            failures.is_some_and(|(_, count)| *count >= FAILURES)
        };
        if is_locked(&name) || is_locked(ADDRESS) {
            return Err(Denied::Locked);
        }
        if name != self.user || password != self.password {
            if !name.is_empty() {
                for key in [name, ADDRESS.to_owned()] {
                    self.failures.entry(key).or_insert((now, 0)).1 += 1;
                }
            }
            return Err(Denied::Unauthorized);
        }
        if self.permitted {
            Ok(())
        } else {
            Err(Denied::Forbidden)
        }
    }
}

fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let (scheme, encoded) = answer::header(headers, header::AUTHORIZATION)?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}
