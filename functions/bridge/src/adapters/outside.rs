//! HTTP to the world outside AWS: Africa's Talking and Medic; and the one TLS set-up for all.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, ClientBuilder, RequestBuilder};

use crate::ports::Response;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What of an answer is read. Medic offers 25 messages, each far below 100 KiB.
const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// A client with the one TLS set-up: rustls on ring, the Mozilla roots compiled in. No proxy of the
/// environment, no redirects: they would carry credentials elsewhere.
///
/// # Errors
/// When the TLS set-up cannot be made.
pub fn client_builder() -> Result<ClientBuilder, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = rustls::RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT))
}

/// Sends a request once and reads the answer. What is known of a failure is only whether the request
/// can have been seen; the error's text is dropped, for it can hold an address with a key.
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
            // Half an answer is none.
            Ok(Some(_)) | Err(_) => return Response::NoAnswer,
        }
    }
}
