//! `outbound-sender`: claims a message in the ledger, sends it with Africa's Talking, and records
//! the outcome.

mod circuit_breaker;
mod claim;
mod handler;
mod outcome;
mod pilot;
mod waiting;

use std::collections::BTreeMap;

use futures_util::future::join;

use crate::domain::backoff::Wait;
use crate::domain::circuit_breaker::{Call, Cause, Signal};
use crate::domain::failure_reason::FailureReason;
use crate::domain::message::{ClaimToken, MessageRow};
use crate::domain::phone_number::PhoneNumber;
use crate::domain::time::Timestamp;
use crate::ledger::Rows;
use crate::log::{LogEvent, Redacted};
use crate::ports::{
    AfricasTalking, AfricasTalkingAccount, CredentialsError, KeyedHash, LedgerError, LedgerStore,
    Queue, Record, Response, Runtime, Sms,
};
use crate::queue::consumer::{Consumer, Disposition};
use crate::queue::dead_letter::dead_letter_or_return;
use crate::queue::retry_later::return_for_retry;
use crate::wire::africastalking::answer_code::AnswerCode;
use crate::wire::africastalking::send_response::Outcome;
use crate::wire::queue_messages::{OutboxMessage, OutgoingSms, decode};
use circuit_breaker::Calls;
use claim::Claim;
use handler::{QUEUE_INSTEAD, recipient};
use pilot::{Plan, Sendable};

pub use handler::OutboundSender;

/// A send request that ended.
struct EndedCall {
    outcome: Outcome,
    /// What it shows of Africa's Talking. `None` if no request was sent.
    signal: Option<Signal>,
}

