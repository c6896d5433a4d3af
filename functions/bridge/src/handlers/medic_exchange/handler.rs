//! The handler: what it is made of.

use std::time::Duration;

use crate::log::{LogEvent, Redacted};
use crate::ports::{LedgerError, LedgerStore, Medic, Queue, Runtime};
use crate::queue::dead_letter::DeadLetterQueue;

/// After an outcome in doubt, the wait is longer than Medic may go on working by this much; and so
/// much longer than the invocation the batch is ours, for that may die in a POST.
pub(super) const IN_DOUBT_MARGIN: Duration = Duration::from_secs(5);

/// The handler, with all that it needs.
#[derive(Debug)]
pub struct MedicExchange<L, Q, M, S> {
    /// What is known of every outgoing message.
    pub ledger: L,
    /// The queue that the records come from.
    pub exchange: Q,
    /// Where messages to be sent go.
    pub outbox: Q,
    /// Where it puts what cannot be processed.
    pub dead_letters: DeadLetterQueue<Q>,
    /// Whom it talks to.
    pub medic: M,
    /// Time, chance and a log.
    pub runtime: S,
    /// The time-out of a POST.
    pub post_timeout: Duration,
    /// For how long after that Medic may go on working on it.
    pub grace: Duration,
}

impl<L: LedgerStore, Q: Queue, M: Medic, S: Runtime> MedicExchange<L, Q, M, S> {
    pub(super) fn log_ledger_error(&self, error: &LedgerError) {
        self.runtime.record(LogEvent::LedgerFailed {
            error: Redacted::new(error),
        });
    }
}
