//! Records the outcome of a send request, so that no later failure can lose it.

use std::ops::ControlFlow;
use std::time::Duration;

use super::claim::Claimed;
use super::handler::OutboundSender;
use crate::domain::backoff::{Wait, backoff};
use crate::domain::delivery::SmsRow;
use crate::domain::failure_reason::FailureReason;
use crate::domain::ids::MedicMessageId;
use crate::domain::message::{Acceptance, ClaimToken, MessageRow};
use crate::domain::status::Status;
use crate::domain::time::Timestamp;
use crate::ledger::{self, Rows};
use crate::log::final_status::ended;
use crate::log::{LogEvent, Redacted};
use crate::ports::{
    AfricasTalking, AfricasTalkingAccount, Key, KeyedHash, LedgerError, LedgerStore, NewMessage,
    Queue, Row, Runtime,
};
use crate::queue::consumer::Disposition;
use crate::queue::log_queue_errors;
use crate::retry::{UNTIL_THE_DEADLINE, retry};
use crate::wire::africastalking::send_response::Outcome;
use crate::wire::queue_messages::{AcceptedSms, OutboxMessage, OutgoingSms, encode};

/// The time that is left for the last steps of the invocation.
const LAST_ACTS: Duration = Duration::from_secs(3);

/// The result of writing an acceptance.
enum Recorded {
    /// It is written.
    Done {
        /// The final status, if an earlier report had one.
        ended: Option<LogEvent>,
    },
    /// Nothing is written, because this other message has matched the id.
    MatchedTo(MedicMessageId),
}

