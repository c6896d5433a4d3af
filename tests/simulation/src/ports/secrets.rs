//! The secret store, and what is made of secrets.

use std::rc::{Rc, Weak};
use std::time::Duration;

use bridge::digest::hmac_hex;
use bridge::domain::time::Timestamp;
use bridge::ports::{Clock, KeyedHash, SecretError, SecretStore};

use super::Ctx;
use crate::faults::PortCall;
use crate::plan::SECRET_KEY;

/// The incoming key's secret.
pub struct SimSecret(pub Rc<Ctx>);

impl SecretStore for SimSecret {
    async fn fetch(&self) -> Result<String, SecretError> {
        let world = &self.0.world;
        let secret = self.0.call(PortCall::Secret, || {
            world.count(|| "the secret is read".to_owned());
            world.secret.borrow().clone()
        });
        secret
            .await
            .ok_or_else(|| SecretError("no answer".to_owned()))
    }
}

/// The secret with the credentials for Medic and Africa's Talking, and the clock that it ages by.
pub struct SimCredentials(pub(super) Weak<Ctx>);

impl SecretStore for SimCredentials {
    async fn fetch(&self) -> Result<String, SecretError> {
        let gone = || SecretError("its environment is gone".to_owned());
        let ctx = self.0.upgrade().ok_or_else(gone)?;
        let secret = ctx.call(PortCall::Credentials, || {
            ctx.world.credentials.borrow().clone()
        });
        let no_answer = || SecretError("no answer".to_owned());
        secret.await.ok_or_else(no_answer)
    }
}

impl Clock for SimCredentials {
    fn now(&self) -> Timestamp {
        let ctx = self.0.upgrade();
        Timestamp::from_millis(ctx.map_or(0, |ctx| ctx.now_ms()))
    }

    async fn pause(&self, _: Duration) {}
}

/// Hashes under the key that the callbacks hash with.
pub struct SimHash(pub Rc<Ctx>);

impl KeyedHash for SimHash {
    async fn hash(&self, text: &str) -> Result<String, SecretError> {
        let key = format!("{SECRET_KEY}-1");
        self.0.touches(PortCall::Secret, || text.to_owned()).await;
        let hash = self.0.call(PortCall::Secret, || {
            hmac_hex(key.as_bytes(), text.as_bytes())
        });
        hash.await
            .ok_or_else(|| SecretError("no answer".to_owned()))
    }
}
