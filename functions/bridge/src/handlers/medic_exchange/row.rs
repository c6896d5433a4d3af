//! What one invocation of the exchange tells the next one.

use super::handler::MedicExchange;
use crate::domain::exchange::ExchangeRow;
use crate::ledger;
use crate::log::LogEvent;
use crate::ports::{Key, LedgerStore, Medic, Queue, Record, Row, Runtime};

impl<L: LedgerStore, Q: Queue, M: Medic, S: Runtime> MedicExchange<L, Q, M, S> {
    /// What earlier invocations have learned. Without the ledger, nothing: the exchange works all the
    /// same.
    pub(super) async fn recall(&self, records: &[&Record]) -> Option<ExchangeRow> {
        if records.is_empty() {
            return None;
        }
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
        let now = now.without_stale(self.runtime.now());
        self.note_quarantined(&now);
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

    /// A quarantined message waits, and for longer than SQS knows: it is a new message of the queue
    /// each time that it moves.
    fn note_quarantined(&self, row: &ExchangeRow) {
        let since = row.quarantined.values().map(|one| one.since).min();
        if let Some(since) = since {
            let age = self.runtime.now().since(since);
            self.runtime.record(LogEvent::InQuarantine {
                messages: row.quarantined.len(),
                oldest_s: age.as_secs(),
            });
        }
    }
}
