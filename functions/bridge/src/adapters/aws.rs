//! Calls to AWS: signed with the credentials that Lambda puts into the environment, through one HTTP
//! client, with time-outs and retries.
//!
//! SQS, DynamoDB and Secrets Manager all take a POST of JSON to `/` with the operation in a header
//! (AWS's protocols `awsJson1_0` and `awsJson1_1`), and a dozen operations are all that is called. That
//! is little enough to do without the SDK, which took more CPU time than everything else in a call,
//! and most of the time of a build.

mod answer;
mod signature;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::answer::{Answer, CallError, Refused, or_default};
use super::environment::{ConfigError, optional, required};
use super::outside::client_builder;
use super::system::random_up_to;

/// One attempt of a call. All of them answer in milliseconds when they answer.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// A call with its retries. The shortest function has 15 s for two calls; and the sender must have
/// time for a read, a write and a call to the queue when the ledger hangs with an answer in hand.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(6);

/// The same for a person far from the region, on a slow line: TLS alone can take a second there.
const ATTEMPT_TIMEOUT_FROM_AFAR: Duration = Duration::from_secs(20);

/// A call with its retries, from there.
const OPERATION_TIMEOUT_FROM_AFAR: Duration = Duration::from_secs(60);

/// Attempts of a call, the first included.
const ATTEMPTS: u32 = 3;

/// The longest wait before the second attempt, in milliseconds; before each later one it is twice as
/// long. Any shorter wait is as likely: those that were refused together do not come back together.
const LONGEST_FIRST_WAIT_MS: u64 = 1000;

/// How long opening a connection ahead of its use may hold up the start.
const AHEAD_TIMEOUT: Duration = Duration::from_secs(1);

/// A service of AWS.
#[derive(Debug)]
pub struct Service {
    /// Its name in signatures, which is also the first part of its host's name.
    pub name: &'static str,
    /// The variable that says where this service is, if it is somewhere else; it goes before
    /// `AWS_ENDPOINT_URL`.
    pub endpoint_variable: &'static str,
    /// What a call's body is.
    pub content_type: &'static str,
    /// What stands before the operation in the header `X-Amz-Target`, of a service that has it.
    pub target: Option<&'static str>,
}

/// SQS.
pub const SQS: Service = Service {
    name: "sqs",
    endpoint_variable: "AWS_ENDPOINT_URL_SQS",
    content_type: "application/x-amz-json-1.0",
    target: Some("AmazonSQS"),
};

/// DynamoDB.
pub const DYNAMODB: Service = Service {
    name: "dynamodb",
    endpoint_variable: "AWS_ENDPOINT_URL_DYNAMODB",
    content_type: "application/x-amz-json-1.0",
    target: Some("DynamoDB_20120810"),
};

/// Secrets Manager.
pub const SECRETS_MANAGER: Service = Service {
    name: "secretsmanager",
    endpoint_variable: "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    content_type: "application/x-amz-json-1.1",
    target: Some("secretsmanager"),
};

/// Who calls.
#[derive(Clone)]
pub struct Credentials {
    /// The key's id.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: String,
    /// The token, of credentials that end by themselves.
    pub session_token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// The access to AWS of this function.
#[derive(Clone, Debug)]
pub struct Aws {
    region: Arc<str>,
    credentials: Arc<Credentials>,
    http_client: reqwest::Client,
    endpoint_url: Option<String>,
    attempt_timeout: Duration,
    operation_timeout: Duration,
}

/// A client of one service.
#[derive(Clone, Debug)]
pub struct Client {
    aws: Aws,
    service: &'static Service,
    url: Url,
}

impl Aws {
    /// From the variables that Lambda sets: `AWS_REGION`, `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`; and `AWS_ENDPOINT_URL`, if all services are
    /// somewhere else, as on an emulator, or `AWS_ENDPOINT_URL_SQS` and so on, if one is.
    ///
    /// # Errors
    /// When one of them is missing.
    pub fn from_environment() -> Result<Self, ConfigError> {
        let credentials = Credentials {
            access_key_id: required("AWS_ACCESS_KEY_ID")?,
            secret_access_key: required("AWS_SECRET_ACCESS_KEY")?,
            session_token: optional("AWS_SESSION_TOKEN"),
        };
        let region = required("AWS_REGION")?;
        Self::new(&region, credentials, optional("AWS_ENDPOINT_URL"))
    }

    /// With these credentials.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new(
        region: &str,
        credentials: Credentials,
        endpoint_url: Option<String>,
    ) -> Result<Self, ConfigError> {
        let http_client = client_builder()?.build().map_err(|error| {
            let problem = error.without_url();
            ConfigError::wrong("AWS_ENDPOINT_URL", &problem)
        })?;
        Ok(Self {
            region: region.into(),
            credentials: Arc::new(credentials),
            http_client,
            endpoint_url,
            attempt_timeout: ATTEMPT_TIMEOUT,
            operation_timeout: OPERATION_TIMEOUT,
        })
    }

    /// The same access for a person at a terminal, who is far away and has time.
    #[must_use]
    pub fn from_afar(self) -> Self {
        Self {
            attempt_timeout: ATTEMPT_TIMEOUT_FROM_AFAR,
            operation_timeout: OPERATION_TIMEOUT_FROM_AFAR,
            ..self
        }
    }

