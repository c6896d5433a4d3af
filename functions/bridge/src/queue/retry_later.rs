//! Returns records to their queue for retry, each with a visibility timeout of its own.

use std::time::Duration;

use super::log_queue_errors;
use crate::domain::backoff::{Wait, whole_seconds};
use crate::domain::time::Timestamp;
use crate::log::LogEvent;
use crate::ports::{Queue, Record, Runtime};

/// A record that waits for longer than this is logged.
const OLD: Duration = Duration::from_mins(10);

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
        .map(|(record, wait)| (*record, seconds(*wait, runtime)));
    change_visibilities(queue, waits.collect(), runtime).await
}

/// Returns records that must be retried together. All wait as long as the longest wait among them.
pub async fn return_together(
    queue: &impl Queue,
    records: &[(&Record, Wait)],
    runtime: &impl Runtime,
) -> Vec<String> {
    let waits = records.iter().map(|(_, wait)| seconds(*wait, runtime));
    let Some(longest) = waits.max() else {
        return Vec::new();
    };
    let waits = records.iter().map(|(record, _)| (*record, longest));
    change_visibilities(queue, waits.collect(), runtime).await
}

fn seconds(wait: Wait, runtime: &impl Runtime) -> i32 {
    whole_seconds(wait.visibility(runtime.now(), runtime))
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
    let sent_at = waits.iter().map(|(record, _)| record.sent_at).min();
    let age = runtime.now().since(sent_at.unwrap_or(Timestamp::MAX));
    if age >= OLD {
        runtime.record(LogEvent::ReturnedForRetry {
            records: waits.len(),
            oldest_s: age.as_secs(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::EventLog;
    use crate::ports::{Clock, NewMessage, QueueError, RandomSource};
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
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(660_000)
        }

        async fn pause(&self, _: Duration) {}
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

    fn said_of(sent_at: &[Timestamp]) -> Vec<LogEvent> {
        let records: Vec<Record> = sent_at
            .iter()
            .map(|sent_at| Record {
                message_id: sent_at.as_millis().to_string(),
                receipt_handle: String::new(),
                body: String::new(),
                receive_count: 5,
                sent_at: *sent_at,
                group: None,
            })
            .collect();
        let waits: Vec<_> = records.iter().map(|record| (record, Wait::Retry)).collect();
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
        assert_eq!(
            said_of(&[
                Timestamp::from_millis(500_000),
                Timestamp::from_millis(30_000),
                Timestamp::from_millis(60_001)
            ]),
            [oldest]
        );
        assert!(
            said_of(&[
                Timestamp::from_millis(60_001),
                Timestamp::from_millis(600_000)
            ])
            .is_empty()
        );
        // Without the time of sending the age is unknown.
        assert!(said_of(&[Timestamp::MAX]).is_empty());
        assert!(said_of(&[]).is_empty());
    }
}
