//! Settles unknown outcomes by delivery reports: reads the rows, decides, and carries the decision out.
//!
//! A decision is a write of the recipient's row, on the condition that nothing under way to the number has
//! changed since it was read. It is then carried out by whoever reads it, for whoever decided may have
//! ended: first the message's row, then the pointer, then the decision goes.

use std::time::Duration;

use crate::domain::correlation::{CallOwner, Ownership, ownership};
use crate::domain::delivery::SmsRow;
use crate::domain::ids::{AtMessageId, MedicMessageId};
use crate::domain::message::MessageRow;
use crate::domain::number_calls::{KEPT, Match};
use crate::domain::recipient_limit::RecipientRow;
use crate::domain::time::Timestamp;
use crate::ledger::{self, Rows};
use crate::log::final_status::ended;
use crate::log::{LogEvent, Redacted};
use crate::ports::{Key, LedgerError, LedgerStore, Row, Runtime};

/// Each check does one thing, and leaves less to do. More than these are left to the next receive.
const CHECKS: usize = 2 * KEPT;

/// Matches every unmatched SMS to this number that only one message can have sent, and all of them if
/// they are as many as the calls and all delivered. If one more may match when no response to a send
/// request can claim it any more, returns that time.
///
/// `unmatched` is an SMS to this number that the caller has found to be without a message.
///
/// # Errors
/// When the ledger does not answer.
pub async fn settle(
    store: &impl LedgerStore,
    number_hash: &str,
    unmatched: Option<&AtMessageId>,
    call_over_after: Duration,
    runtime: &impl Runtime,
) -> Result<Option<Timestamp>, LedgerError> {
    let number = Number {
        store,
        runtime,
        hash: number_hash,
        call_over_after,
    };
    if let Some(at_id) = unmatched {
        number.list(at_id).await?;
    }
    for _ in 0..CHECKS {
        match number.check().await? {
            Check::Again => {}
            Check::Pending(pending) => return Ok(pending),
        }
    }
    Ok(None)
}

/// Reads what [`is_over`] needs to know of the calls that are listed as open in the recipient's row: the
/// rows of their messages, and of those messages' SMS. Adds it to what is known, and the keys to the keys.
///
/// # Errors
/// When the ledger does not answer.
pub async fn read_calls(
    store: &impl LedgerStore,
    number_hash: &str,
    known: Rows,
    keys: &mut Vec<Key>,
) -> Result<Rows, LedgerError> {
    let recipient = known.recipient(number_hash);
    let listed = recipient.map_or_else(Vec::new, |recipient| recipient.calls.messages());
    let listed: Vec<Key> = listed.into_iter().map(Key::Message).collect();
    let messages = ledger::read(store, &listed).await?;
    let at_ids = messages.messages().flat_map(|row| row.at_ids.clone());
    let pointers: Vec<Key> = at_ids.map(Key::Sms).collect();
    let read = ledger::read(store, &pointers).await?;
    keys.extend(listed);
    keys.extend(pointers);
    Ok(messages.with(read).with(known))
}

/// Whether a call whose claim was written needs to be listed no more: its outcome is in the message's row, and
/// a report finds that by a pointer.
pub fn is_over(rows: &Rows, message: &MedicMessageId, called_at: Timestamp) -> bool {
    let points_to_it = |at_id| rows.sms(at_id).is_some_and(|sms| sms.message.is_some());
    rows.message(message).is_some_and(|row| {
        row.unsettled_calls().all(|call| call != called_at) && row.at_ids.iter().all(points_to_it)
    })
}

enum Check {
    /// Something has changed.
    Again,
    /// Nothing can be done before this time, or at all.
    Pending(Option<Timestamp>),
}

/// A number, and what is under way to it.
struct Number<'a, L, S> {
    store: &'a L,
    runtime: &'a S,
    hash: &'a str,
    call_over_after: Duration,
}

