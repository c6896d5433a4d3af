//! A secret of Secrets Manager.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::aws::Client;
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

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetSecretValue<'a> {
    secret_id: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SecretValue {
    secret_string: Option<String>,
    secret_binary: Option<String>,
}

impl SecretStore for ManagedSecret {
    async fn fetch(&self) -> Result<String, SecretError> {
        let input = GetSecretValue {
            secret_id: &self.arn,
        };
        let answer: SecretValue = self
            .client
            .call("GetSecretValue", &input)
            .await
            .map_err(|error| SecretError(error.to_string()))?;
        // A secret of bytes is read as text too: somebody uploaded a file.
        let text = answer.secret_string.or_else(|| {
            let bytes = STANDARD.decode(answer.secret_binary?).ok()?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        });
        Ok(text.unwrap_or_default())
    }
}
