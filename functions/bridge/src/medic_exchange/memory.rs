//! What one invocation tells the next one of the lane.

use super::{MedicExchange, Round, Stop, Witness};
use crate::domain::lane::{LaneRow, Suspect};
use crate::journal::{Entry, Shown};
use crate::ledger;
use crate::ports::{Key, LedgerError, LedgerStore, Medic, Queue, Row, Surroundings};

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
        let suspect = match (
            self.in_hand.messages.as_slice(),
            self.in_hand.updates.as_slice(),
        ) {
            ([sms], []) => Suspect::Message(sms.id.clone()),
            ([], [update]) => Suspect::Status(update.id.clone()),
            _ => return,
        };
        let witnessed = matches!(self.witness, Witness::Fresh(_));
        self.memory.note_doubt(&suspect, witnessed, now_ms);
    }
}

impl<L: LedgerStore, Q: Queue, M: Medic, S: Surroundings> MedicExchange<L, Q, M, S> {
    /// What earlier invocations have learned. Without the ledger, nothing: the lane works all the
    /// same.
    pub(super) async fn recall(&self) -> Option<LaneRow> {
        match ledger::read(&self.ledger, &[Key::Lane]).await {
            Ok(rows) => Some(rows.lane()),
            Err(error) => {
                self.note_ledger_trouble(&error);
                None
            }
        }
    }

    /// Writes down what was learned, unless what was known before could not be read. There is one
    /// exchange at a time: nobody else writes this row.
    pub(super) async fn remember(&self, before: Option<LaneRow>, now: LaneRow) {
        if before.is_none_or(|before| before == now) {
            return;
        }
        let written = ledger::change(&self.ledger, &self.surroundings, &[Key::Lane], |_| {
            (vec![Row::Lane(now.clone())], ())
        })
        .await;
        if let Err(error) = written {
            self.note_ledger_trouble(&error);
        }
    }

    fn note_ledger_trouble(&self, error: &LedgerError) {
        self.surroundings.record(Entry::LedgerTrouble {
            error: Shown::new(error),
        });
    }
}