impl<L, Q, A, H, S> OutboundSender<L, Q, A, H, S>
where
    L: LedgerStore,
    Q: Queue,
    A: AfricasTalking + AfricasTalkingAccount,
    H: KeyedHash,
    S: Runtime,
{
    /// Processes the records of a batch, and ends before `deadline`. Returns the message ids of the
    /// records that go back to the queue: at once what a circuit breaker or a pause stops, and then what
    /// has to be retried.
    pub async fn handle(&self, records: &[Record], deadline: Timestamp) -> Vec<String> {
        let plans = self.plans(records).await;
        let mut stopped = Vec::new();
        let mut held = Vec::new();
        let mut others = Vec::new();
        for record in records {
            match plans.get(&record.message_id) {
                Some(Plan::Hold(reason)) => {
                    stopped.push((record, Wait::Hold));
                    held.push((record, reason));
                }
                Some(Plan::Return(wait)) => stopped.push((record, *wait)),
                _ => others.push(record),
            }
        }
        let returned = return_for_retry(&self.outbox, &stopped, &self.runtime);
        let (mut undone, ()) = join(returned, self.note_first_waits(&held)).await;
        let consumer = Consumer {
            queue: &self.outbox,
            dead_letters: &self.dead_letters,
            ledger: &self.ledger,
            runtime: &self.runtime,
        };
        let calls = Calls::default();
        let process = async |record: &Record| {
            let plan = plans.get(&record.message_id).unwrap_or(&Plan::Send);
            self.take(record, plan, deadline, &calls).await
        };
        undone.extend(consumer.process(&others, process).await);
        undone
    }

    /// The plan of each message that waits while a circuit breaker is open. An acceptance is recorded
    /// always, and a message that cannot be sent or is too old fails.
    async fn plans(&self, records: &[Record]) -> BTreeMap<String, Plan> {
        let now = self.runtime.now();
        let mut ids = Vec::new();
        let mut batch = Vec::new();
        for record in records {
            if let Ok(OutboxMessage::Send(sms)) = decode(&record.body)
                && !self.is_expired(&sms, now)
                && let Ok(to) = recipient(&sms)
            {
                let sender_id = self.sender_ids.for_number(&to);
                ids.push(record.message_id.clone());
                batch.push(Sendable { sms, sender_id });
            }
        }
        ids.into_iter().zip(self.plan(&batch).await).collect()
    }

    async fn take(
        &self,
        record: &Record,
        plan: &Plan,
        deadline: Timestamp,
        calls: &Calls,
    ) -> Disposition {
        let disposition = match decode(&record.body) {
            Ok(OutboxMessage::Send(sms)) => self.send(&sms, plan, deadline, calls).await,
            Ok(OutboxMessage::Accepted(accepted)) => self
                .record_acceptance(&accepted, &Rows::default())
                .await
                .map(|()| Disposition::Done),
            Err(error) => {
                let category = error.to_string();
                let queue = &self.dead_letters;
                match dead_letter_or_return(queue, record, &category, "", &self.runtime).await {
                    true => Ok(Disposition::Done),
                    false => Ok(Disposition::Return(Wait::Retry)),
                }
            }
        };
        disposition.unwrap_or_else(|error| {
            self.log_ledger_error(&error);
            Disposition::Return(Wait::Retry)
        })
    }

    /// Sends the message if that is due. `calls` counts the send requests of the batch.
    async fn send(
        &self,
        sms: &OutgoingSms,
        plan: &Plan,
        deadline: Timestamp,
        calls: &Calls,
    ) -> Result<Disposition, LedgerError> {
        let retry = Disposition::Return(Wait::Retry);
        if !self.has_time_to_call(deadline) {
            return Ok(retry);
        }
        let to = match recipient(sms) {
            Ok(to) => to,
            Err(reason) => return self.fail_unsendable(sms, &reason).await,
        };
        let Some(hashes) = self.hashes_of(sms, &to).await else {
            self.note_wait(sms, &FailureReason::new("no key to hash its number with"))
                .await?;
            return Ok(retry);
        };
        let half_open = match plan {
            Plan::Pilot(circuit, candidate) => {
                let sender_id = self.sender_ids.for_number(&to);
                match self.take_turn(circuit, candidate, sender_id).await? {
                    Ok(half_open) => Some(half_open),
                    Err(wait) => {
                        self.note_wait(sms, &FailureReason::new("circuit breaker open"))
                            .await?;
                        return Ok(Disposition::Return(wait));
                    }
                }
            }
            _ => None,
        };
        let token = ClaimToken(format!("{:016x}", self.runtime.up_to(u64::MAX)));
        let claim = self.claim(sms, &hashes, &token, half_open.as_ref()).await?;
        if let (Claim::Wait(_) | Claim::Done(_), Some(half_open)) = (&claim, &half_open) {
            self.end_turn(half_open).await?;
        }
        let claimed = match claim {
            Claim::Ours(claimed) => claimed,
            Claim::Wait(wait) => return Ok(Disposition::Return(wait)),
            Claim::Done(row) => {
                self.complete_acceptances(&row).await?;
                return Ok(Disposition::Done);
            }
        };
        if !self.has_time_to_call(deadline) {
            let now = self.runtime.now();
            let step = |row: MessageRow| row.after_no_call(&token, now);
            self.retry_until_deadline(deadline, async || self.change_once(sms, step).await)
                .await?;
            return Ok(retry);
        }
        let call = Call {
            message: sms.id.clone(),
            sender_id: self.sender_ids.for_number(&to).map(str::to_owned),
            changes: claimed.account.changes,
            half_open,
        };
        let answered_before = calls.answered.get();
        let EndedCall { outcome, signal } = self.call(sms, &to, &claimed.row).await;
        let signal = signal.and_then(|signal| calls.note(signal, answered_before));
        let mut wait = Wait::Retry;
        if let Some(refusal @ Signal::Failed { .. }) = signal {
            let recorded = self.record_call(&call, refusal, deadline).await?;
            wait = recorded.unwrap_or(wait);
        }
        // Side by side, so that the answers of a batch are counted in their order.
        let settled = self.settle(sms, &claimed, &token, outcome, wait, deadline);
        let recorded = self.record_signal(&call, signal, &claimed.account, calls, deadline);
        let (disposition, now_pilot) = join(settled, recorded).await;
        Ok(match (disposition?, now_pilot) {
            // A pilot comes back earlier than its own wait ends.
            (Disposition::Return(_), Some(Wait::Until(next_try))) => {
                Disposition::Return(Wait::Until(next_try))
            }
            (disposition, _) => disposition,
        })
    }

    /// Sends the request.
    async fn call(&self, sms: &OutgoingSms, to: &PhoneNumber, row: &MessageRow) -> EndedCall {
        let began = self.runtime.now();
        let response = self
            .africas_talking
            .send(Sms {
                to,
                text: &sms.content,
                from: self.sender_ids.for_number(to),
            })
            .await;
        let took = self.runtime.now().since(began);
        let (code, outcome) = match &response {
            Ok(Response::Answer { status, body }) => (
                AnswerCode::of_answer(*status, body),
                Outcome::of_answer(*status, body),
            ),
            Ok(Response::NotConnected) => {
                let reason = FailureReason::new("no connection");
                (AnswerCode::NO_CONNECTION, Outcome::NotCalled(reason))
            }
            Ok(Response::NoAnswer) => {
                let reason = FailureReason::new("no answer");
                (AnswerCode::NO_ANSWER, Outcome::Unknown(reason))
            }
            Err(error) => return self.without_credentials(error, row).await,
        };
        self.runtime.record(match &outcome {
            Outcome::Accepted(acceptance) => LogEvent::SendAccepted {
                medic_id: Redacted::new(&sms.id),
                at_id: acceptance.at_id.as_ref().map(Redacted::new),
                attempt: row.attempts,
                code,
                took,
                status: acceptance.status,
                cost: acceptance.cost.clone(),
                segments: row.segments,
                since_offer: self.runtime.now().since(row.first_offered),
            },
            _ => LogEvent::SendAnswered {
                medic_id: Redacted::new(&sms.id),
                attempt: row.attempts,
                code,
                took,
            },
        });
        self.ended(outcome, row).await
    }

    async fn ended(&self, outcome: Outcome, row: &MessageRow) -> EndedCall {
        let in_doubt = row.unknown_outcomes > 0;
        let (outcome, signal) = match outcome {
            Outcome::CircuitFailure(refusal) => {
                let cause = self.cause(refusal).await;
                let signal = Signal::Failed { cause, in_doubt };
                (Outcome::CircuitFailure(cause), signal)
            }
            Outcome::NotCalled(_) => (outcome, Signal::Unanswered { in_doubt }),
            Outcome::Unknown(_) => (outcome, Signal::Unanswered { in_doubt: true }),
            Outcome::Accepted(_) => (outcome, Signal::Accepted),
            Outcome::Refused(_) | Outcome::NotSent { .. } => (outcome, Signal::Answered),
        };
        EndedCall {
            outcome,
            signal: Some(signal),
        }
    }

    /// The outcome without credentials, when no request was sent.
    async fn without_credentials(&self, error: &CredentialsError, row: &MessageRow) -> EndedCall {
        self.runtime.record(LogEvent::CredentialsUnavailable {
            error: Redacted::new(error),
        });
        match error {
            CredentialsError::Unusable(_) => {
                let outcome = Outcome::CircuitFailure(Cause::CredentialsRefused);
                self.ended(outcome, row).await
            }
            CredentialsError::OutOfReach(_) => EndedCall {
                outcome: Outcome::NotCalled(FailureReason::new("no credentials")),
                signal: None,
            },
        }
    }

    async fn fail_unsendable(
        &self,
        sms: &OutgoingSms,
        reason: &FailureReason,
    ) -> Result<Disposition, LedgerError> {
        self.change(sms, |row| row.unsendable(reason.clone()))
            .await?;
        self.note_failure(sms, 0, reason);
        Ok(Disposition::Done)
    }

    /// Whether the rest of the invocation is long enough for a send request and the writes after
    /// it.
    fn has_time_to_call(&self, deadline: Timestamp) -> bool {
        let needed = self.call_timeout.saturating_add(QUEUE_INSTEAD);
        self.runtime.now() + needed <= deadline
    }
}
