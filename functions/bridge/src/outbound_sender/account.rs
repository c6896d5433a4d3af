//! Holding and resuming: trouble that is the whole account's.

use std::cell::Cell;

use super::{OutboundSender, QUEUE_INSTEAD_MS};
use crate::domain::account::{AccountRow, AccountTrouble, Hold};
use crate::domain::answer::Outcome;
use crate::journal::Entry;
use crate::ledger;
use crate::ports::{
    AfricasTalking, Key, KeyedHash, LedgerError, LedgerStore, Queue, Row, Surroundings,
};

/// What a call shows of Africa's Talking and the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// It takes messages, or refuses this one for its own sake.
    Works,
    /// It answers.
    Answers,
    /// It does not answer, or with an error of its own.
    NoAnswer,
    /// Nothing: it was not reached, or not called.
    Nothing,
}

/// The calls of a batch, which go on side by side: how many ended how.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// With an answer that can be read.
    pub(super) answered: Cell<u32>,
    /// Without one.
    pub(super) unanswered: Cell<u32>,
}

impl Calls {
    /// Notes what a call shows that began when so many had been answered. What others show meanwhile
    /// outweighs that it has no answer.
    pub(super) fn note(&self, sign: Sign, answered_before: u32) -> Sign {
        match sign {
            Sign::Works | Sign::Answers => {
                self.answered.set(self.answered.get().saturating_add(1));
            }
            Sign::NoAnswer if self.answered.get() > answered_before => return Sign::Nothing,
            Sign::NoAnswer => self.unanswered.set(self.unanswered.get().saturating_add(1)),
            Sign::Nothing => {}
        }
        sign
    }
}

impl Sign {
    /// What an answer shows that says this of its message.
    pub(super) fn of_answer(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Accepted(_) | Outcome::Refused(_) => Self::Works,
            Outcome::AccountTrouble(_) | Outcome::NotSent { .. } => Self::Answers,
            Outcome::Unknown(_) => Self::NoAnswer,
        }
    }

    /// Whether it is an answer that can be read.
    fn is_answer(self) -> bool {
        matches!(self, Self::Works | Self::Answers)
    }
}

impl<L, Q, A, H, S> OutboundSender<L, Q, A, H, S>
where
    L: LedgerStore,
    Q: Queue,
    A: AfricasTalking,
    H: KeyedHash,
    S: Surroundings,
{
    /// Holds sending for the whole account; when the next probe is due.
    pub(super) async fn hold(&self, trouble: AccountTrouble) -> Result<i64, LedgerError> {
        let now_ms = self.surroundings.now_ms();
        let hold = self
            .change_account(|row| row.refused(trouble, now_ms))
            .await?;
        Ok(hold.map_or(now_ms, |hold| hold.next_probe_ms))
    }

    /// Notes what a call shows of the account, which was like this when its message was claimed: the
    /// row is written only if that is news, or others of the batch have called in vain since. When it
    /// cannot be written, other calls will show it.
    pub(super) async fn heed(
        &self,
        sign: Sign,
        account: &AccountRow,
        calls: &Calls,
        deadline_ms: i64,
    ) {
        let now_ms = self.surroundings.now_ms();
        if deadline_ms.saturating_sub(now_ms) <= QUEUE_INSTEAD_MS {
            return;
        }
        let probing = account.hold.is_some();
        let step = |row: &AccountRow| match sign {
            Sign::Works if probing => row.recovered(),
            Sign::Works | Sign::Answers => row.answered(),
            Sign::NoAnswer => row.unanswered(now_ms),
            Sign::Nothing => row.clone(),
        };
        let counted = sign.is_answer() && calls.unanswered.get() > 0;
        // That a probe has not ended the hold is said, and nothing written.
        if !probing && !counted && step(account) == *account {
            return;
        }
        self.insist(deadline_ms, async || self.change_account(step).await)
            .await
            .ok();
    }

    /// Changes the account's row, and says what that does to sending. The hold that there is then.
    async fn change_account(
        &self,
        step: impl Fn(&AccountRow) -> AccountRow,
    ) -> Result<Option<Hold>, LedgerError> {
        let (before, after) =
            ledger::change(&self.ledger, &self.surroundings, &[Key::Account], |rows| {
                let before = rows.account();
                let after = step(&before);
                let holds = (before.hold, after.hold.clone());
                (vec![Row::Account(after)], holds)
            })
            .await?;
        match (&before, &after) {
            (None, None) => {}
            (None, Some(hold)) => self.surroundings.record(Entry::SendingHeld {
                trouble: hold.trouble,
            }),
            (Some(_), Some(hold)) => self.surroundings.record(Entry::SendingStillHeld {
                trouble: hold.trouble,
            }),
            (Some(_), None) => self.surroundings.record(Entry::SendingResumed),
        }
        Ok(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_without_an_answer_shows_nothing_beside_another_that_was_answered_meanwhile() {
        let calls = Calls::default();
        assert_eq!(calls.note(Sign::NoAnswer, 0), Sign::NoAnswer);
        assert_eq!(calls.note(Sign::Answers, 0), Sign::Answers);
        assert_eq!(calls.note(Sign::NoAnswer, 0), Sign::Nothing);
        assert_eq!(calls.note(Sign::NoAnswer, 1), Sign::NoAnswer);
        assert_eq!((calls.answered.get(), calls.unanswered.get()), (1, 2));
    }
}
