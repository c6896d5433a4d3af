//! HTTP/1.1 over one connection, with or without TLS.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Full};
use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A server.
pub struct HttpServer {
    host: String,
    tls: Option<TlsConnector>,
}

/// A connection to it.
pub struct Connection(SendRequest<Full<Bytes>>);

/// A request.
pub struct Request {
    method: &'static str,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// A question.
    pub fn get(path: &str) -> Self {
        Self {
            method: "GET",
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A body.
    pub fn post(path: String, body: Vec<u8>) -> Self {
        Self {
            method: "POST",
            path,
            headers: Vec::new(),
            body,
        }
    }

    /// Adds a header.
    pub fn header(&mut self, name: &str, value: &str) {
        self.headers.push((name.to_owned(), value.to_owned()));
    }
}

impl HttpServer {
    /// The server at a URL without a path.
    pub fn of(url: &str) -> anyhow::Result<Self> {
        let (scheme, host) = url.split_once("://").context("no URL")?;
        let tls = match scheme {
            "https" => Some(tls()?),
            _ => None,
        };
        Ok(Self {
            host: host.to_owned(),
            tls,
        })
    }

    /// Its name and port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Opens a connection.
    pub async fn connect(&self) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect(&self.host).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else {
            let (sender, connection) = handshake(TokioIo::new(stream)).await?;
            tokio::spawn(connection);
            return Ok(Connection(sender));
        };
        let name = self.host.split(':').next().unwrap_or_default().to_owned();
        let stream = tls.connect(ServerName::try_from(name)?, stream).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Connection(sender))
    }
}

impl Connection {
    /// Sends a request and reads the whole answer.
    pub async fn send(
        &mut self,
        server: &HttpServer,
        request: Request,
    ) -> anyhow::Result<(HeaderMap, Bytes)> {
        let mut built = hyper::Request::builder()
            .method(request.method)
            .uri(request.path);
        built = built.header("host", &server.host);
        for (name, value) in request.headers {
            built = built.header(name, value);
        }
        self.0.ready().await?;
        let answer = self
            .0
            .send_request(built.body(Full::from(request.body))?)
            .await?;
        let (parts, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        if parts.status.as_u16() == 404 {
            bail!("nobody answers here as the function was answered");
        }
        Ok((parts.headers, body))
    }
}

/// The same trust as the functions have: the Mozilla roots, or those of `SSL_CERT_FILE`.
fn tls() -> anyhow::Result<TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    match std::env::var("SSL_CERT_FILE") {
        Ok(file) => roots.add(CertificateDer::from_pem_file(file)?)?,
        Err(_) => roots.roots = webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
