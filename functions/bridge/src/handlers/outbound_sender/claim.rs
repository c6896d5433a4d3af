//! Claims a message, so that only one invocation sends it.

use super::handler::OutboundSender;
use crate::domain::backoff::Wait;
use crate::domain::circuit_breaker::{AccountRow, HalfOpen};
use crate::domain::failure_reason::FailureReason;
use crate::domain::message::{ClaimToken, MessageRow, NextStep, Sending};
use crate::domain::phone_number::PhoneNumber;
use crate::domain::recipient_limit::{LimitCheck, RecipientRow};
use crate::domain::segments::segments;
use crate::domain::time::Timestamp;
use crate::ledger::matching;
use crate::ledger::{self, Rows};
use crate::log::{LogEvent, Redacted};
use crate::ports::{
    AfricasTalking, AfricasTalkingAccount, Key, KeyedHash, LedgerError, LedgerStore, Queue, Row,
    Runtime,
};
use crate::wire::queue_messages::OutgoingSms;

/// This many characters of a hash are enough to tell the texts of one recipient apart.
const TEXT_HASH_DIGITS: usize = 16;

/// The keyed hashes that the ledger keeps instead of number and text.
pub(super) struct Hashes {
    number: String,
    text: String,
    /// The sender id.
    sender_id: Option<String>,
}

/// A message that is ours to send.
pub(super) struct Claimed {
    /// Its row.
    pub(super) row: MessageRow,
    /// The account's row at the time of the claim.
    pub(super) account: AccountRow,
    /// All rows that were read and written for the claim.
    pub(super) rows: Rows,
}

/// What to do with a copy of a message.
pub(super) enum Claim {
    /// Send it.
    Ours(Box<Claimed>),
    /// Retry it.
    Wait(Wait),
    /// Delete it, because the message is settled, with this row.
    Done(Box<MessageRow>),
}

/// The result of one attempt to claim.
enum ClaimAttempt {
    /// It is ours, with this row.
    Ours(MessageRow),
    /// It is not.
    Claim(Claim),
    /// The row changed, so that the next attempt decides.
    Changed(MessageRow),
    /// The recipient limit has stopped it.
    OverLimit {
        row: MessageRow,
        reason: &'static str,
        alarm: bool,
    },
    /// Its outcome is unknown, and matching reports were not searched yet.
    Unknown,
}

