//! Secrets, and hashes under a key that is one.

/// The credentials cannot be read, so that no request was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// The secret store did not answer.
    #[error("the secret store is out of reach: {0}")]
    OutOfReach(String),
    /// The secret exists, but it is not filled in or cannot be parsed.
    #[error("the credentials secret cannot be used: {0}")]
    Unusable(String),
}

/// A secret of the deployment.
#[allow(async_fn_in_trait)]
pub trait SecretStore {
    /// Reads the current value, without a cache.
    async fn fetch(&self) -> Result<String, SecretError>;
}

/// Hashes under a key of this deployment, to compare phone numbers and texts without storing them.
#[allow(async_fn_in_trait)]
pub trait KeyedHash {
    /// The hash of the text, in hexadecimal.
    async fn hash(&self, text: &str) -> Result<String, SecretError>;
}

/// The secret could not be read. The error holds nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret store refused or did not answer: {0}")]
pub struct SecretError(pub String);
