//! SQS's model, as the bridge's ports speak of it.

use std::ops::{Deref, DerefMut};

use bridge::domain::time::Timestamp;
use bridge::ports::{Fifo, NewMessage, QueueError, Record};
pub use models::sqs::{BATCH, QueuedMessage};
use models::sqs::{MessageToSend, QueueModel, ReceivedMessage, SqsError};

use crate::random::Random;

/// A queue.
pub struct QueueInWorld(QueueModel);

impl Deref for QueueInWorld {
    type Target = QueueModel;
    fn deref(&self) -> &QueueModel {
        &self.0
    }
}

impl DerefMut for QueueInWorld {
    fn deref_mut(&mut self) -> &mut QueueModel {
        &mut self.0
    }
}

impl QueueInWorld {
    /// A standard queue.
    pub fn standard(name: &str, visibility_ms: i64) -> Self {
        Self(QueueModel::standard(name, visibility_ms))
    }

    /// A FIFO queue with content-based deduplication.
    pub fn fifo(name: &str, visibility_ms: i64) -> Self {
        Self(QueueModel::fifo(name, visibility_ms))
    }

    /// Takes a message. `Ok` also when FIFO deduplication swallows it.
    ///
    /// # Errors
    /// When SQS would refuse it.
    pub fn send(&mut self, message: NewMessage, now_ms: i64) -> Result<(), QueueError> {
        let (group, deduplication_id) = match message.fifo {
            None => (None, None),
            Some(Fifo {
                group,
                deduplication_id,
            }) => (Some(group), Some(deduplication_id)),
        };
        let message = MessageToSend {
            body: message.body,
            group,
            deduplication_id,
        };
        self.0.send(message, now_ms).map(drop).map_err(refusal)
    }

    /// Hands out up to so many messages, in an order by chance where there is none; and returns
    /// those that were dropped because they are too old.
    pub fn receive(
        &mut self,
        now_ms: i64,
        limit: usize,
        random: &Random,
    ) -> (Vec<Record>, Vec<QueuedMessage>) {
        let (received, expired) = self.0.receive(now_ms, limit, by_chance(random));
        (received.into_iter().map(record).collect(), expired)
    }

    /// Changes the visibility of a message that is in flight under this receipt.
    ///
    /// # Errors
    /// When the receipt is an older one, the message is not in flight, or the time is too long.
    pub fn change_visibility(
        &mut self,
        receipt: &str,
        seconds: i32,
        now_ms: i64,
    ) -> Result<(), QueueError> {
        let changed = self
            .0
            .change_visibility(receipt, i64::from(seconds), now_ms);
        changed.map_err(refusal)
    }
}

/// Which of the first so many messages comes at this place.
pub fn by_chance(random: &Random) -> impl Fn(usize) -> usize {
    |at| random.next() as usize % (at + 1)
}

fn refusal(error: SqsError) -> QueueError {
    QueueError::of_server(error.code())
}

/// A message as the bridge's port hands it over.
pub fn record(received: ReceivedMessage) -> Record {
    Record {
        message_id: received.message_id,
        receipt_handle: received.receipt_handle,
        body: received.body,
        receive_count: received.receive_count,
        sent_at: Timestamp::from_millis(received.sent_at_ms),
        group: received.group,
    }
}
