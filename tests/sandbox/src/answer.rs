//! Answers, as the stand-ins write them.

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

/// JSON for a person at a terminal.
pub fn pretty(value: &impl Serialize) -> Response {
    pretty_with(StatusCode::OK, value)
}

/// JSON for a person at a terminal, with a status.
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

/// A control was asked for something that does not exist.
pub fn not_found(error: &anyhow::Error) -> Response {
    pretty_with(StatusCode::NOT_FOUND, &json!({"error": error.to_string()}))
}

/// A control was asked for something that makes no sense.
pub fn refused(reason: &str) -> Response {
    pretty_with(StatusCode::BAD_REQUEST, &json!({"error": reason}))
}

/// What became of reading a request's body.
#[derive(Debug)]
pub enum ReadBody {
    /// All of it, or one byte more than allowed; the rest was read and thrown away.
    Whole(Vec<u8>),
    /// The caller went away in the middle.
    Broken,
}

/// Reads a body to its end, and keeps at most `limit` bytes of it and one that tells that there were more.
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
