//! `outbound-sender`: claims a message in the ledger, sends it with Africa's Talking, and records
//! the outcome.

mod circuit_breaker;
mod claim;
mod outcome;

use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::domain::backoff::Wait;
use crate::domain::circuit_breaker::AccountFailure;
use crate::domain::failure_reason::FailureReason;
use crate::domain::message::{ClaimToken, MessageRow, SendingRules};
use crate::domain::phone_number::PhoneNumber;
use crate::domain::recipient_limit::RecipientLimits;
use crate::domain::sender_ids::SenderIds;
use crate::domain::time::Timestamp;
use crate::ledger;
use crate::log::{LogEvent, Redacted};
use crate::ports::{
    AfricasTalking, CredentialsError, Key, KeyedHash, LedgerError, LedgerStore, Queue, Record,
    Response, Row, Runtime, Sms,
};
use crate::queue::dead_letter::{DeadLetterQueue, dead_letter_or_return};
use crate::queue::retry_later::return_for_retry;
use crate::retry::{LEDGER_ERRORS, retry};
use crate::wire::africastalking::answer_code::AnswerCode;
use crate::wire::africastalking::send_response::Outcome;
use crate::wire::queue_messages::{OutboxMessage, OutgoingSms, decode};
use circuit_breaker::{Calls, Signal};
use claim::Claim;

/// How long before the end of the invocation a response that the ledger does not take is put into
/// the queue instead. An attempt that began just before may take a read and a write of six seconds
/// each, and the queue another six.
const QUEUE_INSTEAD: Duration = Duration::from_secs(25);

/// The handler and its ports.
#[derive(Debug)]
pub struct OutboundSender<L, Q, A, H, S> {
    /// The ledger with the rows of messages.
    pub ledger: L,
    /// The queue of the records.
    pub outbox: Q,
    /// The queue for records that cannot be processed.
    pub dead_letters: DeadLetterQueue<Q>,
    /// The API that sends.
    pub africas_talking: A,
    /// Hashes of numbers and texts.
    pub hashes: H,
    /// The clock, the random numbers and the log.
    pub runtime: S,
    /// The rules of sending.
    pub rules: SendingRules,
    /// The limits for one recipient.
    pub recipient_limit: RecipientLimits,
    /// The sender ids.
    pub sender_ids: Rc<SenderIds>,
    /// The time-out of a send request.
    pub call_timeout: Duration,
}

/// What to do with a record.
enum Disposition {
    /// It is done, so that the queue can delete it.
    Done,
    /// It is retried, not before this time.
    Wait(Timestamp),
    /// It is an acceptance that the ledger did not take. It is retried before the message is sent
    /// again, which waits longer the longer the ledger fails.
    Brief,
}

