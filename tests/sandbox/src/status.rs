//! A look inside the deployed stack, for a person at a terminal.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use sandbox::stack::{FUNCTIONS, Stack};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Serves what is in the queues, the ledger and the logs. Dropping it ends it.
pub struct Status {
    url: String,
    server: JoinHandle<()>,
}

impl Status {
    /// Serves on a free port of 127.0.0.1.
    pub async fn serve(stack: Stack) -> anyhow::Result<Self> {
        let routes = Router::new()
            .route("/queues", get(queues))
            .route("/ledger", get(ledger))
            .route("/logs/{function}", get(logs))
            .with_state(stack);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let server = tokio::spawn(async {
            // It never ends by itself; when it fails, the next look tells.
            let _ = axum::serve(listener, routes).await;
        });
        Ok(Self { url, server })
    }

    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Status {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn queues(State(stack): State<Stack>) -> Response {
    let outputs = stack.outputs();
    let queues = [
        ("exchange", &outputs.exchange_queue_url),
        ("exchange_parked", &outputs.exchange_parked_queue_url),
        ("reports", &outputs.reports_queue_url),
        ("reports_parked", &outputs.reports_parked_queue_url),
        ("outbox", &outputs.outbox_queue_url),
        ("outbox_parked", &outputs.outbox_parked_queue_url),
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

async fn ledger(State(stack): State<Stack>) -> Response {
    match stack.ledger().await {
        Ok(rows) => pretty(&rows.into()),
        Err(error) => failed(&error),
    }
}

async fn logs(State(stack): State<Stack>, Path(function): Path<String>) -> Response {
    if !FUNCTIONS.contains(&function.as_str()) {
        let reason = json!({ "error": "there is no such function", "functions": FUNCTIONS });
        return (StatusCode::NOT_FOUND, Json(reason)).into_response();
    }
    match stack.log_lines(&function).await {
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
