//! Sends records that cannot be processed to the dead-letter queue, with the reason.

use crate::log::{LogEvent, Redacted};
use crate::ports::{Fifo, NewMessage, Queue, QueueError, Record, Runtime};
use crate::wire::queue_messages::{DeadCallback, DeadLetter, encode, id_in};

/// A dead-letter queue.
#[derive(Debug)]
pub struct DeadLetterQueue<Q> {
    /// The queue itself.
    pub queue: Q,
    /// Whether it is a FIFO queue, as that of a FIFO queue must be.
    pub is_fifo: bool,
}

impl<Q: Queue> DeadLetterQueue<Q> {
    /// Dead-letters a record of a queue. It may be redriven.
    ///
    /// The deduplication id comes from the record's id, which is new after each redrive. With a
    /// constant one, FIFO deduplication would drop a second dead letter of the same message.
    ///
    /// # Errors
    /// When the queue does not take it: the record must then be returned for retry.
    pub async fn dead_letter(
        &self,
        record: &Record,
        reason: String,
        runtime: &impl Runtime,
    ) -> Result<(), QueueError> {
        let id = format!("dead-letter-{}", record.message_id);
        let dead_letter = DeadLetter {
            reason,
            retryable: true,
            dead_lettered_at: runtime.now(),
            body: record.body.clone(),
        };
        self.send(encode(&dead_letter), id).await
    }

    /// Dead-letters a callback that was not taken, so that a person can read it and a redrive can try it
    /// again.
    ///
    /// # Errors
    /// When the queue does not take it.
    pub async fn dead_letter_callback(
        &self,
        callback: &DeadCallback,
        runtime: &impl Runtime,
    ) -> Result<(), QueueError> {
        let id = format!("callback-{:016x}", runtime.up_to(u64::MAX));
        self.send(encode(callback), id).await
    }

    async fn send(&self, body: String, deduplication_id: String) -> Result<(), QueueError> {
        let message = NewMessage {
            body,
            // Each has a group of its own, because a receive of one message blocks the rest of its
            // group.
            fifo: self.is_fifo.then(|| Fifo {
                group: deduplication_id.clone(),
                deduplication_id,
            }),
        };
        self.queue.send(vec![message]).await.into_iter().collect()
    }
}

/// Dead-letters a record and logs it. Returns whether the queue took it.
pub async fn dead_letter_or_return(
    queue: &DeadLetterQueue<impl Queue>,
    record: &Record,
    category: &str,
    answer: &str,
    runtime: &impl Runtime,
) -> bool {
    let reason = if answer.is_empty() {
        category.to_owned()
    } else {
        format!("{category}: {answer}")
    };
    match queue.dead_letter(record, reason, runtime).await {
        Ok(()) => {
            runtime.record(LogEvent::DeadLettered {
                sqs_message_id: Redacted::new(&record.message_id),
                id: id_in(&record.body),
                reason: Redacted::new(&category),
            });
            true
        }
        Err(error) => {
            runtime.record(LogEvent::QueueFailed {
                error: Redacted::new(&error),
            });
            false
        }
    }
}
