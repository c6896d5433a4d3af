//! The controls over HTTP, made to be typed.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State as Shared};
use axum::response::Response;
use axum::routing::{get, post};
use models::medic::{AutoReply, MedicModel};
use serde::Deserialize;
use serde_json::json;

use super::{MedicState, replying};
use crate::answer;
use crate::faults;
use crate::ids::typed_number;

const HELP: &[(&str, &str)] = &[
    (
        "GET /_sandbox/messages",
        "the incoming messages that are stored, and what is stored twice",
    ),
    (
        "POST /_sandbox/outgoing?to={number}",
        "has the body sent to this number",
    ),
    (
        "GET /_sandbox/outgoing",
        "every outgoing message with its state and history",
    ),
    ("GET /_sandbox/outgoing/{id}", "one of them"),
    (
        "POST /_sandbox/auto-reply",
        "from now on every incoming message is replied to with the body",
    ),
    ("DELETE /_sandbox/auto-reply", "no more replies"),
    (
        "POST /_sandbox/outgoing-service",
        "sets sms.outgoing_service to the body",
    ),
    (
        "POST /_sandbox/permission",
        "gives the gateway's user its permission with the body yes, takes it with no",
    ),
    ("GET /_sandbox/posts", "every POST of a gateway"),
    (
        "POST /_sandbox/release",
        "lets the POSTs go on that a fault holds",
    ),
    (
        "GET /_sandbox/faults",
        "the faults: those there are, and those switched on",
    ),
    (
        "POST /_sandbox/faults/{name}?next={n}",
        "switches a fault on for n POSTs; without n until it is cleared",
    ),
    (
        "POST /_sandbox/faults/{name}?matching={text}",
        "switches a fault on for one id, sender or content",
    ),
    ("DELETE /_sandbox/faults/{name}", "switches a fault off"),
    ("DELETE /_sandbox/faults", "switches all faults off"),
];

pub(super) fn routes(state: Arc<MedicState>) -> Router {
    let faults = faults::control(state.switches.clone());
    Router::new()
        .route("/_sandbox", get(help))
        .route("/_sandbox/messages", get(messages))
        .route("/_sandbox/outgoing", get(all_outgoing).post(queue))
        .route("/_sandbox/outgoing/{id}", get(outgoing))
        .route(
            "/_sandbox/auto-reply",
            post(set_auto_reply).delete(no_auto_reply),
        )
        .route("/_sandbox/outgoing-service", post(set_outgoing_service))
        .route("/_sandbox/permission", post(set_permission))
        .route("/_sandbox/posts", get(posts))
        .route("/_sandbox/release", post(release))
        .with_state(state)
        .merge(faults)
}

async fn help() -> Response {
    let lines: Vec<String> = HELP
        .iter()
        .map(|(call, text)| format!("{call}: {text}"))
        .collect();
    answer::pretty(&json!({ "medic": lines }))
}

async fn messages(Shared(state): Shared<Arc<MedicState>>) -> Response {
    state.read(|medic| {
        answer::pretty(
            &json!({"messages": medic.stored, "stored_more_than_once": medic.duplicates()}),
        )
    })
}

async fn all_outgoing(Shared(state): Shared<Arc<MedicState>>) -> Response {
    state.read(|medic| answer::pretty(&medic.outgoing))
}

async fn outgoing(Shared(state): Shared<Arc<MedicState>>, Path(id): Path<String>) -> Response {
    match state.read(|medic| medic.outgoing(&id).cloned()) {
        Some(message) => answer::pretty(&message),
        None => answer::not_found(&anyhow::anyhow!("there is no outgoing message '{id}'")),
    }
}

#[derive(Deserialize)]
struct To {
    to: Option<String>,
}

async fn queue(
    Shared(state): Shared<Arc<MedicState>>,
    Query(query): Query<To>,
    content: String,
) -> Response {
    let Some(to) = query.to.filter(|to| !to.is_empty()) else {
        return answer::refused("to whom? add ?to=+254700000001");
    };
    match state.queue(&typed_number(&to), &content, None) {
        Ok(id) => answer::pretty(&json!({ "id": id })),
        Err(error) => answer::refused(&error.to_string()),
    }
}

async fn set_auto_reply(Shared(state): Shared<Arc<MedicState>>, text: String) -> Response {
    if text.is_empty() {
        return answer::refused("reply with what? put the text into the body");
    }
    let answered = answer::pretty(&json!({ "auto_reply": text }));
    state.set_reply(replying(move |_| Some(text.clone())));
    answered
}

async fn no_auto_reply(Shared(state): Shared<Arc<MedicState>>) -> Response {
    state.set_reply(AutoReply::nothing());
    answer::pretty(&json!({ "auto_reply": null }))
}

async fn set_outgoing_service(Shared(state): Shared<Arc<MedicState>>, service: String) -> Response {
    state.change(|medic| medic.outgoing_service = Some(service.clone()));
    answer::pretty(&json!({ "outgoing_service": service }))
}

async fn set_permission(Shared(state): Shared<Arc<MedicState>>, body: String) -> Response {
    let permitted = match body.trim() {
        "yes" => true,
        "no" => false,
        _ => return answer::refused("yes or no? put the word into the body"),
    };
    state.change(|medic| medic.logins.permitted = permitted);
    answer::pretty(&json!({ "permitted": permitted }))
}

async fn posts(Shared(state): Shared<Arc<MedicState>>) -> Response {
    let posts = |medic: &MedicModel| {
        json!({
            "posts": medic.posts,
            "in_flight": medic.in_flight,
            "max_in_flight": medic.max_in_flight,
        })
    };
    answer::pretty(&state.read(posts))
}

async fn release(Shared(state): Shared<Arc<MedicState>>) -> Response {
    answer::pretty(&json!({ "released": state.release_paused() }))
}
