//! Hashes under the key that the callbacks hash numbers with.

use super::IncomingKeys;
use crate::digest::hmac_hex;
use crate::ports::{Clock, KeyedHash, SecretError, SecretStore};

/// The hashing key, from the secret with the incoming key.
#[derive(Debug)]
pub struct NumberHash<K, C> {
    keys: IncomingKeys<K>,
    clock: C,
}

impl<K: SecretStore, C: Clock> NumberHash<K, C> {
    /// With the key in this secret.
    pub fn new(store: K, clock: C) -> Self {
        Self {
            keys: IncomingKeys::new(store),
            clock,
        }
    }

    /// Reads the key before the first use. That use sees an error again.
    pub async fn warm(&self) {
        self.keys.warm(self.clock.now()).await;
    }
}

impl<K: SecretStore, C: Clock> KeyedHash for &NumberHash<K, C> {
    async fn hash(&self, text: &str) -> Result<String, SecretError> {
        let key = self.keys.number_hash_key(self.clock.now()).await?;
        Ok(hmac_hex(key.as_bytes(), text.as_bytes()))
    }
}
