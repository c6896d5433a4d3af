//! The actions of a page: everything that the two ends can do.

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::PageState;
use crate::africastalking::AfricasTalkingFault;
use crate::answer;
use crate::faults::{Faulty, Named, Scope, ScopeQuery, Switches, named};
use crate::ids::typed_number;
use crate::medic::MedicFault;

/// More in one go is a load test, which a page to look at is not for.
const AT_MOST: usize = 500;
/// So many phones send at the same time.
const PHONES_AT_ONCE: usize = 4;
/// Longer than the longest wait of a message in a queue, which is a quarter of an hour and a fifth.
const LONGEST_WAIT: Duration = Duration::from_secs(20 * 60);

pub(super) fn routes() -> Router<PageState> {
    Router::new()
        .route("/phones/sms", post(send))
        .route("/medic/outgoing", post(queue))
        .route(
            "/medic/auto-reply",
            post(set_auto_reply).delete(no_auto_reply),
        )
        .route("/medic/poll", post(poll))
        .route("/medic/release", post(release_posts))
        .route("/africastalking/release", post(release_reports))
        .route("/queues/skip-waits", post(skip_waits))
        .route("/faults", axum::routing::get(faults))
        .route("/faults/{end}", axum::routing::delete(clear_faults))
        .route("/faults/{end}/{name}", post(set_fault).delete(clear_fault))
}

/// Texts, each from or to a number; the numbers take turns.
#[derive(Deserialize)]
struct Messages {
    numbers: Vec<String>,
    texts: Vec<String>,
}

impl Messages {
    fn pairs(self) -> Result<Vec<(String, String)>, Box<Response>> {
        let is_fine = !self.numbers.is_empty()
            && !self.numbers.iter().any(|number| number.trim().is_empty())
            && (1..=AT_MOST).contains(&self.texts.len());
        if !is_fine {
            let reason = format!("some numbers, please, and 1 to {AT_MOST} texts");
            return Err(Box::new(answer::refused(&reason)));
        }
        let numbers: Vec<String> = self
            .numbers
            .iter()
            .map(|number| number.trim().to_owned())
            .collect();
        Ok(numbers.into_iter().cycle().zip(self.texts).collect())
    }
}

/// An end that is none of ours has no controls here.
fn refusal(shared: &PageState, end: End) -> Option<Response> {
    let real = &shared.system.real;
    match end {
        End::AfricasTalking if real.africastalking.is_some() => Some(answer::refused(
            "Africa's Talking is real here: send an SMS from a phone, or from its simulator",
        )),
        End::Medic if real.medic.is_some() => Some(answer::refused(
            "Medic is your own here: what it sends and replies is set there",
        )),
        _ => None,
    }
}

/// Sends SMS from phones. The answer comes when each was answered or given up.
async fn send(State(shared): State<PageState>, Json(messages): Json<Messages>) -> Response {
    if let Some(refusal) = refusal(&shared, End::AfricasTalking) {
        return refusal;
    }
    let pairs = match messages.pairs() {
        Ok(pairs) => pairs,
        Err(refusal) => return *refusal,
    };
    let sent: Vec<_> = futures_util::stream::iter(pairs)
        .map(|(number, text)| {
            let phones = shared.system.africastalking.clone();
            async move { phones.sms_from_phone(&number, &text).await }
        })
        .buffered(PHONES_AT_ONCE)
        .collect()
        .await;
    match sent.into_iter().collect::<anyhow::Result<Vec<_>>>() {
        Ok(sent) => answer::pretty(&sent),
        Err(error) => answer::refused(&error.to_string()),
    }
}

async fn queue(State(shared): State<PageState>, Json(messages): Json<Messages>) -> Response {
    if let Some(refusal) = refusal(&shared, End::Medic) {
        return refusal;
    }
    let pairs = match messages.pairs() {
        Ok(pairs) => pairs,
        Err(refusal) => return *refusal,
    };
    let medic = &shared.system.medic;
    let queued = pairs
        .into_iter()
        .map(|(number, text)| medic.queue(&number, &text));
    match queued.collect::<anyhow::Result<Vec<_>>>() {
        Ok(ids) => answer::pretty(&ids),
        Err(error) => answer::refused(&error.to_string()),
    }
}

