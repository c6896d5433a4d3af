//! A host name for an HTTP API of an emulator, which can be reached only by a path there: Medic's URL has no
//! path.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use axum::response::Response;

use crate::serving::{self, Served};

/// As long as a call to Medic may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(70);

/// More than any request of the bridge has.
const LONGEST_BODY: usize = 10 * 1024 * 1024;

struct Api {
    url: String,
    client: reqwest::Client,
}

/// Serves what is at this URL on a port of this machine, until it is dropped.
///
/// # Errors
/// When no port can be had.
pub async fn serve(url: &str) -> anyhow::Result<Served> {
    let api = Arc::new(Api {
        url: url.trim_end_matches('/').to_owned(),
        client: sandbox::http::client(ANSWER_WITHIN)?,
    });
    serving::plain(Router::new().fallback(pass_on).with_state(api)).await
}

async fn pass_on(State(api): State<Arc<Api>>, request: Request) -> Response {
    passed_on(&api, request).await.unwrap_or_else(|_| {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response
    })
}

async fn passed_on(api: &Api, request: Request) -> anyhow::Result<Response> {
    let (parts, body) = request.into_parts();
    let address = parts.uri.path_and_query();
    let address = address.map_or("/", |address| address.as_str());
    let mut headers = parts.headers;
    headers.remove(HOST);
    headers.remove(CONTENT_LENGTH);
    let answer = api
        .client
        .request(parts.method, format!("{}{address}", api.url))
        .headers(headers)
        .body(to_bytes(body, LONGEST_BODY).await?)
        .send()
        .await?;
    let mut response = Response::builder().status(answer.status());
    if let Some(content_type) = answer.headers().get(CONTENT_TYPE) {
        response = response.header(CONTENT_TYPE, content_type);
    }
    Ok(response.body(Body::from(answer.bytes().await?))?)
}
