//! `outbound-sender`: claims a message in the ledger, sends it with Africa's Talking, records what
//! became of it.

use std::rc::Rc;

use futures_util::future::join_all;

use crate::domain::account::{AccountRow, AccountTrouble, Permission};
use crate::domain::answer::Outcome;
use crate::domain::backoff::wait_ms;
use crate::domain::message::{
    Acceptance, ClaimToken, FailureReason, MessageRow, NextStep, Sending, SendingRules,
};
use crate::domain::phone_number::PhoneNumber;
use crate::domain::segments::segments;
use crate::domain::sender_ids::SenderIds;
use crate::domain::sms::SmsRow;
use crate::journal::{Entry, Shown};
use crate::ledger;
use crate::parking::{ParkingLot, give_back, note_trouble, park_or_give_back};
use crate::ports::{
    AfricasTalking, CredentialsError, Key, LedgerError, LedgerStore, NewMessage, Queue, Record,
    Response, Row, Sms, Surroundings,
};
use crate::queue_messages::{AcceptedSms, OutboxMessage, OutgoingSms, decode, encode};
use crate::report_recorder::raised_by_reports;

/// How often a write to the ledger is tried that can also be left to the next receive.
const LEDGER_TRIES: u32 = 3;

/// How long before the end of the invocation an answer in hand is no longer tried on the ledger but
/// put into the queue, in milliseconds.
const QUEUE_INSTEAD_MS: i64 = 8_000;

/// What is kept for the last acts of the invocation, in milliseconds.
const LAST_ACTS_MS: i64 = 3_000;

/// Between two tries to keep an answer, in milliseconds.
const PAUSE_MS: u64 = 250;

/// The handler, with all that it needs.
#[derive(Debug)]
pub struct OutboundSender<L, Q, A, S> {
    /// What is known of every message.
    pub ledger: L,
    /// The queue that the records come from.
    pub outbox: Q,
    /// Where it puts what cannot be processed.
    pub parked: ParkingLot<Q>,
    /// Who sends.
    pub africas_talking: A,
    /// Time, chance and a log.
    pub surroundings: S,
    /// The rules of sending.
    pub rules: SendingRules,
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
}

/// What the ledger says to a copy of a message.
enum Claim {
    /// It is ours to send; `probing`, to see whether the account's trouble is over.
    Ours {
        row: MessageRow,
        probing: bool,
    },
    /// The row came nearer to its end: look again.
    Changed(MessageRow),
    Wait(i64),
    Done,
}

impl<L: LedgerStore, Q: Queue, A: AfricasTalking, S: Surroundings> OutboundSender<L, Q, A, S> {
    /// Works off a batch side by side; it must be over at `deadline_ms` (milliseconds since 1970).
    /// Returns the message ids of what goes back into the queue.
    pub async fn handle(&self, records: &[Record], deadline_ms: i64) -> Vec<String> {
        let fates = join_all(records.iter().map(|record| self.take(record, deadline_ms))).await;
        let now_ms = self.surroundings.now_ms();
        let undone: Vec<(&Record, i64)> = records
            .iter()
            .zip(&fates)
            .filter_map(|(record, fate)| match fate {
                Fate::Done => None,
                Fate::Wait(until_ms) => Some((record, until_ms.saturating_sub(now_ms))),
            })
            .collect();
        give_back(&self.outbox, &undone, &self.surroundings).await
    }

    async fn take(&self, record: &Record, deadline_ms: i64) -> Fate {
        let fate = match decode(&record.body) {
            Ok(OutboxMessage::Send(sms)) => self.send(&sms, deadline_ms).await,
            Ok(OutboxMessage::Accepted(accepted)) => {
                self.record_acceptance(&accepted).await.map(|()| Fate::Done)
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
            self.surroundings.record(Entry::LedgerTrouble {
                error: Shown::new(&error),
            });
            self.wait_a_little()
        })
    }