async fn set_auto_reply(State(shared): State<PageState>, text: String) -> Response {
    if let Some(refusal) = refusal(&shared, End::Medic) {
        return refusal;
    }
    if text.trim().is_empty() {
        return answer::refused("reply with what?");
    }
    shared.system.medic.set_auto_reply(Some(&text));
    done()
}

async fn no_auto_reply(State(shared): State<PageState>) -> Response {
    if let Some(refusal) = refusal(&shared, End::Medic) {
        return refusal;
    }
    shared.system.medic.set_auto_reply(None);
    done()
}

async fn poll(State(shared): State<PageState>) -> Response {
    outcome(shared.system.stack.poll().await)
}

async fn release_posts(State(shared): State<PageState>) -> Response {
    answer::pretty(&json!({ "released": shared.system.medic.release_paused() }))
}

async fn release_reports(State(shared): State<PageState>) -> Response {
    answer::pretty(&json!({ "released": shared.system.africastalking.release_reports().await }))
}

async fn skip_waits(State(shared): State<PageState>) -> Response {
    outcome(shared.system.queue_clock.pass(LONGEST_WAIT))
}

fn listed<F: Named>() -> Value {
    let all = F::ALL.iter().map(|fault| {
        json!({
            "name": fault.name(),
            "description": fault.description(),
            "heading": fault.heading(),
        })
    });
    all.collect()
}

async fn faults() -> Response {
    answer::pretty(&json!({
        "africastalking": listed::<AfricasTalkingFault>(),
        "medic": listed::<MedicFault>(),
    }))
}

/// One of the two ends.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum End {
    AfricasTalking,
    Medic,
}

async fn set_fault(
    State(shared): State<PageState>,
    Path((end, name)): Path<(End, String)>,
    Query(query): Query<ScopeQuery>,
) -> Response {
    let scope = match (query.next, query.matching) {
        (None, None) => Scope::UntilCleared,
        (Some(next), None) if next > 0 => Scope::Next(next),
        (None, Some(text)) if !text.is_empty() => Scope::Matching(typed_number(&text)),
        _ => return answer::refused("either 'next', from 1 on, or 'matching'"),
    };
    switch(&shared, end, &name, Some(scope)).await
}

async fn clear_fault(
    State(shared): State<PageState>,
    Path((end, name)): Path<(End, String)>,
) -> Response {
    switch(&shared, end, &name, None).await
}

/// Switches a fault on with its scope, or off without one.
async fn switch(shared: &PageState, end: End, name: &str, scope: Option<Scope>) -> Response {
    if let Some(refusal) = refusal(shared, end) {
        return refusal;
    }
    async fn at<M: Faulty>(
        switches: &Switches<M>,
        name: &str,
        scope: Option<Scope>,
    ) -> anyhow::Result<()> {
        let fault = named(name)?;
        match scope {
            Some(scope) => switches.set(fault, scope).await,
            None => switches.clear(fault).await,
        }
        Ok(())
    }
    let switched = match end {
        End::AfricasTalking => at(shared.system.africastalking.switches(), name, scope).await,
        End::Medic => at(shared.system.medic.switches(), name, scope).await,
    };
    match switched {
        Ok(()) => done(),
        Err(error) => answer::not_found(&error),
    }
}

async fn clear_faults(State(shared): State<PageState>, Path(end): Path<End>) -> Response {
    match end {
        End::AfricasTalking => shared.system.africastalking.clear_faults().await,
        End::Medic => shared.system.medic.clear_faults().await,
    }
    done()
}

fn done() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

fn outcome(result: anyhow::Result<()>) -> Response {
    match result {
        Ok(()) => done(),
        Err(error) => {
            let reason = json!({ "error": format!("{error:#}") });
            answer::pretty_with(StatusCode::BAD_GATEWAY, &reason)
        }
    }
}
