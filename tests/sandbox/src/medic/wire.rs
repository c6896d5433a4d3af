//! What comes over the wire is handed to the model, and its work is done step by step.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use models::http::ServerOutcome;
use models::medic::{LONGEST_BODY, PostProgress, PostStep, Reaction};

use super::{MedicFault, MedicState};
use crate::answer::{self, ReadBody, read_body};
use crate::ids;
use crate::server::Line;

/// How long [`MedicFault::Slow`] makes each new message take.
const SLOW_WORK_PER_MESSAGE: Duration = Duration::from_secs(2);

/// How long a POST waits for those before it, when the database has hung.
const BEHIND: Duration = Duration::from_millis(50);

pub(super) fn routes(state: Arc<MedicState>) -> Router {
    Router::new()
        .route("/api/sms", get(serve).post(serve))
        .route("/api/v1/settings", get(serve))
        .route("/api/v2/monitoring", get(serve))
        .with_state(state)
}

/// A POST that has arrived and whose work or response is not at its end.
struct InFlight {
    state: Arc<MedicState>,
    number: usize,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.state.change(|medic| medic.end(self.number));
    }
}

async fn serve(
    Shared(state): Shared<Arc<MedicState>>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request<Body>,
) -> Response {
    let (parts, body) = request.into_parts();
    let body = match read_body(body, LONGEST_BODY).await {
        ReadBody::Whole(body) => body,
        // Nobody is there to be answered.
        ReadBody::Broken => return StatusCode::BAD_REQUEST.into_response(),
    };
    let request = answer::request(&parts, body);
    let received = state.change(|medic| medic.receive(&request, ids::now_ms()));
    let post = received.post.map(|number| {
        Arc::new(InFlight {
            state: state.clone(),
            number,
        })
    });
    let outcome = match (received.reaction, &post) {
        (Reaction::Done(outcome), _) => outcome,
        (Reaction::Works, None) => ServerOutcome::Closed,
        (Reaction::Works, Some(post)) => {
            // A task of its own, because it goes on when the caller hangs up.
            let at_work = post.clone();
            let work = state.tasks.spawn(async move { work(&at_work).await });
            work.await.ok().flatten().unwrap_or(ServerOutcome::Closed)
        }
    };
    let response = match outcome {
        ServerOutcome::Response(response) => answer::of(response),
        ServerOutcome::Silence => return std::future::pending().await,
        ServerOutcome::Closed => {
            line.cut();
            return std::future::pending().await;
        }
    };
    if let Some(post) = post {
        let status = response.status().as_u16();
        state.change(|medic| medic.answered(post.number, status));
    }
    response
}

/// Does the work of a POST.
async fn work(post: &InFlight) -> ServerOutcome {
    let (state, number) = (&post.state, post.number);
    pause(state.config.work_per_post).await;
    loop {
        match state.change(|medic| medic.step(number, ids::now_ms())) {
            PostProgress::Done { step, next } => {
                match step {
                    PostStep::Check => state.pause(MedicFault::PauseBeforeWriting, number).await,
                    PostStep::Read => state.pause(MedicFault::PauseBeforeMarking, number).await,
                    _ => {}
                }
                if let PostStep::Write(message) = next {
                    pause(takes(state, number, message)).await;
                } else {
                    pause(Duration::ZERO).await;
                }
            }
            PostProgress::Hangs { until_ms } => {
                let left_ms = until_ms.saturating_sub(ids::now_ms());
                pause(Duration::from_millis(left_ms.unsigned_abs())).await;
            }
            PostProgress::Behind => pause(BEHIND).await,
            PostProgress::Ended(outcome) => return outcome,
            PostProgress::Crashed(_) | PostProgress::Gone => return ServerOutcome::Closed,
        }
    }
}

/// How long Medic works on a message.
fn takes(state: &MedicState, number: usize, message: usize) -> Duration {
    let usual = state.config.work_per_message;
    state.change(|medic| {
        if !medic.is_new(number, message) {
            Duration::ZERO
        } else if medic.meet(MedicFault::Slow, number, Some(message)) {
            SLOW_WORK_PER_MESSAGE
        } else {
            usual
        }
    })
}

/// Lets time pass. Another POST may come in between, as it may at Medic.
async fn pause(time: Duration) {
    if time.is_zero() {
        tokio::task::yield_now().await;
    } else {
        tokio::time::sleep(time).await;
    }
}
