//! HTTP to Africa's Talking and Medic, and the TLS configuration of all clients.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::{Client, ClientBuilder, RequestBuilder};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::config::{ConfigError, optional};
use crate::ports::Response;

/// A file with the certificates of the authorities to trust instead of Mozilla's, in PEM. The
/// template does not set it.
const AUTHORITIES: &str = "SSL_CERT_FILE";

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest response that is read, in bytes. Medic offers 25 messages, each far below 100 KiB.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// A client with the one TLS set-up. No proxy of the environment, no redirects: they would carry
/// credentials elsewhere.
///
/// # Errors
/// When `SSL_CERT_FILE` names something that holds no certificates.
pub fn client_builder() -> Result<ClientBuilder, ConfigError> {
    Ok(Client::builder()
        .tls_backend_preconfigured(tls()?)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT))
}

/// The one TLS set-up: rustls on ring, the Mozilla roots compiled in. All clients share it, so that
/// a new connection to a server that was spoken to before resumes its session, which is cheaper.
fn tls() -> Result<ClientConfig, ConfigError> {
    static TLS: OnceLock<ClientConfig> = OnceLock::new();
    if let Some(tls) = TLS.get() {
        return Ok(tls.clone());
    }
    let unusable = |problem: &dyn ToString| ConfigError::wrong(AUTHORITIES, &problem.to_string());
    let mut roots = RootCertStore::empty();
    if let Some(file) = optional(AUTHORITIES) {
        let certificates = CertificateDer::pem_file_iter(file).map_err(|error| unusable(&error))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| unusable(&error))?;
            roots.add(certificate).map_err(|error| unusable(&error))?;
        }
    } else {
        roots.roots = webpki_roots::TLS_SERVER_ROOTS.to_vec();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TLS.get_or_init(|| tls).clone())
}

/// Sends a request once and reads the response. A failure says only whether the server can have
/// seen the request. The error's text is dropped, because it can hold a URL with a key.
pub async fn exchange(request: RequestBuilder, timeout: Duration) -> Response {
    let mut answer = match request.timeout(timeout).send().await {
        Ok(answer) => answer,
        Err(error) if error.is_connect() || error.is_builder() => return Response::NotConnected,
        Err(_) => return Response::NoAnswer,
    };
    let status = answer.status().as_u16();
    let mut body = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= MAX_ANSWER_BYTES => {
                body.extend_from_slice(&chunk);
            }
            Ok(None) => return Response::Answer { status, body },
            // A part of a response counts as none.
            Ok(Some(_)) | Err(_) => return Response::NoAnswer,
        }
    }
}
