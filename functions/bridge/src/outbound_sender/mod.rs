//! `outbound-sender`: claims a message in the ledger, sends it with Africa's Talking, records what
//! became of it.

mod account;
mod claim;
mod outcome;

use std::ops::ControlFlow;
use std::rc::Rc;

use futures_util::future::join_all;

use crate::domain::account::AccountTrouble;
use crate::domain::answer::Outcome;
use crate::domain::answer_code::AnswerCode;
use crate::domain::backoff::{BRIEF_WAIT_MS, Wait};
use crate::domain::fuse::FuseLimits;
use crate::domain::message::{ClaimToken, FailureReason, MessageRow, SendingRules};
use crate::domain::phone_number::PhoneNumber;
use crate::domain::sender_ids::SenderIds;
use crate::journal::{Entry, Shown};
use crate::ledger;
use crate::parking::{ParkingLot, give_back, park_or_give_back};
use crate::ports::{
    AfricasTalking, CredentialsError, Key, KeyedHash, LedgerError, LedgerStore, Queue, Record,
    Response, Row, Sms, Surroundings,
};
use crate::queue_messages::{OutboxMessage, OutgoingSms, decode};
use crate::retry::{LEDGER_ERRORS, retry};
use account::{Calls, Sign};
use claim::Claim;

/// How long before the end of the invocation an answer in hand is no longer tried on the ledger but
/// put into the queue, in milliseconds: a try that began just before may take a read and a write of
/// six seconds each, and the queue another six.
const QUEUE_INSTEAD_MS: i64 = 25_000;

/// The handler, with all that it needs.
#[derive(Debug)]
pub struct OutboundSender<L, Q, A, H, S> {
    /// What is known of every message.
    pub ledger: L,
    /// The queue that the records come from.
    pub outbox: Q,
    /// Where it puts what cannot be processed.
    pub parked: ParkingLot<Q>,
    /// Who sends.
    pub africas_talking: A,
    /// Hashes of numbers and texts.
    pub hashes: H,
    /// Time, chance and a log.
    pub surroundings: S,
    /// The rules of sending.
    pub rules: SendingRules,
    /// What one recipient may get.
    pub fuse: FuseLimits,
    /// As whom to send.
    pub sender_ids: Rc<SenderIds>,
    /// The time-out of a call to Africa's Talking, in milliseconds.
    pub call_timeout_ms: i64,
}

/// What happens to a record.
enum Fate {
    /// It can go.
    Done,
    /// It comes back, not before this time.
    Wait(i64),
    /// It is an answer in hand, and comes back before the message is sent again: that waits longer, the
    /// longer the ledger was away.
    Brief,
}