impl<L: LedgerStore, S: Runtime> Number<'_, L, S> {
    fn key(&self) -> Key {
        Key::Recipient(self.hash.to_owned())
    }

    async fn list(&self, at_id: &AtMessageId) -> Result<(), LedgerError> {
        self.change_calls(|mut row| {
            row.calls = row.calls.with_unmatched(at_id);
            row
        })
        .await
    }

    async fn change_calls(
        &self,
        step: impl Fn(RecipientRow) -> RecipientRow,
    ) -> Result<(), LedgerError> {
        ledger::change(self.store, self.runtime, &[self.key()], |rows| {
            let row = rows.recipient(self.hash).cloned();
            let changed = row.map(|row| Row::Recipient(step(row)));
            (changed.into_iter().collect(), ())
        })
        .await
    }

    async fn check(&self) -> Result<Check, LedgerError> {
        let rows = ledger::read(self.store, &[self.key()]).await?;
        let Some(recipient) = rows.recipient(self.hash) else {
            return Ok(Check::Pending(None));
        };
        if let Some(decided) = recipient.calls.next_decided() {
            self.carry_out(decided).await?;
            return Ok(Check::Again);
        }
        let messages = recipient.calls.messages();
        let unmatched = recipient.calls.unmatched();
        if messages.is_empty() || unmatched.is_empty() {
            return Ok(Check::Pending(None));
        }
        let may_be_incomplete = recipient.calls.may_be_incomplete(self.runtime.now());
        if may_be_incomplete || messages.len() >= KEPT || unmatched.len() >= KEPT {
            // Some may not be listed: no match is certain.
            return Ok(Check::Pending(None));
        }
        let messages = messages.into_iter().map(Key::Message);
        let keys: Vec<Key> = messages
            .chain(unmatched.iter().cloned().map(Key::Sms))
            .collect();
        let rows = ledger::read(self.store, &keys).await?;
        let (messages, unclaimed) = rows.unsettled();
        if let Some((message, sms)) = without_pointer(&rows, &unclaimed) {
            self.write_pointer(message, sms).await?;
            return Ok(Check::Again);
        }
        self.decide(recipient, &messages, &unclaimed).await
    }

    async fn decide(
        &self,
        recipient: &RecipientRow,
        messages: &[MessageRow],
        unclaimed: &[SmsRow],
    ) -> Result<Check, LedgerError> {
        let now = self.runtime.now();
        let mut pending: Option<Timestamp> = None;
        for sms in unclaimed {
            let owners = match ownership(sms, unclaimed, messages, self.call_over_after, now) {
                Ownership::Unmatched => continue,
                Ownership::Ambiguous => {
                    self.runtime.record(LogEvent::ReportMatchAmbiguous {
                        at_id: Redacted::new(&sms.id),
                    });
                    continue;
                }
                Ownership::TooEarly(until) => {
                    pending = Some(pending.map_or(until, |earlier| earlier.min(until)));
                    continue;
                }
                Ownership::Of { message, called_at } => vec![CallOwner {
                    message,
                    called_at,
                    sms,
                }],
                Ownership::AllDelivered(owners) => owners,
            };
            let decided: Vec<Match> = owners.iter().map(decision).collect();
            self.change_calls(|mut row| {
                if row == *recipient {
                    row.calls = row.calls.with_decided(decided.clone());
                }
                row
            })
            .await?;
            return Ok(Check::Again);
        }
        Ok(Check::Pending(pending))
    }

    /// Writes the message's row and the pointer; unless an answer has claimed the SMS or the call
    /// meanwhile, for that outweighs a match.
    async fn carry_out(&self, decided: &Match) -> Result<(), LedgerError> {
        let (message, at_id) = (&decided.message, &decided.at_id);
        let keys = [Key::Message(message.clone()), Key::Sms(at_id.clone())];
        let mut raised_before: Option<LogEvent> = None;
        let is_matched = ledger::change(self.store, self.runtime, &keys, |rows| {
            let Some((row, pointer)) = matched(rows, decided) else {
                return (lost(rows, decided), false);
            };
            let before = rows.message(message).map_or(row.status, |row| row.status);
            raised_before = ended(before, &row, at_id).or(raised_before.take());
            (vec![Row::Message(row), Row::Sms(pointer)], true)
        })
        .await?;
        if is_matched {
            if let Some(ended) = raised_before {
                self.runtime.record(ended);
            }
            self.runtime.record(LogEvent::ReportMatched {
                medic_id: Redacted::new(message),
                at_id: Redacted::new(at_id),
            });
        }
        self.change_calls(|mut row| {
            row.calls = match is_matched {
                true => row.calls.after_match(decided),
                false => row.calls.without_decision(decided),
            };
            row
        })
        .await
    }

    /// Writes the pointer to a message whose sender has recorded the answer and no more.
    async fn write_pointer(
        &self,
        message: &MedicMessageId,
        at_id: &AtMessageId,
    ) -> Result<(), LedgerError> {
        let keys = [Key::Message(message.clone()), Key::Sms(at_id.clone())];
        let mut raised_before: Option<LogEvent> = None;
        ledger::change(self.store, self.runtime, &keys, |rows| {
            let sms = rows.sms(at_id).filter(|sms| sms.message.is_none());
            let row = rows.message(message);
            let row = row.filter(|row| row.at_ids.contains(at_id));
            let (Some(sms), Some(row)) = (sms, row) else {
                return (Vec::new(), ());
            };
            let before = row.status;
            let row = row.clone().with_reports(at_id, &sms.reports);
            raised_before = ended(before, &row, at_id).or(raised_before.take());
            let pointer = sms.clone().pointing_to(message);
            (vec![Row::Message(row), Row::Sms(pointer)], ())
        })
        .await?;
        if let Some(ended) = raised_before {
            self.runtime.record(ended);
        }
        Ok(())
    }
}

