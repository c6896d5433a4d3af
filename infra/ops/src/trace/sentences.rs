//! The sentences of a time line. They are those of the event log.

use bridge::domain::circuit_breaker::{AccountRow, Circuit, OpenCircuit};
use bridge::domain::delivery::Report;
use bridge::domain::failure_reason::FailureReason;
use bridge::domain::ids::AtMessageId;
use bridge::domain::message::history::What;
use bridge::domain::message::{MessageRow, Sending};

use crate::terminal::format_time;

/// A step in the history of a message: its sentence, as in the event log, with the facts that the row has.
/// `attempt` counts the send requests until then.
///
/// An acceptance shows no network, because Africa's Talking names it only in callbacks.
pub fn event(what: &What, row: &MessageRow, attempt: u32) -> String {
    let message = what.message();
    let details = details(what, row, attempt);
    if details.is_empty() {
        return message.to_owned();
    }
    format!("{} ({details}).", message.trim_end_matches('.'))
}

fn details(what: &What, row: &MessageRow, attempt: u32) -> String {
    match what {
        What::Called => format!("attempt {attempt}"),
        What::Waiting { reason, until } => {
            let until = format_time(*until);
            format!("{}, not before {until}", reason.as_str())
        }
        What::OutcomeUnknown { reason } => reason
            .as_ref()
            .map_or(
                "the function ended during the request",
                FailureReason::as_str,
            )
            .to_owned(),
        What::Accepted { at_id } => acceptance(at_id.as_ref(), row),
        What::Matched { at_id } | What::Lost { at_id } => at_id.as_str().to_owned(),
        What::Rose { status, reason } => {
            let reason = reason
                .as_ref()
                .map_or(String::new(), |reason| format!(", {}", reason.as_str()));
            format!("{}{reason}", status.medic_name())
        }
        What::Reported { status } | What::Refused { status } => status.medic_name().to_owned(),
        What::ToBeReportedAgain => String::new(),
    }
}

fn acceptance(at_id: Option<&AtMessageId>, row: &MessageRow) -> String {
    let mut charges = row.charges.iter();
    let charge = charges.find(|charge| charge.at_id.as_ref() == at_id);
    let cost = charge.and_then(|charge| charge.cost.as_ref());
    let segments = charge
        .and_then(|charge| charge.parts)
        .unwrap_or(row.segments);
    format!(
        "{}{}, {segments} segment{}",
        at_id.map_or(String::new(), |id| format!("{}, ", id.as_str())),
        cost.map_or("no price named".to_owned(), ToString::to_string),
        if segments == 1 { "" } else { "s" }
    )
}

/// A delivery report.
pub fn report(report: &Report) -> String {
    let reason = report.failure_reason.as_ref();
    let reason = reason.map_or(String::new(), |reason| format!(", {}", reason.as_str()));
    let network = report.network_code.as_ref();
    let network = network.map_or(String::new(), |code| format!(" from network {code}"));
    format!("Delivery report{network}: {}{reason}", report.status)
}

/// Why a message that waits is not sent, if sending is paused or a circuit breaker is open. The sender
/// ID is known from the first call on.
pub fn stopped(row: &MessageRow, account: &AccountRow) -> Option<String> {
    if !matches!(row.sending, Sending::Queued | Sending::Waiting { .. }) {
        return None;
    }
    if let Some(pause) = &account.pause {
        let since = format_time(pause.since);
        return Some(format!(
            "sending is paused since {since}; `cargo ops resume` lets it go on"
        ));
    }
    let own = row.sender_id.as_deref();
    let is_its_own = |open: &&OpenCircuit| match &open.of {
        Circuit::Account => true,
        Circuit::SenderId(id) => own.is_some() && id.as_deref() == own,
    };
    let open = account.open_circuits.iter().find(is_its_own)?;
    Some(format!(
        "the circuit breaker is open since {}: {}; it is sent by itself when that is over",
        format_time(open.since),
        open.words()
    ))
}

/// What the row says now: whether the message was sent, and whether Medic has its status.
pub fn now(row: &MessageRow) -> Vec<String> {
    let sending = match &row.sending {
        Sending::Queued => "it waits in the queue to be sent".to_owned(),
        Sending::Waiting { reason, until } => format!(
            "it waits in the queue to be sent, not before {}: {}",
            format_time(*until),
            reason.as_str()
        ),
        Sending::Calling { since, .. } => {
            format!("a send request is in flight since {}", format_time(*since))
        }
        Sending::Unknown { .. } => "it is unknown whether it was sent".to_owned(),
        Sending::Accepted => "Africa's Talking accepted it".to_owned(),
        Sending::Failed => "it will not be sent".to_owned(),
    };
    let reason = row.failure_reason.as_ref();
    let reason = reason.map_or(String::new(), |reason| format!(" ({})", reason.as_str()));
    let mut lines = vec![format!(
        "now: {sending}; its status is {}{reason}",
        row.status.medic_name()
    )];
    lines.push(match (row.refused(), row.reported) {
        (Some(refusal), _) if refusal.times == 0 => format!(
            "Medic fails on that status ({}). It is reported again within a minute",
            refusal.answer.as_str()
        ),
        (Some(refusal), _) => format!(
            "Medic fails on that status ({}). It is reported again once an hour; `cargo ops dead-letters redrive {}` has it \
             reported at the next poll",
            refusal.answer.as_str(),
            row.id.as_str()
        ),
        (_, Some(reported)) if reported == row.status => "Medic has that status".to_owned(),
        (_, Some(reported)) => format!(
            "Medic has {}; the next poll reports the new one",
            reported.medic_name()
        ),
        (_, None) => "Medic has no status yet; the next poll reports it".to_owned(),
    });
    lines
}
