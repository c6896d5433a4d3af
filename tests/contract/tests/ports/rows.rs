//! Rows of every kind, with every field filled.

use bridge::domain::attempts::AttemptsRow;
use bridge::domain::circuit_breaker::{AccountRow, Cause, Circuit, OpenCircuit, Pause, Pilot};
use bridge::domain::cost::Cost;
use bridge::domain::delivery::{OwnReport, Report, SmsRow};
use bridge::domain::exchange::{ExchangeRow, InDoubt, Quarantined};
use bridge::domain::failure_reason::FailureReason;
use bridge::domain::ids::{AtMessageId, IncomingId, MAX_ID_BYTES, MedicMessageId};
use bridge::domain::message::history::{Event, What};
use bridge::domain::message::{Charge, ClaimToken, MessageRow, Sending, StatusRefusal};
use bridge::domain::recipient_limit::{LimitCheck, RecipientLimits, RecipientRow};
use bridge::domain::status::Status;
use bridge::domain::time::Timestamp;
use bridge::ports::Row;

/// Characters that a careless program loses or changes.
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
        counted: true,
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
        reports: vec![
            OwnReport {
                at_id: None,
                report: full_report(0),
            },
            OwnReport {
                at_id: Some(at_id(STRANGE)),
                report: full_report(1),
            },
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

/// Every kind of event in a history.
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

/// The account's row with every field filled.
fn full_account() -> AccountRow {
    let open = |of, cause| OpenCircuit {
        of,
        cause,
        since: Timestamp::from_millis(1),
        next_try: Timestamp::MAX,
        pilot: Some(Pilot {
            message: medic_id(STRANGE),
            in_doubt: true,
            since: Timestamp::from_millis(i64::MIN),
        }),
        unanswered_sends: u32::MAX,
        last_send: Some(Timestamp::from_millis(0)),
        balance_micros: Some(i64::MIN),
    };
    let unknown = |sender_id: Option<&str>| {
        let of = Circuit::SenderId(sender_id.map(str::to_owned));
        open(of, Cause::InvalidSenderId)
    };
    AccountRow {
        open_circuits: vec![
            open(Circuit::Account, Cause::InsufficientBalance),
            unknown(None),
            unknown(Some("")),
            unknown(Some(STRANGE)),
        ],
        changes: u64::MAX,
        balance_asked: Some(Timestamp::from_millis(i64::MIN)),
        pause: Some(Pause {
            since: Timestamp::from_millis(i64::MIN),
        }),
        unanswered_calls: u32::MAX,
    }
}

fn full_exchange() -> ExchangeRow {
    let ids = [STRANGE, "a1"].map(|id| IncomingId::new(id).unwrap());
    let mut row = ExchangeRow {
        in_doubt: Some(InDoubt::Messages),
        posts_in_doubt: ids.clone().map(|id| (id, u32::MAX)).into(),
        statuses_in_doubt: u32::MAX,
        ..ExchangeRow::unknown()
    };
    row.messages.earn();
    row.statuses.spend(Timestamp::from_millis(i64::MIN));
    let quarantined = Quarantined {
        failures: 4,
        since: Timestamp::from_millis(i64::MIN),
        until: Timestamp::MAX,
    };
    row.quarantined = ids.map(|id| (id, quarantined.clone())).into();
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
        Row::Sms(many_reports),
        Row::Sms(sms("ATXid_pointer").pointing_to(&medic_id(STRANGE))),
        Row::Recipient(RecipientRow::new("empty".to_owned())),
        Row::Recipient(full_recipient("full")),
        Row::Account(full_account()),
        Row::Exchange(full_exchange()),
        Row::Attempts(AttemptsRow::new("empty".to_owned())),
        Row::Attempts(AttemptsRow {
            record: STRANGE.to_owned(),
            unfinished: u32::MAX,
        }),
        // Rows of several kinds whose ids are equal, or look like the key of another kind.
        Row::Message(message("account")),
        Row::Message(message("sms#1")),
        Row::Sms(sms("1")),
        Row::Message(message("1")),
        Row::Recipient(RecipientRow::new("1".to_owned())),
        Row::Attempts(AttemptsRow::new("1".to_owned())),
    ]);
    rows
}

#[test]
fn no_kind_of_row_is_left_out() {
    let rows = of_every_kind();
    let number_of_kind = |row: &Row| match row {
        Row::Message(_) => 0,
        Row::Sms(_) => 1,
        Row::Account(_) => 2,
        Row::Recipient(_) => 3,
        Row::Exchange(_) => 4,
        Row::Attempts(_) => 5,
    };
    for kind in 0..6 {
        assert!(rows.iter().any(|row| number_of_kind(row) == kind), "{kind}");
    }
}
