//! Settles unknown outcomes by delivery reports: reads the rows, decides, and writes the match.

use std::time::Duration;

use crate::domain::correlation::{Ownership, ownership};
use crate::domain::delivery::{SmsRow, raised_by_reports};
use crate::domain::ids::{AtMessageId, MedicMessageId};
use crate::domain::message::MessageRow;
use crate::domain::time::Timestamp;
use crate::ledger;
use crate::log::final_status::ended;
use crate::log::{LogEvent, Redacted};
use crate::ports::{Key, LedgerError, LedgerStore, Row, Runtime};

/// At most this many rows to one number are read. With more unsettled rows, no match is certain.
const ROWS_CHECKED: usize = 50;

/// Matches every unmatched SMS to this number that only one message can have sent. If one more may
/// match when no response to a send request can claim it any more, returns that time.
///
/// `known` is a row to this number that the caller knows, because the index may lag behind.
///
/// # Errors
/// When the ledger does not answer.
pub async fn settle(
    store: &impl LedgerStore,
    number_hash: &str,
    known: &Key,
    call_over_after: Duration,
    runtime: &impl Runtime,
) -> Result<Option<Timestamp>, LedgerError> {
    // Each match changes the rows for the next decision, and leaves one unmatched SMS less.
    for _ in 0..ROWS_CHECKED {
        match check(store, number_hash, known, call_over_after, runtime).await? {
            Check::Matched => {}
            Check::Pending(pending) => return Ok(pending),
        }
    }
    Ok(None)
}

enum Check {
    Matched,
    Pending(Option<Timestamp>),
}

async fn check(
    store: &impl LedgerStore,
    number_hash: &str,
    known: &Key,
    call_over_after: Duration,
    runtime: &impl Runtime,
) -> Result<Check, LedgerError> {
    let mut keys = store.unsettled(number_hash, ROWS_CHECKED).await?;
    if keys.len() >= ROWS_CHECKED {
        return Ok(Check::Pending(None));
    }
    if !keys.contains(known) {
        keys.push(known.clone());
    }
    // The index is eventually consistent, so the rows are read again.
    let rows = ledger::read(store, &keys).await?;
    let (messages, unclaimed) = rows.unsettled();
    let now = runtime.now();
    let mut pending: Option<Timestamp> = None;
    for sms in &unclaimed {
        match ownership(sms, &unclaimed, &messages, call_over_after, now) {
            Ownership::Unmatched => {}
            Ownership::Ambiguous => runtime.record(LogEvent::ReportMatchAmbiguous {
                at_id: Redacted::new(&sms.id),
            }),
            Ownership::TooEarly(until) => {
                pending = Some(pending.map_or(until, |earlier| earlier.min(until)));
            }
            Ownership::Of { message, called_at } => {
                if let Some(ended) =
                    match_report(store, runtime, &message.id, &sms.id, called_at).await?
                {
                    ended.into_iter().for_each(|ended| runtime.record(ended));
                    runtime.record(LogEvent::ReportMatched {
                        medic_id: Redacted::new(&message.id),
                        at_id: Redacted::new(&sms.id),
                    });
                    return Ok(Check::Matched);
                }
            }
        }
    }
    Ok(Check::Pending(pending))
}

/// Writes the rows of the message and of the SMS in one transaction, if both are still unsettled.
/// Returns the event of a final status, if there is one.
async fn match_report(
    store: &impl LedgerStore,
    runtime: &impl Runtime,
    message: &MedicMessageId,
    at_id: &AtMessageId,
    called_at: Timestamp,
) -> Result<Option<Option<LogEvent>>, LedgerError> {
    let keys = [Key::Message(message.clone()), Key::Sms(at_id.clone())];
    ledger::change(store, runtime, &keys, |rows| {
        let (Some(row), Some(sms)) = (rows.message(message), rows.sms(at_id)) else {
            return (Vec::new(), None);
        };
        if sms.message.is_some() || !row.unsettled_calls().any(|call| call == called_at) {
            return (Vec::new(), None);
        }
        let before = row.status;
        let (row, sms) = matched(row.clone(), sms.clone(), called_at);
        let ended = ended(before, &row, &sms);
        (vec![Row::Message(row), Row::Sms(sms)], Some(ended))
    })
    .await
}

fn matched(row: MessageRow, sms: SmsRow, called_at: Timestamp) -> (MessageRow, SmsRow) {
    let sms = sms.belonging_to(&row.id);
    let row = raised_by_reports(row.after_match(&sms.id, called_at), &sms);
    (row, sms)
}
