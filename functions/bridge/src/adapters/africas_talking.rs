//! Africa's Talking's messaging API over HTTP.

use std::time::{Duration, Instant};

use reqwest::{Client, Url};

use crate::adapters::http_client::{client_builder, exchange};
use crate::config::ConfigError;
use crate::ports::{
    AfricasTalking, AfricasTalkingAccount, Clock, CredentialsError, Response, SecretStore, Sms,
};
use crate::secrets::credentials::{AFRICASTALKING_API_KEY, OutsideCredentials};

/// The time-out of a send request. Africa's Talking answers earlier when it is too slow itself.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// The time-out of a question about the account.
const USER_TIMEOUT: Duration = Duration::from_secs(5);

/// Africa's Talking's URLs and the user name.
#[derive(Clone, Debug)]
pub struct AfricasTalkingServer {
    messaging: Url,
    user: Url,
    username: String,
}

impl AfricasTalkingServer {
    /// The user name `sandbox` selects the sandbox's host, every other one the live host; `base_url`
    /// overrides both.
    ///
    /// # Errors
    /// When the base URL is invalid.
    pub fn new(username: String, base_url: Option<&str>) -> Result<Self, ConfigError> {
        let base_url = base_url.unwrap_or(if username == "sandbox" {
            "https://api.sandbox.africastalking.com"
        } else {
            "https://api.africastalking.com"
        });
        let url = |path: &str| {
            let url = format!("{}/version1/{path}", base_url.trim_end_matches('/'));
            Url::parse(&url).map_err(|error| ConfigError::wrong("AFRICASTALKING_BASE_URL", &error))
        };
        let mut user = url("user")?;
        user.query_pairs_mut().append_pair("username", &username);
        Ok(Self {
            messaging: url("messaging")?,
            user,
            username,
        })
    }

    /// The URL of the account's balance. A request to it checks key, user name and network, and
    /// sends nothing.
    pub fn user_url(&self) -> &Url {
        &self.user
    }
}

/// The API, for one invocation. Its connections end with the invocation, because one that died
/// while the function was frozen would make the outcome of a send request unknown.
#[derive(Debug)]
pub struct AfricasTalkingApi<'a, K, C> {
    server: &'a AfricasTalkingServer,
    credentials: &'a OutsideCredentials<K, C>,
    client: Client,
}

impl<'a, K: SecretStore, C: Clock> AfricasTalkingApi<'a, K, C> {
    /// Opens it; connects to nothing yet.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn open(
        server: &'a AfricasTalkingServer,
        credentials: &'a OutsideCredentials<K, C>,
    ) -> Result<Self, lambda_runtime::Error> {
        Ok(Self {
            server,
            credentials,
            client: client_builder()?.build()?,
        })
    }
}

impl<K, C> AfricasTalkingApi<'_, K, C> {
    async fn post(&self, api_key: &str, form: String, timeout: Duration) -> Response {
        let request = self
            .client
            .post(self.server.messaging.clone())
            .header("apiKey", api_key)
            // Without it, the response can be XML.
            .header("accept", "application/json")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form);
        exchange(request, timeout).await
    }
}

impl<K: SecretStore, C: Clock> AfricasTalking for AfricasTalkingApi<'_, K, C> {
    async fn send(&self, sms: Sms<'_>) -> Result<Response, CredentialsError> {
        let [api_key] = self.credentials.fields([AFRICASTALKING_API_KEY]).await?;
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("username", &self.server.username)
            .append_pair("to", sms.to.as_str())
            .append_pair("message", sms.text)
            // Answer first, send later. Left out, the sandbox was seen not to do so.
            .append_pair("enqueue", "1");
        if let Some(from) = sms.from {
            form.append_pair("from", from);
        }
        let form = form.finish();
        let began = Instant::now();
        let response = self.post(&api_key, form.clone(), SEND_TIMEOUT).await;
        if !is_refused(&response) {
            return Ok(response);
        }
        // Somebody may have corrected the key since it was read. A refusal sent nothing.
        self.credentials.forget();
        let [again] = self.credentials.fields([AFRICASTALKING_API_KEY]).await?;
        let left = SEND_TIMEOUT.saturating_sub(began.elapsed());
        if again == api_key || left.is_zero() {
            return Ok(response);
        }
        Ok(self.post(&again, form, left).await)
    }
}

fn is_refused(response: &Response) -> bool {
    matches!(
        response,
        Response::Answer {
            status: 401 | 403,
            ..
        }
    )
}

impl<K: SecretStore, C: Clock> AfricasTalkingAccount for AfricasTalkingApi<'_, K, C> {
    async fn user(&self) -> Result<Response, CredentialsError> {
        self.credentials.read_again().await;
        let [api_key] = self.credentials.fields([AFRICASTALKING_API_KEY]).await?;
        let request = self
            .client
            .get(self.server.user.clone())
            .header("apiKey", api_key)
            .header("accept", "application/json");
        Ok(exchange(request, USER_TIMEOUT).await)
    }
}
