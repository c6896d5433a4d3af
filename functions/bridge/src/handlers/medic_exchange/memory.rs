//! What one invocation tells the next one of the exchange.

use super::{Control, MedicExchange, Round, Stop};
use crate::domain::exchange::{Candidate, ExchangeRow};
use crate::ledger;
use crate::log::{LogEvent, Redacted};
use crate::ports::{Key, LedgerError, LedgerStore, Medic, Queue, Row, Runtime};

impl Round {
    /// Notes what the last POST brought, if that can be why it ended so.
    pub(super) fn note(&mut self, stop: &Stop, now_ms: i64) {
        if self.in_hand.is_empty() {
            return;
        }
        if self.memory.apart && matches!(stop, Stop::FailsOnEverything) {
            // Who failed lets the others have their turn.
            self.memory.statuses_first = self.in_hand.updates.is_empty();
        }
        if !stop.may_be_the_payloads_fault() {
            return;
        }
        self.memory.apart = true;
        self.memory.statuses_first = self.in_hand.updates.is_empty();
        if self.in_hand.messages.is_empty() {
            self.memory.status_failures = self.memory.status_failures.saturating_add(1);
        }
        let candidate = match (
            self.in_hand.messages.as_slice(),
            self.in_hand.updates.as_slice(),
        ) {
            ([sms], []) => Candidate::Message(sms.id.clone()),
            ([], [update]) => Candidate::Status(update.id.clone()),
            _ => return,
        };
        let controlled = matches!(self.control, Control::Fresh(_));
        self.memory.note_in_doubt(&candidate, controlled, now_ms);
    }
}

impl<L: LedgerStore, Q: Queue, M: Medic, S: Runtime> MedicExchange<L, Q, M, S> {
    /// What earlier invocations have learned. Without the ledger, nothing: the exchange works all the
    /// same.
    pub(super) async fn recall(&self) -> Option<ExchangeRow> {
        match ledger::read(&self.ledger, &[Key::Exchange]).await {
            Ok(rows) => Some(rows.exchange()),
            Err(error) => {
                self.log_ledger_error(&error);
                None
            }
        }
    }

    /// Writes down what was learned, unless what was known before could not be read. There is one
    /// exchange at a time: nobody else writes this row.
    pub(super) async fn remember(&self, before: Option<ExchangeRow>, now: ExchangeRow) {
        if before.is_none_or(|before| before == now) {
            return;
        }
        let written = ledger::change(&self.ledger, &self.runtime, &[Key::Exchange], |_| {
            (vec![Row::Exchange(now.clone())], ())
        })
        .await;
        if let Err(error) = written {
            self.log_ledger_error(&error);
        }
    }

    fn log_ledger_error(&self, error: &LedgerError) {
        self.runtime.record(LogEvent::LedgerFailed {
            error: Redacted::new(error),
        });
    }
}
