//! HTTP requests and responses as values.

use serde_json::Value;

/// JSON, as both outside systems announce it.
pub const JSON: &str = "application/json; charset=utf-8";

/// A request, its body read to the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerRequest {
    /// The method, in capital letters.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query, without its question mark.
    pub query: String,
    /// The headers; their names in any case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl ServerRequest {
    /// A request without headers, query and body.
    #[must_use]
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            ..Self::default()
        }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with this body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .find(named)
            .map(|(_, value)| value.as_str())
    }

    /// Whether the caller accepts JSON.
    #[must_use]
    pub fn accepts_json(&self) -> bool {
        self.header("accept")
            .is_some_and(|accept| accept.contains("application/json"))
    }
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerResponse {
    /// The status.
    pub status: u16,
    /// The content type, if it has one.
    pub content_type: Option<&'static str>,
    /// Where a redirect leads to.
    pub location: Option<&'static str>,
    /// The body.
    pub body: Vec<u8>,
}

impl ServerResponse {
    /// A response with a body of this type.
    #[must_use]
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            content_type: Some(content_type),
            location: None,
            body: body.into(),
        }
    }

    /// JSON on one line.
    #[must_use]
    pub fn json(status: u16, value: &Value) -> Self {
        Self::new(status, JSON, value.to_string())
    }

    /// A redirect without a body.
    #[must_use]
    pub fn redirect(status: u16, location: &'static str) -> Self {
        Self {
            status,
            content_type: None,
            location: Some(location),
            body: Vec::new(),
        }
    }

    /// The first half of the body and nothing after it.
    #[must_use]
    pub fn truncated(mut self) -> Self {
        let half = String::from_utf8_lossy(&self.body);
        let half: String = half.chars().take(half.chars().count() / 2).collect();
        self.body = half.into_bytes();
        self
    }
}

/// The result for a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerOutcome {
    /// A response.
    Response(ServerResponse),
    /// Nothing, for ever: only the caller's own time-out ends it.
    Silence,
    /// The connection is closed without a response.
    Closed,
}
