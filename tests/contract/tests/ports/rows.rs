//! Rows to be written, of every kind, with everything in them that there can be.

use bridge::domain::circuit_breaker::{AccountFailure, AccountRow, OpenCircuit, Pause};
use bridge::domain::cost::Cost;
use bridge::domain::delivery::{Report, SmsRow};
use bridge::domain::failure_reason::FailureReason;
use bridge::domain::ids::{AtMessageId, MAX_ID_BYTES, MedicMessageId};
use bridge::domain::message::history::{Event, What};
use bridge::domain::message::{Charge, ClaimToken, MessageRow, Sending, StatusRefusal};
use bridge::domain::recipient_limit::{LimitCheck, RecipientLimits, RecipientRow};
use bridge::domain::status::Status;
use bridge::domain::time::Timestamp;
use bridge::ports::Row;

/// What a careless program loses or changes.
pub const STRANGE: &str = "é 😀 \u{0} \u{7f} \u{feff} \u{fffe} \u{ffff} \\ \" #";

pub fn medic_id(id: &str) -> MedicMessageId {
    MedicMessageId::new(id).unwrap()
}

pub fn at_id(id: &str) -> AtMessageId {
    AtMessageId::new(id).unwrap()
}

/// A message of which nothing is known yet.
pub fn message(id: &str) -> MessageRow {
    MessageRow::new(medic_id(id), Timestamp::from_millis(1_700_000_000_000))
}

/// An SMS that is unmatched.
pub fn sms(id: &str) -> SmsRow {
    SmsRow::new(at_id(id))
}

/// A message with every field filled.
fn full_message(id: &str, sending: Sending) -> MessageRow {
    MessageRow {
        sending,
        number_hash: Some("98aca5c7".to_owned()),
        open_calls: vec![
            Timestamp::from_millis(1_700_000_000_500),
            Timestamp::from_millis(i64::MIN),
            Timestamp::MAX,
        ],
        attempts: u32::MAX,
        unknown_outcomes: 1,
        not_sent: 2,
        status: Status::Failed,
        failure_reason: Some(FailureReason::new("é 😀")),
        reported: Some(Status::Sent),
        refusal: Some(StatusRefusal {
            status: Status::Pending,
            answer: FailureReason::new("{\"code\":500}"),
            at: Some(Timestamp::MAX),
            times: 2,
            progress: 7,
        }),
        at_ids: vec![
            at_id("ATXid_1"),
            at_id(STRANGE),
            at_id(&"x".repeat(MAX_ID_BYTES)),
        ],
        cost: Some(Cost {
            currency: None,
            micros: i64::MAX,
            unreadable: Some("x".repeat(40)),
        }),
        parts: Some(7),
        segments: 9,
        sender_id: Some(STRANGE.to_owned()),
        charges: vec![Charge {
            at_id: None,
            called_at: Timestamp::from_millis(i64::MIN),
            cost: None,
            parts: Some(u32::MAX),
        }],
        unknown_outcome_reason: Some(FailureReason::new("no answer")),
        history: every_event(),
        ..message(id)
    }
}

/// Every kind of event, as far as it can be told from the others when it is read again.
fn every_event() -> Vec<Event> {
    let reason = FailureReason::new("é 😀");
    let status = Status::Failed;
    let whats = [
        What::Called,
        What::Waiting {
            reason: reason.clone(),
            until: Timestamp::MAX,
        },
        What::OutcomeUnknown { reason: None },
        What::Accepted {
            at_id: Some(at_id(STRANGE)),
        },
        What::Matched {
            at_id: at_id("ATXid_1"),
        },
        What::Lost {
            at_id: at_id("ATXid_2"),
        },
        What::Rose {
            status,
            reason: Some(reason),
        },
        What::Reported { status },
        What::Refused { status },
        What::ToBeReportedAgain,
    ];
    whats
        .into_iter()
        .map(|what| Event {
            at: Timestamp::from_millis(1_700_000_000_500),
            what,
        })
        .collect()
}

fn full_report(number: usize) -> Report {
    Report {
        status: format!("{STRANGE} {number}"),
        failure_reason: Some(FailureReason::new("")),
        network_code: Some("63902".to_owned()),
        received_at: Timestamp::from_millis(i64::MIN),
    }
}

fn full_recipient(number_hash: &str) -> RecipientRow {
    let limits = RecipientLimits {
        messages_per_hour: 30,
        same_text_per_day: 3,
    };
    let mut row = RecipientRow::new(number_hash.to_owned());
    for number in 0..40 {
        let text_hash = format!("hash {}", number % 11);
        row = match row.count(
            &text_hash,
            &limits,
            Timestamp::from_millis(1_700_000_000_000 + number),
        ) {
            LimitCheck::Passes(row) | LimitCheck::Exceeded { row, .. } => row,
        };
    }
    row
}

/// One row of every kind, and of every state that a message can be in.
pub fn of_every_kind() -> Vec<Row> {
    let sendings = [
        Sending::Queued,
        Sending::Waiting {
            reason: FailureReason::new("HTTP 429"),
            until: Timestamp::from_millis(1_700_000_060_000),
        },
        Sending::Calling {
            claim: ClaimToken(STRANGE.to_owned()),
            since: Timestamp::from_millis(1),
        },
        Sending::Unknown {
            since: Timestamp::from_millis(0),
        },
        Sending::Accepted,
        Sending::Failed,
    ];
    let mut rows: Vec<Row> = sendings
        .into_iter()
        .enumerate()
        .map(|(number, sending)| Row::Message(full_message(&format!("full-{number}"), sending)))
        .collect();
    let many_reports = (0..100).fold(sms("ATXid_many"), |row, number| {
        row.with_report(full_report(number), Some("98aca5c7".to_owned()))
    });
    rows.extend([
        Row::Message(message("empty")),
        Row::Message(message(STRANGE)),
        Row::Message(message(&"x".repeat(MAX_ID_BYTES))),
        Row::Sms(sms("ATXid_empty")),
        Row::Sms(sms(STRANGE)),
        Row::Sms(many_reports.belonging_to(&medic_id(STRANGE))),
        Row::Recipient(RecipientRow::new("empty".to_owned())),
        Row::Recipient(full_recipient("full")),
        Row::Account(AccountRow {
            open_circuit: Some(OpenCircuit {
                cause: AccountFailure::InsufficientBalance,
                since: Timestamp::from_millis(1),
                probes: u32::MAX,
                next_probe: Timestamp::MAX,
            }),
            balance_asked: Some(Timestamp::from_millis(i64::MIN)),
            pause: Some(Pause {
                since: Timestamp::from_millis(i64::MIN),
            }),
            unanswered_calls: u32::MAX,
        }),
        // Where a key of one kind could be taken for one of another.
        Row::Message(message("account")),
        Row::Message(message("sms#1")),
        Row::Sms(sms("1")),
        Row::Message(message("1")),
        Row::Recipient(RecipientRow::new("1".to_owned())),
    ]);
    rows
}
