//! Answers, as the stand-ins write them.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use serde::Serialize;
use serde_json::json;

/// An answer with a status, a content type and a body.
pub fn with(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let content_type = (header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    (status, [content_type], body.into()).into_response()
}

/// JSON on one line, as a machine would write it.
pub fn json(status: StatusCode, value: &serde_json::Value) -> Response {
    with(status, "application/json; charset=utf-8", value.to_string())
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

/// The value of a header, when it is there and readable.
#[must_use]
pub fn header(headers: &HeaderMap, name: impl Into<HeaderName>) -> Option<&str> {
    headers.get(name.into())?.to_str().ok()
}

/// What became of reading a request's body.
#[derive(Debug)]
pub enum ReadBody {
    /// All of it.
    Whole(Vec<u8>),
    /// It was longer than allowed; the rest was read and thrown away.
    TooLong,
    /// The caller went away in the middle.
    Broken,
}

/// Reads a body to its end, and keeps at most `limit` bytes of it.
pub async fn read_body(body: Body, limit: usize) -> ReadBody {
    let mut chunks = body.into_data_stream();
    let mut kept = Vec::new();
    let mut too_long = false;
    while let Some(chunk) = chunks.next().await {
        let chunk: Bytes = match chunk {
            Ok(chunk) => chunk,
            Err(_) => return ReadBody::Broken,
        };
        too_long = too_long || kept.len().saturating_add(chunk.len()) > limit;
        if !too_long {
            kept.extend_from_slice(&chunk);
        }
    }
    if too_long {
        ReadBody::TooLong
    } else {
        ReadBody::Whole(kept)
    }
}
