//! Opens and closes the circuit breaker of the account.

use std::cell::Cell;

use super::{OutboundSender, QUEUE_INSTEAD};
use crate::domain::circuit_breaker::{AccountFailure, AccountRow, OpenCircuit};
use crate::domain::time::Timestamp;
use crate::ledger;
use crate::log::LogEvent;
use crate::ports::{AfricasTalking, Key, KeyedHash, LedgerError, LedgerStore, Queue, Row, Runtime};
use crate::wire::africastalking::send_response::Outcome;

/// What a send request shows of Africa's Talking and the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// It accepts messages, or refuses this one for a reason of its own.
    Works,
    /// It answers.
    Answers,
    /// It does not answer, or with a server error.
    NoAnswer,
    /// Nothing, because there was no connection or no request.
    Nothing,
}

/// Counts how the concurrent send requests of a batch ended.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Requests with a readable response.
    pub(super) answered: Cell<u32>,
    /// Requests without one.
    pub(super) unanswered: Cell<u32>,
}

impl Calls {
    /// Counts the end of a request. `answered_before` is the number of responses when it began. A
    /// response to another request since then outweighs that this one has none.
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
    /// What an outcome shows of the account.
    pub(super) fn of_answer(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Accepted(_) | Outcome::Refused(_) => Self::Works,
            Outcome::AccountFailure(_) | Outcome::NotSent { .. } => Self::Answers,
            Outcome::Unknown(_) => Self::NoAnswer,
        }
    }

    /// Whether the response was readable.
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
    /// Opens the circuit for the whole account. Returns when the next probe is due.
    pub(super) async fn open_circuit(
        &self,
        cause: AccountFailure,
    ) -> Result<Timestamp, LedgerError> {
        let now = self.runtime.now();
        let open_circuit = self.change_account(|row| row.refused(cause, now)).await?;
        Ok(open_circuit.map_or(now, |open_circuit| open_circuit.next_probe))
    }

    /// Records what a request shows of the account. `account` is its row at the time of the claim.
    /// The row is written only if it changes, or if other requests of the batch had no response
    /// since. If the write fails, later requests will show the same.
    pub(super) async fn record_signal(
        &self,
        signal: Signal,
        account: &AccountRow,
        calls: &Calls,
        deadline: Timestamp,
    ) {
        let now = self.runtime.now();
        if deadline.since(now) <= QUEUE_INSTEAD {
            return;
        }
        let probing = account.open_circuit.is_some();
        let step = |row: &AccountRow| match signal {
            Signal::Works if probing => row.recovered(),
            Signal::Works | Signal::Answers => row.answered(),
            Signal::NoAnswer => row.unanswered(now),
            Signal::Nothing => row.clone(),
        };
        let counted = signal.is_answer() && calls.unanswered.get() > 0;
        // A probe goes on in any case, so that a failed one is logged although the row stays as it
        // is.
        if !probing && !counted && step(account) == *account {
            return;
        }
        self.retry_until_deadline(deadline, async || self.change_account(step).await)
            .await
            .ok();
    }

    /// Changes the account's row and logs whether the circuit opens or closes. Returns the open
    /// circuit, if it is open then.
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
