//! The controls over HTTP, made to be typed.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State as Shared};
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;

use super::AfricasTalkingState;
use super::callbacks::{post_incoming, post_opt_out};
use crate::answer;
use crate::faults;
use crate::ids::typed_number;

const HELP: &[(&str, &str)] = &[
    (
        "POST /_sandbox/phones/{number}/send",
        "sends the body as an SMS from this phone",
    ),
    (
        "POST /_sandbox/phones/{number}/opt-out",
        "opts this phone out: SMS to it are refused, and the callback for opt-outs is posted",
    ),
    ("GET /_sandbox/phones/{number}", "what this phone received"),
    ("GET /_sandbox/phones", "the phones that received something"),
    (
        "GET /_sandbox/accepted",
        "every SMS that was accepted, also those that no phone received",
    ),
    ("GET /_sandbox/requests", "every request to send"),
    (
        "GET /_sandbox/callbacks",
        "every callback that was posted, and what it got",
    ),
    (
        "POST /_sandbox/callbacks?incoming={url}&reports={url}",
        "sets where callbacks are posted",
    ),
    (
        "POST /_sandbox/reports/release",
        "posts the reports that are held",
    ),
    (
        "POST /_sandbox/reports/{id}?status={status}&reason={reason}",
        "posts one more report",
    ),
    (
        "GET /_sandbox/faults",
        "the faults: those there are, and those switched on",
    ),
    (
        "POST /_sandbox/faults/{name}?next={n}",
        "switches a fault on for n requests; without n until it is cleared",
    ),
    (
        "POST /_sandbox/faults/{name}?matching={number}",
        "switches a fault on for one number",
    ),
    ("DELETE /_sandbox/faults/{name}", "switches a fault off"),
    ("DELETE /_sandbox/faults", "switches all faults off"),
];

pub(super) fn routes(state: Arc<AfricasTalkingState>) -> Router {
    let faults = faults::control(state.switches.clone());
    Router::new()
        .route("/_sandbox", get(help))
        .route("/_sandbox/phones", get(phones))
        .route("/_sandbox/phones/{number}", get(phone))
        .route("/_sandbox/phones/{number}/send", post(send))
        .route("/_sandbox/phones/{number}/opt-out", post(opt_out))
        .route("/_sandbox/accepted", get(accepted))
        .route("/_sandbox/requests", get(requests))
        .route("/_sandbox/callbacks", get(callbacks).post(set_callbacks))
        .route("/_sandbox/reports/release", post(release))
        .route("/_sandbox/reports/{id}", post(report))
        .with_state(state)
        .merge(faults)
}

async fn help() -> Response {
    let lines: Vec<String> = HELP
        .iter()
        .map(|(call, text)| format!("{call}: {text}"))
        .collect();
    answer::pretty(&json!({ "africastalking": lines }))
}

async fn phones(Shared(state): Shared<Arc<AfricasTalkingState>>) -> Response {
    let numbers: BTreeSet<String> = state.book.read(|book| {
        let accepted = book.model.accepted.iter();
        accepted
            .filter(|sms| sms.on_phone)
            .map(|sms| sms.to.clone())
            .collect()
    });
    answer::pretty(&numbers)
}

async fn phone(
    Shared(state): Shared<Arc<AfricasTalkingState>>,
    Path(number): Path<String>,
) -> Response {
    let number = typed_number(&number);
    answer::pretty(&state.book.read(|book| book.model.phone(&number)))
}

async fn send(
    Shared(state): Shared<Arc<AfricasTalkingState>>,
    Path(number): Path<String>,
    text: String,
) -> Response {
    match post_incoming(&state, &typed_number(&number), &text).await {
        Ok(sent) => answer::pretty(&sent),
        Err(error) => answer::refused(&error.to_string()),
    }
}

async fn opt_out(
    Shared(state): Shared<Arc<AfricasTalkingState>>,
    Path(number): Path<String>,
) -> Response {
    match post_opt_out(&state, &typed_number(&number)).await {
        Ok(status) => answer::pretty(&json!({ "status": status })),
        Err(error) => answer::refused(&error.to_string()),
    }
}

async fn accepted(Shared(state): Shared<Arc<AfricasTalkingState>>) -> Response {
    answer::pretty(&state.book.read(|book| book.model.accepted.clone()))
}

async fn requests(Shared(state): Shared<Arc<AfricasTalkingState>>) -> Response {
    answer::pretty(&state.book.read(|book| book.model.requests.clone()))
}

async fn callbacks(Shared(state): Shared<Arc<AfricasTalkingState>>) -> Response {
    answer::pretty(&state.book.read(|book| book.callbacks.clone()))
}

#[derive(Deserialize)]
struct CallbackUrls {
    incoming: Option<String>,
    reports: Option<String>,
}

async fn set_callbacks(
    Shared(state): Shared<Arc<AfricasTalkingState>>,
    Query(urls): Query<CallbackUrls>,
) -> Response {
    state.book.change(|book| {
        if urls.incoming.is_some() {
            book.incoming_callback.clone_from(&urls.incoming);
        }
        if urls.reports.is_some() {
            book.reports_callback.clone_from(&urls.reports);
        }
        answer::pretty(&json!({
            "incoming": book.incoming_callback.is_some(),
            "reports": book.reports_callback.is_some(),
        }))
    })
}

async fn release(Shared(state): Shared<Arc<AfricasTalkingState>>) -> Response {
    answer::pretty(&json!({"released": state.release_reports().await}))
}

#[derive(Deserialize)]
struct ReportQuery {
    status: String,
    reason: Option<String>,
}

async fn report(
    Shared(state): Shared<Arc<AfricasTalkingState>>,
    Path(id): Path<String>,
    Query(query): Query<ReportQuery>,
) -> Response {
    state.report(&id, &query.status, query.reason).await;
    let posted = |book: &super::AfricasTalkingBook| {
        book.callbacks
            .iter()
            .rfind(|callback| callback.id == id)
            .cloned()
    };
    answer::pretty(&state.book.read(posted))
}
