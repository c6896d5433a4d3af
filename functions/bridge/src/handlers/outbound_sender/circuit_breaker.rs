//! Opens and closes the circuit breakers by what send requests show.

use std::cell::Cell;

use super::handler::{OutboundSender, QUEUE_INSTEAD};
use crate::domain::backoff::Wait;
use crate::domain::circuit_breaker::{AccountRow, Call, Cause, OpenCircuit, Signal, UserAnswer};
use crate::domain::time::Timestamp;
use crate::ledger;
use crate::log::{LogEvent, Redacted};
use crate::ports::{
    AfricasTalking, AfricasTalkingAccount, Key, KeyedHash, LedgerError, LedgerStore, Queue,
    Response, Row, Runtime,
};
use crate::wire::africastalking::balance;

/// Counts how the concurrent send requests of a batch ended.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Requests with a readable response.
    pub(super) answered: Cell<u32>,
    /// Requests without one.
    unanswered: Cell<u32>,
}

impl Calls {
    /// Counts the end of a request. `answered_before` is the number of responses when it began. A
    /// response to another request since then outweighs that this one has none: it shows nothing.
    pub(super) fn note(&self, signal: Signal, answered_before: u32) -> Option<Signal> {
        let count = match signal {
            Signal::Unanswered { .. } if self.answered.get() > answered_before => return None,
            Signal::Unanswered { .. } => &self.unanswered,
            _ => &self.answered,
        };
        count.set(count.get().saturating_add(1));
        Some(signal)
    }
}

impl<L, Q, A, H, S> OutboundSender<L, Q, A, H, S>
where
    L: LedgerStore,
    Q: Queue,
    A: AfricasTalking + AfricasTalkingAccount,
    H: KeyedHash,
    S: Runtime,
{
    /// Asks Africa's Talking for the account, with credentials that are read again first.
    pub(super) async fn ask_user(&self) -> UserAnswer {
        match self.africas_talking.user().await {
            Ok(Response::Answer { status, body }) => UserAnswer {
                status: Some(status),
                balance_micros: balance::read(&body).map(|balance| balance.micros()),
            },
            Ok(Response::NotConnected | Response::NoAnswer) => UserAnswer::default(),
            Err(error) => {
                self.runtime.record(LogEvent::CredentialsUnavailable {
                    error: Redacted::new(&error),
                });
                UserAnswer::default()
            }
        }
    }

    /// Why a send was refused. HTTP 401 is the sender ID's if the account itself is fine.
    pub(super) async fn cause(&self, refusal: Cause) -> Cause {
        match refusal {
            Cause::CredentialsRefused if self.ask_user().await.is_good() => Cause::InvalidSenderId,
            _ => refusal,
        }
    }

    /// Records what a request shows. Returns how its message waits now, if it has to.
    pub(super) async fn record_call(
        &self,
        call: &Call,
        signal: Signal,
        deadline: Timestamp,
    ) -> Result<Option<Wait>, LedgerError> {
        let now = self.runtime.now();
        let row = self
            .retry_until_deadline(deadline, async || {
                self.change_account(call.half_open.is_some(), |row| {
                    row.after_call(call, signal, now)
                })
                .await
            })
            .await?;
        Ok(row.wait(&call.message, call.sender_id.as_deref()))
    }

    /// Records what a request shows, if that can change the row. `account` is the row at the time of
    /// the claim. If the write fails, later requests will show the same.
    pub(super) async fn record_signal(
        &self,
        call: &Call,
        signal: Option<Signal>,
        account: &AccountRow,
        calls: &Calls,
        deadline: Timestamp,
    ) -> Option<Wait> {
        let signal = signal?;
        let shows_nothing_new = match signal {
            Signal::Failed { .. } => true, // Recorded already.
            Signal::Unanswered { .. } => false,
            Signal::Accepted | Signal::Answered => {
                let is_counting = account.unanswered_calls > 0 || calls.unanswered.get() > 0;
                call.half_open.is_none() && !is_counting
            }
        };
        if shows_nothing_new || self.is_near(deadline, QUEUE_INSTEAD) {
            return None;
        }
        self.record_call(call, signal, deadline).await.ok()?
    }

    /// Changes the account's row and logs which circuits open and close, and after the turn of a
    /// pilot which ones stay open. Returns the row.
    pub(super) async fn change_account(
        &self,
        is_turn: bool,
        step: impl Fn(&AccountRow) -> AccountRow,
    ) -> Result<AccountRow, LedgerError> {
        let (before, after) =
            ledger::change(&self.ledger, &self.runtime, &[Key::Account], |rows| {
                let before = rows.account();
                let after = step(&before);
                (vec![Row::Account(after.clone())], (before, after))
            })
            .await?;
        for open in &after.open_circuits {
            match before.open_circuit(&open.of) {
                None => self.runtime.record(LogEvent::CircuitOpened {
                    cause: open.cause,
                    sender_id: sender_id(open),
                }),
                Some(_) if is_turn => self.runtime.record(LogEvent::CircuitStillOpen {
                    cause: open.cause,
                    sender_id: sender_id(open),
                }),
                Some(_) => {}
            }
        }
        let is_closed = |open: &&OpenCircuit| after.open_circuit(&open.of).is_none();
        for open in before.open_circuits.iter().filter(is_closed) {
            self.runtime.record(LogEvent::CircuitClosed {
                cause: open.cause,
                sender_id: sender_id(open),
            });
        }
        Ok(after)
    }
}

fn sender_id(open: &OpenCircuit) -> Option<Redacted> {
    open.of.sender_id().map(|id| Redacted::new(&id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_without_an_answer_shows_nothing_beside_another_that_was_answered_meanwhile() {
        let silent = Signal::Unanswered { in_doubt: true };
        let calls = Calls::default();
        assert_eq!(calls.note(silent, 0), Some(silent));
        assert_eq!(calls.note(Signal::Answered, 0), Some(Signal::Answered));
        assert_eq!(calls.note(silent, 0), None);
        assert_eq!(calls.note(silent, 1), Some(silent));
        assert_eq!((calls.answered.get(), calls.unanswered.get()), (1, 2));
    }
}