impl<L, Q, A, H, S> OutboundSender<L, Q, A, H, S>
where
    L: LedgerStore,
    Q: Queue,
    A: AfricasTalking,
    H: KeyedHash,
    S: Surroundings,
{
    /// Works off a batch side by side; it must be over at `deadline_ms` (milliseconds since 1970).
    /// Returns the message ids of what goes back into the queue.
    pub async fn handle(&self, records: &[Record], deadline_ms: i64) -> Vec<String> {
        let calls = Calls::default();
        let takes = records
            .iter()
            .map(|record| self.take(record, deadline_ms, &calls));
        let fates = join_all(takes).await;
        let now_ms = self.surroundings.now_ms();
        let undone: Vec<(&Record, Wait)> = records
            .iter()
            .zip(&fates)
            .filter_map(|(record, fate)| match fate {
                Fate::Done => None,
                Fate::Wait(until_ms) => {
                    let at_least_ms = until_ms.saturating_sub(now_ms);
                    Some((record, Wait::Growing { at_least_ms }))
                }
                Fate::Brief => {
                    let at_least_ms = BRIEF_WAIT_MS;
                    Some((record, Wait::Brief { at_least_ms }))
                }
            })
            .collect();
        give_back(&self.outbox, &undone, &self.surroundings).await
    }

    async fn take(&self, record: &Record, deadline_ms: i64, calls: &Calls) -> Fate {
        let fate = match decode(&record.body) {
            Ok(OutboxMessage::Send(sms)) => self.send(&sms, deadline_ms, calls).await,
            Ok(OutboxMessage::Accepted(accepted)) => {
                match self.record_acceptance(&accepted).await {
                    Ok(()) => Ok(Fate::Done),
                    Err(error) => {
                        self.note_ledger_trouble(&error);
                        Ok(Fate::Brief)
                    }
                }
            }
            Err(error) => {
                let category = error.to_string();
                let parked =
                    park_or_give_back(&self.parked, record, &category, "", &self.surroundings)
                        .await;
                Ok(if parked {
                    Fate::Done
                } else {
                    self.wait_a_little()
                })
            }
        };
        fate.unwrap_or_else(|error| {
            self.note_ledger_trouble(&error);
            self.wait_a_little()
        })
    }

    fn note_ledger_trouble(&self, error: &LedgerError) {
        self.surroundings.record(Entry::LedgerTrouble {
            error: Shown::new(error),
        });
    }

    /// Sends the message, if that is due; `calls` are those of its batch.
    async fn send(
        &self,
        sms: &OutgoingSms,
        deadline_ms: i64,
        calls: &Calls,
    ) -> Result<Fate, LedgerError> {
        if !self.has_time_to_call(deadline_ms) {
            return Ok(self.wait_a_little());
        }
        let to = match recipient(sms) {
            Ok(to) => to,
            Err(reason) => return self.fail_unsendable(sms, &reason).await,
        };
        let Some(hashes) = self.hashes_of(sms, &to).await else {
            return Ok(self.wait_a_little());
        };
        let token = ClaimToken(format!("{:016x}", self.surroundings.up_to(u64::MAX)));
        match self.claim(sms, &hashes, &token).await? {
            Claim::Ours { row, account } => {
                if !self.has_time_to_call(deadline_ms) {
                    let now_ms = self.surroundings.now_ms();
                    let step = |row: MessageRow| row.after_no_call(&token, now_ms);
                    self.insist(deadline_ms, async || self.change_once(sms, step).await)
                        .await?;
                    return Ok(self.wait_a_little());
                }
                let answered_before = calls.answered.get();
                let (outcome, sign) = self.call(sms, &to, row.attempts).await;
                let sign = calls.note(sign, answered_before);
                let is_of_account = matches!(outcome, Outcome::AccountTrouble(_));
                let fate = self.settle(sms, &row, &token, outcome, deadline_ms).await?;
                if !is_of_account {
                    self.heed(sign, &account, calls, deadline_ms).await;
                }
                Ok(fate)
            }
            Claim::Wait(until_ms) => Ok(Fate::Wait(until_ms)),
            Claim::Done => Ok(Fate::Done),
        }
    }

    /// Calls Africa's Talking: what became of the message, and what that shows.
    async fn call(&self, sms: &OutgoingSms, to: &PhoneNumber, attempt: u32) -> (Outcome, Sign) {
        let began_ms = self.surroundings.now_ms();
        let response = self
            .africas_talking
            .send(Sms {
                to,
                text: &sms.content,
                from: self.sender_ids.for_number(to),
            })
            .await;
        let (code, outcome, sign) = match response {
            Ok(Response::Answer { status, body }) => {
                let outcome = Outcome::of_answer(status, &body);
                let sign = Sign::of_answer(&outcome);
                (AnswerCode::of_answer(status, &body), outcome, sign)
            }
            Ok(Response::NotConnected) => {
                let outcome = not_sent("no connection");
                (AnswerCode::NO_CONNECTION, outcome, Sign::Nothing)
            }
            Ok(Response::NoAnswer) => {
                let outcome = Outcome::Unknown(FailureReason::new("no answer"));
                (AnswerCode::NO_ANSWER, outcome, Sign::NoAnswer)
            }
            Err(error) => return (self.without_credentials(&error), Sign::Nothing),
        };
        self.surroundings.record(Entry::Answered {
            message: Shown::new(&sms.id),
            attempt,
            code,
            took_ms: self.surroundings.now_ms().saturating_sub(began_ms),
        });
        (outcome, sign)
    }

    /// Nothing was called.
    fn without_credentials(&self, error: &CredentialsError) -> Outcome {
        self.surroundings.record(Entry::CredentialsTrouble {
            error: Shown::new(error),
        });
        match error {
            CredentialsError::Unusable(_) => {
                Outcome::AccountTrouble(AccountTrouble::CredentialsRefused)
            }
            CredentialsError::OutOfReach(_) => not_sent("no credentials"),
        }
    }

    async fn fail_unsendable(
        &self,
        sms: &OutgoingSms,
        reason: &FailureReason,
    ) -> Result<Fate, LedgerError> {
        self.change(sms, |row| row.unsendable(reason.clone()))
            .await?;
        self.note_failure(sms, 0, reason);
        Ok(Fate::Done)
    }

    /// Tried again when the ledger does not answer.
    async fn change(
        &self,
        sms: &OutgoingSms,
        step: impl Fn(MessageRow) -> MessageRow,
    ) -> Result<(), LedgerError> {
        retry(LEDGER_ERRORS, &self.surroundings, async || {
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
            &self.surroundings,
            &[Key::Message(sms.id.clone())],
            |rows| {
                let row = rows
                    .message(&sms.id)
                    .cloned()
                    .unwrap_or_else(|| MessageRow::new(sms.id.clone(), sms.first_offered_ms));
                (vec![Row::Message(step(row))], ())
            },
        )
        .await
    }

    /// Whether a call and all that can follow it fit into what is left of the invocation.
    fn has_time_to_call(&self, deadline_ms: i64) -> bool {
        let needed_ms = self.call_timeout_ms.saturating_add(QUEUE_INSTEAD_MS);
        self.surroundings.now_ms().saturating_add(needed_ms) <= deadline_ms
    }

    fn wait_a_little(&self) -> Fate {
        Fate::Wait(self.surroundings.now_ms())
    }

    fn note_failure(&self, sms: &OutgoingSms, attempt: u32, reason: &FailureReason) {
        self.surroundings.record(Entry::SendFailed {
            message: Shown::new(&sms.id),
            attempt,
            reason: reason.clone(),
        });
    }
}

fn not_sent(reason: &str) -> Outcome {
    Outcome::NotSent {
        reason: FailureReason::new(reason),
        at_least_ms: 0,
    }
}

/// To whom the message goes, if it can go anywhere at all.
fn recipient(sms: &OutgoingSms) -> Result<PhoneNumber, FailureReason> {
    let to = PhoneNumber::parse(&sms.to)
        .map_err(|error| FailureReason::new(&format!("the recipient {error}")))?;
    if sms.content.is_empty() {
        return Err(FailureReason::new("the text is empty"));
    }
    Ok(to)
}