    async fn send(&self, sms: &OutgoingSms, deadline_ms: i64) -> Result<Fate, LedgerError> {
        let needed_ms = self.call_timeout_ms.saturating_add(QUEUE_INSTEAD_MS);
        if self.surroundings.now_ms().saturating_add(needed_ms) > deadline_ms {
            return Ok(self.wait_a_little());
        }
        let to = match recipient(sms) {
            Ok(to) => to,
            Err(reason) => return self.fail_unsendable(sms, &reason).await,
        };
        let token = ClaimToken(format!("{:016x}", self.surroundings.up_to(u64::MAX)));
        match self.claim(sms, &token).await? {
            Claim::Ours { row, probing } => {
                let outcome = self.call(sms, &to).await;
                if probing && matches!(outcome, Outcome::Accepted(_) | Outcome::Refused(_)) {
                    self.resume().await;
                }
                self.settle(sms, &row, &token, outcome, deadline_ms).await
            }
            Claim::Wait(until_ms) => Ok(Fate::Wait(until_ms)),
            Claim::Changed(_) | Claim::Done => Ok(Fate::Done),
        }
    }

    /// Claims the message, or finds out that there is nothing to claim. Tried again when the ledger
    /// does not answer: a claim that took effect all the same is recognised by its token.
    async fn claim(&self, sms: &OutgoingSms, token: &ClaimToken) -> Result<Claim, LedgerError> {
        let mut errors = 0;
        loop {
            match self.try_to_claim(sms, token).await {
                Ok(Claim::Changed(row)) => {
                    if let (Sending::Failed, Some(reason)) = (&row.sending, &row.failure_reason) {
                        self.note_failure(sms, row.attempts, reason);
                    }
                }
                Ok(claim) => return Ok(claim),
                Err(error) => {
                    errors += 1;
                    if errors >= LEDGER_TRIES {
                        return Err(error);
                    }
                }
            }
        }
    }

    async fn try_to_claim(
        &self,
        sms: &OutgoingSms,
        token: &ClaimToken,
    ) -> Result<Claim, LedgerError> {
        let now_ms = self.surroundings.now_ms();
        let keys = [Key::Message(sms.id.clone()), Key::Account];
        ledger::change(&self.ledger, &keys, |rows| {
            let mut row = rows
                .message(&sms.id)
                .cloned()
                .unwrap_or_else(|| MessageRow::new(sms.id.clone(), sms.first_offered_ms));
            row.segments = segments(&sms.content).count;
            match row.next_step(token, &self.rules, now_ms) {
                NextStep::Call(row) => match rows.account().permission(now_ms) {
                    Permission::Free => (
                        vec![Row::Message(row.clone())],
                        Claim::Ours {
                            row,
                            probing: false,
                        },
                    ),
                    // The probe and the message are claimed together: one message at a time tries,
                    // in the whole stack.
                    Permission::Probe(account) => (
                        vec![Row::Message(row.clone()), Row::Account(account)],
                        Claim::Ours { row, probing: true },
                    ),
                    Permission::HeldUntil(until_ms) => (Vec::new(), Claim::Wait(until_ms)),
                },
                NextStep::CallNow(row) => {
                    let probing = rows.account().hold.is_some();
                    (Vec::new(), Claim::Ours { row, probing })
                }
                NextStep::Write(row) => (vec![Row::Message(row.clone())], Claim::Changed(row)),
                NextStep::WaitUntil(until_ms) => (Vec::new(), Claim::Wait(until_ms)),
                NextStep::Done => (Vec::new(), Claim::Done),
            }
        })
        .await
    }

    async fn call(&self, sms: &OutgoingSms, to: &PhoneNumber) -> Outcome {
        let response = self
            .africas_talking
            .send(Sms {
                to,
                text: &sms.content,
                from: self.sender_ids.for_number(to),
            })
            .await;
        let not_sent = |reason| Outcome::NotSent {
            reason: FailureReason::new(reason),
            at_least_ms: 0,
        };
        match response {
            Ok(Response::Answer { status, body }) => Outcome::of_answer(status, &body),
            Ok(Response::NotConnected) => not_sent("no connection"),
            Ok(Response::NoAnswer) => Outcome::Unknown(FailureReason::new("no answer")),
            Err(error) => {
                self.surroundings.record(Entry::CredentialsTrouble {
                    error: Shown::new(&error),
                });
                match error {
                    CredentialsError::Unusable(_) => {
                        Outcome::AccountTrouble(AccountTrouble::CredentialsRefused)
                    }
                    CredentialsError::OutOfReach(_) => not_sent("no credentials"),
                }
            }
        }
    }

