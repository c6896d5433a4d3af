//! Sends records that cannot be processed to the dead-letter queue, with the reason, and returns
//! others for retry.

use crate::domain::backoff::{Wait, longest_wait_ms, whole_seconds};
use crate::log::{LogEvent, Redacted};
use crate::ports::{Fifo, NewMessage, Queue, QueueError, Record, Runtime};
use crate::wire::queue_messages::{DeadLetter, encode, id_in};

/// The main message group of the `exchange` queue. A record of it in hand, held, is the right to POST
/// to Medic: the others are those of quarantined messages.
pub const MEDIC_GROUP: &str = "medic";

/// A record that waits for longer than this is logged, in milliseconds.
const OLD_MS: i64 = 10 * 60 * 1000;

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
        self.send(&record.body, reason, true, id, runtime).await
    }

    /// Dead-letters the body of a callback without an id, so that a person can read it.
    ///
    /// # Errors
    /// When the queue does not take it.
    pub async fn dead_letter_callback(
        &self,
        body: &str,
        reason: String,
        runtime: &impl Runtime,
    ) -> Result<(), QueueError> {
        let id = format!("callback-{:016x}", runtime.up_to(u64::MAX));
        self.send(body, reason, false, id, runtime).await
    }

    async fn send(
        &self,
        body: &str,
        reason: String,
        retryable: bool,
        deduplication_id: String,
        runtime: &impl Runtime,
    ) -> Result<(), QueueError> {
        let dead_letter = DeadLetter {
            reason,
            retryable,
            dead_lettered_at_ms: runtime.now_ms(),
            body: body.to_owned(),
        };
        let message = NewMessage {
            body: encode(&dead_letter),
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
    lot: &DeadLetterQueue<impl Queue>,
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
    match lot.dead_letter(record, reason, runtime).await {
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

/// Returns records to their queue at the end of an invocation. Each waits as given, and a little
/// more at random.
///
/// If a wait cannot be set, the record comes back after the visibility timeout of its queue.
pub async fn return_for_retry(
    queue: &impl Queue,
    records: &[(&Record, Wait)],
    runtime: &impl Runtime,
) -> Vec<String> {
    let waits = records
        .iter()
        .filter_map(|one| Some((one.0, longest_seconds(std::slice::from_ref(one), runtime)?)));
    change_visibilities(queue, waits.collect(), runtime).await
}

/// Returns records that must be retried together. All wait as long as the longest wait among them.
pub async fn return_together(
    queue: &impl Queue,
    records: &[(&Record, Wait)],
    runtime: &impl Runtime,
) -> Vec<String> {
    let Some(seconds) = longest_seconds(records, runtime) else {
        return Vec::new();
    };
    let waits = records.iter().map(|(record, _)| (*record, seconds));
    change_visibilities(queue, waits.collect(), runtime).await
}

fn longest_seconds(records: &[(&Record, Wait)], runtime: &impl Runtime) -> Option<i32> {
    let now_ms = runtime.now_ms();
    let waits = records.iter().map(|(record, wait)| {
        let age_ms = now_ms.saturating_sub(record.sent_at_ms);
        (*wait, record.receive_count, age_ms)
    });
    longest_wait_ms(waits, runtime).map(whole_seconds)
}

async fn change_visibilities(
    queue: &impl Queue,
    waits: Vec<(&Record, i32)>,
    runtime: &impl Runtime,
) -> Vec<String> {
    if !waits.is_empty() {
        note_age(&waits, runtime);
        log_queue_errors(&queue.change_visibility(&waits).await, runtime);
    }
    waits
        .iter()
        .map(|(record, _)| record.message_id.clone())
        .collect()
}

/// Logs the age of the oldest record if it is high. SQS's own metric for standard queues leaves out
/// messages that were received a few times, which are those that wait.
fn note_age(waits: &[(&Record, i32)], runtime: &impl Runtime) {
    let sent_at_ms = waits.iter().map(|(record, _)| record.sent_at_ms).min();
    let age_ms = runtime
        .now_ms()
        .saturating_sub(sent_at_ms.unwrap_or(i64::MAX));
    if age_ms >= OLD_MS {
        runtime.record(LogEvent::ReturnedForRetry {
            records: waits.len(),
            oldest_s: age_ms / 1000,
        });
    }
}

/// Logs the first error, if there is one.
pub fn log_queue_errors(results: &[Result<(), QueueError>], runtime: &impl Runtime) {
    if let Some(error) = results.iter().find_map(|result| result.as_ref().err()) {
        runtime.record(LogEvent::QueueFailed {
            error: Redacted::new(error),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::EventLog;
    use crate::ports::{Clock, RandomSource};
    use futures_util::FutureExt;
    use std::cell::RefCell;

    struct Kind;

    impl Queue for Kind {
        async fn send(&self, messages: Vec<NewMessage>) -> Vec<Result<(), QueueError>> {
            vec![Ok(()); messages.len()]
        }

        async fn change_visibility(
            &self,
            records: &[(&Record, i32)],
        ) -> Vec<Result<(), QueueError>> {
            vec![Ok(()); records.len()]
        }
    }

    /// A clock that stands at eleven minutes, and a log.
    #[derive(Default)]
    struct Around(RefCell<Vec<LogEvent>>);

    impl Clock for Around {
        fn now_ms(&self) -> i64 {
            660_000
        }

        async fn pause(&self, _: u64) {}
    }

    impl RandomSource for Around {
        fn up_to(&self, _: u64) -> u64 {
            0
        }
    }

    impl EventLog for Around {
        fn record(&self, event: LogEvent) {
            self.0.borrow_mut().push(event);
        }
    }

    fn said_of(sent_at_ms: &[i64]) -> Vec<LogEvent> {
        let records: Vec<Record> = sent_at_ms
            .iter()
            .map(|sent_at_ms| Record {
                message_id: sent_at_ms.to_string(),
                receipt_handle: String::new(),
                body: String::new(),
                receive_count: 5,
                sent_at_ms: *sent_at_ms,
                group: None,
            })
            .collect();
        let waits: Vec<_> = records
            .iter()
            .map(|record| (record, Wait::Growing { at_least_ms: 0 }))
            .collect();
        let around = Around::default();
        let returned_for_retry = return_for_retry(&Kind, &waits, &around)
            .now_or_never()
            .unwrap();
        assert_eq!(returned_for_retry.len(), records.len());
        around.0.into_inner()
    }

    #[test]
    fn what_is_returned_after_a_long_wait_logs_the_age_of_the_oldest() {
        let oldest = LogEvent::ReturnedForRetry {
            records: 3,
            oldest_s: 630,
        };
        assert_eq!(said_of(&[500_000, 30_000, 60_001]), [oldest]);
        assert!(said_of(&[60_001, 600_000]).is_empty());
        // Without the time of sending the age is unknown.
        assert!(said_of(&[i64::MAX]).is_empty());
        assert!(said_of(&[]).is_empty());
    }
}
