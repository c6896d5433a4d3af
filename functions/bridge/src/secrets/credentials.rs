//! The credentials for Africa's Talking and Medic, from their secret.

use serde_json::Value;

use super::cache::SecretCache;
use crate::domain::text::trimmed;
use crate::ports::{Clock, CredentialsError, SecretError, SecretStore};
use crate::wire::json::parse_lenient;

/// The secret's fields.
pub const AFRICASTALKING_API_KEY: &str = "africastalking_api_key";
/// The user of Medic with the role `gateway`.
pub const MEDIC_USERNAME: &str = "medic_username";
/// That user's password.
pub const MEDIC_PASSWORD: &str = "medic_password";

/// The credentials, read when they are needed, and cached.
#[derive(Debug)]
pub struct OutsideCredentials<K, C> {
    /// The secret's fields, if it is JSON.
    secret: SecretCache<K, Option<Value>>,
    clock: C,
}

impl<K: SecretStore, C: Clock> OutsideCredentials<K, C> {
    /// Credentials that are in this store.
    pub fn new(store: K, clock: C) -> Self {
        let parse = |text: &str| parse_lenient(text.as_bytes()).ok();
        Self {
            secret: SecretCache::new(store, parse),
            clock,
        }
    }

    /// Reads them before the first use. That use sees an error again.
    pub async fn warm(&self) {
        let _ = self.secret.get(self.clock.now()).await;
    }

    /// Drops credentials that were refused. They are read again before the next use, because
    /// somebody may have corrected them.
    pub fn forget(&self) {
        self.secret.forget();
    }

    /// Reads them again, unless that was tried a few seconds ago. Those that are known stay in use
    /// while the store does not answer.
    pub async fn read_again(&self) {
        self.secret.read_again(self.clock.now()).await;
    }

    /// These fields of the secret.
    ///
    /// # Errors
    /// When the secret cannot be read, is no JSON, or a field is not filled in.
    pub async fn fields<const N: usize>(
        &self,
        names: [&str; N],
    ) -> Result<[String; N], CredentialsError> {
        let secret = self.secret.get(self.clock.now()).await;
        let secret = secret.map_err(|error| unreadable(&error))?;
        let Some(secret) = secret.as_ref() else {
            self.forget();
            return Err(CredentialsError::Unusable("it is no JSON".to_owned()));
        };
        let mut values = names.map(|_| String::new());
        for (value, name) in values.iter_mut().zip(names) {
            let field = secret.get(name).and_then(Value::as_str).unwrap_or_default();
            if trimmed(field).is_empty() {
                self.forget();
                return Err(CredentialsError::Unusable(format!(
                    "`{name}` is not filled in"
                )));
            }
            trimmed(field).clone_into(value);
        }
        Ok(values)
    }
}

fn unreadable(error: &SecretError) -> CredentialsError {
    // AWS answers so for a secret without a value, which this one is until somebody fills it in.
    if error.0 == "ResourceNotFoundException" {
        CredentialsError::Unusable("it is not filled in".to_owned())
    } else {
        CredentialsError::OutOfReach(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::super::cache::TIME_TO_LIVE;
    use super::*;
    use crate::domain::time::Timestamp;
    use std::cell::{Cell, RefCell};
    use std::time::Duration;

    struct Store(RefCell<Result<String, SecretError>>, Cell<u32>);

    impl SecretStore for &Store {
        async fn fetch(&self) -> Result<String, SecretError> {
            self.1.set(self.1.get() + 1);
            self.0.borrow().clone()
        }
    }

    #[derive(Default)]
    struct StoppedClock(Cell<Timestamp>);

    impl Clock for &StoppedClock {
        fn now(&self) -> Timestamp {
            self.0.get()
        }

        async fn pause(&self, _: Duration) {}
    }

    fn store(secret: &str) -> Store {
        Store(RefCell::new(Ok(secret.to_owned())), Cell::new(0))
    }

    #[tokio::test]
    async fn they_are_read_once_and_again_when_they_are_old_or_were_refused() {
        let (store, clock) = (
            store(r#"{"africastalking_api_key":" k "}"#),
            StoppedClock::default(),
        );
        let credentials = OutsideCredentials::new(&store, &clock);
        for _ in 0..3 {
            assert_eq!(
                credentials.fields([AFRICASTALKING_API_KEY]).await,
                Ok(["k".to_owned()])
            );
        }
        assert_eq!(store.1.get(), 1);
        credentials.forget();
        assert!(credentials.fields([AFRICASTALKING_API_KEY]).await.is_ok());
        clock.0.set(Timestamp::from_millis(0) + TIME_TO_LIVE);
        assert!(credentials.fields([AFRICASTALKING_API_KEY]).await.is_ok());
        assert_eq!(store.1.get(), 3);
    }

    #[tokio::test]
    async fn a_secret_that_cannot_be_used_says_why_and_shows_nothing() {
        let clock = StoppedClock::default();
        for (secret, why) in [
            (
                r#"{"medic_username":"","medic_password":"hush"}"#,
                "`medic_username` is not filled in",
            ),
            ("hush", "it is no JSON"),
        ] {
            let store = store(secret);
            let credentials = OutsideCredentials::new(&store, &clock);
            let error = credentials
                .fields([MEDIC_USERNAME, MEDIC_PASSWORD])
                .await
                .unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
            assert!(!error.to_string().contains("hush"), "{error}");
        }
        let store = store("");
        *store.0.borrow_mut() = Err(SecretError("AccessDenied".to_owned()));
        let credentials = OutsideCredentials::new(&store, &clock);
        assert!(matches!(
            credentials.fields([MEDIC_USERNAME]).await,
            Err(CredentialsError::OutOfReach(_))
        ));
    }
}
