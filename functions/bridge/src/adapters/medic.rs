//! Medic's gateway API over HTTP.

use std::time::Duration;

use reqwest::{Client, Url};

use crate::adapters::http_client::{client_builder, exchange};
use crate::config::ConfigError;
use crate::ports::{Clock, CredentialsError, Medic, Response, SecretStore};
use crate::secrets::credentials::{MEDIC_PASSWORD, MEDIC_USERNAME, OutsideCredentials};

/// The URL of Medic's gateway API.
#[derive(Clone, Debug)]
pub struct MedicServer {
    url: Url,
    timeout: Duration,
}

impl MedicServer {
    /// The server at this URL, given with or without `/api/sms`.
    ///
    /// # Errors
    /// When the URL is invalid.
    pub fn new(url: &str, timeout: Duration) -> Result<Self, ConfigError> {
        let base = url
            .trim()
            .trim_end_matches('/')
            .trim_end_matches("/api/sms");
        let url = Url::parse(&format!("{base}/api/sms"))
            .map_err(|error| ConfigError::wrong("MEDIC_URL", &error))?;
        Ok(Self { url, timeout })
    }
}

/// The API, for one invocation. Its connections end with the invocation, because one that died
/// while the function was frozen would look like a POST that Medic is still processing.
#[derive(Debug)]
pub struct MedicApi<'a, K, C> {
    server: &'a MedicServer,
    credentials: &'a OutsideCredentials<K, C>,
    client: Client,
}

impl<'a, K: SecretStore, C: Clock> MedicApi<'a, K, C> {
    /// Opens it; connects to nothing yet.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn open(
        server: &'a MedicServer,
        credentials: &'a OutsideCredentials<K, C>,
    ) -> Result<Self, lambda_runtime::Error> {
        Ok(Self {
            server,
            credentials,
            client: client_builder()?.build()?,
        })
    }
}

impl<K: SecretStore, C: Clock> Medic for MedicApi<'_, K, C> {
    async fn post(&self, body: String) -> Result<Response, CredentialsError> {
        let [username, password] = self
            .credentials
            .fields([MEDIC_USERNAME, MEDIC_PASSWORD])
            .await?;
        let request = self
            .client
            .post(self.server.url.clone())
            .basic_auth(username, Some(password))
            // Without it, a Medic that is starting answers 200 with a page of HTML.
            .header("accept", "application/json")
            // Exactly this: with a charset, Medic refuses it.
            .header("content-type", "application/json")
            .body(body);
        let response = exchange(request, self.server.timeout).await;
        if matches!(
            response,
            Response::Answer {
                status: 401 | 403,
                ..
            }
        ) {
            self.credentials.forget();
        }
        Ok(response)
    }
}
