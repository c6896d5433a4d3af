//! A request as API Gateway hands it over (HTTP API, payload format 2.0), and the answer to it.
//!
//! Read by hand and tolerantly, so that no header, query or body, however hostile, can end an
//! invocation with anything but an answer.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// What of a request matters here.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// `POST` and so on.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query, as it came. It holds the key.
    query: String,
    /// The header `content-type`, in lower case.
    pub content_type: Option<String>,
    /// The body's bytes.
    pub body: Result<Vec<u8>, BadBody>,
}

/// Why a body cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadBody {
    /// It is announced as base64 and is none.
    Base64,
    /// It has a `content-encoding`.
    ContentEncoding,
}

impl BadBody {
    /// The reason, for the answer.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Base64 => "the body is no base64",
            Self::ContentEncoding => "a body with a content-encoding is not read",
        }
    }
}

impl HttpRequest {
    /// Reads the event of an HTTP API. What is missing is empty.
    pub fn from_event(event: &Value) -> Self {
        let text = |pointer: &str| {
            let value = event.pointer(pointer).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        let header = |name: &str| {
            let headers = event.get("headers")?.as_object()?;
            headers
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .and_then(|(_, value)| value.as_str())
                .map(str::to_ascii_lowercase)
        };
        let body = text("/body");
        let encoding = header("content-encoding").filter(|encoding| encoding.trim() != "identity");
        let is_base64 = event.get("isBase64Encoded") == Some(&Value::Bool(true));
        Self {
            method: text("/requestContext/http/method").to_ascii_uppercase(),
            path: text("/rawPath"),
            query: text("/rawQueryString"),
            content_type: header("content-type"),
            body: if encoding.is_some() {
                Err(BadBody::ContentEncoding)
            } else if is_base64 {
                STANDARD.decode(body.trim()).map_err(|_| BadBody::Base64)
            } else {
                Ok(body.into_bytes())
            },
        }
    }

    /// The first value of this name in the query.
    pub fn query_value(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// An answer: a status and a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// The HTTP status.
    pub status: u16,
    /// For a person who looks; never with anything of the request in it.
    pub body: String,
}

impl HttpResponse {
    /// An answer.
    pub fn new(status: u16, body: &str) -> Self {
        Self {
            status,
            body: body.to_owned(),
        }
    }

    /// As API Gateway takes it.
    pub fn to_event(&self) -> Value {
        json!({
            "statusCode": self.status,
            "headers": { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" },
            "body": self.body,
            "isBase64Encoded": false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_event_of_an_http_api_is_read() {
        let request = HttpRequest::from_event(&json!({
            "version": "2.0",
            "rawPath": "/p",
            "rawQueryString": "a=1&key=a%2Bb&key=second",
            "headers": { "Content-Type": "Application/JSON" },
            "requestContext": { "http": { "method": "POST" } },
            "body": "aGVsbG8=",
            "isBase64Encoded": true,
        }));
        assert_eq!(request.method, "POST");
        assert_eq!(request.query_value("key").as_deref(), Some("a+b"));
        assert_eq!(request.query_value("none"), None);
        assert_eq!(request.content_type.as_deref(), Some("application/json"));
        assert_eq!(request.body, Ok(b"hello".to_vec()));
    }

    #[test]
    fn a_body_that_cannot_be_read_says_why() {
        let bad = |event: &Value| HttpRequest::from_event(event).body.unwrap_err();
        assert_eq!(
            bad(&json!({"body": "%%%", "isBase64Encoded": true})),
            BadBody::Base64
        );
        assert_eq!(
            bad(&json!({"body": "x", "headers": {"content-encoding": "gzip"}})),
            BadBody::ContentEncoding
        );
    }

    #[test]
    fn events_of_another_shape_are_requests_for_nothing() {
        for event in [
            json!(null),
            json!(3),
            json!([]),
            json!({"headers": [], "body": 7}),
        ] {
            let request = HttpRequest::from_event(&event);
            assert_eq!((request.method.as_str(), request.path.as_str()), ("", ""));
            assert_eq!(request.body, Ok(Vec::new()));
        }
    }

    proptest! {
        #[test]
        fn no_query_makes_it_panic(query in any::<String>()) {
            let request = HttpRequest::from_event(&json!({ "rawQueryString": query }));
            let _ = request.query_value("key");
        }
    }
}
