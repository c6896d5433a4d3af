//! What was promised of outgoing messages and of their statuses.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use bridge::domain::message::{Sending, UnknownOutcomePolicy};
use bridge::domain::status::{Status, reported_status};
use bridge::domain::time::millis;
use models::medic::{MessageState, OutgoingMessage};

use super::{Breach, CALL_AFTER_COUNT_MS, CLOCKS_DIFFER_MS, HOUR_MS, breach};
use crate::africas_talking::{SendCall, SendDecision};
use crate::medic::status_of;
use crate::world::World;

/// 2: what Medic offered was sent once; twice at most, if nobody could know; or it failed, with a
/// reason.
pub(super) fn sent(world: &World, message: &OutgoingMessage) -> Vec<Breach> {
    let mut found = Vec::new();
    let at = world.africas_talking.borrow();
    let calls = at.calls_for(&message.id);
    let taken = at.taken(&message.id);
    let unheard = calls.iter().filter(|call| !is_heard(world, call)).count();
    let resends = world.settings.rules.unknown_outcome == UnknownOutcomePolicy::ResendOnce;
    let allowed = if unheard > 0 && resends { 2 } else { 1 };
    if taken > allowed {
        found.push(breach(
            2,
            &message.id,
            format!("was sent {taken} times, {unheard} unheard"),
        ));
    }
    let unknown = calls.iter().filter(|call| !call.verdict.is_clear()).count();
    if unknown > if resends { 2 } else { 1 } {
        found.push(breach(
            2,
            &message.id,
            format!("was tried after {unknown} unknown outcomes"),
        ));
    }
    if taken == 0 && !message.is_failing() {
        let has_reason = message.details().is_some_and(|reason| !reason.is_empty());
        if message.state != MessageState::Failed || !has_reason {
            let what = format!("was never sent, and is {:?}", message.state);
            found.push(breach(2, &message.id, what));
        }
    }
    for (n, call) in calls.iter().enumerate().skip(1) {
        let before = calls[..n]
            .iter()
            .rfind(|call| call.verdict.is_taken() || !call.verdict.is_clear());
        let too_soon = before.is_some_and(|before| {
            let resend_after_ms = millis(world.settings.rules.resend_after);
            call.at_ms - before.at_ms < resend_after_ms - CLOCKS_DIFFER_MS
        });
        if too_soon {
            found.push(breach(
                2,
                &message.id,
                "was sent again too soon after an unknown outcome",
            ));
        }
    }
    let settled_ms = world.settled.borrow().get(&message.id).copied();
    if settled_ms.is_some_and(|settled_ms| calls.iter().any(|call| call.at_ms > settled_ms)) {
        let what = "was sent again after evidence had settled it";
        found.push(breach(2, &message.id, what));
    }
    if calls
        .iter()
        .any(|call| call.sms.0 != message.to.trim() || call.sms.2 != message.content)
    {
        found.push(breach(
            2,
            &message.id,
            "was sent to another number, or with another text",
        ));
    }
    found
}

/// 2: no number gets more messages than its recipient limit lets through. Two windows can touch, so that an hour
/// may hold twice the limit.
pub(super) fn over_limit(world: &World) -> Vec<Breach> {
    let at = world.africas_talking.borrow();
    let mut begun: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for call in &at.calls {
        // A message counts once, however often it is tried.
        if known.insert(&call.message) {
            begun.entry(&call.sms.0).or_default().push(call.at_ms);
        }
    }
    let most = 2 * world.settings.recipient_limit.messages_per_hour as usize;
    let storms = begun.iter().filter(|(_, times)| {
        let mut windows = times.windows(most + 1);
        windows.any(|window| window[most] - window[0] < HOUR_MS - CALL_AFTER_COUNT_MS)
    });
    let breaches = storms.map(|(_, times)| {
        let what = format!("more than {most} of {} came within an hour", times.len());
        breach(2, "", what)
    });
    breaches.collect()
}

/// 3: a circuit breaker closes by an acceptance only, which came while it was open.
pub(super) fn closed_without_acceptance(world: &World) -> Vec<Breach> {
    let at = world.africas_talking.borrow();
    let closings = world.closings.borrow();
    let is_accepted = |open: &Range<i64>| {
        let open = open.start - CLOCKS_DIFFER_MS..open.end;
        at.calls.iter().any(|call| {
            let is_slow = matches!(call.verdict, SendDecision::AcceptedSlowly(_));
            let is_heard = call.verdict.is_clear() || is_slow;
            open.contains(&call.at_ms) && call.verdict.is_taken() && is_heard
        })
    };
    let breaches = closings.iter().filter(|open| !is_accepted(open));
    breaches
        .map(|_| breach(3, "", "a circuit breaker closed without an acceptance"))
        .collect()
}

/// Whether somebody heard what became of the call, in time and for certain, and could write it down.
fn is_heard(world: &World, call: &SendCall) -> bool {
    let is_kept = || {
        let not_kept = world.not_kept.borrow();
        !not_kept.contains(&(call.task, call.message.clone()))
    };
    call.at_id.is_none() || (call.verdict.is_clear() && !world.was_killed(call.task) && is_kept())
}

/// 3: Medic's last word is the join of everything that was reported, and its words never fell.
pub(super) fn reported(world: &World, message: &OutgoingMessage) -> Vec<Breach> {
    let mut found = Vec::new();
    let history = message.history.iter();
    let reported: Vec<Status> = history.filter_map(|row| status_of(row.state)).collect();
    if reported.windows(2).any(|two| two[1] < two[0]) {
        found.push(breach(3, &message.id, format!("was told {reported:?}")));
    }
    let ledger = world.ledger.borrow();
    let Some(row) = ledger.message(&message.id) else {
        return found;
    };
    let at = world.africas_talking.borrow();
    let mut least = Status::Unsent;
    let mut most = Status::Unsent;
    if row.sending == Sending::Failed {
        least = Status::Failed;
        most = Status::Failed;
    }
    if row.status == Status::Failed && row.unknown_outcomes > 0 {
        // Said before evidence for an earlier call came; only a delivery overrides it.
        most = Status::Failed;
    }
    for call in at.calls_for(&message.id) {
        let Some(at_id) = &call.at_id else { continue };
        let accepted = match call.verdict {
            SendDecision::Accepted(100) => Status::Pending,
            SendDecision::Accepted(102) => Status::Unsent,
            _ => Status::Sent,
        };
        let known = row.at_ids.iter().any(|id| id.as_str() == at_id);
        most = most.join(accepted);
        if known && call.verdict.is_clear() && !world.was_killed(call.task) {
            least = least.join(accepted);
        }
        for report in at.reports.get(at_id).into_iter().flatten() {
            let Some(status) = reported_status(&report.word) else {
                continue;
            };
            most = most.join(status);
            if known && report.answers.contains(&200) {
                least = least.join(status);
            }
        }
    }
    if row.status < least || row.status > most {
        let what = format!(
            "is {:?} in the ledger, reported were {least:?} to {most:?}",
            row.status
        );
        found.push(breach(3, &message.id, what));
    }
    let last_word = status_of(message.state) == Some(row.status);
    if !last_word && !message.is_failing() {
        let what = format!(
            "is {:?} in Medic and {:?} in the ledger",
            message.state, row.status
        );
        found.push(breach(3, &message.id, what));
    }
    found
}
