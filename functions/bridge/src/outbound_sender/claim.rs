//! Claiming a message: who may call Africa's Talking for it, and whether anybody may.

use std::ops::ControlFlow;

use super::OutboundSender;
use crate::domain::account::{AccountRow, Permission};
use crate::domain::fuse::{RecipientRow, Verdict};
use crate::domain::message::{ClaimToken, FailureReason, MessageRow, NextStep, Sending};
use crate::domain::phone_number::PhoneNumber;
use crate::domain::segments::segments;
use crate::evidence;
use crate::journal::{Entry, Shown};
use crate::ledger::{self, Rows};
use crate::ports::{
    AfricasTalking, Key, KeyedHash, LedgerError, LedgerStore, Queue, Row, Surroundings,
};
use crate::queue_messages::OutgoingSms;
use crate::retry::{LEDGER_ERRORS, retry};

/// So much of a text's hash is enough to tell the texts of one recipient apart.
const TEXT_HASH_DIGITS: usize = 16;

/// What of a message is kept: what can be compared, and not what it was.
pub(super) struct Hashes {
    number: String,
    text: String,
    /// As whom it is sent.
    sender_id: Option<String>,
}

/// What a copy of a message may do.
pub(super) enum Claim {
    /// Send it.
    Ours {
        /// The row as it is written.
        row: Box<MessageRow>,
        /// The account's, as it is known with that: if sending is held, this is the one message that
        /// tries whether the trouble is over.
        account: AccountRow,
    },
    /// Come again, not before this time.
    Wait(i64),
    /// Nothing: it is settled.
    Done,
}

/// What one look at the ledger says.
enum Look {
    Claim(Claim),
    /// The row came nearer to its end: look again.
    Changed(MessageRow),
    /// The fuse has stopped it.
    Fused {
        row: MessageRow,
        reason: &'static str,
        alarm: bool,
    },
    /// Its outcome is unknown, and nobody has looked for evidence yet.
    Unknown,
}

impl<L, Q, A, H, S> OutboundSender<L, Q, A, H, S>
where
    L: LedgerStore,
    Q: Queue,
    A: AfricasTalking,
    H: KeyedHash,
    S: Surroundings,
{
    /// The keyed hashes of the number and the text. Without them nothing can be counted or matched,
    /// and nothing is sent.
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
                self.surroundings.record(Entry::CredentialsTrouble {
                    error: Shown::new(&error),
                });
                None
            }
        }
    }

    /// Claims the message, or finds out that there is nothing to claim. Tried again when the ledger
    /// does not answer: a claim that took effect all the same is recognised by its token.
    pub(super) async fn claim(
        &self,
        sms: &OutgoingSms,
        hashes: &Hashes,
        token: &ClaimToken,
    ) -> Result<Claim, LedgerError> {
        let mut looked = false;
        loop {
            let look = retry(LEDGER_ERRORS, &self.surroundings, async || {
                match self.try_to_claim(sms, hashes, token, looked).await {
                    Ok(look) => ControlFlow::Break(Ok(look)),
                    Err(error) => ControlFlow::Continue(error),
                }
            });
            match look.await? {
                Look::Changed(row) => {
                    if let (Sending::Failed, Some(reason)) = (&row.sending, &row.failure_reason) {
                        self.note_failure(sms, row.attempts, reason);
                    }
                }
                Look::Fused { row, reason, alarm } => {
                    self.note_failure(sms, row.attempts, &FailureReason::new(reason));
                    if alarm {
                        self.surroundings.record(Entry::FuseBlown {
                            message: Shown::new(&sms.id),
                            reason,
                        });
                    }
                    return Ok(Claim::Done);
                }
                Look::Unknown => {
                    if let Some(until_ms) = self.evidence_pending(sms, hashes).await? {
                        return Ok(Claim::Wait(until_ms));
                    }
                    looked = true;
                }
                Look::Claim(claim) => return Ok(claim),
            }
        }
    }

    /// Adopts what evidence there is. Until when to wait for more: a report is there, and an answer
    /// to the send could still claim it.
    async fn evidence_pending(
        &self,
        sms: &OutgoingSms,
        hashes: &Hashes,
    ) -> Result<Option<i64>, LedgerError> {
        evidence::settle(
            &self.ledger,
            &hashes.number,
            &Key::Message(sms.id.clone()),
            self.rules.call_over_after_ms,
            &self.surroundings,
        )
        .await
    }

    async fn try_to_claim(
        &self,
        sms: &OutgoingSms,
        hashes: &Hashes,
        token: &ClaimToken,
        looked: bool,
    ) -> Result<Look, LedgerError> {
        let now_ms = self.surroundings.now_ms();
        let recipient_key = Key::Recipient(hashes.number.clone());
        let keys = [Key::Message(sms.id.clone()), Key::Account, recipient_key];
        ledger::change(&self.ledger, &self.surroundings, &keys, |rows| {
            let mut row = rows
                .message(&sms.id)
                .cloned()
                .unwrap_or_else(|| MessageRow::new(sms.id.clone(), sms.first_offered_ms));
            row.segments = segments(&sms.content).count;
            row.number_hash = Some(hashes.number.clone());
            row.sender_id.clone_from(&hashes.sender_id);
            let unclaimed = row.clone();
            match row.next_step(token, &self.rules, now_ms, looked) {
                NextStep::Call(row) => self.permit(rows, unclaimed, row, hashes, now_ms),
                NextStep::CallNow(row) => {
                    let account = rows.account();
                    let row = Box::new(row);
                    (Vec::new(), Look::Claim(Claim::Ours { row, account }))
                }
                NextStep::Write(row) => (vec![Row::Message(row.clone())], Look::Changed(row)),
                NextStep::LookForEvidence => (Vec::new(), Look::Unknown),
                NextStep::WaitUntil(until_ms) => (Vec::new(), Look::Claim(Claim::Wait(until_ms))),
                NextStep::Done => (Vec::new(), Look::Claim(Claim::Done)),
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
    ) -> (Vec<Row>, Look) {
        let mut writes = vec![Row::Message(claimed.clone())];
        let in_doubt = unclaimed.unknown_outcomes > 0;
        let account = match rows.account().permission(now_ms, in_doubt) {
            Permission::Free => rows.account(),
            Permission::Probe(account) => {
                writes.push(Row::Account(account.clone()));
                account
            }
            Permission::HeldUntil(until_ms) => {
                return (Vec::new(), Look::Claim(Claim::Wait(until_ms)));
            }
        };
        if unclaimed.sending == Sending::Queued {
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
                        Look::Fused {
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
            Look::Claim(Claim::Ours {
                row: Box::new(claimed),
                account,
            }),
        )
    }
}