    async fn settle(
        &self,
        sms: &OutgoingSms,
        row: &MessageRow,
        token: &ClaimToken,
        outcome: Outcome,
        deadline_ms: i64,
    ) -> Result<Fate, LedgerError> {
        let now_ms = self.surroundings.now_ms();
        match outcome {
            Outcome::Accepted(acceptance) => {
                self.note_acceptance(row, &acceptance);
                let accepted = AcceptedSms {
                    id: sms.id.clone(),
                    first_offered_ms: row.first_offered_ms,
                    segments: row.segments,
                    acceptance,
                };
                Ok(self.keep_acceptance(&accepted, deadline_ms).await)
            }
            Outcome::Refused(reason) => {
                self.note_failure(sms, row.attempts, &reason);
                self.change(sms, |row| row.after_final_refusal(token, reason.clone()))
                    .await?;
                Ok(Fate::Done)
            }
            Outcome::AccountTrouble(trouble) => {
                let until_ms = self.hold(trouble).await?;
                self.change(sms, |row| row.after_account_trouble(token, until_ms))
                    .await?;
                Ok(Fate::Wait(until_ms))
            }
            Outcome::NotSent {
                reason,
                at_least_ms,
            } => {
                let tries = row.not_sent.saturating_add(1);
                let until_ms =
                    now_ms.saturating_add(wait_ms(tries, at_least_ms, &self.surroundings));
                self.surroundings.record(Entry::SendPostponed {
                    message: Shown::new(&sms.id),
                    attempt: row.attempts,
                    reason: reason.clone(),
                });
                self.change(sms, |row| {
                    row.after_not_sent(token, reason.clone(), until_ms)
                })
                .await?;
                Ok(Fate::Wait(until_ms))
            }
            Outcome::Unknown(reason) => {
                self.surroundings.record(Entry::SendOutcomeUnknown {
                    message: Shown::new(&sms.id),
                    attempt: row.attempts,
                    reason,
                });
                self.change(sms, |row| row.after_unknown_outcome(token, now_ms))
                    .await?;
                Ok(Fate::Wait(
                    now_ms.saturating_add(self.rules.resend_after_ms),
                ))
            }
        }
    }

    /// An answer in hand is never dropped: it is tried on the ledger until the invocation nears its
    /// end, and then put into the queue.
    async fn keep_acceptance(&self, accepted: &AcceptedSms, deadline_ms: i64) -> Fate {
        let time_left_ms = || deadline_ms.saturating_sub(self.surroundings.now_ms());
        loop {
            match self.record_acceptance(accepted).await {
                Ok(()) => return Fate::Done,
                Err(error) => self.surroundings.record(Entry::LedgerTrouble {
                    error: Shown::new(&error),
                }),
            }
            if time_left_ms() <= QUEUE_INSTEAD_MS {
                break;
            }
            self.surroundings.pause(PAUSE_MS).await;
        }
        while time_left_ms() > LAST_ACTS_MS {
            let message = NewMessage {
                body: encode(&OutboxMessage::Accepted(accepted.clone())),
                fifo: None,
            };
            let sent = self.outbox.send(vec![message]).await;
            note_trouble(&sent, &self.surroundings);
            if sent.iter().all(Result::is_ok) {
                self.surroundings.record(Entry::AcceptanceQueued {
                    message: Shown::new(&accepted.id),
                });
                return Fate::Done;
            }
            self.surroundings.pause(PAUSE_MS).await;
        }
        self.wait_a_little()
    }

