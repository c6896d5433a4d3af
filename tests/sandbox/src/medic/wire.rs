//! `GET` and `POST /api/sms`, and what an operator can ask besides: settings and monitoring.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::json;

use super::body::{self, Posted, ServerError};
use super::faults::{Fault, Instead, Place};
use super::login::Denied;
use super::store::Offered;
use super::{Post, State, work};
use crate::answer::{self, ReadBody, read_body};
use crate::ids;
use crate::server::Line;

/// A body longer than this is refused (observed on CHT 5.2.0).
const LONGEST_BODY: usize = 32 * 1024 * 1024;
const HTML: &str = "text/html; charset=utf-8";

pub(super) fn routes(state: Arc<State>) -> Router {
    Router::new()
        .route("/api/sms", get(probe).post(exchange))
        .route("/api/v1/settings", get(settings))
        .route("/api/v2/monitoring", get(monitoring))
        .with_state(state)
}

fn wants_json(headers: &HeaderMap) -> bool {
    answer::header(headers, header::ACCEPT)
        .is_some_and(|accept| accept.contains("application/json"))
}

/// An error, as Medic itself tells it.
fn error(headers: &HeaderMap, status: StatusCode, text: &str) -> Response {
    if wants_json(headers) {
        answer::json(status, &json!({"code": status.as_u16(), "error": text}))
    } else {
        answer::with(status, "text/plain", text.to_owned())
    }
}

fn server_error(headers: &HeaderMap) -> Response {
    error(headers, StatusCode::INTERNAL_SERVER_ERROR, "Server error")
}

fn login_page() -> Response {
    let to = HeaderValue::from_static("/medic/login?redirect=%2Fapi%2Fsms");
    (StatusCode::FOUND, [(header::LOCATION, to)]).into_response()
}

fn admitted(state: &State, headers: &HeaderMap) -> Result<(), Box<Response>> {
    let denied = |denied| match denied {
        Denied::Locked => error(headers, StatusCode::TOO_MANY_REQUESTS, "Too Many Requests"),
        Denied::Unauthorized if wants_json(headers) => {
            error(headers, StatusCode::UNAUTHORIZED, "unauthorized")
        }
        Denied::Unauthorized => login_page(),
        Denied::Forbidden => error(headers, StatusCode::FORBIDDEN, "Insufficient privileges"),
    };
    let admitted = state.book.change(|book| book.logins.admit(headers));
    admitted.map_err(|reason| Box::new(denied(reason)))
}

/// The answer to a fault; none when there is to be none.
fn instead_of(
    instead: Instead,
    line: &Line,
    headers: &HeaderMap,
    usual: Option<&[Offered]>,
) -> Option<Response> {
    let html = |title: &str| {
        format!("<html><head><title>{title}</title></head><body>{title}</body></html>")
    };
    let response = match instead {
        Instead::Nothing => return None,
        Instead::HangUp => {
            line.cut();
            return None;
        }
        Instead::Truncated => {
            let whole = json!({ "messages": usual.unwrap_or_default() }).to_string();
            let half: String = whole.chars().take(whole.chars().count() / 2).collect();
            answer::with(StatusCode::OK, "application/json; charset=utf-8", half)
        }
        Instead::Starting if wants_json(headers) => error(
            headers,
            StatusCode::SERVICE_UNAVAILABLE,
            "Service Unavailable",
        ),
        Instead::Starting => answer::with(StatusCode::OK, HTML, html("Medic is starting")),
        Instead::Medic(status, text) => error(headers, status, text),
        Instead::Text(status, text) => answer::with(status, "text/plain", text),
        Instead::Proxy(status, text) => answer::json(
            status,
            &json!({"type": "ERROR", "code": status.as_u16(), "message": text}),
        ),
        Instead::ProxyHtml(status, text) => answer::with(status, HTML, html(text)),
        Instead::Login => login_page(),
        Instead::Html => answer::with(StatusCode::OK, HTML, html("Medic")),
        Instead::NoMessages => answer::json(StatusCode::OK, &json!({"ok": true})),
    };
    Some(response)
}

async fn probe(
    Shared(state): Shared<Arc<State>>,
    ConnectInfo(line): ConnectInfo<Line>,
    headers: HeaderMap,
) -> Response {
    let standing = state
        .faults
        .standing(|fault| fault.place() == Place::BeforeWork);
    if let Some(instead) = standing.and_then(Fault::instead) {
        return match instead_of(instead, &line, &headers, None) {
            Some(response) => response,
            None => std::future::pending().await,
        };
    }
    match admitted(&state, &headers) {
        Ok(()) => answer::json(StatusCode::OK, &json!({"medic-gateway": true})),
        Err(denied) => *denied,
    }
}

