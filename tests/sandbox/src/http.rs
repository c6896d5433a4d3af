//! Makes every HTTP client of this crate.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

/// A client that follows no redirect, uses no proxy, keeps no connection for later and gives up
/// after `time_limit`.
///
/// It brings its own TLS configuration, because `reqwest` is compiled without a default provider
/// of cryptography and would otherwise refuse to be built, even for plain HTTP.
///
/// # Errors
/// When the TLS configuration cannot be made.
pub fn client(time_limit: Duration) -> anyhow::Result<reqwest::Client> {
    let roots = rustls::RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("no TLS version that the provider knows")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .pool_max_idle_per_host(0)
        .timeout(time_limit)
        .build()
        .context("the HTTP client could not be built")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_client_can_be_built_without_an_installed_provider() {
        client(Duration::from_secs(1)).unwrap();
    }
}
