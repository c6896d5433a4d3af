//! The words of a time line.

use bridge::domain::delivery::Report;
use bridge::domain::message::history::What;
use bridge::domain::message::{FailureReason, MessageRow, Sending};

use crate::terminal::format_time;

/// What happened. `attempt` counts the calls until then.
///
/// An answer of Africa's Talking shows no network: it names one only in delivery reports and in SMS that
/// come in, not in its answer to a send.
pub fn event(what: &What, row: &MessageRow, attempt: u32) -> String {
    match what {
        What::Called => format!("Africa's Talking is called, attempt {attempt}"),
        What::Waiting { reason, until_ms } => {
            let until = format_time(*until_ms);
            format!(
                "not sent: {}; not tried again before {until}",
                reason.as_str()
            )
        }
        What::OutcomeUnknown { reason } => format!(
            "nobody knows whether it was sent ({}); a delivery report is waited for",
            reason
                .as_ref()
                .map_or("the call has left no trace", FailureReason::as_str)
        ),
        What::Accepted { at_id } => {
            let charge = row.charges.iter().find(|charge| charge.at_id == *at_id);
            let cost = charge.and_then(|charge| charge.cost.as_ref());
            let parts = charge
                .and_then(|charge| charge.parts)
                .unwrap_or(row.segments);
            format!(
                "Africa's Talking has it{}, {}, {parts} segment{}",
                at_id
                    .as_ref()
                    .map_or(String::new(), |id| format!(" as {}", id.as_str())),
                cost.map_or("no price named".to_owned(), ToString::to_string),
                if parts == 1 { "" } else { "s" }
            )
        }
        What::Matched { at_id } => {
            format!(
                "a delivery report has shown that it was sent, as {}",
                at_id.as_str()
            )
        }
        What::Lost { at_id } => {
            format!("{} turned out to be another message's", at_id.as_str())
        }
        What::Rose { status, reason } => {
            let reason = reason
                .as_ref()
                .map_or(String::new(), |reason| format!(": {}", reason.as_str()));
            format!("its status rises to {}{reason}", status.medic_name())
        }
        What::Reported { status } => format!("Medic was told {}", status.medic_name()),
        What::Refused { status } => format!("Medic refused {}", status.medic_name()),
        What::ToBeReportedAgain => "Medic is to be told its status again".to_owned(),
    }
}

/// A delivery report.
pub fn report(report: &Report) -> String {
    let reason = report.failure_reason.as_ref();
    let reason = reason.map_or(String::new(), |reason| format!(", {}", reason.as_str()));
    let network = report.network_code.as_ref();
    let network = network.map_or(String::new(), |code| format!(" from network {code}"));
    format!("delivery report{network}: {}{reason}", report.status)
}

/// How it stands now.
pub fn now(row: &MessageRow) -> Vec<String> {
    let sending = match &row.sending {
        Sending::Queued => "nothing was tried yet: it is in the queue to phones".to_owned(),
        Sending::Waiting { reason, until_ms } => format!(
            "it waits in the queue to phones until {}: {}",
            format_time(*until_ms),
            reason.as_str()
        ),
        Sending::Calling { since_ms, .. } => {
            format!(
                "Africa's Talking is being called since {}",
                format_time(*since_ms)
            )
        }
        Sending::Unknown { .. } => "nobody knows whether it was sent".to_owned(),
        Sending::Accepted => "Africa's Talking has it".to_owned(),
        Sending::Failed => "it will not be sent".to_owned(),
    };
    let reason = row.failure_reason.as_ref();
    let reason = reason.map_or(String::new(), |reason| format!(" ({})", reason.as_str()));
    let mut lines = vec![format!(
        "now: {sending}; its status is {}{reason}",
        row.status.medic_name()
    )];
    lines.push(match (&row.refusal, row.reported) {
        (Some(refusal), _) if row.is_refused() => format!(
            "Medic fails on that status ({}); it is reported again once an hour, and `cargo ops dead-letters redrive {}` has it \
             told at the next poll",
            refusal.answer.as_str(),
            row.id.as_str()
        ),
        (_, Some(reported)) if reported == row.status => "Medic knows".to_owned(),
        (_, Some(reported)) => format!(
            "Medic knows {}, and is told at the next poll",
            reported.medic_name()
        ),
        (_, None) => "Medic has not been told, and is at the next poll".to_owned(),
    });
    lines
}
