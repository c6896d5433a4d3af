//! Finds a message that kills the function each time that it is brought to Medic.
//!
//! A message is marked in the ledger before a POST that brings it alone, when an earlier invocation had
//! it in hand. It is marked only after Medic answered an empty POST, so that an outage costs no writes, and
//! an answer of Medic that kills the function accuses no message.

use futures_util::future::join_all;

use super::{MedicExchange, Round};
use crate::domain::ids::IncomingId;
use crate::ledger::attempts;
use crate::log::{LogEvent, Redacted};
use crate::ports::{LedgerStore, Medic, Queue, Runtime};
use crate::queue::consumer::NEVER_ENDED;

impl<L: LedgerStore, Q: Queue, M: Medic, S: Runtime> MedicExchange<L, Q, M, S> {
    /// Reads which messages have attempts that never ended. Those go alone, after the others, or to the
    /// dead-letter queue.
    pub(super) async fn find_suspects(&self, round: &mut Round<'_>) {
        round.knows_suspects = true;
        let ids = round.batch.ids();
        let records: Vec<String> = ids.iter().map(|id| id.as_str().to_owned()).collect();
        let unfinished = match attempts::unfinished(&self.ledger, &records).await {
            Ok(unfinished) => unfinished,
            Err(error) => return self.log_ledger_error(&error),
        };
        for id in ids {
            let Some(row) = unfinished.get(id.as_str()) else {
                continue;
            };
            self.runtime.record(LogEvent::AttemptNeverEnded {
                id: Redacted::new(&id),
                attempts: row.unfinished,
            });
            if row.is_condemned() {
                self.dead_letter(&id, NEVER_ENDED, "", round).await;
            } else {
                round.isolation.suspect(&id, row.unfinished);
            }
        }
    }

    /// Marks the attempt at a message. Without the ledger the exchange works all the same.
    pub(super) async fn begin_attempt(&self, id: &IncomingId, round: &mut Round<'_>) {
        match attempts::begin(&self.ledger, &self.runtime, id.as_str()).await {
            Ok(()) => round.marked.push(id.clone()),
            Err(error) => self.log_ledger_error(&error),
        }
    }

    /// The attempts at these messages have ended, in whatever way.
    pub(super) async fn end_attempts(&self, marked: &[IncomingId]) {
        let ends = marked
            .iter()
            .map(|id| attempts::end(&self.ledger, &self.runtime, id.as_str()));
        for result in join_all(ends).await {
            if let Err(error) = result {
                self.log_ledger_error(&error);
            }
        }
    }
}
