//! What was observed of Medic and of Africa's Talking, case by case, and that their models do it: in
//! process, as the simulation drives them, and over HTTP, as the sandbox serves them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of this is tests"
)]

mod africastalking;
mod medic;

use models::http::{ServerOutcome, ServerRequest};

/// The same cases in process and over HTTP.
macro_rules! in_process_and_over_http {
    ($Bench:ident: $($name:ident)*) => {
        mod in_process { $(
            #[tokio::test]
            async fn $name() {
                super::$name(super::$Bench::in_process()).await;
            }
        )* }
        mod over_http { $(
            #[tokio::test]
            async fn $name() {
                super::$name(super::$Bench::over_http().await).await;
            }
        )* }
    };
}
pub(crate) use in_process_and_over_http;

/// What a caller got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Got {
    /// Of a model; nothing if the caller gets nothing.
    pub(crate) fn of(outcome: ServerOutcome) -> Option<Self> {
        let ServerOutcome::Response(response) = outcome else {
            return None;
        };
        let body = String::from_utf8(response.body).unwrap();
        Some(Self {
            status: response.status,
            body,
        })
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Calls a server; nothing if it closes the connection.
pub(crate) async fn call(url: &str, request: ServerRequest) -> Option<Got> {
    let client = sandbox::http::client(std::time::Duration::from_secs(20)).unwrap();
    let address = format!("{url}{}?{}", request.path, request.query);
    let mut call = match request.method.as_str() {
        "GET" => client.get(address),
        _ => client.post(address),
    };
    for (name, value) in request.headers {
        call = call.header(name, value);
    }
    let response = call.body(request.body).send().await.ok()?;
    Some(Got {
        status: response.status().as_u16(),
        body: response.text().await.unwrap(),
    })
}
