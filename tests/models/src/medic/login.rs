//! Who is let in.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::http::ServerRequest;

/// So many failed logins lock a user name, and the address that they come from …
const FAILURES: u32 = 10;
/// The address: whoever calls a model comes from one machine, as if behind one proxy.
const ADDRESS: &str = "127.0.0.1";
/// … when they come within this time, and until it has passed.
const WINDOW_MS: i64 = 10_000;

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
pub struct Logins {
    /// The name of the gateway's user.
    pub user: String,
    /// Its password.
    pub password: String,
    /// Whether it has the permission `can_access_gateway_api`.
    pub permitted: bool,
    failures: HashMap<String, (i64, u32)>,
    ahead_ms: i64,
}

impl Logins {
    /// This user, with the permission.
    #[must_use]
    pub fn new(user: String, password: String) -> Self {
        Self {
            user,
            password,
            permitted: true,
            failures: HashMap::new(),
            ahead_ms: 0,
        }
    }

    /// Lets so much time pass for the locks.
    pub fn pass_time(&mut self, milliseconds: i64) {
        self.ahead_ms = self.ahead_ms.saturating_add(milliseconds);
    }

    pub(super) fn admit(&mut self, request: &ServerRequest, now_ms: i64) -> Result<(), Denied> {
        let now_ms = now_ms.saturating_add(self.ahead_ms);
        self.failures
            .retain(|_, (since_ms, _)| now_ms.saturating_sub(*since_ms) < WINDOW_MS);
        let (name, password) = credentials(request).unwrap_or_default();
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
                    self.failures.entry(key).or_insert((now_ms, 0)).1 += 1;
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

fn credentials(request: &ServerRequest) -> Option<(String, String)> {
    let (scheme, encoded) = request.header("authorization")?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}
