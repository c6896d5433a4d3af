//! Putting aside what cannot be processed, with its reason; and giving records back to their queue.

use crate::domain::backoff::{Wait, longest_wait_ms, whole_seconds};
use crate::journal::{Entry, Shown};
use crate::ports::{Fifo, NewMessage, Queue, QueueError, Record, Surroundings};
use crate::queue_messages::{Parked, encode, id_in};

/// The one message group of the `exchange` queue.
pub const MEDIC_GROUP: &str = "medic";

/// What waits for longer than this is worth a line, in milliseconds.
const OLD_MS: i64 = 10 * 60 * 1000;

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
            // Each in a group of its own: whoever looks at one would hide all of its group behind it.
            fifo: self.is_fifo.then(|| Fifo {
                group: deduplication_id.clone(),
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
        note_age(&waits, surroundings);
        note_trouble(&queue.hide(&waits).await, surroundings);
    }
    waits
        .iter()
        .map(|(record, _)| record.message_id.clone())
        .collect()
}

/// Notes how long the oldest has waited, if that is long. SQS's own metric leaves out, of a queue that is
/// no FIFO queue, what was received a few times, which is just what waits.
fn note_age(waits: &[(&Record, i32)], surroundings: &impl Surroundings) {
    let sent_at_ms = waits.iter().map(|(record, _)| record.sent_at_ms).min();
    let age_ms = surroundings
        .now_ms()
        .saturating_sub(sent_at_ms.unwrap_or(i64::MAX));
    if age_ms >= OLD_MS {
        surroundings.record(Entry::GivenBack {
            records: waits.len(),
            oldest_s: age_ms / 1000,
        });
    }
}

/// Notes the first error, if there is one.
pub fn note_trouble(results: &[Result<(), QueueError>], surroundings: &impl Surroundings) {
    if let Some(error) = results.iter().find_map(|result| result.as_ref().err()) {
        surroundings.record(Entry::QueueTrouble {
            error: Shown::new(error),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Journal;
    use crate::ports::{Clock, Dice};
    use futures_util::FutureExt;
    use std::cell::RefCell;

    struct Kind;

    impl Queue for Kind {
        async fn send(&self, messages: Vec<NewMessage>) -> Vec<Result<(), QueueError>> {
            vec![Ok(()); messages.len()]
        }

        async fn hide(&self, records: &[(&Record, i32)]) -> Vec<Result<(), QueueError>> {
            vec![Ok(()); records.len()]
        }
    }

    /// A clock that stands at eleven minutes, and a journal.
    #[derive(Default)]
    struct Around(RefCell<Vec<Entry>>);

    impl Clock for Around {
        fn now_ms(&self) -> i64 {
            660_000
        }

        async fn pause(&self, _: u64) {}
    }

    impl Dice for Around {
        fn up_to(&self, _: u64) -> u64 {
            0
        }
    }

    impl Journal for Around {
        fn record(&self, entry: Entry) {
            self.0.borrow_mut().push(entry);
        }
    }

    fn said_of(sent_at_ms: &[i64]) -> Vec<Entry> {
        let records: Vec<Record> = sent_at_ms
            .iter()
            .map(|sent_at_ms| Record {
                message_id: sent_at_ms.to_string(),
                receipt_handle: String::new(),
                body: String::new(),
                receive_count: 5,
                sent_at_ms: *sent_at_ms,
            })
            .collect();
        let waits: Vec<_> = records
            .iter()
            .map(|record| (record, Wait::Growing { at_least_ms: 0 }))
            .collect();
        let around = Around::default();
        let given_back = give_back(&Kind, &waits, &around).now_or_never().unwrap();
        assert_eq!(given_back.len(), records.len());
        around.0.into_inner()
    }

    #[test]
    fn what_is_given_back_after_a_long_wait_tells_the_age_of_the_oldest() {
        let oldest = Entry::GivenBack {
            records: 3,
            oldest_s: 630,
        };
        assert_eq!(said_of(&[500_000, 30_000, 60_001]), [oldest]);
        assert!(said_of(&[60_001, 600_000]).is_empty());
        // Without a time of sending nobody knows.
        assert!(said_of(&[i64::MAX]).is_empty());
        assert!(said_of(&[]).is_empty());
    }
}
