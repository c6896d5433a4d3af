//! A secret that is cached for some minutes.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::domain::time::Timestamp;
use crate::ports::{SecretError, SecretStore};

/// How long a cached secret is used without reading it again. While the store answers, a removed
/// key works no longer than this.
pub const TIME_TO_LIVE: Duration = Duration::from_mins(5);

/// The shortest time between two reads of the store, whether it answers or not.
const READ_AGAIN: Duration = Duration::from_secs(5);

/// A parsed secret, as it was read last. It stays in use while the store does not answer.
pub struct SecretCache<K, T> {
    store: K,
    parse: fn(&str) -> T,
    kept: RefCell<Kept<T>>,
}

struct Kept<T> {
    value: Option<Rc<T>>,
    read_at: Timestamp,
    tried_at: Option<Timestamp>,
    error: Option<SecretError>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self {
            value: None,
            read_at: Timestamp::default(),
            tried_at: None,
            error: None,
        }
    }
}

impl<K, T> fmt::Debug for SecretCache<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretCache").finish_non_exhaustive()
    }
}

impl<K: SecretStore, T> SecretCache<K, T> {
    /// The secret in this store, which is read at the first use.
    pub fn new(store: K, parse: fn(&str) -> T) -> Self {
        Self {
            store,
            parse,
            kept: RefCell::default(),
        }
    }

    /// The secret, read again if it is too old.
    ///
    /// # Errors
    /// When it was never read and cannot be read.
    pub async fn get(&self, now: Timestamp) -> Result<Rc<T>, SecretError> {
        if !self.is_fresh(now) {
            self.read_again(now).await;
        }
        let kept = self.kept.borrow();
        match (&kept.value, &kept.error) {
            (Some(value), _) => Ok(Rc::clone(value)),
            (None, Some(error)) => Err(error.clone()),
            (None, None) => Err(SecretError("it was not read".to_owned())),
        }
    }

    /// Reads it again, unless that was tried a few seconds ago.
    pub async fn read_again(&self, now: Timestamp) {
        let tried_at = self.kept.borrow().tried_at;
        // A clock that jumped back is no reason never to read again.
        if tried_at.is_some_and(|at| at <= now && now.since(at) < READ_AGAIN) {
            return;
        }
        self.kept.borrow_mut().tried_at = Some(now);
        let secret = self.store.fetch().await;
        let mut kept = self.kept.borrow_mut();
        match secret {
            Ok(secret) => {
                kept.value = Some(Rc::new((self.parse)(&secret)));
                kept.read_at = now;
                kept.error = None;
            }
            Err(error) => kept.error = Some(error),
        }
    }

    /// Why the last attempt to read it failed, if it did.
    pub fn error(&self) -> Option<SecretError> {
        self.kept.borrow().error.clone()
    }

    /// Drops a secret that was refused. It is read again before the next use, because somebody may
    /// have corrected it.
    pub fn forget(&self) {
        *self.kept.borrow_mut() = Kept::default();
    }

    fn is_fresh(&self, now: Timestamp) -> bool {
        let kept = self.kept.borrow();
        let is_recent = kept.read_at <= now && now.since(kept.read_at) < TIME_TO_LIVE;
        kept.value.is_some() && is_recent
    }
}
