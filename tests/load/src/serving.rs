//! Servers on free ports of 127.0.0.1, with or without TLS, that end when they are dropped.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use axum::Router;
use axum::serve::Listener;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sandbox::tools::repository;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// A server that runs.
#[derive(Debug)]
pub struct Served {
    /// Where.
    pub address: SocketAddr,
    task: JoinHandle<std::io::Result<()>>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves these routes over HTTP.
///
/// # Errors
/// When no port can be had.
pub async fn plain(routes: Router) -> anyhow::Result<Served> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    // Answers are small and awaited.
    let listener = NoDelay(listener);
    let task = tokio::spawn(async { axum::serve(listener, routes).await });
    Ok(Served { address, task })
}

/// Serves these routes over HTTPS.
///
/// # Errors
/// When no port or no certificate can be had.
pub async fn tls(routes: Router, identity: &Identity) -> anyhow::Result<Served> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let acceptor = identity.acceptor()?;
    let listener = Tls { listener, acceptor };
    let task = tokio::spawn(async { axum::serve(listener, routes).await });
    Ok(Served { address, task })
}

struct NoDelay(TcpListener);

impl Listener for NoDelay {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            if let Ok((stream, from)) = self.0.accept().await
                && stream.set_nodelay(true).is_ok()
            {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            // One that fails here is the caller's trouble, and it says so.
            if let Ok((stream, from)) = self.listener.accept().await
                && stream.set_nodelay(true).is_ok()
                && let Ok(stream) = self.acceptor.accept(stream).await
            {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A server's certificate, made for this machine alone and signed by an authority that nobody
/// trusts but who is told to. RSA of 2,048 bits, as AWS's own endpoints have.
#[derive(Clone, Debug)]
pub struct Identity {
    folder: PathBuf,
}

impl Identity {
    /// Makes one, with `openssl`.
    ///
    /// # Errors
    /// When `openssl` is missing or fails.
    pub fn make() -> anyhow::Result<Self> {
        let folder = repository().join("target/load/tls");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("authority.cnf"), AUTHORITY)?;
        std::fs::write(folder.join("server.cnf"), SERVER)?;
        openssl(
            &folder,
            "req -x509 -new -nodes -days 30 -newkey rsa:2048 -config authority.cnf -keyout authority.key -out authority.pem",
        )?;
        openssl(
            &folder,
            "req -new -nodes -newkey rsa:2048 -config server.cnf -keyout server.key -out server.csr",
        )?;
        openssl(
            &folder,
            "x509 -req -days 30 -in server.csr -CA authority.pem -CAkey authority.key -set_serial 2 -extfile server.cnf -extensions server -out server.pem",
        )?;
        Ok(Self { folder })
    }

    /// The file with the authority's certificate.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    fn acceptor(&self) -> anyhow::Result<TlsAcceptor> {
        let certificate = CertificateDer::from_pem_file(self.folder.join("server.pem"))?;
        let key = PrivateKeyDer::from_pem_file(self.folder.join("server.key"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

const AUTHORITY: &str = "[req]\nprompt=no\ndistinguished_name=name\nx509_extensions=authority\n\
    [name]\nCN=an authority for measuring\n\
    [authority]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\n";

const SERVER: &str = "[req]\nprompt=no\ndistinguished_name=name\n[name]\nCN=127.0.0.1\n\
    [server]\nbasicConstraints=critical,CA:FALSE\nsubjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n";

fn openssl(folder: &Path, arguments: &str) -> anyhow::Result<()> {
    let output = Command::new("openssl")
        .current_dir(folder)
        .args(arguments.split(' '))
        .output()
        .context("cannot run openssl, which makes the certificate to measure TLS with")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "openssl {arguments} failed:\n{said}"
    );
    Ok(())
}