impl<L, Q, A, H, S> OutboundSender<L, Q, A, H, S>
where
    L: LedgerStore,
    Q: Queue,
    A: AfricasTalking + AfricasTalkingAccount,
    H: KeyedHash,
    S: Runtime,
{
    /// The keyed hashes of number and text. Nothing is sent without them, because the recipient
    /// limit and the matching of reports need them.
    pub(super) async fn hashes_of(&self, sms: &OutgoingSms, to: &PhoneNumber) -> Option<Hashes> {
        let number = self.hashes.hash(to.as_str()).await;
        let text = self.hashes.hash(&sms.content).await;
        match (number, text) {
            (Ok(number), Ok(mut text)) => {
                text.truncate(TEXT_HASH_DIGITS);
                let sender_id = self.sender_ids.for_number(to).map(str::to_owned);
                Some(Hashes {
                    number,
                    text,
                    sender_id,
                })
            }
            (Err(error), _) | (_, Err(error)) => {
                self.runtime.record(LogEvent::CredentialsUnavailable {
                    error: Redacted::new(&error),
                });
                None
            }
        }
    }

    /// Claims the message, or says why it cannot. Retries while the ledger does not answer: its
    /// token shows a claim that took effect although the response was lost.
    pub(super) async fn claim(
        &self,
        sms: &OutgoingSms,
        hashes: &Hashes,
        token: &ClaimToken,
        half_open: Option<&HalfOpen>,
    ) -> Result<Claim, LedgerError> {
        let mut checked = false;
        loop {
            let check = self.retry_briefly(async || {
                self.try_to_claim(sms, hashes, token, half_open, checked)
                    .await
            });
            let (attempt, rows) = check.await?;
            match attempt {
                ClaimAttempt::Changed(row) => {
                    if let (Sending::Failed, Some(reason)) = (&row.sending, &row.failure_reason) {
                        self.note_failure(sms, row.attempts, reason);
                    }
                }
                ClaimAttempt::OverLimit { row, reason, alarm } => {
                    self.note_failure(sms, row.attempts, &FailureReason::new(reason));
                    if alarm {
                        self.runtime.record(LogEvent::RecipientLimitExceeded {
                            medic_id: Redacted::new(&sms.id),
                            reason,
                        });
                    }
                    return Ok(Claim::Done(Box::new(row)));
                }
                ClaimAttempt::Unknown => {
                    if let Some(until) = self.matching_report_pending(hashes).await? {
                        return Ok(Claim::Wait(Wait::Until(until)));
                    }
                    checked = true;
                }
                ClaimAttempt::Ours(row) => {
                    let account = rows.account();
                    return Ok(Claim::Ours(Box::new(Claimed { row, account, rows })));
                }
                ClaimAttempt::Claim(claim) => return Ok(claim),
            }
        }
    }

    /// Matches reports with the message. Returns until when to wait if there is a report that the
    /// response to another send request may still claim.
    async fn matching_report_pending(
        &self,
        hashes: &Hashes,
    ) -> Result<Option<Timestamp>, LedgerError> {
        let over = self.rules.call_over_after;
        matching::settle(&self.ledger, &hashes.number, None, over, &self.runtime).await
    }

    async fn try_to_claim(
        &self,
        sms: &OutgoingSms,
        hashes: &Hashes,
        token: &ClaimToken,
        half_open: Option<&HalfOpen>,
        checked: bool,
    ) -> Result<(ClaimAttempt, Rows), LedgerError> {
        let now = self.runtime.now();
        let recipient_key = Key::Recipient(hashes.number.clone());
        let mut keys = vec![Key::Message(sms.id.clone()), Key::Account, recipient_key];
        let known = ledger::read(&self.ledger, &keys).await?;
        let known = matching::read_calls(&self.ledger, &hashes.number, known, &mut keys).await?;
        ledger::change_known(&self.ledger, &self.runtime, &known, &keys, |rows| {
            let mut row = rows
                .message(&sms.id)
                .cloned()
                .unwrap_or_else(|| MessageRow::begun(sms.id.clone(), sms.first_offered));
            row.segments = segments(&sms.content).count;
            row.number_hash = Some(hashes.number.clone());
            row.sender_id.clone_from(&hashes.sender_id);
            let unclaimed = row.clone();
            match row.next_step(token, &self.rules, now, checked) {
                NextStep::Call(row) => {
                    let stopped = rows.account().reason_to_wait(hashes.sender_id.as_deref());
                    match stopped.filter(|_| half_open.is_none()) {
                        Some(reason) => (
                            vec![Row::Message(unclaimed.waiting(reason, now))],
                            ClaimAttempt::Claim(Claim::Wait(Wait::Hold)),
                        ),
                        None => self.permit(rows, unclaimed, row, hashes, now),
                    }
                }
                NextStep::CallNow(row) => (Vec::new(), ClaimAttempt::Ours(row)),
                NextStep::Write(row) => {
                    (vec![Row::Message(row.clone())], ClaimAttempt::Changed(row))
                }
                NextStep::CheckForMatchingReport => (Vec::new(), ClaimAttempt::Unknown),
                NextStep::WaitUntil(until) => {
                    let wait = Wait::Until(until);
                    (Vec::new(), ClaimAttempt::Claim(Claim::Wait(wait)))
                }
                NextStep::Done => {
                    let row = Box::new(unclaimed);
                    (Vec::new(), ClaimAttempt::Claim(Claim::Done(row)))
                }
            }
        })
        .await
    }

    /// Checks the recipient limit, and lists the call as open in place of those that are over. The
    /// recipient's row is written before the claim: whoever ends between the two has counted a message, which is known the next time, and
    /// listed a call that no row has.
    fn permit(
        &self,
        rows: &Rows,
        unclaimed: MessageRow,
        mut claimed: MessageRow,
        hashes: &Hashes,
        now: Timestamp,
    ) -> (Vec<Row>, ClaimAttempt) {
        claimed.counted = true;
        let mut recipient = rows
            .recipient(&hashes.number)
            .cloned()
            .unwrap_or_else(|| RecipientRow::new(hashes.number.clone()));
        if !unclaimed.is_counted() && !recipient.has_counted(&unclaimed.id, now) {
            match recipient.count(&hashes.text, &self.recipient_limit, now) {
                LimitCheck::Passes(counted) => recipient = counted,
                LimitCheck::Exceeded { row, reason, alarm } => {
                    let stopped = unclaimed.unsendable(FailureReason::new(reason));
                    return (
                        vec![Row::Message(stopped.clone()), Row::Recipient(row)],
                        ClaimAttempt::OverLimit {
                            row: stopped,
                            reason,
                            alarm,
                        },
                    );
                }
            }
        }
        // Before that, a sender may have listed a call and not yet written its claim.
        let is_written = |called_at| called_at + self.rules.call_over_after <= now;
        let calls = recipient.calls;
        let calls = calls.without(|of, at| is_written(at) && matching::is_over(rows, of, at));
        recipient.calls = calls.opened(&claimed, now);
        (
            vec![Row::Recipient(recipient), Row::Message(claimed.clone())],
            ClaimAttempt::Ours(claimed),
        )
    }
}
