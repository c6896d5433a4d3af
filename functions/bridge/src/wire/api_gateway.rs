//! A request from API Gateway (HTTP API, payload format 2.0), and the response to it.
//!
//! [`lambda_http`] converts the event to a request. Its conversion panics on some events: a body
//! that is announced as base64 and is none; some characters in the query, the path or the host; an
//! address that is too long. An event that does not deserialize would end the invocation with an
//! error. Anybody on the internet can cause either. So this module passes only sanitized fields to
//! the conversion, and decodes the body itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lambda_http::aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use lambda_http::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE};
use lambda_http::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use lambda_http::request::LambdaRequest;
use lambda_http::{Body, Request, Response};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;

use crate::wire::json::parse_lenient;

/// The longest path and the longest query, encoded, in bytes. API Gateway takes 10,240 for the
/// request's first line and headers together, and an address of more than 65,534 is none.
const MAX_ADDRESS_BYTES: usize = 30_000;

/// Characters that a URI must encode. A percent sign stays, because API Gateway sends encoded
/// paths.
const NOT_IN_AN_ADDRESS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// In a path, the beginning of a query must be encoded, too.
const NOT_IN_A_PATH: &AsciiSet = &NOT_IN_AN_ADDRESS.add(b'?');

/// The body is announced as base64 and is not base64: an extension of the request, whose body is the text
/// that was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotBase64;

/// The request in an event of an HTTP API. Never fails: a field that is missing or has a wrong type
/// is empty.
pub fn request(event: &[u8]) -> Request {
    let event = parse_lenient(event).unwrap_or_default();
    let text = |pointer: &str| {
        let value = event.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_default()
    };
    let mut safe = ApiGatewayV2httpRequest::default();
    let method = text("/requestContext/http/method").to_ascii_uppercase();
    // `TRACE` stands for an invalid method. Only POST is served.
    safe.request_context.http.method =
        Method::from_bytes(method.as_bytes()).unwrap_or(Method::TRACE);
    let path = address(text("/rawPath").trim_start_matches('/'), NOT_IN_A_PATH);
    // Without its slash, the path would become a part of the host.
    safe.raw_path = Some(format!("/{path}"));
    safe.raw_query_string = Some(address(text("/rawQueryString"), NOT_IN_AN_ADDRESS));
    safe.headers = headers(&event);
    let mut request = Request::from(LambdaRequest::ApiGatewayV2(safe));
    let (body, problem) = body(&event);
    *request.body_mut() = body;
    if let Some(not_base64) = problem {
        request.extensions_mut().insert(not_base64);
    }
    request
}

/// A path or a query, encoded for a URI; empty if it is too long.
fn address(text: &str, not_in_it: &'static AsciiSet) -> String {
    if text.len() > MAX_ADDRESS_BYTES {
        return String::new();
    }
    let mut encoded = utf8_percent_encode(text, not_in_it).to_string();
    if encoded.len() > MAX_ADDRESS_BYTES {
        encoded.clear();
    }
    encoded
}

/// The headers that describe the body.
fn headers(event: &Value) -> HeaderMap {
    let Some(all) = event.get("headers").and_then(Value::as_object) else {
        return HeaderMap::new();
    };
    let header = |name: HeaderName| {
        let mut named = all.iter();
        let (_, value) = named.find(|(key, _)| key.eq_ignore_ascii_case(name.as_str()))?;
        let value = value.as_str()?.trim().to_lowercase();
        // A value that is no text still shows that the header is there.
        let value = HeaderValue::from_str(&value).ok();
        let value = value.filter(|value| value.to_str().is_ok());
        Some((name, value.unwrap_or(HeaderValue::from_static("?"))))
    };
    [CONTENT_TYPE, CONTENT_ENCODING]
        .into_iter()
        .filter_map(header)
        .collect()
}

/// The body, still with its `content-encoding`: only a caller with a key is worth unpacking it.
fn body(event: &Value) -> (Body, Option<NotBase64>) {
    let body = event.get("body").and_then(Value::as_str);
    let body = body.unwrap_or_default();
    if event.get("isBase64Encoded") != Some(&Value::Bool(true)) {
        return (Body::Text(body.to_owned()), None);
    }
    match STANDARD.decode(body.trim()) {
        Ok(bytes) => (Body::Binary(bytes), None),
        Err(_) => (Body::Text(body.to_owned()), Some(NotBase64)),
    }
}

