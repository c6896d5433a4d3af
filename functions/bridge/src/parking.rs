//! Putting aside what cannot be processed, with its reason; and giving records back to their queue.

use crate::domain::backoff::{Wait, longest_wait_ms, whole_seconds};
use crate::journal::{Entry, Shown};
use crate::ports::{Fifo, NewMessage, Queue, QueueError, Record, Surroundings};
use crate::queue_messages::{Parked, encode, id_in};

/// The one message group of the `exchange` queue and of where it parks.
pub const MEDIC_GROUP: &str = "medic";

/// A queue for what was put aside.
#[derive(Debug)]
pub struct ParkingLot<Q> {
    /// The dead-letter queue.
    pub queue: Q,
    /// Whether it is a FIFO queue, as that of a FIFO queue must be.
    pub is_fifo: bool,
}

impl<Q: Queue> ParkingLot<Q> {
    /// Parks a record of a queue. It may be put back.
    ///
    /// The deduplication id is made of the record's own id, which is new each time that something is
    /// put back: with one that stays the same, FIFO deduplication would swallow the second parking.
    ///
    /// # Errors
    /// When the queue does not take it: the record must then be given back.
    pub async fn park(
        &self,
        record: &Record,
        reason: String,
        surroundings: &impl Surroundings,
    ) -> Result<(), QueueError> {
        let id = format!("parked-{}", record.message_id);
        self.send(&record.body, reason, true, id, surroundings)
            .await
    }

    /// Parks the body of a callback that names no message, so that somebody can look at it.
    ///
    /// # Errors
    /// When the queue does not take it.
    pub async fn park_callback(
        &self,
        body: &str,
        reason: String,
        surroundings: &impl Surroundings,
    ) -> Result<(), QueueError> {
        let id = format!("callback-{:016x}", surroundings.up_to(u64::MAX));
        self.send(body, reason, false, id, surroundings).await
    }

    async fn send(
        &self,
        body: &str,
        reason: String,
        retryable: bool,
        deduplication_id: String,
        surroundings: &impl Surroundings,
    ) -> Result<(), QueueError> {
        let parked = Parked {
            reason,
            retryable,
            parked_at_ms: surroundings.now_ms(),
            body: body.to_owned(),
        };
        let message = NewMessage {
            body: encode(&parked),
            fifo: self.is_fifo.then(|| Fifo {
                group: MEDIC_GROUP.to_owned(),
                deduplication_id,
            }),
        };
        self.queue.send(vec![message]).await.into_iter().collect()
    }
}

/// Parks a record and says so in the journal. Whether it is parked.
pub async fn park_or_give_back(
    lot: &ParkingLot<impl Queue>,
    record: &Record,
    category: &str,
    answer: &str,
    surroundings: &impl Surroundings,
) -> bool {
    let reason = if answer.is_empty() {
        category.to_owned()
    } else {
        format!("{category}: {answer}")
    };
    match lot.park(record, reason, surroundings).await {
        Ok(()) => {
            surroundings.record(Entry::Parked {
                message_id: Shown::new(&record.message_id),
                id: id_in(&record.body),
                reason: Shown::new(&category),
            });
            true
        }
        Err(error) => {
            surroundings.record(Entry::QueueTrouble {
                error: Shown::new(&error),
            });
            false
        }
    }
}

/// Gives records back to their queue: the last act of an invocation. Each waits as said, and a little
/// more at random.
///
/// A wait that cannot be set is no reason to fail: the record then comes back when the visibility
/// time-out of its queue is over.
pub async fn give_back(
    queue: &impl Queue,
    records: &[(&Record, Wait)],
    surroundings: &impl Surroundings,
) -> Vec<String> {
    let waits = records.iter().filter_map(|one| {
        Some((
            one.0,
            longest_seconds(std::slice::from_ref(one), surroundings)?,
        ))
    });
    hide_all(queue, waits.collect(), surroundings).await
}

/// Gives records back that have to come again together: all wait as long as the one that waits
/// longest.
pub async fn give_back_as_one(
    queue: &impl Queue,
    records: &[(&Record, Wait)],
    surroundings: &impl Surroundings,
) -> Vec<String> {
    let Some(seconds) = longest_seconds(records, surroundings) else {
        return Vec::new();
    };
    let waits = records.iter().map(|(record, _)| (*record, seconds));
    hide_all(queue, waits.collect(), surroundings).await
}

fn longest_seconds(records: &[(&Record, Wait)], surroundings: &impl Surroundings) -> Option<i32> {
    let now_ms = surroundings.now_ms();
    let waits = records.iter().map(|(record, wait)| {
        let age_ms = now_ms.saturating_sub(record.sent_at_ms);
        (*wait, record.receive_count, age_ms)
    });
    longest_wait_ms(waits, surroundings).map(whole_seconds)
}

async fn hide_all(
    queue: &impl Queue,
    waits: Vec<(&Record, i32)>,
    surroundings: &impl Surroundings,
) -> Vec<String> {
    if !waits.is_empty() {
        note_trouble(&queue.hide(&waits).await, surroundings);
    }
    waits
        .iter()
        .map(|(record, _)| record.message_id.clone())
        .collect()
}

/// Notes the first error, if there is one.
pub fn note_trouble(results: &[Result<(), QueueError>], surroundings: &impl Surroundings) {
    if let Some(error) = results.iter().find_map(|result| result.as_ref().err()) {
        surroundings.record(Entry::QueueTrouble {
            error: Shown::new(error),
        });
    }
}