impl<L, Q, A, H, S> OutboundSender<L, Q, A, H, S>
where
    L: LedgerStore,
    Q: Queue,
    A: AfricasTalking + AfricasTalkingAccount,
    H: KeyedHash,
    S: Runtime,
{
    /// Records the outcome. `wait` is how the message waits after a failure that is not its own.
    pub(super) async fn settle(
        &self,
        sms: &OutgoingSms,
        claimed: &Claimed,
        token: &ClaimToken,
        outcome: Outcome,
        wait: Wait,
        deadline: Timestamp,
    ) -> Result<Disposition, LedgerError> {
        let now = self.runtime.now();
        let row = &claimed.row;
        match outcome {
            Outcome::Accepted(acceptance) => {
                let accepted = AcceptedSms {
                    id: sms.id.clone(),
                    first_offered: row.first_offered,
                    called_at: row.called_at().unwrap_or(now),
                    segments: row.segments,
                    acceptance,
                };
                Ok(self
                    .keep_acceptance(&accepted, &claimed.rows, deadline)
                    .await)
            }
            Outcome::Refused(reason) => {
                self.note_failure(sms, row.attempts, &reason);
                let step = |row: MessageRow| row.after_final_refusal(token, reason.clone());
                self.retry_until_deadline(deadline, async || self.change_once(sms, step).await)
                    .await?;
                Ok(Disposition::Done)
            }
            Outcome::CircuitFailure(cause) => {
                let reason = format!("circuit breaker open: {}", cause.words());
                self.postpone(sms, token, &FailureReason::new(&reason), wait, deadline)
                    .await
            }
            Outcome::NotCalled(reason) => {
                self.note_postponed(sms, row, &reason);
                self.postpone(sms, token, &reason, wait, deadline).await
            }
            Outcome::NotSent { reason, at_least } => {
                self.note_postponed(sms, row, &reason);
                let until = now + backoff(row.not_sent.saturating_add(1)).max(at_least);
                let step = |row: MessageRow| row.after_not_sent(token, reason.clone(), until);
                self.retry_until_deadline(deadline, async || self.change_once(sms, step).await)
                    .await?;
                Ok(Disposition::Return(Wait::Until(until)))
            }
            Outcome::Unknown(reason) => {
                self.runtime.record(LogEvent::SendOutcomeUnknown {
                    medic_id: Redacted::new(&sms.id),
                    attempt: row.attempts,
                    reason: reason.clone(),
                });
                let step = |row: MessageRow| {
                    let row = row.after_unknown_outcome(token, now);
                    row.with_unknown_outcome_reason(&reason)
                };
                self.retry_until_deadline(deadline, async || self.change_once(sms, step).await)
                    .await?;
                let until = now + self.rules.resend_after;
                Ok(Disposition::Return(Wait::Until(until)))
            }
        }
    }

    /// Records that the message surely was not sent, for a reason that is not its own.
    async fn postpone(
        &self,
        sms: &OutgoingSms,
        token: &ClaimToken,
        reason: &FailureReason,
        wait: Wait,
        deadline: Timestamp,
    ) -> Result<Disposition, LedgerError> {
        let now = self.runtime.now();
        let until = now + wait.at_least(now);
        let step = |row: MessageRow| row.after_outside_failure(token, reason.clone(), until);
        self.retry_until_deadline(deadline, async || self.change_once(sms, step).await)
            .await?;
        Ok(Disposition::Return(wait))
    }

    fn note_postponed(&self, sms: &OutgoingSms, row: &MessageRow, reason: &FailureReason) {
        self.runtime.record(LogEvent::SendPostponed {
            medic_id: Redacted::new(&sms.id),
            attempt: row.attempts,
            reason: reason.clone(),
        });
    }

    /// Never drops an acceptance: retries the write until the invocation nears its end, and then
    /// puts the acceptance into the queue.
    async fn keep_acceptance(
        &self,
        accepted: &AcceptedSms,
        known: &Rows,
        deadline: Timestamp,
    ) -> Disposition {
        let record = async || self.record_acceptance(accepted, known).await;
        let recorded = self.retry_until_deadline(deadline, record).await;
        if recorded.is_ok() {
            return Disposition::Done;
        }
        let queued = retry(UNTIL_THE_DEADLINE, &self.runtime, async || {
            if self.is_near(deadline, LAST_ACTS) {
                return ControlFlow::Break(Err(()));
            }
            let message = NewMessage {
                body: encode(&OutboxMessage::Accepted(accepted.clone())),
                fifo: None,
            };
            let sent = self.outbox.send(vec![message]).await;
            log_queue_errors(&sent, &self.runtime);
            match sent.iter().all(Result::is_ok) {
                true => ControlFlow::Break(Ok(())),
                false => ControlFlow::Continue(()),
            }
        });
        if queued.await.is_err() {
            self.runtime.record(LogEvent::AcceptanceNotKept {
                medic_id: Redacted::new(&accepted.id),
                at_id: accepted.acceptance.at_id.as_ref().map(Redacted::new),
            });
            return Disposition::Return(Wait::Retry);
        }
        self.runtime.record(LogEvent::AcceptanceQueued {
            medic_id: Redacted::new(&accepted.id),
        });
        Disposition::Done
    }

    /// Writes the acceptance into the message's row, with all earlier reports on the SMS; then the pointer
    /// from the SMS to the message, on the condition of what was read. Until then whoever finds a report on
    /// that SMS finds the message by its open call, which stays listed in the recipient's row until the next
    /// claim there. If another message had matched the SMS by a report, it loses it before the pointer changes, because
    /// a response outweighs a match. What is `known` from a moment ago is not read again.
    pub(super) async fn record_acceptance(
        &self,
        accepted: &AcceptedSms,
        known: &Rows,
    ) -> Result<(), LedgerError> {
        let mut rival = None;
        loop {
            match self.try_to_record(accepted, known, rival.as_ref()).await? {
                Recorded::MatchedTo(matched_to) => rival = Some(matched_to),
                Recorded::Done { ended } => {
                    if let Some(ended) = ended {
                        self.runtime.record(ended);
                    }
                    break;
                }
            }
        }
        if let (Some(rival), Some(at_id)) = (&rival, &accepted.acceptance.at_id) {
            self.runtime.record(LogEvent::AtIdReassigned {
                medic_id: Redacted::new(rival),
                at_id: Redacted::new(at_id),
            });
        }
        Ok(())
    }

    /// Writes the acceptance, unless a message other than `rival` has matched the id. Returns that
    /// message then.
    async fn try_to_record(
        &self,
        accepted: &AcceptedSms,
        known: &Rows,
        rival: Option<&MedicMessageId>,
    ) -> Result<Recorded, LedgerError> {
        let at_id = accepted.acceptance.at_id.as_ref();
        let keys: Vec<Key> = [Some(&accepted.id), rival]
            .into_iter()
            .flatten()
            .map(|id| Key::Message(id.clone()))
            .chain(at_id.map(|at_id| Key::Sms(at_id.clone())))
            .collect();
        // Of a row that was written before another had changed.
        let mut raised_before: Option<LogEvent> = None;
        let change = ledger::change_known(&self.ledger, &self.runtime, known, &keys, |rows| {
            let mut message = rows
                .message(&accepted.id)
                .cloned()
                .unwrap_or_else(|| MessageRow::begun(accepted.id.clone(), accepted.first_offered));
            message.segments = accepted.segments;
            let message = message.after_acceptance(&accepted.acceptance, accepted.called_at);
            let Some(at_id) = at_id else {
                return (vec![Row::Message(message)], Recorded::Done { ended: None });
            };
            let sms = rows
                .sms(at_id)
                .cloned()
                .unwrap_or_else(|| SmsRow::new(at_id.clone()));
            let mut lost = None;
            let mut reports = sms.reports.clone();
            let owner = sms.message.as_ref().filter(|owner| **owner != accepted.id);
            if let Some(owner) = owner {
                if rival != Some(owner) {
                    return (Vec::new(), Recorded::MatchedTo(owner.clone()));
                }
                // An id that came in the rival's own answer stays the rival's, with its reports:
                // Africa's Talking gave it twice. What is reported from now on is this message's.
                let loser = rows.message(owner);
                let has_matched =
                    |row: &&MessageRow| row.at_ids.contains(at_id) && !row.was_answered_with(at_id);
                if let Some(loser) = loser.filter(has_matched) {
                    reports.extend(loser.reports_on(at_id));
                    lost = Some(Row::Message(loser.clone().after_losing(at_id)));
                }
            }
            let before = message.status;
            let message = message.with_reports(at_id, &reports);
            let ended = ended(before, &message, at_id).or(raised_before.take());
            raised_before.clone_from(&ended);
            let pointer = Row::Sms(sms.pointing_to(&message.id));
            let mut writes = vec![Row::Message(message)];
            writes.extend(lost);
            writes.push(pointer);
            (writes, Recorded::Done { ended })
        });
        let (recorded, _) = change.await?;
        Ok(recorded)
    }

    /// Writes the pointers of a message that came again, for a sender that ended after it had recorded an
    /// answer. A call that it left listed as open is harmless: the message's row says that it is over.
    pub(super) async fn complete_acceptances(&self, row: &MessageRow) -> Result<(), LedgerError> {
        let pointers = row.charges.iter().filter_map(|charge| charge.at_id.clone());
        let keys: Vec<Key> = pointers.map(Key::Sms).collect();
        let rows = ledger::read(&self.ledger, &keys).await?;
        for charge in &row.charges {
            let Some(at_id) = &charge.at_id else { continue };
            if rows.sms(at_id).is_some_and(|sms| sms.message.is_some()) {
                continue;
            }
            let accepted = AcceptedSms {
                id: row.id.clone(),
                first_offered: row.first_offered,
                called_at: charge.called_at,
                segments: row.segments,
                acceptance: Acceptance {
                    at_id: Some(at_id.clone()),
                    status: Status::Unsent,
                    cost: charge.cost.clone(),
                    parts: charge.parts,
                },
            };
            self.record_acceptance(&accepted, &Rows::default()).await?;
        }
        Ok(())
    }
}
