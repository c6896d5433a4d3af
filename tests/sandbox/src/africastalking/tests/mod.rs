#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod callbacks;
mod controls;
mod faults;
mod sending;

use std::collections::VecDeque;
use std::sync::Arc;

use axum::Router;
use axum::extract::State as Shared;
use axum::http::{StatusCode, Uri};
use serde_json::Value;

use super::*;

const PHONE: &str = "+254700000001";
const OTHER: &str = "+254700000002";

/// The customer's side: takes callbacks, and answers 200 unless told otherwise.
struct Customer {
    url: String,
    seen: Arc<Observed<Vec<(String, String)>>>,
    answers: Arc<Observed<VecDeque<u16>>>,
    _server: Server,
}

type CustomerState = (
    Arc<Observed<Vec<(String, String)>>>,
    Arc<Observed<VecDeque<u16>>>,
);

async fn take(
    Shared((seen, answers)): Shared<CustomerState>,
    uri: Uri,
    body: String,
) -> StatusCode {
    seen.change(|seen| seen.push((uri.path().to_owned(), body)));
    let status = answers.change(VecDeque::pop_front).unwrap_or(200);
    StatusCode::from_u16(status).unwrap()
}

fn customer() -> Customer {
    let seen = Arc::new(Observed::new(Vec::new()));
    let answers = Arc::new(Observed::new(VecDeque::new()));
    let router = Router::new()
        .fallback(take)
        .with_state((seen.clone(), answers.clone()));
    let server = Binding::new(0, 0).unwrap().serve(router, Router::new());
    Customer {
        url: server.url(),
        seen,
        answers,
        _server: server,
    }
}

fn client() -> reqwest::Client {
    crate::http::client(Duration::from_secs(20)).unwrap()
}

async fn stand_in() -> AfricasTalkingStandIn {
    AfricasTalkingStandIn::start(AfricasTalkingConfig::default())
        .await
        .unwrap()
}

async fn stand_in_for(customer: &Customer) -> AfricasTalkingStandIn {
    let stand_in = stand_in().await;
    stand_in.set_callbacks(
        format!("{}/incoming?key=k", customer.url),
        format!("{}/reports?key=k", customer.url),
    );
    stand_in
}

fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}

fn request(stand_in: &AfricasTalkingStandIn, fields: &[(&str, &str)]) -> reqwest::RequestBuilder {
    client()
        .post(format!("{}/version1/messaging", stand_in.url()))
        .header("apiKey", AfricasTalkingConfig::default().api_key)
        .header("Accept", "application/json")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(form(fields))
}

fn send(stand_in: &AfricasTalkingStandIn, to: &str, text: &str) -> reqwest::RequestBuilder {
    request(
        stand_in,
        &[
            ("username", "sandbox"),
            ("to", to),
            ("message", text),
            ("enqueue", "1"),
        ],
    )
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, String) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn data(request: reqwest::RequestBuilder) -> Value {
    let (status, body) = answer(request).await;
    assert_eq!(status, 201, "{body}");
    let mut body: Value = serde_json::from_str(&body).unwrap();
    body["SMSMessageData"].take()
}

/// Sends with a fault, and gives the only recipient's line.
async fn line_under(fault: AfricasTalkingFault) -> (Value, usize) {
    let stand_in = stand_in().await;
    stand_in.fault(fault, Scope::Next(1)).await;
    let line = data(send(&stand_in, PHONE, "hello")).await["Recipients"][0].take();
    (line, stand_in.phone(PHONE).len())
}

fn statuses(stand_in: &AfricasTalkingStandIn) -> Vec<String> {
    let reports = stand_in
        .callbacks()
        .into_iter()
        .filter(|callback| callback.kind == CallbackKind::Report);
    reports
        .map(|callback| callback.field("status").unwrap().to_owned())
        .collect()
}

/// Sends with a fault, waits for so many reports, and gives their statuses and what the phone got.
async fn reports_under(fault: AfricasTalkingFault, count: usize) -> (Vec<String>, usize) {
    let customer = customer();
    let stand_in = stand_in_for(&customer).await;
    stand_in.fault(fault, Scope::UntilCleared).await;
    data(send(&stand_in, PHONE, "hello")).await;
    stand_in
        .until(|stand_in| stand_in.callbacks().len() >= count)
        .await;
    (statuses(&stand_in), stand_in.phone(PHONE).len())
}
