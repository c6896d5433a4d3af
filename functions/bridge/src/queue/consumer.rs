//! Processes the records of a standard queue, each by itself, and none of them for ever.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;

use super::dead_letter::{DeadLetterQueue, dead_letter_or_return};
use super::retry_later::return_for_retry;
use crate::domain::backoff::Wait;
use crate::domain::time::Timestamp;
use crate::ledger::attempts;
use crate::log::{LogEvent, Redacted};
use crate::ports::{LedgerError, LedgerStore, Queue, Record, Runtime};

/// A record that is older goes to the dead-letter queue before SQS drops it after fourteen days. Medic
/// may be away for ten.
const LONGEST_AGE: Duration = Duration::from_hours(12 * 24);

/// Why a record that is too old is dead-lettered.
pub const TOO_OLD: &str = "this message has waited for twelve days";

/// Why a record is dead-lettered during which Lambda killed the function again and again.
pub const NEVER_ENDED: &str = "the function was killed, or ran out of time or memory, each time that it processed this message";

/// Whether a record is so old that it goes to the dead-letter queue.
pub fn is_too_old(record: &Record, now: Timestamp) -> bool {
    now.since(record.sent_at) >= LONGEST_AGE
}

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// It is done, so that the queue can delete it.
    Done,
    /// It is retried.
    Return(Wait),
}

/// A consumer of a standard queue.
#[derive(Debug)]
pub struct Consumer<'a, L, Q, S> {
    /// The queue of the records.
    pub queue: &'a Q,
    /// The queue for records that cannot be processed.
    pub dead_letters: &'a DeadLetterQueue<Q>,
    /// The ledger, with the attempts at each record that came again.
    pub ledger: &'a L,
    /// The clock, the random numbers and the log.
    pub runtime: &'a S,
}

impl<L: LedgerStore, Q: Queue, S: Runtime> Consumer<'_, L, Q, S> {
    /// Processes the records concurrently. Returns the message ids of those that go back to the queue.
    ///
    /// The attempt at a record that was received before is marked in the ledger until it has ended. A
    /// record whose attempts have not ended is processed alone, after the others, and goes to the
    /// dead-letter queue after [`crate::domain::attempts::UNFINISHED_TO_DEAD_LETTER`]. A panic is an
    /// attempt without an end.
    pub async fn process(
        &self,
        records: &[&Record],
        process: impl AsyncFn(&Record) -> Disposition,
    ) -> Vec<String> {
        let now = self.runtime.now();
        let (old, records): (Vec<&Record>, Vec<&Record>) =
            records.iter().partition(|record| is_too_old(record, now));
        let (retried, fresh): (Vec<&Record>, Vec<&Record>) = records
            .into_iter()
            .partition(|record| record.receive_count > 1);
        let mut undone = self.dead_letter(old, TOO_OLD).await;
        let (plain, unfinished) = match self.sort(&retried).await {
            Ok(sorted) => sorted,
            Err(error) => {
                self.log(&error);
                undone.extend(retried.into_iter().map(|record| (record, Wait::Retry)));
                Sorted::default()
            }
        };
        let first = fresh.into_iter().map(|record| (record, false));
        let again = plain.into_iter().map(|record| (record, true));
        let attempts = first
            .chain(again)
            .map(|(record, is_marked)| self.attempt(record, is_marked, &process));
        undone.extend(join_all(attempts).await.into_iter().flatten());
        for (record, is_condemned) in unfinished {
            if is_condemned {
                undone.extend(self.dead_letter(vec![record], NEVER_ENDED).await);
            } else {
                undone.extend(self.attempt(record, true, &process).await);
            }
        }
        return_for_retry(self.queue, &undone, self.runtime).await
    }

    /// One attempt at a record. Returns it with its wait, if it has to be retried.
    async fn attempt<'r>(
        &self,
        record: &'r Record,
        is_marked: bool,
        process: &impl AsyncFn(&Record) -> Disposition,
    ) -> Option<(&'r Record, Wait)> {
        let (ledger, runtime, id) = (self.ledger, self.runtime, &record.message_id);
        if is_marked && let Err(error) = attempts::begin(ledger, runtime, id).await {
            self.log(&error);
            return Some((record, Wait::Retry));
        }
        let Ok(disposition) = AssertUnwindSafe(process(record)).catch_unwind().await else {
            return Some((record, Wait::Retry));
        };
        // Also when it is done, because another record may kill the function before it is deleted.
        if is_marked && let Err(error) = attempts::end(ledger, runtime, id).await {
            self.log(&error);
        }
        match disposition {
            Disposition::Done => None,
            Disposition::Return(wait) => Some((record, wait)),
        }
    }

    /// Records without an attempt that never ended, and records with one, each with whether it goes to
    /// the dead-letter queue.
    async fn sort<'r>(&self, retried: &[&'r Record]) -> Result<Sorted<'r>, LedgerError> {
        let ids: Vec<String> = retried
            .iter()
            .map(|record| record.message_id.clone())
            .collect();
        let marks = attempts::unfinished(self.ledger, &ids).await?;
        let (mut plain, mut unfinished) = (Vec::new(), Vec::new());
        for record in retried.iter().copied() {
            match marks.get(&record.message_id) {
                None => plain.push(record),
                Some(row) => {
                    self.runtime.record(LogEvent::AttemptNeverEnded {
                        id: Redacted::new(&record.message_id),
                        attempts: row.unfinished,
                    });
                    unfinished.push((record, row.is_condemned()));
                }
            }
        }
        Ok((plain, unfinished))
    }

    /// Dead-letters records. Returns those that the dead-letter queue did not take, with their wait.
    async fn dead_letter<'r>(
        &self,
        records: Vec<&'r Record>,
        reason: &str,
    ) -> Vec<(&'r Record, Wait)> {
        let mut undone = Vec::new();
        for record in records {
            if !dead_letter_or_return(self.dead_letters, record, reason, "", self.runtime).await {
                undone.push((record, Wait::Retry));
            }
        }
        undone
    }

    fn log(&self, error: &LedgerError) {
        self.runtime.record(LogEvent::LedgerFailed {
            error: Redacted::new(error),
        });
    }
}

/// Records to be processed side by side, and records to be processed alone or dead-lettered.
type Sorted<'r> = (Vec<&'r Record>, Vec<(&'r Record, bool)>);

#[cfg(test)]
mod tests;
