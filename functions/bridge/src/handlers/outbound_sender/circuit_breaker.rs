//! Holding and resuming: trouble that is the whole account's.

use std::cell::Cell;

use super::{OutboundSender, QUEUE_INSTEAD_MS};
use crate::domain::circuit_breaker::{AccountFailure, AccountRow, OpenCircuit};
use crate::ledger;
use crate::log::LogEvent;
use crate::ports::{AfricasTalking, Key, KeyedHash, LedgerError, LedgerStore, Queue, Row, Runtime};
use crate::wire::africastalking::send_response::Outcome;

/// What a call shows of Africa's Talking and the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
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
    pub(super) fn note(&self, signal: Signal, answered_before: u32) -> Signal {
        match signal {
            Signal::Works | Signal::Answers => {
                self.answered.set(self.answered.get().saturating_add(1));
            }
            Signal::NoAnswer if self.answered.get() > answered_before => return Signal::Nothing,
            Signal::NoAnswer => self.unanswered.set(self.unanswered.get().saturating_add(1)),
            Signal::Nothing => {}
        }
        signal
    }
}

impl Signal {
    /// What an answer shows that says this of its message.
    pub(super) fn of_answer(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Accepted(_) | Outcome::Refused(_) => Self::Works,
            Outcome::AccountFailure(_) | Outcome::NotSent { .. } => Self::Answers,
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
    S: Runtime,
{
    /// Holds sending for the whole account; when the next probe is due.
    pub(super) async fn open_circuit(&self, cause: AccountFailure) -> Result<i64, LedgerError> {
        let now_ms = self.runtime.now_ms();
        let open_circuit = self
            .change_account(|row| row.refused(cause, now_ms))
            .await?;
        Ok(open_circuit.map_or(now_ms, |open_circuit| open_circuit.next_probe_ms))
    }

    /// Notes what a call shows of the account, which was like this when its message was claimed: the
    /// row is written only if that is news, or others of the batch have called in vain since. When it
    /// cannot be written, other calls will show it.
    pub(super) async fn record_signal(
        &self,
        signal: Signal,
        account: &AccountRow,
        calls: &Calls,
        deadline_ms: i64,
    ) {
        let now_ms = self.runtime.now_ms();
        if deadline_ms.saturating_sub(now_ms) <= QUEUE_INSTEAD_MS {
            return;
        }
        let probing = account.open_circuit.is_some();
        let step = |row: &AccountRow| match signal {
            Signal::Works if probing => row.recovered(),
            Signal::Works | Signal::Answers => row.answered(),
            Signal::NoAnswer => row.unanswered(now_ms),
            Signal::Nothing => row.clone(),
        };
        let counted = signal.is_answer() && calls.unanswered.get() > 0;
        // That a probe has not ended the hold is said, and nothing written.
        if !probing && !counted && step(account) == *account {
            return;
        }
        self.retry_until_deadline(deadline_ms, async || self.change_account(step).await)
            .await
            .ok();
    }

    /// Changes the account's row, and says what that does to sending. The hold that there is then.
    async fn change_account(
        &self,
        step: impl Fn(&AccountRow) -> AccountRow,
    ) -> Result<Option<OpenCircuit>, LedgerError> {
        let (before, after) =
            ledger::change(&self.ledger, &self.runtime, &[Key::Account], |rows| {
                let before = rows.account();
                let after = step(&before);
                let circuits = (before.open_circuit, after.open_circuit.clone());
                (vec![Row::Account(after)], circuits)
            })
            .await?;
        match (&before, &after) {
            (None, None) => {}
            (None, Some(open_circuit)) => self.runtime.record(LogEvent::CircuitOpened {
                cause: open_circuit.cause,
            }),
            (Some(_), Some(open_circuit)) => self.runtime.record(LogEvent::CircuitStillOpen {
                cause: open_circuit.cause,
            }),
            (Some(_), None) => self.runtime.record(LogEvent::CircuitClosed),
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
        assert_eq!(calls.note(Signal::NoAnswer, 0), Signal::NoAnswer);
        assert_eq!(calls.note(Signal::Answers, 0), Signal::Answers);
        assert_eq!(calls.note(Signal::NoAnswer, 0), Signal::Nothing);
        assert_eq!(calls.note(Signal::NoAnswer, 1), Signal::NoAnswer);
        assert_eq!((calls.answered.get(), calls.unanswered.get()), (1, 2));
    }
}
