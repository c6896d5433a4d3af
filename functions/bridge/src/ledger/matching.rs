//! Settles unknown outcomes by delivery reports: reads the rows, decides, and writes the match.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::correlation::{CallOwner, Ownership, ownership};
use crate::domain::delivery::SmsRow;
use crate::domain::ids::MedicMessageId;
use crate::domain::message::MessageRow;
use crate::domain::time::Timestamp;
use crate::ledger::{self, Rows};
use crate::log::final_status::ended;
use crate::log::{LogEvent, Redacted};
use crate::ports::{Key, LedgerError, LedgerStore, Row, Runtime};

/// At most this many rows to one number are read. With more unsettled rows, no match is certain.
const ROWS_CHECKED: usize = 50;

/// Matches every unmatched SMS to this number that only one message can have sent, and all of them if
/// they are as many as the calls and all delivered. If one more may match when no response to a send
/// request can claim it any more, returns that time.
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
                let owner = CallOwner {
                    message,
                    called_at,
                    sms,
                };
                if match_reports(store, runtime, &[owner]).await? {
                    return Ok(Check::Matched);
                }
            }
            Ownership::AllDelivered(owners) => {
                if match_reports(store, runtime, &owners).await? {
                    return Ok(Check::Matched);
                }
            }
        }
    }
    Ok(Check::Pending(pending))
}

/// Writes the rows of the messages and of their SMS in one transaction, if all are still unsettled.
/// Returns whether they are matched now.
async fn match_reports(
    store: &impl LedgerStore,
    runtime: &impl Runtime,
    owners: &[CallOwner<'_>],
) -> Result<bool, LedgerError> {
    let keys: BTreeSet<Key> = owners
        .iter()
        .flat_map(|owner| {
            [
                Key::Message(owner.message.id.clone()),
                Key::Sms(owner.sms.id.clone()),
            ]
        })
        .collect();
    let keys: Vec<Key> = keys.into_iter().collect();
    let ended = ledger::change(store, runtime, &keys, |rows| {
        all_matched(rows, owners)
            .map_or_else(|| (Vec::new(), None), |(rows, ended)| (rows, Some(ended)))
    })
    .await?;
    let Some(ended) = ended else {
        return Ok(false);
    };
    ended.into_iter().for_each(|ended| runtime.record(ended));
    for owner in owners {
        runtime.record(LogEvent::ReportMatched {
            medic_id: Redacted::new(&owner.message.id),
            at_id: Redacted::new(&owner.sms.id),
        });
    }
    Ok(true)
}

/// The rows after all of the matches, and the events of final statuses. `None` if one of them is
/// settled already. A message can have several of the calls.
fn all_matched(rows: &Rows, owners: &[CallOwner<'_>]) -> Option<(Vec<Row>, Vec<LogEvent>)> {
    let mut messages: BTreeMap<&MedicMessageId, MessageRow> = BTreeMap::new();
    let (mut changed, mut events) = (Vec::new(), Vec::new());
    for owner in owners {
        let id = &owner.message.id;
        let row = messages.remove(id).or_else(|| rows.message(id).cloned())?;
        let sms = rows.sms(&owner.sms.id)?;
        if sms.message.is_some() || !row.unsettled_calls().any(|call| call == owner.called_at) {
            return None;
        }
        let before = row.status;
        let (row, sms) = matched(row, sms.clone(), owner.called_at);
        events.extend(ended(before, &row, &sms.id));
        changed.push(Row::Sms(sms));
        messages.insert(id, row);
    }
    changed.extend(messages.into_values().map(Row::Message));
    Some((changed, events))
}

fn matched(row: MessageRow, sms: SmsRow, called_at: Timestamp) -> (MessageRow, SmsRow) {
    let row = row
        .after_match(&sms.id, called_at)
        .with_reports(&sms.id, &sms.reports);
    let pointer = sms.pointing_to(&row.id);
    (row, pointer)
}