impl<L, Q, A, H, S> OutboundSender<L, Q, A, H, S>
where
    L: LedgerStore,
    Q: Queue,
    A: AfricasTalking,
    H: KeyedHash,
    S: Runtime,
{
    /// Processes the records of a batch concurrently, and ends before `deadline`. Returns the
    /// message ids of the records that go back to the queue.
    pub async fn handle(&self, records: &[Record], deadline: Timestamp) -> Vec<String> {
        let calls = Calls::default();
        let takes = records
            .iter()
            .map(|record| self.take(record, deadline, &calls));
        let dispositions = join_all(takes).await;
        let undone: Vec<(&Record, Wait)> = records
            .iter()
            .zip(&dispositions)
            .filter_map(|(record, disposition)| match disposition {
                Disposition::Done => None,
                Disposition::Wait(until) => Some((record, Wait::Until(*until))),
                Disposition::Brief => Some((record, Wait::Retry)),
            })
            .collect();
        return_for_retry(&self.outbox, &undone, &self.runtime).await
    }

    async fn take(&self, record: &Record, deadline: Timestamp, calls: &Calls) -> Disposition {
        let disposition = match decode(&record.body) {
            Ok(OutboxMessage::Send(sms)) => self.send(&sms, deadline, calls).await,
            Ok(OutboxMessage::Accepted(accepted)) => {
                match self.record_acceptance(&accepted).await {
                    Ok(()) => Ok(Disposition::Done),
                    Err(error) => {
                        self.log_ledger_error(&error);
                        Ok(Disposition::Brief)
                    }
                }
            }
            Err(error) => {
                let category = error.to_string();
                let dead_letters =
                    dead_letter_or_return(&self.dead_letters, record, &category, "", &self.runtime)
                        .await;
                Ok(if dead_letters {
                    Disposition::Done
                } else {
                    self.wait_a_little()
                })
            }
        };
        disposition.unwrap_or_else(|error| {
            self.log_ledger_error(&error);
            self.wait_a_little()
        })
    }

    fn log_ledger_error(&self, error: &LedgerError) {
        self.runtime.record(LogEvent::LedgerFailed {
            error: Redacted::new(error),
        });
    }

    /// Sends the message if that is due. `calls` counts the send requests of the batch.
    async fn send(
        &self,
        sms: &OutgoingSms,
        deadline: Timestamp,
        calls: &Calls,
    ) -> Result<Disposition, LedgerError> {
        if !self.has_time_to_call(deadline) {
            return Ok(self.wait_a_little());
        }
        let to = match recipient(sms) {
            Ok(to) => to,
            Err(reason) => return self.fail_unsendable(sms, &reason).await,
        };
        let Some(hashes) = self.hashes_of(sms, &to).await else {
            return Ok(self.wait_a_little());
        };
        let token = ClaimToken(format!("{:016x}", self.runtime.up_to(u64::MAX)));
        match self.claim(sms, &hashes, &token).await? {
            Claim::Ours { row, account } => {
                if !self.has_time_to_call(deadline) {
                    let now = self.runtime.now();
                    let step = |row: MessageRow| row.after_no_call(&token, now);
                    self.retry_until_deadline(deadline, async || self.change_once(sms, step).await)
                        .await?;
                    return Ok(self.wait_a_little());
                }
                let answered_before = calls.answered.get();
                let (outcome, signal) = self.call(sms, &to, row.attempts).await;
                let signal = calls.note(signal, answered_before);
                let is_of_account = matches!(outcome, Outcome::AccountFailure(_));
                let disposition = self.settle(sms, &row, &token, outcome, deadline).await?;
                if !is_of_account {
                    self.record_signal(signal, &account, calls, deadline).await;
                }
                Ok(disposition)
            }
            Claim::Wait(until) => Ok(Disposition::Wait(until)),
            Claim::Done => Ok(Disposition::Done),
        }
    }

    /// Sends the request. Returns the outcome, and what it shows of the account.
    async fn call(&self, sms: &OutgoingSms, to: &PhoneNumber, attempt: u32) -> (Outcome, Signal) {
        let began = self.runtime.now();
        let response = self
            .africas_talking
            .send(Sms {
                to,
                text: &sms.content,
                from: self.sender_ids.for_number(to),
            })
            .await;
        let (code, outcome, signal) = match response {
            Ok(Response::Answer { status, body }) => {
                let outcome = Outcome::of_answer(status, &body);
                let signal = Signal::of_answer(&outcome);
                (AnswerCode::of_answer(status, &body), outcome, signal)
            }
            Ok(Response::NotConnected) => {
                let outcome = not_sent("no connection");
                (AnswerCode::NO_CONNECTION, outcome, Signal::Nothing)
            }
            Ok(Response::NoAnswer) => {
                let outcome = Outcome::Unknown(FailureReason::new("no answer"));
                (AnswerCode::NO_ANSWER, outcome, Signal::NoAnswer)
            }
            Err(error) => return (self.without_credentials(&error), Signal::Nothing),
        };
        self.runtime.record(LogEvent::SendAnswered {
            medic_id: Redacted::new(&sms.id),
            attempt,
            code,
            took: self.runtime.now().since(began),
        });
        (outcome, signal)
    }

    /// The outcome without credentials, when no request was sent.
    fn without_credentials(&self, error: &CredentialsError) -> Outcome {
        self.runtime.record(LogEvent::CredentialsUnavailable {
            error: Redacted::new(error),
        });
        match error {
            CredentialsError::Unusable(_) => {
                Outcome::AccountFailure(AccountFailure::CredentialsRefused)
            }
            CredentialsError::OutOfReach(_) => not_sent("no credentials"),
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

    /// Changes the message's row. Retries while the ledger does not answer.
    async fn change(
        &self,
        sms: &OutgoingSms,
        step: impl Fn(MessageRow) -> MessageRow,
    ) -> Result<(), LedgerError> {
        retry(LEDGER_ERRORS, &self.runtime, async || {
            match self.change_once(sms, &step).await {
                Ok(()) => ControlFlow::Break(Ok(())),
                Err(error) => ControlFlow::Continue(error),
            }
        })
        .await
    }

    async fn change_once(
        &self,
        sms: &OutgoingSms,
        step: impl Fn(MessageRow) -> MessageRow,
    ) -> Result<(), LedgerError> {
        ledger::change(
            &self.ledger,
            &self.runtime,
            &[Key::Message(sms.id.clone())],
            |rows| {
                let row = rows
                    .message(&sms.id)
                    .cloned()
                    .unwrap_or_else(|| MessageRow::new(sms.id.clone(), sms.first_offered));
                (vec![Row::Message(step(row))], ())
            },
        )
        .await
    }

    /// Whether the rest of the invocation is long enough for a send request and the writes after
    /// it.
    fn has_time_to_call(&self, deadline: Timestamp) -> bool {
        let needed = self.call_timeout.saturating_add(QUEUE_INSTEAD);
        self.runtime.now() + needed <= deadline
    }

    fn wait_a_little(&self) -> Disposition {
        Disposition::Wait(self.runtime.now())
    }

    fn note_failure(&self, sms: &OutgoingSms, attempt: u32, reason: &FailureReason) {
        self.runtime.record(LogEvent::SendFailed {
            medic_id: Redacted::new(&sms.id),
            attempt,
            reason: reason.clone(),
        });
    }
}

fn not_sent(reason: &str) -> Outcome {
    Outcome::NotSent {
        reason: FailureReason::new(reason),
        at_least: Duration::ZERO,
    }
}

/// The recipient, or why there is none.
fn recipient(sms: &OutgoingSms) -> Result<PhoneNumber, FailureReason> {
    let to = PhoneNumber::parse(&sms.to)
        .map_err(|error| FailureReason::new(&format!("the recipient {error}")))?;
    if sms.content.is_empty() {
        return Err(FailureReason::new("the text is empty"));
    }
    Ok(to)
}
