//! A secret of Secrets Manager.

use aws_sdk_secretsmanager::Client;

use super::aws::describe;
use crate::ports::{SecretError, SecretStore};

/// A secret, by its ARN.
#[derive(Clone, Debug)]
pub struct ManagedSecret {
    client: Client,
    arn: String,
}

impl ManagedSecret {
    /// The secret with this ARN.
    pub fn new(client: Client, arn: String) -> Self {
        Self { client, arn }
    }
}

impl SecretStore for ManagedSecret {
    async fn fetch(&self) -> Result<String, SecretError> {
        let secret = self
            .client
            .get_secret_value()
            .secret_id(&self.arn)
            .send()
            .await
            .map_err(|error| SecretError(describe(&error)))?;
        // A secret of bytes is read as text too: somebody uploaded a file.
        let bytes = secret
            .secret_binary
            .map(|bytes| String::from_utf8_lossy(bytes.as_ref()).into_owned());
        Ok(secret.secret_string.or(bytes).unwrap_or_default())
    }
}
