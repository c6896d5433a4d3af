//! The SDK's requests through `reqwest`, the HTTP and TLS stack that the functions have anyway.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use lambda_http::Response;
use reqwest::{Body, Client};

use crate::adapters::http_client::client_builder;
use crate::config::ConfigError;

/// An HTTP client for the SDK. Clients of several services that share it share its connections.
#[derive(Clone, Debug)]
pub struct ReqwestClient {
    /// A client for each kind of settings that was asked for; there is one in practice.
    clients: Arc<Mutex<Vec<(Timeouts, Client)>>>,
}

/// What the SDK may set of a connector: how long a connection may take to come about, and how long an
/// answer may keep silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Timeouts {
    connect: Option<Duration>,
    read: Option<Duration>,
}

impl ReqwestClient {
    /// A client with the one TLS set-up.
    ///
    /// # Errors
    /// When that cannot be made.
    pub fn new() -> Result<Self, ConfigError> {
        // Fails here, with the name of the variable, and not at the first call.
        let _ = client_builder()?;
        Ok(Self {
            clients: Arc::default(),
        })
    }

    /// Opens a connection to the server of this URL, which the first call to it will use.
    pub async fn connect(&self, url: &str, timeout: Duration) {
        let timeouts = Timeouts {
            connect: Some(timeout),
            read: None,
        };
        let Some(client) = self.client(timeouts) else {
            return;
        };
        if let Ok(answer) = client.get(url).timeout(timeout).send().await {
            // Read to its end, the answer leaves the connection to who comes next.
            let _ = answer.bytes().await;
        }
    }

    /// The client with these time-outs; none, if it cannot be built.
    fn client(&self, timeouts: Timeouts) -> Option<Client> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = clients.iter().find(|(known, _)| *known == timeouts) {
            return Some(client.clone());
        }
        let mut builder = client_builder().ok()?;
        if let Some(connect) = timeouts.connect {
            builder = builder.connect_timeout(connect);
        }
        if let Some(read) = timeouts.read {
            builder = builder.read_timeout(read);
        }
        let client = builder.build().ok()?;
        clients.push((timeouts, client.clone()));
        Some(client)
    }
}

impl HttpClient for ReqwestClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let timeouts = Timeouts {
            connect: settings.connect_timeout(),
            read: settings.read_timeout(),
        };
        SharedHttpConnector::new(Connector(self.client(timeouts)))
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        Some(ConnectorMetadata::new("reqwest", None))
    }
}

/// None, if the HTTP client could not be built.
#[derive(Debug)]
struct Connector(Option<Client>);

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let client = client.ok_or_else(|| unsendable("the HTTP client could not be built"))?;
            exchange(&client, request).await
        })
    }
}

/// Sends a request once and reads the whole answer.
async fn exchange(client: &Client, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    // A body that is not in memory would have to be sent as an empty one at the second attempt.
    let body = request
        .body()
        .bytes()
        .ok_or_else(|| unsendable("the body is not in memory and cannot be sent again"))?;
    let body = Body::from(body.to_vec());
    let request = request
        .try_into_http1x()
        .map_err(|error| ConnectorError::user(error.into()))?
        .map(|_| body);
    let request = reqwest::Request::try_from(request).map_err(failed)?;
    let answer = client.execute(request).await.map_err(failed)?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let body = answer.bytes().await.map_err(failed)?;
    let mut whole = Response::new(SdkBody::from(body));
    *whole.status_mut() = status;
    *whole.headers_mut() = headers;
    HttpResponse::try_from(whole).map_err(|error| ConnectorError::other(error.into(), None))
}

fn unsendable(problem: &'static str) -> ConnectorError {
    ConnectorError::user(problem.into())
}

fn failed(error: reqwest::Error) -> ConnectorError {
    let (is_timeout, is_builder) = (error.is_timeout(), error.is_builder());
    let error = error.without_url().into();
    if is_timeout {
        ConnectorError::timeout(error)
    } else if is_builder {
        ConnectorError::user(error)
    } else {
        ConnectorError::io(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn call(timeouts: Timeouts, request: HttpRequest) -> ConnectorError {
        let client = ReqwestClient::new().unwrap().client(timeouts);
        Connector(client).call(request).await.unwrap_err()
    }

    const TIMEOUTS: Timeouts = Timeouts {
        connect: Some(Duration::from_secs(1)),
        read: Some(Duration::from_millis(50)),
    };

    #[tokio::test]
    async fn a_body_that_is_not_in_memory_is_refused_and_not_sent_as_an_empty_one() {
        let mut request = HttpRequest::get("http://127.0.0.1:9").unwrap();
        *request.body_mut() = SdkBody::taken();
        let error = call(TIMEOUTS, request).await;
        assert!(error.is_user(), "{error:?}");
    }

    #[tokio::test]
    async fn a_server_that_cannot_be_reached_is_an_error_without_its_address() {
        let request = HttpRequest::get("http://127.0.0.1:9/a-queue").unwrap();
        let error = call(TIMEOUTS, request).await;
        assert!(error.is_io(), "{error:?}");
        assert!(!format!("{error:?}").contains("a-queue"), "{error:?}");
    }

    #[tokio::test]
    async fn an_answer_that_keeps_silent_for_longer_than_the_sdk_says_is_a_time_out() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let error = call(TIMEOUTS, HttpRequest::get(url).unwrap()).await;
        assert!(error.is_timeout(), "{error:?}");
    }

    #[test]
    fn services_with_the_same_time_outs_share_their_connections() {
        let client = ReqwestClient::new().unwrap();
        let read = None;
        for seconds in [1, 2, 1, 2] {
            let connect = Some(Duration::from_secs(seconds));
            assert!(client.client(Timeouts { connect, read }).is_some());
        }
        assert_eq!(client.clients.lock().unwrap().len(), 2);
    }
}