    /// A client of a service.
    ///
    /// # Errors
    /// When the variable that says where the service is holds no address.
    pub fn client(&self, service: &'static Service) -> Result<Client, ConfigError> {
        let elsewhere = optional(service.endpoint_variable).or_else(|| self.endpoint_url.clone());
        let url = elsewhere.unwrap_or_else(|| {
            let suffix = match self.region.starts_with("cn-") {
                true => "amazonaws.com.cn",
                false => "amazonaws.com",
            };
            format!("https://{}.{}.{suffix}", service.name, self.region)
        });
        let url = Url::parse(&url)
            .map_err(|error| ConfigError::wrong(service.endpoint_variable, &error))?;
        Ok(Client {
            aws: self.clone(),
            service,
            url,
        })
    }
}

impl Client {
    /// Calls an operation; again, after a while, when it was throttled or did not get through. It can
    /// take effect more than once then.
    ///
    /// # Errors
    /// With the last attempt's.
    pub async fn call<O: DeserializeOwned>(
        &self,
        operation: &str,
        input: &impl Serialize,
    ) -> Result<O, CallError> {
        let body = serde_json::to_vec(input).map_err(|_| CallError::Unsendable)?;
        let read = |answer: Answer| {
            if answer.status != 200 {
                return Err(answer.refused_in_json());
            }
            // Some operations answer with nothing at all.
            let body: &[u8] = if answer.body.is_empty() {
                b"{}"
            } else {
                &answer.body
            };
            serde_json::from_slice(body).map_err(|_| CallError::Unreadable)
        };
        self.send(operation, body, read).await
    }

    /// The same for a service with another protocol than JSON: `read` makes of an answer what it holds.
    ///
    /// # Errors
    /// With the last attempt's.
    pub async fn send<O>(
        &self,
        operation: &str,
        body: Vec<u8>,
        read: impl Fn(Answer) -> Result<O, CallError>,
    ) -> Result<O, CallError> {
        let attempts = async {
            let mut longest_wait_ms = LONGEST_FIRST_WAIT_MS;
            for _ in 1..ATTEMPTS {
                match self.attempt(operation, body.clone()).await.and_then(&read) {
                    Err(error) if error.is_passing() => {
                        let wait = Duration::from_millis(random_up_to(longest_wait_ms));
                        tokio::time::sleep(wait).await;
                    }
                    result => return result,
                }
                longest_wait_ms *= 2;
            }
            self.attempt(operation, body.clone()).await.and_then(&read)
        };
        tokio::time::timeout(self.aws.operation_timeout, attempts)
            .await
            .unwrap_or(Err(CallError::NoAnswer))
    }

    async fn attempt(&self, operation: &str, body: Vec<u8>) -> Result<Answer, CallError> {
        let signed = signature::Request {
            service: self.service,
            region: &self.aws.region,
            url: &self.url,
            operation,
            body: &body,
        }
        .headers(&self.aws.credentials, SystemTime::now());
        let answer = self
            .aws
            .http_client
            .post(self.url.clone())
            .headers(signed.ok_or(CallError::Unsendable)?)
            .header(CONTENT_TYPE, self.service.content_type)
            .body(body)
            .timeout(self.aws.attempt_timeout)
            .send()
            .await
            .map_err(|error| CallError::of(&error))?;
        let status = answer.status().as_u16();
        let date = text(answer.headers(), DATE.as_str());
        let error_type = text(answer.headers(), "x-amzn-errortype");
        let body = answer.bytes().await.map_err(|_| CallError::NoAnswer)?;
        Ok(Answer {
            status,
            date,
            error_type,
            body: body.into(),
        })
    }

    /// Opens a connection to the service ahead of the first call, while the function still has a whole
    /// CPU: afterwards it has the fourteenth part of one. What goes wrong shows at the first call.
    pub async fn connect(&self) {
        let request = self.aws.http_client.get(self.url.clone());
        if let Ok(answer) = request.timeout(AHEAD_TIMEOUT).send().await {
            // Read to its end, the answer leaves the connection to who comes next.
            let _ = answer.bytes().await;
        }
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_where_its_own_variable_or_the_region_says() {
        let credentials = Credentials {
            access_key_id: "id".to_owned(),
            secret_access_key: "hush".to_owned(),
            session_token: None,
        };
        let url = |region, elsewhere: Option<&str>| {
            let elsewhere = elsewhere.map(str::to_owned);
            let aws = Aws::new(region, credentials.clone(), elsewhere).unwrap();
            aws.client(&SQS).unwrap().url.to_string()
        };
        assert_eq!(
            url("af-south-1", None),
            "https://sqs.af-south-1.amazonaws.com/"
        );
        assert_eq!(
            url("cn-north-1", None),
            "https://sqs.cn-north-1.amazonaws.com.cn/"
        );
        assert_eq!(
            url("x", Some("http://127.0.0.1:4566")),
            "http://127.0.0.1:4566/"
        );
        assert!(!format!("{credentials:?}").contains("hush"));
    }
}
