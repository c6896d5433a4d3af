//! What comes over the wire is handed to the model, and what follows from it is done.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use models::africastalking::{Consequences, LONGEST_FORM, ProcessedRequest};
use models::http::ServerOutcome;

use super::AfricasTalkingState;
use super::callbacks::{answer_as_robot, post_reports};
use crate::answer::{self, ReadBody, read_body};
use crate::ids;
use crate::server::Line;

pub(super) fn routes(state: Arc<AfricasTalkingState>) -> Router {
    Router::new()
        .route("/version1/messaging", post(serve))
        .route("/version1/user", get(serve))
        .with_state(state)
}

async fn serve(
    Shared(state): Shared<Arc<AfricasTalkingState>>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request<Body>,
) -> Response {
    let (parts, body) = request.into_parts();
    let body = match read_body(body, LONGEST_FORM).await {
        ReadBody::Whole(body) => body,
        // Nobody is there to be answered.
        ReadBody::Broken => return StatusCode::BAD_REQUEST.into_response(),
    };
    let request = answer::request(&parts, body);
    let ProcessedRequest {
        request: number,
        outcome,
        consequences,
    } = state
        .book
        .change(|book| book.model.receive(&request, ids::now_ms()));
    follow(&state, &line, &outcome, consequences).await;
    let response = match outcome {
        ServerOutcome::Response(response) => answer::of(response),
        ServerOutcome::Silence => return std::future::pending().await,
        ServerOutcome::Closed => {
            line.cut();
            return std::future::pending().await;
        }
    };
    if let Some(number) = number {
        let delay = state.config.answer_delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let status = response.status().as_u16();
        state
            .book
            .change(|book| book.model.answered(number, status));
    }
    response
}

/// Posts the reports that are due before the response, and has the others posted after it.
async fn follow(
    state: &Arc<AfricasTalkingState>,
    line: &Line,
    outcome: &ServerOutcome,
    consequences: Consequences,
) {
    let Consequences {
        early,
        after,
        phones,
    } = consequences;
    post_reports(state, early).await;
    if after.is_empty() && phones.is_empty() {
        return;
    }
    let is_answered = matches!(outcome, ServerOutcome::Response(_));
    let answer_written = line.next_write();
    let reporter = state.clone();
    state.tasks.spawn(async move {
        if is_answered {
            answer_written.await;
        }
        post_reports(&reporter, after).await;
        for number in phones {
            answer_as_robot(&reporter, &number).await;
        }
    });
}
