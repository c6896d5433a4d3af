//! AWS's SDK, set up for a Lambda function: one configuration and one HTTP client for all services.
//!
//! A function calls a handful of operations with credentials that Lambda hands to it. What the SDK can
//! do beyond that costs CPU time at every cold start, and is left out: the search for credentials, the
//! cache of identities, the guard of stalled streams, a second HTTP client.

mod http_client;

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sqs::config::{BehaviorVersion, IdentityCache, Region, StalledStreamProtectionConfig};
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::{RetryConfig, RetrySpec};
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;

pub use self::http_client::ReqwestClient;
use crate::config::{ConfigError, optional, required};

/// Attempts of a call, the first included.
const ATTEMPTS: u32 = 3;

/// One attempt of a call. All services answer in milliseconds when they answer; a packet that opens a
/// connection and is lost is sent again after a second.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(1_300);

/// The longest wait between two attempts: for a service that throttles. After any other transient
/// error it is at most 50 ms, then 100 ms, and half of that with DynamoDB.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait before the second attempt of a call to DynamoDB, unless it throttles.
const DYNAMODB_FIRST_WAIT: Duration = Duration::from_millis(25);

/// A call with all its attempts and waits. The shortest function has 15 s for two calls. The sender
/// needs time for a read, a write and a call to the queue when the ledger hangs after an
/// acceptance.
pub const OPERATION_TIMEOUT: Duration = Duration::from_secs(6);

/// AWS's services, as a function calls them.
#[derive(Clone, Debug)]
pub struct Aws {
    config: SdkConfig,
    http_client: ReqwestClient,
}

impl Aws {
    /// From the variables that Lambda sets: `AWS_REGION`, `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`; and `AWS_ENDPOINT_URL`, where all services are
    /// somewhere else, as on an emulator.
    ///
    /// # Errors
    /// When a variable is missing, or the HTTP client cannot be built.
    pub fn from_environment() -> Result<Self, ConfigError> {
        let credentials = Credentials::new(
            required("AWS_ACCESS_KEY_ID")?,
            required("AWS_SECRET_ACCESS_KEY")?,
            optional("AWS_SESSION_TOKEN"),
            None,
            "Environment",
        );
        let region = required("AWS_REGION")?;
        Self::new(region, credentials, optional("AWS_ENDPOINT_URL"))
    }

    /// In this region, with these credentials. With `endpoint_url`, all services are there.
    ///
    /// # Errors
    /// When the HTTP client cannot be built.
    pub fn new(
        region: String,
        credentials: Credentials,
        endpoint_url: Option<String>,
    ) -> Result<Self, ConfigError> {
        let http_client = ReqwestClient::new()?;
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(ATTEMPT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT)
            .build();
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(region))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            // The credentials never change within a process.
            .identity_cache(IdentityCache::no_cache())
            .http_client(http_client.clone())
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .retry_config(retries(RetrySpec::v2_1()))
            .timeout_config(timeouts);
        config.set_endpoint_url(endpoint_url);
        Ok(Self {
            config: config.build(),
            http_client,
        })
    }

    /// A client of SQS. `AWS_ENDPOINT_URL_SQS` says where SQS is, if it is somewhere else.
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        let mut config = aws_sdk_sqs::config::Builder::from(&self.config);
        if let Some(url) = optional("AWS_ENDPOINT_URL_SQS") {
            config.set_endpoint_url(Some(url));
        }
        aws_sdk_sqs::Client::from_conf(config.build())
    }

    /// A client of DynamoDB. `AWS_ENDPOINT_URL_DYNAMODB` says where it is, if it is somewhere else.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        // Left to itself, this client makes a fourth attempt, which would not fit into the time-out.
        let spec = RetrySpec::v2_1().with_non_throttling_initial_backoff(DYNAMODB_FIRST_WAIT);
        let mut config =
            aws_sdk_dynamodb::config::Builder::from(&self.config).retry_config(retries(spec));
        if let Some(url) = optional("AWS_ENDPOINT_URL_DYNAMODB") {
            config.set_endpoint_url(Some(url));
        }
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    /// A client of Secrets Manager. `AWS_ENDPOINT_URL_SECRETS_MANAGER` says where it is, if it is
    /// somewhere else.
    pub fn secrets_manager(&self) -> aws_sdk_secretsmanager::Client {
        let mut config = aws_sdk_secretsmanager::config::Builder::from(&self.config);
        if let Some(url) = optional("AWS_ENDPOINT_URL_SECRETS_MANAGER") {
            config.set_endpoint_url(Some(url));
        }
        aws_sdk_secretsmanager::Client::from_conf(config.build())
    }

    /// Opens a connection to the server of this URL ahead of the first call, while the function still
    /// has a whole CPU: afterwards it has the fourteenth part of one. What goes wrong shows at the
    /// first call.
    pub async fn connect(&self, url: &str) {
        self.http_client.connect(url, ATTEMPT_TIMEOUT).await;
    }
}

fn retries(spec: RetrySpec) -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_max_backoff(LONGEST_WAIT)
        .with_retry_spec(spec)
}

/// Why a call failed: AWS's error code if AWS refused it. Holds nothing of request and response.
pub fn describe<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> String {
    match error {
        SdkError::ServiceError(refused) => match refused.err().meta().code() {
            Some(code) => code.to_owned(),
            None => "an error without a code".to_owned(),
        },
        SdkError::DispatchFailure(failure) if failure.is_user() => {
            "a request that could not be built".to_owned()
        }
        SdkError::DispatchFailure(failure) if failure.is_io() => "no connection".to_owned(),
        SdkError::ConstructionFailure(_) => "a request that could not be built".to_owned(),
        SdkError::ResponseError(_) => "an unreadable answer".to_owned(),
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => "no answer in time".to_owned(),
        _ => "an unknown error".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aws(endpoint_url: Option<&str>) -> Aws {
        let credentials = Credentials::new("id", "hush", Some("hush".to_owned()), None, "test");
        let endpoint_url = endpoint_url.map(str::to_owned);
        Aws::new("af-south-1".to_owned(), credentials, endpoint_url).unwrap()
    }

    #[test]
    fn the_last_attempt_fits_into_the_time_of_the_operation() {
        assert!(ATTEMPT_TIMEOUT * ATTEMPTS + LONGEST_WAIT * (ATTEMPTS - 1) < OPERATION_TIMEOUT);
        let aws = aws(None);
        let clients = [
            aws.sqs().config().retry_config().cloned(),
            aws.dynamodb().config().retry_config().cloned(),
            aws.secrets_manager().config().retry_config().cloned(),
        ];
        for (retries, milliseconds) in clients.into_iter().zip([50, 25, 50]) {
            let retries = retries.unwrap();
            assert_eq!(retries.max_attempts(), ATTEMPTS);
            assert_eq!(retries.max_backoff(), LONGEST_WAIT);
            // About a second where a service throttles; milliseconds after any other passing error.
            assert_eq!(retries.initial_backoff(), Duration::from_secs(1));
            let first_wait = retries
                .retry_spec()
                .unwrap()
                .non_throttling_initial_backoff();
            assert_eq!(first_wait, Duration::from_millis(milliseconds));
        }
    }

    #[test]
    fn nothing_shows_the_credentials() {
        let aws = aws(Some("http://127.0.0.1:4566"));
        assert!(!format!("{aws:?}").contains("hush"));
    }
}
