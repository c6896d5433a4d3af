//! `outbound-sender`: claims a message in the ledger, sends it with Africa's Talking, records what
//! became of it.

use std::rc::Rc;

use futures_util::future::join_all;

use crate::domain::account::{AccountRow, AccountTrouble, Permission};
use crate::domain::answer::Outcome;
use crate::domain::backoff::wait_ms;
use crate::domain::fuse::{FuseLimits, RecipientRow, Verdict};
use crate::domain::ids::MedicMessageId;
use crate::domain::message::{
    Acceptance, ClaimToken, FailureReason, MessageRow, NextStep, Sending, SendingRules,
};
use crate::domain::phone_number::PhoneNumber;
use crate::domain::segments::segments;
use crate::domain::sender_ids::SenderIds;
use crate::domain::sms::SmsRow;
use crate::evidence;
use crate::journal::{Entry, Shown};
use crate::ledger::{self, Rows};
use crate::parking::{ParkingLot, give_back, note_trouble, park_or_give_back};
use crate::ports::{
    AfricasTalking, CredentialsError, Key, KeyedHash, LedgerError, LedgerStore, NewMessage, Queue,
    Record, Response, Row, Sms, Surroundings,
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

/// So much of a text's hash is enough to tell the texts of one recipient apart.
const TEXT_HASH_DIGITS: usize = 16;

/// Between two tries to keep an answer, in milliseconds.
const PAUSE_MS: u64 = 250;

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
    /// The fuse has stopped it.
    Fused {
        row: MessageRow,
        reason: &'static str,
        alarm: bool,
    },
    /// Its outcome is unknown, and nobody has looked for evidence yet.
    Unknown {
        since_ms: i64,
    },
    Wait(i64),
    Done,
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
        let Some(hashes) = self.hashes_of(sms, &to).await else {
            return Ok(self.wait_a_little());
        };
        let token = ClaimToken(format!("{:016x}", self.surroundings.up_to(u64::MAX)));
        match self.claim(sms, &hashes, &token).await? {
            Claim::Ours { row, probing } => {
                let outcome = self.call(sms, &to).await;
                if probing && matches!(outcome, Outcome::Accepted(_) | Outcome::Refused(_)) {
                    self.resume().await;
                }
                self.settle(sms, &row, &token, outcome, deadline_ms).await
            }
            Claim::Wait(until_ms) => Ok(Fate::Wait(until_ms)),
            Claim::Changed(_) | Claim::Fused { .. } | Claim::Unknown { .. } | Claim::Done => {
                Ok(Fate::Done)
            }
        }
    }

    /// The keyed hashes of the number and the text. Without them nothing can be counted or matched,
    /// and nothing is sent.
    async fn hashes_of(&self, sms: &OutgoingSms, to: &PhoneNumber) -> Option<Hashes> {
        let number = self.hashes.hash(to.as_str()).await;
        let text = self.hashes.hash(&sms.content).await;
        match (number, text) {
            (Ok(number), Ok(mut text)) => {
                text.truncate(TEXT_HASH_DIGITS);
                Some(Hashes { number, text })
            }
            (Err(error), _) | (_, Err(error)) => {
                self.surroundings.record(Entry::CredentialsTrouble {
                    error: Shown::new(&error),
                });
                None
            }
        }
    }

    /// Claims the message, or finds out that there is nothing to claim. Tried again when the ledger
    /// does not answer: a claim that took effect all the same is recognised by its token.
    async fn claim(
        &self,
        sms: &OutgoingSms,
        hashes: &Hashes,
        token: &ClaimToken,
    ) -> Result<Claim, LedgerError> {
        let mut errors = 0;
        let mut looked = false;
        loop {
            match self.try_to_claim(sms, hashes, token, looked).await {
                Ok(Claim::Changed(row)) => {
                    if let (Sending::Failed, Some(reason)) = (&row.sending, &row.failure_reason) {
                        self.note_failure(sms, row.attempts, reason);
                    }
                }
                Ok(Claim::Fused { row, reason, alarm }) => {
                    self.note_failure(sms, row.attempts, &FailureReason::new(reason));
                    if alarm {
                        self.surroundings.record(Entry::FuseBlown {
                            message: Shown::new(&sms.id),
                            reason,
                        });
                    }
                    return Ok(Claim::Done);
                }
                Ok(Claim::Unknown { since_ms }) => {
                    if let Some(until_ms) = self.evidence_pending(hashes, since_ms).await? {
                        return Ok(Claim::Wait(until_ms));
                    }
                    looked = true;
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

    /// Adopts what evidence there is. Until when to wait for more: for a report that came while this
    /// one waited, and could still be claimed by an answer.
    async fn evidence_pending(
        &self,
        hashes: &Hashes,
        since_ms: i64,
    ) -> Result<Option<i64>, LedgerError> {
        let over_ms = self.rules.call_over_after_ms;
        let pending =
            evidence::settle(&self.ledger, &hashes.number, over_ms, &self.surroundings).await?;
        let waited_until_ms = since_ms.saturating_add(self.rules.resend_after_ms);
        Ok(pending
            .filter(|evidence| evidence.reported_at_ms <= waited_until_ms)
            .map(|evidence| evidence.until_ms))
    }

    async fn try_to_claim(
        &self,
        sms: &OutgoingSms,
        hashes: &Hashes,
        token: &ClaimToken,
        looked: bool,
    ) -> Result<Claim, LedgerError> {
        let now_ms = self.surroundings.now_ms();
        let recipient_key = Key::Recipient(hashes.number.clone());
        let keys = [Key::Message(sms.id.clone()), Key::Account, recipient_key];
        ledger::change(&self.ledger, &keys, |rows| {
            let mut row = rows
                .message(&sms.id)
                .cloned()
                .unwrap_or_else(|| MessageRow::new(sms.id.clone(), sms.first_offered_ms));
            row.segments = segments(&sms.content).count;
            row.number_hash = Some(hashes.number.clone());
            let unclaimed = row.clone();
            match row.next_step(token, &self.rules, now_ms, looked) {
                NextStep::Call(row) => self.permit(rows, unclaimed, row, hashes, now_ms),
                NextStep::CallNow(row) => {
                    let probing = rows.account().hold.is_some();
                    (Vec::new(), Claim::Ours { row, probing })
                }
                NextStep::Write(row) => (vec![Row::Message(row.clone())], Claim::Changed(row)),
                NextStep::LookForEvidence => {
                    let since_ms = match unclaimed.sending {
                        Sending::Unknown { since_ms } => since_ms,
                        _ => now_ms,
                    };
                    (Vec::new(), Claim::Unknown { since_ms })
                }
                NextStep::WaitUntil(until_ms) => (Vec::new(), Claim::Wait(until_ms)),
                NextStep::Done => (Vec::new(), Claim::Done),
            }
        })
        .await
    }

    /// Whether the account and the fuse let a claim through. What says so is written with the claim
    /// in one transaction: one message at a time probes a held account, in the whole stack, and each
    /// message is counted once.
    fn permit(
        &self,
        rows: &Rows,
        unclaimed: MessageRow,
        claimed: MessageRow,
        hashes: &Hashes,
        now_ms: i64,
    ) -> (Vec<Row>, Claim) {
        let mut writes = vec![Row::Message(claimed.clone())];
        let probing = match rows.account().permission(now_ms) {
            Permission::Free => false,
            Permission::Probe(account) => {
                writes.push(Row::Account(account));
                true
            }
            Permission::HeldUntil(until_ms) => return (Vec::new(), Claim::Wait(until_ms)),
        };
        if claimed.attempts == 1 {
            let recipient = rows
                .recipient(&hashes.number)
                .cloned()
                .unwrap_or_else(|| RecipientRow::new(hashes.number.clone()));
            match recipient.count(&hashes.text, &self.fuse, now_ms) {
                Verdict::Passes(recipient) => writes.push(Row::Recipient(recipient)),
                Verdict::Blows { row, reason, alarm } => {
                    let stopped = unclaimed.unsendable(FailureReason::new(reason));
                    return (
                        vec![Row::Message(stopped.clone()), Row::Recipient(row)],
                        Claim::Fused {
                            row: stopped,
                            reason,
                            alarm,
                        },
                    );
                }
            }
        }
        (
            writes,
            Claim::Ours {
                row: claimed,
                probing,
            },
        )
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
                    called_at_ms: row.called_at_ms().unwrap_or(now_ms),
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
    /// transaction, with all that was reported of that id before. An id that another message had
    /// adopted on evidence is taken back from it: an answer outweighs evidence.
    async fn record_acceptance(&self, accepted: &AcceptedSms) -> Result<(), LedgerError> {
        let mut rival = None;
        while let Some(adopter) = self.try_to_record(accepted, rival.as_ref()).await? {
            rival = Some(adopter);
        }
        if let (Some(rival), Some(at_id)) = (&rival, &accepted.acceptance.at_id) {
            self.surroundings.record(Entry::IdTakenBack {
                message: Shown::new(rival),
                at_id: Shown::new(at_id),
            });
        }
        Ok(())
    }

    /// Writes it, unless the id is found adopted by another message than `rival`: that one then.
    async fn try_to_record(
        &self,
        accepted: &AcceptedSms,
        rival: Option<&MedicMessageId>,
    ) -> Result<Option<MedicMessageId>, LedgerError> {
        let at_id = accepted.acceptance.at_id.as_ref();
        let keys: Vec<Key> = [Some(&accepted.id), rival]
            .into_iter()
            .flatten()
            .map(|id| Key::Message(id.clone()))
            .chain(at_id.map(|at_id| Key::Sms(at_id.clone())))
            .collect();
        ledger::change(&self.ledger, &keys, |rows| {
            let mut message = rows
                .message(&accepted.id)
                .cloned()
                .unwrap_or_else(|| MessageRow::new(accepted.id.clone(), accepted.first_offered_ms));
            message.segments = accepted.segments;
            let message = message.after_acceptance(&accepted.acceptance, accepted.called_at_ms);
            let Some(at_id) = at_id else {
                return (vec![Row::Message(message)], None);
            };
            let mut sms = rows
                .sms(at_id)
                .cloned()
                .unwrap_or_else(|| SmsRow::new(at_id.clone()));
            let mut writes = Vec::new();
            if let Some(owner) = sms.message.take_if(|owner| *owner != accepted.id) {
                if rival != Some(&owner) {
                    return (Vec::new(), Some(owner));
                }
                let loser = rows.message(&owner).cloned();
                writes.extend(loser.map(|row| Row::Message(row.after_losing(at_id))));
            }
            let sms = sms.belonging_to(&accepted.id);
            writes.push(Row::Message(raised_by_reports(message, &sms)));
            writes.push(Row::Sms(sms));
            (writes, None)
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

/// What of a message can be compared without being kept.
struct Hashes {
    number: String,
    text: String,
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
