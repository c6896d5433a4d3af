//! The key in the callback URLs. It is the only protection of the callbacks, because Africa's
//! Talking signs nothing and publishes no addresses.

use std::rc::Rc;

use ring::hmac;
use serde::Serialize;
use serde_json::Value;

use super::cache::SecretCache;
use crate::domain::text::trimmed;
use crate::domain::time::Timestamp;
use crate::ports::{SecretError, SecretStore};
use crate::wire::json::parse_lenient;

/// Whether a key is right.
#[derive(Clone, PartialEq, Eq)]
pub enum KeyCheck {
    /// It is one of those configured.
    Right {
        /// The key under which phone numbers are hashed.
        number_hash_key: String,
    },
    /// It is missing or wrong.
    Wrong,
    /// The secret has no key at all.
    NotConfigured,
    /// The secret cannot be read, so that the key cannot be checked.
    OutOfReach(SecretError),
}

/// The keys, read from their secret when they are needed, and cached.
#[derive(Debug)]
pub struct IncomingKeys<K>(SecretCache<K, Keys>);

/// The secret's text: JSON with `key`, while a rotation lasts `second_key`, and `number_hash_key` if
/// numbers shall be hashed under the same key after a rotation. A text that is no JSON object is the
/// key itself.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
pub struct KeySecret {
    /// The key; empty if there is none.
    pub key: String,
    /// The key before it, while a rotation lasts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub second_key: Option<String>,
    /// The key under which phone numbers are hashed, if it is not `key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number_hash_key: Option<String>,
}

impl std::fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeySecret").finish_non_exhaustive()
    }
}

impl KeySecret {
    /// Parses the secret's text. Never fails: a text without a key gives no key.
    pub fn read(secret: &str) -> Self {
        let Ok(Value::Object(fields)) = parse_lenient(secret.as_bytes()) else {
            return Self {
                key: trimmed(secret).to_owned(),
                ..Self::default()
            };
        };
        let field = |name: &str| {
            let value = fields.get(name).and_then(Value::as_str);
            value
                .map(trimmed)
                .filter(|value| !value.is_empty())
                .map(str::to_owned)
        };
        Self {
            key: field("key").unwrap_or_default(),
            second_key: field("second_key"),
            number_hash_key: field("number_hash_key"),
        }
    }

    /// The key under which phone numbers are hashed now; empty if there is none.
    pub fn hashes_numbers_under(&self) -> &str {
        let first = Some(&self.key).filter(|key| !key.is_empty());
        self.number_hash_key
            .as_ref()
            .or(first)
            .or(self.second_key.as_ref())
            .map_or("", String::as_str)
    }
}

/// The keys of a secret, ready to be compared with.
struct Keys {
    valid: Vec<String>,
    number_hash_key: String,
}

impl Keys {
    fn read(secret: &str) -> Self {
        let secret = KeySecret::read(secret);
        Self {
            number_hash_key: secret.hashes_numbers_under().to_owned(),
            valid: [Some(secret.key), secret.second_key]
                .into_iter()
                .flatten()
                .filter(|key| !key.is_empty())
                .collect(),
        }
    }

    fn right(self: Rc<Self>) -> KeyCheck {
        KeyCheck::Right {
            number_hash_key: self.number_hash_key.clone(),
        }
    }

    /// Compares with every key in constant time, whatever the first comparison says.
    fn contain(&self, presented: &str) -> bool {
        let blind = hmac::Key::new(hmac::HMAC_SHA256, presented.as_bytes());
        let tag = hmac::sign(&blind, presented.as_bytes());
        self.valid.iter().fold(false, |found, key| {
            found | hmac::verify(&blind, key.as_bytes(), tag.as_ref()).is_ok()
        })
    }
}

impl<K: SecretStore> IncomingKeys<K> {
    /// Keys that are in this store.
    pub fn new(store: K) -> Self {
        Self(SecretCache::new(store, Keys::read))
    }

