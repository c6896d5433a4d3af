//! The handler: its ports and rules, and the steps with the ledger that all its parts take.

use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;

use crate::domain::failure_reason::FailureReason;
use crate::domain::message::{MessageRow, SendingRules};
use crate::domain::phone_number::PhoneNumber;
use crate::domain::recipient_limit::RecipientLimits;
use crate::domain::sender_ids::SenderIds;
use crate::domain::time::Timestamp;
use crate::ledger;
use crate::log::{LogEvent, Redacted};
use crate::ports::{Key, LedgerError, LedgerStore, Row, Runtime};
use crate::queue::dead_letter::DeadLetterQueue;
use crate::retry::{LEDGER_ERRORS, UNTIL_THE_DEADLINE, retry};
use crate::wire::queue_messages::OutgoingSms;

/// How long before the end of the invocation a response that the ledger does not take is put into
/// the queue instead. An attempt that began just before may take a read and a write of six seconds
/// each, and the queue another six.
pub(super) const QUEUE_INSTEAD: Duration = Duration::from_secs(25);

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

impl<L: LedgerStore, Q, A, H, S: Runtime> OutboundSender<L, Q, A, H, S> {
    pub(super) fn log_ledger_error(&self, error: &LedgerError) {
        self.runtime.record(LogEvent::LedgerFailed {
            error: Redacted::new(error),
        });
    }

    /// Changes the message's row. Retries while the ledger does not answer.
    pub(super) async fn change(
        &self,
        sms: &OutgoingSms,
        step: impl Fn(MessageRow) -> MessageRow,
    ) -> Result<(), LedgerError> {
        self.retry_briefly(async || self.change_once(sms, &step).await)
            .await
    }

    /// Retries a step with the ledger that can also be left to the next receive.
    pub(super) async fn retry_briefly<T>(
        &self,
        act: impl AsyncFn() -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        retry(LEDGER_ERRORS, &self.runtime, async || match act().await {
            Ok(done) => ControlFlow::Break(Ok(done)),
            Err(error) => ControlFlow::Continue(error),
        })
        .await
    }

    pub(super) async fn change_once(
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
                    .unwrap_or_else(|| MessageRow::begun(sms.id.clone(), sms.first_offered));
                (vec![Row::Message(step(row))], ())
            },
        )
        .await
    }

    /// Whether the invocation has no more than this left.
    pub(super) fn is_near(&self, deadline: Timestamp, left: Duration) -> bool {
        deadline.since(self.runtime.now()) <= left
    }

    /// Retries a step with the ledger until the invocation nears its end. Without it the outcome
    /// would be lost and the message sent again.
    pub(super) async fn retry_until_deadline<T>(
        &self,
        deadline: Timestamp,
        act: impl AsyncFn() -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        retry(UNTIL_THE_DEADLINE, &self.runtime, async || {
            let error = match act().await {
                Ok(done) => return ControlFlow::Break(Ok(done)),
                Err(error) => error,
            };
            self.log_ledger_error(&error);
            match self.is_near(deadline, QUEUE_INSTEAD) {
                true => ControlFlow::Break(Err(error)),
                false => ControlFlow::Continue(error),
            }
        })
        .await
    }

    pub(super) fn note_failure(&self, sms: &OutgoingSms, attempt: u32, reason: &FailureReason) {
        self.runtime.record(LogEvent::SendFailed {
            medic_id: Redacted::new(&sms.id),
            attempt,
            reason: reason.clone(),
        });
    }
}

/// The recipient, or why there is none.
pub(super) fn recipient(sms: &OutgoingSms) -> Result<PhoneNumber, FailureReason> {
    let to = PhoneNumber::parse(&sms.to)
        .map_err(|error| FailureReason::new(&format!("the recipient {error}")))?;
    if sms.content.is_empty() {
        return Err(FailureReason::new("the text is empty"));
    }
    Ok(to)
}