    /// Writes the message's row and the row that leads from Africa's Talking's id to it in one
    /// transaction, with all that was reported of that id before.
    async fn record_acceptance(&self, accepted: &AcceptedSms) -> Result<(), LedgerError> {
        let message_key = Key::Message(accepted.id.clone());
        let at_id = accepted.acceptance.at_id.as_ref();
        let keys: Vec<Key> = std::iter::once(message_key)
            .chain(at_id.map(|at_id| Key::Sms(at_id.clone())))
            .collect();
        ledger::change(&self.ledger, &keys, |rows| {
            let mut message = rows
                .message(&accepted.id)
                .cloned()
                .unwrap_or_else(|| MessageRow::new(accepted.id.clone(), accepted.first_offered_ms));
            message.segments = accepted.segments;
            let message = message.after_acceptance(&accepted.acceptance);
            let Some(at_id) = at_id else {
                return (vec![Row::Message(message)], ());
            };
            let sms = rows
                .sms(at_id)
                .cloned()
                .unwrap_or_else(|| SmsRow::new(at_id.clone()))
                .belonging_to(&accepted.id);
            let message = raised_by_reports(message, &sms);
            (vec![Row::Message(message), Row::Sms(sms)], ())
        })
        .await
    }

    /// Holds sending for the whole account; when the next probe is due.
    async fn hold(&self, trouble: AccountTrouble) -> Result<i64, LedgerError> {
        let now_ms = self.surroundings.now_ms();
        let (first, until_ms) = ledger::change(&self.ledger, &[Key::Account], |rows| {
            let before = rows.account();
            let row = before.refused(trouble, now_ms);
            let until_ms = row.hold.as_ref().map_or(now_ms, |hold| hold.next_probe_ms);
            (vec![Row::Account(row)], (before.hold.is_none(), until_ms))
        })
        .await?;
        if first {
            self.surroundings.record(Entry::SendingHeld { trouble });
        }
        Ok(until_ms)
    }

    /// The account's trouble is over. When this cannot be written, the next probe will do it.
    async fn resume(&self) {
        let resumed = ledger::change(&self.ledger, &[Key::Account], |rows| {
            let held = rows.account().hold.is_some();
            (vec![Row::Account(AccountRow::default())], held)
        })
        .await;
        match resumed {
            Ok(true) => self.surroundings.record(Entry::SendingResumed),
            Ok(false) => {}
            Err(error) => self.surroundings.record(Entry::LedgerTrouble {
                error: Shown::new(&error),
            }),
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

    async fn change(
        &self,
        sms: &OutgoingSms,
        step: impl Fn(MessageRow) -> MessageRow,
    ) -> Result<(), LedgerError> {
        let mut errors = 0;
        loop {
            let changed = ledger::change(&self.ledger, &[Key::Message(sms.id.clone())], |rows| {
                let row = rows
                    .message(&sms.id)
                    .cloned()
                    .unwrap_or_else(|| MessageRow::new(sms.id.clone(), sms.first_offered_ms));
                (vec![Row::Message(step(row))], ())
            })
            .await;
            errors += 1;
            if changed.is_ok() || errors >= LEDGER_TRIES {
                return changed;
            }
        }
    }

    fn wait_a_little(&self) -> Fate {
        Fate::Wait(self.surroundings.now_ms())
    }

    fn note_acceptance(&self, row: &MessageRow, acceptance: &Acceptance) {
        self.surroundings.record(Entry::SendAccepted {
            message: Shown::new(&row.id),
            at_id: acceptance.at_id.as_ref().map(|id| Shown::new(id)),
            attempt: row.attempts,
            status: acceptance.status,
            cost: acceptance.cost.as_ref().map(|cost| Shown::new(cost)),
            segments: row.segments,
        });
    }

    fn note_failure(&self, sms: &OutgoingSms, attempt: u32, reason: &FailureReason) {
        self.surroundings.record(Entry::SendFailed {
            message: Shown::new(&sms.id),
            attempt,
            reason: reason.clone(),
        });
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