    /// Reads the keys before the first request. That request sees an error again.
    pub async fn warm(&self, now: Timestamp) {
        let _ = self.0.get(now).await;
    }

    /// Whether the key is right. Reads the secret again when the cached one is too old, and, at
    /// most every five seconds, when the key is not in it.
    pub async fn check(&self, presented: Option<&str>, now: Timestamp) -> KeyCheck {
        // The keys of the secret have nothing around them either.
        let presented = trimmed(presented.unwrap_or_default());
        if let Ok(keys) = self.0.get(now).await {
            if keys.contain(presented) {
                return keys.right();
            }
            if presented.is_empty() && !keys.valid.is_empty() {
                return KeyCheck::Wrong;
            }
        }
        // A key that is not cached may be a new one.
        self.0.read_again(now).await;
        let keys = self.0.get(now).await;
        match (keys, self.0.error()) {
            (Ok(keys), _) if keys.contain(presented) => keys.right(),
            (_, Some(error)) | (Err(error), None) => KeyCheck::OutOfReach(error),
            (Ok(keys), None) if keys.valid.is_empty() => KeyCheck::NotConfigured,
            (Ok(_), None) => KeyCheck::Wrong,
        }
    }

    /// The key under which phone numbers are hashed.
    ///
    /// # Errors
    /// When the secret cannot be read, or has no key.
    pub async fn number_hash_key(&self, now: Timestamp) -> Result<String, SecretError> {
        let keys = self.0.get(now).await?;
        match (keys.number_hash_key.is_empty(), self.0.error()) {
            (false, _) => Ok(keys.number_hash_key.clone()),
            (true, Some(error)) => Err(error),
            (true, None) => Err(SecretError("the incoming key is not there yet".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cache::TIME_TO_LIVE;
    use super::*;
    use std::cell::{Cell, RefCell};
    use std::time::Duration;

    struct Store {
        secret: RefCell<Result<String, SecretError>>,
        reads: Cell<u32>,
    }

    impl SecretStore for &Store {
        async fn fetch(&self) -> Result<String, SecretError> {
            self.reads.set(self.reads.get() + 1);
            self.secret.borrow().clone()
        }
    }

    fn store(secret: &str) -> Store {
        Store {
            secret: RefCell::new(Ok(secret.to_owned())),
            reads: Cell::new(0),
        }
    }

    fn is_right(verdict: &KeyCheck) -> bool {
        matches!(verdict, KeyCheck::Right { .. })
    }

    #[tokio::test]
    async fn what_surrounds_a_key_in_the_url_or_in_the_secret_does_not_change_it() {
        for secret in [
            "{\"key\": \"right\"}",
            "\u{feff}{\"key\": \" right\\r\\n\"}",
            "\u{feff}right\r\n",
        ] {
            let store = store(secret);
            let keys = IncomingKeys::new(&store);
            for presented in ["right", " right", "right\r\n", "\u{feff}right\t"] {
                let check = keys.check(Some(presented), Timestamp::from_millis(0)).await;
                assert!(is_right(&check), "{presented:?}");
            }
            let inside = keys.check(Some("rig ht"), Timestamp::from_millis(0)).await;
            assert!(inside == KeyCheck::Wrong);
        }
    }

    #[tokio::test]
    async fn two_keys_can_be_valid_at_a_time() {
        let store = store(r#"{"key":"new","second_key":"old"}"#);
        let keys = IncomingKeys::new(&store);
        assert!(is_right(
            &keys.check(Some("new"), Timestamp::from_millis(0)).await
        ));
        assert!(is_right(
            &keys.check(Some("old"), Timestamp::from_millis(0)).await
        ));
        assert!(keys.check(Some("ne"), Timestamp::from_millis(0)).await == KeyCheck::Wrong);
        assert!(keys.check(Some(""), Timestamp::from_millis(0)).await == KeyCheck::Wrong);
        assert!(keys.check(None, Timestamp::from_millis(0)).await == KeyCheck::Wrong);
    }

    #[tokio::test]
    async fn a_key_that_was_added_works_within_seconds() {
        let store = store(r#"{"key":"old"}"#);
        let keys = IncomingKeys::new(&store);
        assert!(is_right(
            &keys.check(Some("old"), Timestamp::from_millis(0)).await
        ));
        *store.secret.borrow_mut() = Ok(r#"{"key":"new","second_key":"old"}"#.to_owned());
        assert!(is_right(
            &keys.check(Some("new"), Timestamp::from_millis(5_000)).await
        ));
        assert_eq!(store.reads.get(), 2);
    }

    #[tokio::test]
    async fn wrong_keys_cannot_hammer_the_secret_store() {
        let store = store(r#"{"key":"right"}"#);
        let keys = IncomingKeys::new(&store);
        for now in 0..60_000 {
            assert!(
                keys.check(Some("wrong"), Timestamp::from_millis(now)).await == KeyCheck::Wrong
            );
        }
        assert_eq!(store.reads.get(), 12);
    }

    #[tokio::test]
    async fn a_right_key_costs_no_call_within_its_time_to_live() {
        let store = store(r#"{"key":"right"}"#);
        let keys = IncomingKeys::new(&store);
        keys.warm(Timestamp::from_millis(0)).await;
        for seconds in (0..TIME_TO_LIVE.as_secs()).step_by(10) {
            let now = Timestamp::from_millis(0) + Duration::from_secs(seconds);
            assert!(is_right(&keys.check(Some("right"), now).await));
        }
        assert_eq!(store.reads.get(), 1);
    }

    #[tokio::test]
    async fn a_key_that_was_taken_away_works_no_longer_than_its_time_to_live() {
        let store = store(r#"{"key":"old"}"#);
        let keys = IncomingKeys::new(&store);
        keys.warm(Timestamp::from_millis(0)).await;
        *store.secret.borrow_mut() = Ok(r#"{"key":"new"}"#.to_owned());
        assert!(
            keys.check(Some("old"), Timestamp::from_millis(0) + TIME_TO_LIVE)
                .await
                == KeyCheck::Wrong
        );
    }

    #[tokio::test]
    async fn no_key_configured_and_a_store_out_of_reach_are_distinguished() {
        for secret in ["{}", r#"{"key":""}"#, "", "  "] {
            let store = store(secret);
            let keys = IncomingKeys::new(&store);
            assert!(
                keys.check(Some("any"), Timestamp::from_millis(0)).await == KeyCheck::NotConfigured,
                "{secret}"
            );
            assert!(
                keys.check(Some(""), Timestamp::from_millis(0)).await == KeyCheck::NotConfigured,
                "{secret}"
            );
        }
        let store = store("");
        *store.secret.borrow_mut() = Err(SecretError("AccessDenied".to_owned()));
        let keys = IncomingKeys::new(&store);
        assert!(matches!(
            keys.check(Some("any"), Timestamp::from_millis(0)).await,
            KeyCheck::OutOfReach(_)
        ));
    }

    #[tokio::test]
    async fn a_known_key_works_while_the_store_is_out_of_reach() {
        let store = store(r#"{"key":"right"}"#);
        let keys = IncomingKeys::new(&store);
        keys.warm(Timestamp::from_millis(0)).await;
        *store.secret.borrow_mut() = Err(SecretError("timeout".to_owned()));
        assert!(is_right(
            &keys
                .check(Some("right"), Timestamp::from_millis(0) + 10 * TIME_TO_LIVE)
                .await
        ));
        // A key that is not known may be a new one: nobody can tell.
        assert!(matches!(
            keys.check(Some("new"), Timestamp::from_millis(0) + 10 * TIME_TO_LIVE)
                .await,
            KeyCheck::OutOfReach(_)
        ));
    }

    #[tokio::test]
    async fn a_plain_text_is_the_key_itself() {
        let store = store("plain-key\n");
        let keys = IncomingKeys::new(&store);
        assert!(is_right(
            &keys
                .check(Some("plain-key"), Timestamp::from_millis(0))
                .await
        ));
    }
}
