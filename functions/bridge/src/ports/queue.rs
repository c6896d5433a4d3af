//! Queues, their messages, and the records that a consumer receives.

use crate::domain::time::Timestamp;

/// A queue message, as a consumer receives it.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// SQS's id of it. A message that was redriven has a new one.
    pub message_id: String,
    /// The handle that deletes it or changes its visibility, valid for this receive.
    pub receipt_handle: String,
    /// What was sent.
    pub body: String,
    /// How often it was received, this time included.
    pub receive_count: u32,
    /// When it was sent, by SQS's clock.
    pub sent_at: Timestamp,
    /// Its message group, if its queue is a FIFO queue.
    pub group: Option<String>,
}

/// A message for a queue.
#[derive(Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// ASCII.
    pub body: String,
    /// For FIFO queues only.
    pub fifo: Option<Fifo>,
}

/// The attributes that a FIFO queue needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fifo {
    /// The message group. Messages of one group are received in order, one batch at a time.
    pub group: String,
    /// The deduplication id. SQS drops a second message with the same id within five minutes
    /// without an error, also after the first was deleted.
    pub deduplication_id: String,
}

/// The queue did not answer, or refused. The error holds nothing of the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue refused or did not answer: {problem}")]
pub struct QueueError {
    /// SQS's code for it, or what happened instead of an answer.
    pub problem: String,
    /// Whether SQS refused the request itself, so that a retry ends in the same way.
    pub sender_fault: bool,
}

impl QueueError {
    /// A failure of the queue or of the network, where a retry can succeed.
    pub fn of_server(problem: &str) -> Self {
        Self {
            problem: problem.to_owned(),
            sender_fault: false,
        }
    }
}

/// A queue.
#[allow(async_fn_in_trait)]
pub trait Queue {
    /// Sends the messages in order and returns one result for each. `Ok` means that the queue
    /// stored it durably. After an error the message may be stored, too.
    async fn send(&self, messages: Vec<NewMessage>) -> Vec<Result<(), QueueError>>;

    /// Sets the visibility timeout of records, in seconds from now. SQS allows twelve hours from
    /// the receive. Returns one result for each.
    async fn change_visibility(&self, records: &[(&Record, i32)]) -> Vec<Result<(), QueueError>>;
}

impl<T: Queue> Queue for &T {
    async fn send(&self, messages: Vec<NewMessage>) -> Vec<Result<(), QueueError>> {
        (**self).send(messages).await
    }

    async fn change_visibility(&self, records: &[(&Record, i32)]) -> Vec<Result<(), QueueError>> {
        (**self).change_visibility(records).await
    }
}
