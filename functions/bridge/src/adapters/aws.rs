//! What all AWS clients share: credentials and region from the environment that Lambda sets, one
//! HTTP client, time-outs and retries.

use std::fmt;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{
    BehaviorVersion, IdentityCache, Region, SharedCredentialsProvider, SharedHttpClient,
    StalledStreamProtectionConfig,
};
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

use super::environment::{ConfigError, optional, required};
use super::outside::client_builder;

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

/// How long opening a connection ahead of its use may hold up the start.
const AHEAD_TIMEOUT: Duration = Duration::from_secs(1);

/// The services that are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// SQS.
    Sqs,
    /// DynamoDB.
    DynamoDb,
    /// Secrets Manager.
    SecretsManager,
}

impl Service {
    /// The variable that says where this service is, if it is somewhere else; it goes before
    /// `AWS_ENDPOINT_URL`.
    fn endpoint_variable(self) -> &'static str {
        match self {
            Self::Sqs => "AWS_ENDPOINT_URL_SQS",
            Self::DynamoDb => "AWS_ENDPOINT_URL_DYNAMODB",
            Self::SecretsManager => "AWS_ENDPOINT_URL_SECRETS_MANAGER",
        }
    }

    /// The first part of its host's name.
    fn host(self) -> &'static str {
        match self {
            Self::Sqs => "sqs",
            Self::DynamoDb => "dynamodb",
            Self::SecretsManager => "secretsmanager",
        }
    }
}

/// The access to AWS of this function.
#[derive(Clone)]
pub struct Aws {
    region: Region,
    credentials: SharedCredentialsProvider,
    http_client: reqwest::Client,
    endpoint_url: Option<String>,
    attempt_timeout: Duration,
    operation_timeout: Duration,
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aws")
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// One service's client.
macro_rules! client {
    ($aws:expr, $service:ident, $endpoint_url:expr) => {{
        let aws = $aws;
        let mut settings = $service::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(aws.region.clone())
            .credentials_provider(aws.credentials.clone())
            .http_client(SharedHttpClient::new(SdkHttpClient(
                aws.http_client.clone(),
            )))
            // The credentials are those of the environment, and last longer than this process.
            .identity_cache(IdentityCache::no_cache())
            // Every answer is small, and the time-outs below watch over it.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(
                TimeoutConfig::builder()
                    .operation_attempt_timeout(aws.attempt_timeout)
                    .operation_timeout(aws.operation_timeout)
                    .build(),
            );
        settings.set_endpoint_url($endpoint_url);
        $service::Client::from_conf(settings.build())
    }};
}

impl Aws {
    /// From the variables that Lambda sets: `AWS_REGION`, `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`; and `AWS_ENDPOINT_URL`, if all services are
    /// somewhere else, as on an emulator, or `AWS_ENDPOINT_URL_SQS` and so on, if one is.
    ///
    /// # Errors
    /// When one of them is missing.
    pub fn from_environment() -> Result<Self, ConfigError> {
        let credentials = Credentials::new(
            required("AWS_ACCESS_KEY_ID")?,
            required("AWS_SECRET_ACCESS_KEY")?,
            optional("AWS_SESSION_TOKEN"),
            None,
            "environment",
        );
        Self::new(
            required("AWS_REGION")?,
            credentials,
            optional("AWS_ENDPOINT_URL"),
        )
    }

    /// With these credentials.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new(
        region: String,
        credentials: Credentials,
        endpoint_url: Option<String>,
    ) -> Result<Self, ConfigError> {
        let http_client = client_builder()?.build().map_err(|error| {
            let problem = error.without_url();
            ConfigError::wrong("AWS_ENDPOINT_URL", &problem)
        })?;
        Ok(Self {
            region: Region::new(region),
            credentials: SharedCredentialsProvider::new(credentials),
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

    /// A client for SQS.
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        client!(self, aws_sdk_sqs, self.endpoint_url(Service::Sqs))
    }

    /// A client for DynamoDB.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        client!(self, aws_sdk_dynamodb, self.endpoint_url(Service::DynamoDb))
    }

    /// A client for Secrets Manager.
    pub fn secrets_manager(&self) -> aws_sdk_secretsmanager::Client {
        client!(
            self,
            aws_sdk_secretsmanager,
            self.endpoint_url(Service::SecretsManager)
        )
    }

    /// Opens a connection to a service ahead of the first call, while the function still has a whole
    /// CPU: afterwards it has the fourteenth part of one. What goes wrong shows at the first call.
    pub async fn connect(&self, service: Service) {
        let url = self.endpoint_url(service).unwrap_or_else(|| {
            let suffix = match self.region.as_ref().starts_with("cn-") {
                true => "amazonaws.com.cn",
                false => "amazonaws.com",
            };
            format!("https://{}.{}.{suffix}", service.host(), self.region)
        });
        let request = self.http_client.get(url).timeout(AHEAD_TIMEOUT);
        if let Ok(answer) = request.send().await {
            // Read to its end, the answer leaves the connection to who comes next.
            let _ = answer.bytes().await;
        }
    }

    fn endpoint_url(&self, service: Service) -> Option<String> {
        optional(service.endpoint_variable()).or_else(|| self.endpoint_url.clone())
    }
}

/// An error of a call, with nothing of what was sent: AWS's code, or what kind of failure it was.
pub fn describe<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> String {
    match error {
        SdkError::ServiceError(service) => service
            .err()
            .code()
            .unwrap_or("an unnamed error")
            .to_owned(),
        SdkError::TimeoutError(_) => "no answer in time".to_owned(),
        SdkError::DispatchFailure(_) => "no connection".to_owned(),
        SdkError::ResponseError(_) => "an unreadable answer".to_owned(),
        _ => "a request that could not be built".to_owned(),
    }
}

/// The function's one HTTP client, as the SDK wants it.
#[derive(Clone, Debug)]
struct SdkHttpClient(reqwest::Client);

impl HttpClient for SdkHttpClient {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for SdkHttpClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let method = reqwest::Method::from_bytes(request.method().as_bytes())
                .map_err(|error| ConnectorError::user(error.into()))?;
            let mut outgoing = client.request(method, request.uri());
            for (name, value) in request.headers() {
                outgoing = outgoing.header(name, value);
            }
            // Every request of these services is in memory.
            let body = request.body().bytes().unwrap_or_default().to_vec();
            let answer = outgoing.body(body).send().await.map_err(connector_error)?;
            let status = answer.status().as_u16();
            let headers = answer.headers().clone();
            let body = answer.bytes().await.map_err(connector_error)?;
            let status = status
                .try_into()
                .map_err(|error| ConnectorError::other(Box::new(error), None))?;
            let mut response = HttpResponse::new(status, body.into());
            for (name, value) in &headers {
                if let Ok(value) = value.to_str() {
                    response
                        .headers_mut()
                        .append(name.as_str().to_owned(), value.to_owned());
                }
            }
            Ok(response)
        })
    }
}

fn connector_error(error: reqwest::Error) -> ConnectorError {
    let error = error.without_url();
    if error.is_timeout() {
        ConnectorError::timeout(error.into())
    } else if error.is_builder() {
        ConnectorError::user(error.into())
    } else {
        ConnectorError::io(error.into())
    }
}
