//! Calls to the emulator, without an SDK.
//!
//! The emulator reads the caller and the service from a request's signature, and does not verify the
//! signature for the services that are used here. So the tests need none of AWS's SDKs.

mod cloudformation;
mod cloudwatch;
mod sqs;
mod storage;

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::Value;

pub use cloudwatch::LogLine;
pub use sqs::{MessageCounts, QueueMessage, WaitingMessage};

use crate::http;

/// The region that everything is deployed to. The emulator has no regions of its own.
pub const REGION: &str = "us-east-1";
/// The key id and the secret of the emulator's owner.
pub const ACCESS_KEY: &str = "test";

/// Longer than SQS's longest wait for a message.
const CALL_WITHIN: Duration = Duration::from_secs(30);

/// A client of one emulator, as the owner of its account.
#[derive(Clone, Debug)]
pub struct EmulatorClient {
    url: String,
    http: reqwest::Client,
}

impl EmulatorClient {
    /// A client of the emulator at `url`.
    ///
    /// # Errors
    /// When there can be no HTTP client.
    pub fn new(url: String) -> anyhow::Result<Self> {
        let http = http::client(CALL_WITHIN)?;
        Ok(Self { url, http })
    }

    /// The emulator's URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether it answers.
    pub async fn is_healthy(&self) -> bool {
        let answer = self.http.get(format!("{}/_ministack/health", self.url));
        answer
            .send()
            .await
            .is_ok_and(|answer| answer.status().is_success())
    }

    /// Calls one operation of a service that speaks JSON: `target` as in the header
    /// `X-Amz-Target`.
    ///
    /// # Errors
    /// With the service's answer, when it refuses.
    pub async fn call(&self, service: &str, target: &str, input: &Value) -> anyhow::Result<Value> {
        let answer = self
            .signed(self.http.post(&self.url), service)
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", target)
            .body(input.to_string())
            .send()
            .await?;
        let text = successful(target, answer).await?;
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).with_context(|| format!("{target} did not answer with JSON"))
    }

    /// Calls one operation of Lambda, which goes by method and path. An input that is null is none.
    ///
    /// # Errors
    /// With Lambda's answer, when it refuses.
    pub async fn lambda(
        &self,
        method: reqwest::Method,
        path: &str,
        input: &Value,
    ) -> anyhow::Result<Value> {
        let url = format!("{}/2015-03-31/{path}", self.url);
        let mut request = self.signed(self.http.request(method, url), "lambda");
        if !input.is_null() {
            request = request
                .header("content-type", "application/json")
                .body(input.to_string());
        }
        let text = successful(path, request.send().await?).await?;
        serde_json::from_str(&text).with_context(|| format!("{path} did not answer with JSON"))
    }

    /// Calls one operation of a service that has a path for each operation, as Lambda has. Reads (GET)
    /// without an input, and writes (PUT) with one.
    ///
    /// # Errors
    /// With the service's answer, when it refuses.
    pub async fn rest(
        &self,
        service: &str,
        path: &str,
        input: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.url);
        let request = match input {
            None => self.http.get(url),
            Some(input) => self
                .http
                .put(url)
                .header("content-type", "application/json")
                .body(input.to_string()),
        };
        let answer = self.signed(request, service).send().await?;
        let text = successful(path, answer).await?;
        serde_json::from_str(&text).with_context(|| format!("{path} did not answer with JSON"))
    }

    /// Calls one operation of a service that takes a form and answers with XML: IAM and
    /// CloudFormation.
    ///
    /// # Errors
    /// With the service's answer, when it refuses.
    pub async fn query(
        &self,
        service: &str,
        version: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> anyhow::Result<String> {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", action)
            .append_pair("Version", version)
            .extend_pairs(parameters)
            .finish();
        let answer = self
            .signed(self.http.post(&self.url), service)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await?;
        successful(action, answer).await
    }

    fn signed(&self, request: reqwest::RequestBuilder, service: &str) -> reqwest::RequestBuilder {
        let signature = format!(
            "AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20260101/{REGION}/{service}/aws4_request, \
             SignedHeaders=host, Signature=none"
        );
        request.header("authorization", signature)
    }
}

async fn successful(what: &str, answer: reqwest::Response) -> anyhow::Result<String> {
    let status = answer.status();
    let text = answer.text().await?;
    ensure!(
        status.is_success(),
        "{what} was answered with {status}: {text}"
    );
    Ok(text)
}

fn text_at(value: &Value, name: &str) -> String {
    let text = value.get(name).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}
