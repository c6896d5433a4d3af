//! The work queues that have a dead-letter queue, and their names.

use crate::arguments::DeadLetterKind;

/// A work queue that has a dead-letter queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceQueue {
    /// To Medic.
    Exchange,
    /// Delivery reports, to the ledger.
    Reports,
    /// To phones.
    Outbox,
}

impl SourceQueue {
    pub const ALL: [Self; 3] = [Self::Exchange, Self::Reports, Self::Outbox];

    /// The kind that the command line has for it.
    pub fn of(self) -> DeadLetterKind {
        match self {
            Self::Exchange => DeadLetterKind::Exchange,
            Self::Reports => DeadLetterKind::Reports,
            Self::Outbox => DeadLetterKind::Outbox,
        }
    }

    /// The stack's output with the URL of the dead-letter queue.
    pub fn dead_letter_output(self) -> &'static str {
        match self {
            Self::Exchange => "ExchangeDeadLetterQueueUrl",
            Self::Reports => "ReportsDeadLetterQueueUrl",
            Self::Outbox => "OutboxDeadLetterQueueUrl",
        }
    }

    /// The stack's output with the URL of the work queue.
    pub fn home_output(self) -> &'static str {
        match self {
            Self::Exchange => "ExchangeQueueUrl",
            Self::Reports => "ReportsQueueUrl",
            Self::Outbox => "OutboxQueueUrl",
        }
    }

    /// The word for it in lists.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exchange => "exchange",
            Self::Reports => "reports",
            Self::Outbox => "outbox",
        }
    }
}