/// Every user that is logged in may read the settings (read in cht-core's `controllers/settings.js`).
async fn settings(Shared(state): Shared<Arc<State>>, headers: HeaderMap) -> Response {
    let admitted = state.book.change(|book| book.logins.admit(&headers));
    match admitted {
        Ok(()) | Err(Denied::Forbidden) => {
            let service = state.book.read(|book| book.outgoing_service.clone());
            answer::json(
                StatusCode::OK,
                &json!({ "sms": { "outgoing_service": service } }),
            )
        }
        Err(_) => error(&headers, StatusCode::UNAUTHORIZED, "unauthorized"),
    }
}

/// Everybody may read how many messages are due (documented for CHT's monitoring API).
async fn monitoring(Shared(state): Shared<Arc<State>>) -> Response {
    let due = state.book.read(|book| book.store.due_count());
    answer::json(
        StatusCode::OK,
        &json!({ "messaging": { "outgoing": { "total": { "due": due } } } }),
    )
}

/// A POST that has arrived and whose work or answer is not at its end.
struct InFlight {
    state: Arc<State>,
    number: usize,
}

impl InFlight {
    fn new(state: &Arc<State>, posted: Option<&Posted>) -> Self {
        let number = state.book.change(|book| {
            book.in_flight += 1;
            book.max_in_flight = book.max_in_flight.max(book.in_flight);
            let number = book.posts.len();
            book.posts.push(Post {
                number,
                at_ms: ids::now_ms(),
                messages: posted.map_or(0, |posted| posted.message_count),
                message_ids: posted.map(Posted::message_ids).unwrap_or_default(),
                updates: posted
                    .and_then(|posted| posted.updates.clone().ok())
                    .unwrap_or_default(),
                in_flight: book.in_flight,
                ..Post::default()
            });
            number
        });
        Self {
            state: state.clone(),
            number,
        }
    }

    fn note(&self, note: impl FnOnce(&mut Post)) {
        self.state
            .book
            .change(|book| book.posts.get_mut(self.number).map(note));
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.state.book.change(|book| {
            book.in_flight -= 1;
            if let Some(post) = book.posts.get_mut(self.number) {
                post.ended = true;
            }
        });
    }
}

async fn exchange(
    Shared(state): Shared<Arc<State>>,
    ConnectInfo(line): ConnectInfo<Line>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let read = match read_body(body, LONGEST_BODY).await {
        ReadBody::Whole(body) => Some(body::read(&body)),
        ReadBody::TooLong => None,
        ReadBody::Broken => return server_error(&headers),
    };
    let posted = read.as_ref().and_then(|read| read.as_ref().ok());
    let post = Arc::new(InFlight::new(&state, posted));
    let met = |place: Place| {
        let concerns = |text: &str| posted.is_some_and(|posted| posted.concerns(text));
        state
            .faults
            .meet(|fault| fault.place() == place, concerns)
            .map(|met| met.fault)
    };
    let answered = match met(Place::BeforeWork) {
        Some(fault) => {
            post.note(|post| post.fault = Some(fault));
            fault
                .instead()
                .and_then(|instead| instead_of(instead, &line, &headers, None))
        }
        None => match readable(&state, &headers, read.clone()) {
            Err(refusal) => Some(*refusal),
            Ok(readable) => {
                let fault = met(Place::AfterWork);
                post.note(|post| post.fault = fault);
                worked(&post, &line, &headers, readable, fault).await
            }
        },
    };
    let Some(response) = answered else {
        return std::future::pending().await;
    };
    post.note(|post| post.status = Some(response.status().as_u16()));
    response
}

/// What is to be worked on, or why nothing is.
fn readable(
    state: &State,
    headers: &HeaderMap,
    read: Option<Result<Posted, ServerError>>,
) -> Result<Posted, Box<Response>> {
    admitted(state, headers)?;
    let refused = |status, text| Err(Box::new(error(headers, status, text)));
    if answer::header(headers, header::CONTENT_TYPE) != Some("application/json") {
        return refused(
            StatusCode::BAD_REQUEST,
            "Content-Type must be application/json",
        );
    }
    match read {
        None => refused(StatusCode::PAYLOAD_TOO_LARGE, "Payload Too Large"),
        Some(Err(ServerError)) => refused(StatusCode::INTERNAL_SERVER_ERROR, "Server error"),
        Some(Ok(posted)) => Ok(posted),
    }
}

/// Has the work done, in a task of its own, because it goes on when the caller hangs up.
async fn worked(
    post: &Arc<InFlight>,
    line: &Line,
    headers: &HeaderMap,
    posted: Posted,
    fault: Option<Fault>,
) -> Option<Response> {
    let at_work = post.clone();
    let work = post.state.tasks.spawn(async move {
        let pause = at_work.state.config.work_per_post;
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let result = work::exchange(&at_work.state, at_work.number, posted).await;
        at_work.note(|post| post.worked = true);
        result
    });
    let result = work.await.ok().flatten().unwrap_or(Err(ServerError));
    match fault.and_then(Fault::instead) {
        Some(instead) => instead_of(instead, line, headers, result.as_deref().ok()),
        None => Some(match result {
            Ok(offered) => answer::json(StatusCode::OK, &json!({ "messages": offered })),
            Err(ServerError) => server_error(headers),
        }),
    }
}