/// A message that has one of these SMS without being pointed to.
fn without_pointer<'a>(
    rows: &'a Rows,
    unclaimed: &'a [SmsRow],
) -> Option<(&'a MedicMessageId, &'a AtMessageId)> {
    unclaimed.iter().find_map(|sms| {
        let mut messages = rows.messages();
        let owner = messages.find(|message| message.at_ids.contains(&sms.id))?;
        Some((&owner.id, &sms.id))
    })
}

fn decision(owner: &CallOwner<'_>) -> Match {
    Match {
        at_id: owner.sms.id.clone(),
        message: owner.message.id.clone(),
        called_at: owner.called_at,
    }
}

/// The rows after a match. `None` if the SMS is another message's, or the call has ended otherwise.
fn matched(rows: &Rows, decided: &Match) -> Option<(MessageRow, SmsRow)> {
    let sms = rows.sms(&decided.at_id)?;
    let row = rows.message(&decided.message)?;
    let is_open = row.unsettled_calls().any(|call| call == decided.called_at);
    let is_begun = row.at_ids.contains(&decided.at_id);
    let is_anothers = sms
        .message
        .as_ref()
        .is_some_and(|owner| *owner != decided.message);
    if is_anothers || !(is_open || is_begun) {
        return None;
    }
    let row = row
        .clone()
        .after_match(&decided.at_id, decided.called_at)
        .with_reports(&decided.at_id, &sms.reports);
    let pointer = sms.clone().pointing_to(&decided.message);
    Some((row, pointer))
}

/// The message's row, if it was matched before an answer claimed the SMS for another message.
fn lost(rows: &Rows, decided: &Match) -> Vec<Row> {
    let row = rows.message(&decided.message).filter(|row| {
        row.at_ids.contains(&decided.at_id) && !row.was_answered_with(&decided.at_id)
    });
    row.map(|row| Row::Message(row.clone().after_losing(&decided.at_id)))
        .into_iter()
        .collect()
}
