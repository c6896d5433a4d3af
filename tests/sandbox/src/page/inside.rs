//! A look inside the deployed stack, for a person at a terminal.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use super::PageState;
use crate::stack::FUNCTIONS;

pub(super) fn routes() -> Router<PageState> {
    Router::new()
        .route("/queues", get(queues))
        .route("/ledger", get(ledger))
        .route("/logs/{function}", get(logs))
}

async fn queues(State(shared): State<PageState>) -> Response {
    let stack = &shared.system.stack;
    let outputs = stack.outputs();
    let queues = [
        ("exchange", &outputs.exchange_queue_url),
        (
            "exchange_dead_letter",
            &outputs.exchange_dead_letter_queue_url,
        ),
        ("reports", &outputs.reports_queue_url),
        (
            "reports_dead_letter",
            &outputs.reports_dead_letter_queue_url,
        ),
        ("outbox", &outputs.outbox_queue_url),
        ("outbox_dead_letter", &outputs.outbox_dead_letter_queue_url),
    ];
    let mut depths = Map::new();
    for (name, url) in queues {
        match stack.aws().depth(url).await {
            Ok(depth) => {
                let depth = json!({ "visible": depth.visible, "in_flight": depth.in_flight });
                depths.insert(name.to_owned(), depth);
            }
            Err(error) => return failed(&error),
        }
    }
    pretty(&depths.into())
}

async fn ledger(State(shared): State<PageState>) -> Response {
    match shared.system.stack.ledger().await {
        Ok(rows) => pretty(&rows.into()),
        Err(error) => failed(&error),
    }
}

async fn logs(State(shared): State<PageState>, Path(function): Path<String>) -> Response {
    if !FUNCTIONS.contains(&function.as_str()) {
        let reason = json!({ "error": "there is no such function", "functions": FUNCTIONS });
        return (StatusCode::NOT_FOUND, Json(reason)).into_response();
    }
    match shared.system.stack.log_lines(&function).await {
        Ok(lines) => format!("{}\n", lines.join("\n")).into_response(),
        Err(error) => failed(&error),
    }
}

fn pretty(value: &Value) -> Response {
    format!("{value:#}\n").into_response()
}

fn failed(error: &anyhow::Error) -> Response {
    (StatusCode::BAD_GATEWAY, format!("{error:#}\n")).into_response()
}
