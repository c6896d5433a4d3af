//! The HTTP API before the two webhooks: turns a request into an event, and the answer into a
//! response.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::runtime::RunningFunction;
use crate::meter::{AwsCharge, Meter};

/// A line of the access log of the template's format, the 26 bytes that CloudWatch adds included.
const ACCESS_LOG_BYTES: f64 = 178.0;

/// Where incoming messages go.
pub const INCOMING_PATH: &str = "/api/v1/sms/africastalking/incoming-messages";
/// Where delivery reports go.
pub const REPORTS_PATH: &str = "/api/v1/sms/africastalking/delivery-reports";

/// The routes.
pub fn routes(
    incoming: Arc<RunningFunction>,
    reports: Arc<RunningFunction>,
    meter: &Arc<Meter>,
) -> Router {
    let one = |path: &str, function| {
        Router::new()
            .route(path, post(serve))
            .with_state((function, Arc::clone(meter)))
    };
    one(INCOMING_PATH, incoming).merge(one(REPORTS_PATH, reports))
}

async fn serve(
    State((function, meter)): State<(Arc<RunningFunction>, Arc<Meter>)>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    meter.add(AwsCharge::HttpRequest, "HTTP API", 1.0);
    meter.add(AwsCharge::LogByte, "HTTP API: access log", ACCESS_LOG_BYTES);
    let content_type = headers
        .get("content-type")
        .and_then(|value| value.to_str().ok());
    let event = event(
        uri.path(),
        uri.query().unwrap_or_default(),
        content_type.unwrap_or_default(),
        &body,
    );
    let answer = match function.invoke(event.to_string()).await {
        Ok(ended) => ended.answer.ok(),
        Err(_) => None,
    };
    let status = answer
        .as_ref()
        .and_then(|answer| answer.get("statusCode")?.as_u64());
    let status = status.and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok());
    status
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
        .into_response()
}

/// An event of an HTTP API (payload format 2.0), with what such an event has beside what is read.
pub fn event(path: &str, query: &str, content_type: &str, body: &[u8]) -> Value {
    let route = format!("POST {path}");
    json!({
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": query,
        "headers": {
            "accept": "*/*",
            "content-length": body.len().to_string(),
            "content-type": content_type,
            "host": "abcdefghij.execute-api.us-east-1.amazonaws.com",
            "user-agent": "Apache-HttpClient/4.5.13 (Java/11.0.20)",
            "x-amzn-trace-id": "Root=1-00000000-000000000000000000000000",
            "x-forwarded-for": "192.0.2.1",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
        },
        "queryStringParameters": { "key": "as in rawQueryString" },
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "abcdefghij",
            "domainName": "abcdefghij.execute-api.us-east-1.amazonaws.com",
            "domainPrefix": "abcdefghij",
            "http": {
                "method": "POST", "path": path, "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1", "userAgent": "Apache-HttpClient/4.5.13 (Java/11.0.20)",
            },
            "requestId": "AAAAAAAAAAAAAAA=",
            "routeKey": route,
            "stage": "$default",
            "time": "01/Nov/2026:00:00:00 +0000",
            "timeEpoch": 1_793_491_200_000_u64,
        },
        "body": STANDARD.encode(body),
        "isBase64Encoded": true,
    })
}