/// A response: a status, and a sentence for people. It holds nothing of the request.
pub fn response(status: StatusCode, sentence: &str) -> Response<String> {
    let mut response = Response::new(sentence.to_owned());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(CONTENT_TYPE, text);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The response in API Gateway's format.
pub fn response_event(response: Response<String>) -> ApiGatewayV2httpResponse {
    let (parts, body) = response.into_parts();
    let mut event = ApiGatewayV2httpResponse::default();
    event.status_code = parts.status.as_u16().into();
    event.headers = parts.headers;
    event.body = Some(Body::Text(body));
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambda_http::RequestExt as _;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(event: &Value) -> Request {
        request(event.to_string().as_bytes())
    }

    fn key(request: &Request) -> Option<String> {
        let parameters = request.query_string_parameters_ref()?;
        parameters.first("key").map(str::to_owned)
    }

    #[test]
    fn an_event_of_an_http_api_is_read() {
        let request = read(&json!({
            "version": "2.0",
            "rawPath": "/p",
            "rawQueryString": "a=1&key=a%2Bb&key=second",
            "headers": { "Content-Type": "Application/JSON", "host": "a b", "x-forwarded-proto": "<" },
            "requestContext": { "http": { "method": "post" }, "stage": "prod", "domainName": "[" },
            "body": "aGVsbG8=",
            "isBase64Encoded": true,
        }));
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.raw_http_path(), "/p");
        assert_eq!(key(&request).as_deref(), Some("a+b"));
        assert_eq!(request.headers()[CONTENT_TYPE], "application/json");
        assert_eq!(request.body().as_ref(), b"hello");
    }

    #[test]
    fn what_no_address_can_hold_is_read_as_it_is_meant() {
        for (query, expected) in [
            ("key=\"<>\"", Some("\"<>\"")),
            ("key=a b", Some("a b")),
            ("key=a#b", Some("a#b")),
            ("key=é", Some("é")),
            ("key=\u{7f}{|}^`\\", Some("\u{7f}{|}^`\\")),
            ("key=%zz%", Some("%zz%")),
            ("k=1", None),
        ] {
            let request = read(&json!({ "rawPath": "/p\"<>\\?#", "rawQueryString": query }));
            assert_eq!(key(&request).as_deref(), expected, "{query}");
        }
        let long = "key=".to_owned() + &"<".repeat(MAX_ADDRESS_BYTES);
        assert_eq!(key(&read(&json!({ "rawQueryString": long }))), None);
        let lone = br#"{"rawQueryString":"key=\ud800","rawPath":":99999","body":"\udfff"}"#;
        let request = request(lone);
        assert_eq!(key(&request).as_deref(), Some("\u{fffd}"));
        assert_eq!(request.raw_http_path(), "/:99999");
        assert_eq!(request.body().as_ref(), "\u{fffd}".as_bytes());
    }

    #[test]
    fn a_body_that_is_no_base64_says_so_and_is_kept() {
        let request = read(&json!({"body": "%%%", "isBase64Encoded": true}));
        assert_eq!(request.body().as_ref(), b"%%%");
        assert!(request.extensions().get::<NotBase64>().is_some());
        for encoding in ["gzip", "\u{1}", "é"] {
            let event = json!({"body": "x", "headers": {"content-encoding": encoding}});
            let request = read(&event);
            assert_eq!(request.body().as_ref(), b"x");
            let seen = request.headers().get(CONTENT_ENCODING).unwrap();
            let expected = if encoding == "gzip" { "gzip" } else { "?" };
            assert_eq!(seen.to_str().unwrap(), expected);
        }
    }

    #[test]
    fn events_of_another_shape_are_requests_for_nothing() {
        for event in [
            json!(null),
            json!(3),
            json!([]),
            json!({"headers": [], "body": 7, "requestContext": {"http": {"method": "a b"}}}),
        ] {
            let request = read(&event);
            assert_ne!(request.method(), Method::POST);
            assert_eq!(request.raw_http_path(), "/");
            assert!(request.body().is_empty());
        }
    }

    #[test]
    fn an_answer_is_what_api_gateway_takes() {
        let event = response_event(response(StatusCode::FORBIDDEN, "no"));
        let event = serde_json::to_value(event).unwrap();
        assert_eq!(event["statusCode"], 403);
        assert_eq!(event["body"], "no");
        assert_eq!(event["isBase64Encoded"], false);
        assert_eq!(
            event["headers"]["content-type"],
            "text/plain; charset=utf-8"
        );
        assert_eq!(event["headers"]["cache-control"], "no-store");
    }

    proptest! {
        #[test]
        fn no_field_makes_it_panic(
            path in any::<String>(), query in any::<String>(), header in any::<String>(),
            method in any::<String>(), body in any::<String>(), as_base64 in any::<bool>(),
        ) {
            let request = read(&json!({
                "rawPath": path, "rawQueryString": query, "cookies": [header],
                "headers": { "content-type": header, "host": header, "x-forwarded-proto": header },
                "requestContext": {
                    "stage": path, "domainName": header, "http": { "method": method },
                },
                "body": body, "isBase64Encoded": as_base64,
            }));
            let _ = key(&request);
        }
    }
}
