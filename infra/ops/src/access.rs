//! The account and the region. The SDK searches for them as the AWS CLI does: keys in the environment,
//! profiles, single sign-on, `aws login`, assumed roles, credential processes, web identities, containers
//! and instances.

use std::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_cloudformation::config::RuntimeComponents;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};

use crate::clock::AwsClock;
use crate::failure::Failure;

/// Long enough for a person far from the region, on a slow line.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// For one attempt of a call.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(20);

/// For a call with all its attempts.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(60);

/// Including the first.
const ATTEMPTS: u32 = 3;

/// The variables that name the certificate authorities to trust, instead of those of this machine.
const AUTHORITIES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// The access to an account.
#[derive(Clone, Debug)]
pub struct Access {
    /// The configuration that each service's client is made from.
    pub config: SdkConfig,
    /// The region, for example `eu-west-1`.
    pub region: String,
    /// AWS's clock, from the answers of CloudFormation.
    pub clock: AwsClock,
}

impl Access {
    /// The access that the AWS CLI would use with the same `--profile` and `--region`.
    ///
    /// # Errors
    /// When there is no region, there are no credentials, or the file that `SSL_CERT_FILE` names cannot
    /// be read.
    pub async fn of_the_cli(profile: Option<&str>, region: Option<&str>) -> Result<Self, Failure> {
        let behavior = BehaviorVersion::v2026_01_12();
        let tls = tls()?;
        let http_client = Builder::new().build_with_connector_fn(move |settings, components| {
            let mut connector = Connector::builder().proxy_config(ProxyConfig::from_env());
            connector.set_connector_settings(settings.cloned());
            connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
            connector
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .tls_context(tls.clone())
                .build()
        });
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT)
            .build();
        let retries = RetryConfig::standard().with_max_attempts(ATTEMPTS);
        let mut loader = aws_config::defaults(behavior)
            .http_client(http_client.clone())
            .timeout_config(timeouts.clone())
            .retry_config(retries.clone());
        if let Some(region) = region {
            loader = loader.region(Region::new(region.to_owned()));
        }
        if let Some(profile) = profile.map(str::to_owned).or_else(profile_of_environment) {
            loader = loader.profile_name(profile);
        }
        let config = loader.load().await;
        let Some(region) = config.region().cloned() else {
            let problem = "no region is set: use --region, AWS_REGION or `aws configure`";
            return Err(Failure::OutOfReach(problem.to_owned()));
        };
        let mut provider = config.credentials_provider();
        if let Some(profile) = profile {
            // As in the AWS CLI, a named profile goes before keys in the environment.
            let settings = ProviderConfig::without_region()
                .with_behavior_version(Some(behavior))
                .with_region(Some(region.clone()))
                .with_use_fips(config.use_fips())
                .with_use_dual_stack(config.use_dual_stack())
                .with_http_client(http_client)
                .with_timeout_config(timeouts)
                .with_retry_config(retries);
            let of_profile = ProfileFileCredentialsProvider::builder()
                .profile_name(profile)
                .configure(&settings)
                .build();
            provider = Some(SharedCredentialsProvider::new(of_profile));
        }
        let credentials = Awaited::of(provider).await?;
        let config = config
            .into_builder()
            .credentials_provider(SharedCredentialsProvider::new(credentials));
        Ok(Self {
            config: config.build(),
            region: region.to_string(),
            clock: AwsClock::default(),
        })
    }
}

/// Credentials that were fetched before the first call. A credential process may wait until somebody has
/// logged in, which can take longer than a call may. When they expire, the provider is asked for new ones.
#[derive(Debug)]
struct Awaited {
    first: Mutex<Option<Credentials>>,
    provider: SharedCredentialsProvider,
}

impl Awaited {
    async fn of(provider: Option<SharedCredentialsProvider>) -> Result<Self, Failure> {
        let none = CredentialsError::not_loaded_no_source;
        let provider = provider.ok_or_else(|| Failure::credentials(&none()))?;
        let first = provider.provide_credentials().await;
        let first = first.map_err(|error| Failure::credentials(&error))?;
        Ok(Self {
            first: Mutex::new(Some(first)),
            provider,
        })
    }
}

impl ProvideCredentials for Awaited {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        match first.take() {
            Some(credentials) => future::ProvideCredentials::ready(Ok(credentials)),
            None => self.provider.provide_credentials(),
        }
    }
}

/// The AWS CLI's other name for `AWS_PROFILE`, which the SDK does not know.
fn profile_of_environment() -> Option<String> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    match variable("AWS_PROFILE") {
        Some(_) => None,
        None => variable("AWS_DEFAULT_PROFILE"),
    }
}

/// Trusts the certificate authorities of this machine, or those that `SSL_CERT_FILE` names.
fn tls() -> Result<TlsContext, Failure> {
    let authorities = rustls_native_certs::load_native_certs();
    let mut trusted = TrustStore::default();
    if authorities.certs.is_empty() {
        let named = AUTHORITIES
            .into_iter()
            .find(|name| std::env::var_os(name).is_some());
        if let Some(name) = named {
            let problem = authorities.errors.first();
            let problem = problem.map_or("no certificate is in it".to_owned(), ToString::to_string);
            return Err(Failure::OutOfReach(format!("{name} is wrong: {problem}")));
        }
        // An emulator can still be asked, because it needs no TLS.
        trusted = TrustStore::empty();
    }
    let context = TlsContext::builder().with_trust_store(trusted).build();
    context.map_err(|error| {
        let source = error.source().map(ToString::to_string).unwrap_or_default();
        Failure::OutOfReach(format!("TLS cannot be set up: {error} {source}"))
    })
}
