//! A secret of Secrets Manager.

use aws_sdk_secretsmanager::Client;

use futures_util::FutureExt;

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
        let answer = self
            .client
            .get_secret_value()
            .secret_id(&self.arn)
            .send()
            .boxed_local()
            .await
            .map_err(|error| SecretError(describe(&error)))?;
        // A secret of bytes is read as text too: somebody uploaded a file.
        let text = answer.secret_string().map(str::to_owned).or_else(|| {
            let bytes = answer.secret_binary()?.as_ref();
            Some(String::from_utf8_lossy(bytes).into_owned())
        });
        Ok(text.unwrap_or_default())
    }
}
