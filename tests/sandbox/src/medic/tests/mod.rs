#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod calls;
mod controls;
mod faults;
mod incoming;
mod outgoing;

use serde_json::{Value, json};

use super::*;

const PHONE: &str = "+254700000001";

fn client() -> reqwest::Client {
    crate::http::client(Duration::from_secs(20)).unwrap()
}

async fn stand_in() -> MedicStandIn {
    MedicStandIn::start(MedicConfig::default()).await.unwrap()
}

fn call(stand_in: &MedicStandIn, method: reqwest::Method) -> reqwest::RequestBuilder {
    let config = MedicConfig::default();
    client()
        .request(method, format!("{}/api/sms", stand_in.url()))
        .basic_auth(config.user, Some(config.password))
        .header("Accept", "application/json")
}

fn raw(stand_in: &MedicStandIn, body: impl Into<String>) -> reqwest::RequestBuilder {
    call(stand_in, reqwest::Method::POST)
        .header("Content-Type", "application/json")
        .body(body.into())
}

fn post(stand_in: &MedicStandIn, messages: &[Value], updates: &[Value]) -> reqwest::RequestBuilder {
    raw(
        stand_in,
        json!({"messages": messages, "updates": updates}).to_string(),
    )
}

fn message(id: &str, content: &str) -> Value {
    json!({"id": id, "from": PHONE, "content": content, "sms_sent": 1, "sms_received": 2})
}

fn update(id: &str, status: &str) -> Value {
    json!({"id": id, "status": status})
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, String) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// The ids that a good answer offers.
async fn offered(request: reqwest::RequestBuilder) -> Vec<String> {
    let (status, body) = answer(request).await;
    assert_eq!(status, 200, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    let messages = body["messages"].as_array().unwrap();
    messages
        .iter()
        .map(|message| message["id"].as_str().unwrap().to_owned())
        .collect()
}

fn stored(stand_in: &MedicStandIn) -> Vec<String> {
    stand_in
        .stored()
        .into_iter()
        .map(|stored| stored.id)
        .collect()
}

const SERVER_ERROR: &str = r#"{"code":500,"error":"Server error"}"#;
