//! Makes the HTTP responses of the stand-ins.

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header, request};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use serde::Serialize;
use serde_json::json;

/// An answer with a status, a content type and a body.
pub fn with(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let content_type = (header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    (status, [content_type], body.into()).into_response()
}

/// A model's response on its way to the wire.
pub fn of(response: models::http::ServerResponse) -> Response {
    let mut answer = Response::new(Body::from(response.body));
    *answer.status_mut() = StatusCode::from_u16(response.status).unwrap_or_default();
    let headers = [
        (header::CONTENT_TYPE, response.content_type),
        (header::LOCATION, response.location),
    ];
    for (name, value) in headers {
        if let Some(value) = value {
            let value = HeaderValue::from_static(value);
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

/// A request as a model reads it. Header values that are no text are left out.
pub fn request(parts: &request::Parts, body: Vec<u8>) -> models::http::ServerRequest {
    let headers = parts.headers.iter().filter_map(|(name, value)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    });
    models::http::ServerRequest {
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body,
    }
}

/// Responds with indented JSON, for a person at a terminal.
pub fn pretty(value: &impl Serialize) -> Response {
    pretty_with(StatusCode::OK, value)
}

/// Responds with indented JSON and a status.
pub fn pretty_with(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_string_pretty(value) {
        Ok(text) => with(
            status,
            "application/json; charset=utf-8",
            format!("{text}\n"),
        ),
        Err(error) => with(
            StatusCode::INTERNAL_SERVER_ERROR,
            "text/plain",
            error.to_string(),
        ),
    }
}

/// Responds that a control was asked for something that does not exist.
pub fn not_found(error: &anyhow::Error) -> Response {
    pretty_with(StatusCode::NOT_FOUND, &json!({"error": error.to_string()}))
}

/// Responds that a control was asked for something that makes no sense.
pub fn refused(reason: &str) -> Response {
    pretty_with(StatusCode::BAD_REQUEST, &json!({"error": reason}))
}

/// A request's body, or the answer to one that cannot be read.
#[derive(Debug)]
pub enum ReadBody {
    /// All of it, or one byte more than allowed. The rest was read and dropped.
    Whole(Vec<u8>),
    /// The caller hung up in the middle.
    Broken,
}

/// Reads a body to its end. Keeps at most `limit` bytes, and one more if the body is longer.
pub async fn read_body(body: Body, limit: usize) -> ReadBody {
    let mut chunks = body.into_data_stream();
    let mut kept = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk: Bytes = match chunk {
            Ok(chunk) => chunk,
            Err(_) => return ReadBody::Broken,
        };
        let room = limit.saturating_add(1).saturating_sub(kept.len());
        kept.extend(chunk.iter().take(room));
    }
    ReadBody::Whole(kept)
}
