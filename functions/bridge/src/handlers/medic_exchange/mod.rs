//! `medic-exchange`: one POST to Medic at a time. Brings it the messages that came in and the
//! statuses that it has not been told, and takes what it wants sent.
//!
//! One POST at a time is what keeps Medic right: it checks for duplicates first and writes later,
//! goes on working after a hang-up, takes the last update as the truth, and marks whatever it offers
//! over a status that another POST wrote a moment before. The right to POST is a record in hand of
//! the queue's main message group, whose hold was confirmed. Quarantined messages wait in groups of
//! their own.
//!
//! What is tried next, and what follows from it, is decided in [`crate::domain::isolation`].

mod attempts;
mod batch;
mod handler;
mod offers;
mod post;
mod quarantine;
mod reports;
mod round;
mod row;
mod statuses;
mod stop;

use std::ops::ControlFlow;

use futures_util::future::join3;

use crate::domain::backoff::{Wait, whole_seconds};
use crate::domain::exchange::ExchangeRow;
use crate::domain::isolation::{Isolation, PostEnd, Step};
use crate::domain::quarantine::MedicFailure;
use crate::domain::time::Timestamp;
use crate::ports::{Fifo, LedgerStore, Medic, NewMessage, Queue, QueueError, Record, Runtime};
use crate::queue::dead_letter::dead_letter_or_return;
use crate::queue::log_queue_errors;
use crate::queue::retry_later::return_together;
use crate::retry::{ILL_QUEUE, retry};
use crate::wire::medic::Payload;
use crate::wire::queue_messages::MEDIC_GROUP;
use crate::wire::queue_messages::{ExchangeMessage, encode};
use batch::{Batch, is_of_main_group};
use handler::IN_DOUBT_MARGIN;
use post::{LAST_ACTS, STATUS_POSTS_AT_MOST, status_posts};
use quarantine::REFUSED;
use reports::Reports;
use round::{Round, Work};
use stop::Stop;

pub use handler::MedicExchange;

/// What a step of the search needs.
enum Prepared {
    /// This POST.
    Post(Payload),
    /// Nothing more. The step is done.
    NoPost,
    /// Nothing more, and no other step follows.
    NothingLeft,
    /// A POST that is left to a later invocation.
    MoreLater,
}

impl<L: LedgerStore, Q: Queue, M: Medic, S: Runtime> MedicExchange<L, Q, M, S> {
    /// Works off a batch, which must be over at `deadline`. Returns the message ids of what goes
    /// back into the queue.
    pub async fn handle(&self, records: &[Record], deadline: Timestamp) -> Vec<String> {
        let (ours, quarantined): (Vec<&Record>, Vec<&Record>) =
            records.iter().partition(|record| is_of_main_group(record));
        let batch = Batch::sort(&ours, self.runtime.now());
        if batch.is_done() {
            // After a long outage there are thousands of these before the newest SMS.
            return self.release(&quarantined).await;
        }
        let (is_ours, row, mut back) = join3(
            self.extend_visibility(&ours, deadline),
            self.recall(&ours),
            self.release(&quarantined),
        )
        .await;
        if is_ours {
            back.extend(self.exchange_batch(&ours, batch, row, deadline).await);
        } else {
            // It may be somebody else's by now: nothing may be posted.
            back.extend(ours.iter().map(|record| record.message_id.clone()));
        }
        back
    }

    /// The first act: the batch is ours for longer than this invocation can live. A visibility
    /// time-out of the queue that long would lock the main group as long after every crash.
    async fn extend_visibility(&self, records: &[&Record], deadline: Timestamp) -> bool {
        if records.is_empty() {
            return true;
        }
        let extended = retry(ILL_QUEUE, &self.runtime, async || {
            let now = self.runtime.now();
            let until = deadline + self.grace + IN_DOUBT_MARGIN;
            let seconds = whole_seconds(until.since(now));
            let visibilities: Vec<(&Record, i32)> =
                records.iter().map(|record| (*record, seconds)).collect();
            let changed = self.exchange.change_visibility(&visibilities).await;
            log_queue_errors(&changed, &self.runtime);
            let errors: Vec<&QueueError> = changed
                .iter()
                .filter_map(|one| one.as_ref().err())
                .collect();
            // A queue that is ill may be well again in a moment. One that refuses is right: the batch
            // is somebody else's.
            let is_refused = errors.iter().any(|error| error.sender_fault);
            let is_too_late = deadline.since(now) <= self.post_timeout.saturating_add(LAST_ACTS);
            match errors.is_empty() {
                true => ControlFlow::Break(Ok(())),
                false if is_refused || is_too_late => ControlFlow::Break(Err(())),
                false => ControlFlow::Continue(()),
            }
        });
        extended.await.is_ok()
    }

    /// Everything that the records of the main group ask for.
    async fn exchange_batch(
        &self,
        records: &[&Record],
        mut batch: Batch<'_>,
        row: Option<ExchangeRow>,
        deadline: Timestamp,
    ) -> Vec<String> {
        let mut back: Vec<(&Record, Wait)> = self.dead_letter_hopeless(&mut batch).await;
        if batch.has_work() {
            let memory = row.clone().unwrap_or_else(ExchangeRow::unknown);
            let received_before = batch.was_received_before();
            let mut round = Round {
                deadline,
                isolation: Isolation::begin(memory, batch.candidates(), received_before),
                marks_attempts: received_before || batch.has_quarantined(),
                has_looked_for_unfinished: false,
                marked: Vec::new(),
                status_posts_left: status_posts(batch.has_messages()),
                failed_posts_left: STATUS_POSTS_AT_MOST,
                batch,
                reports: Reports::default(),
                has_posted: false,
                was_taken: false,
            };
            let worked = self.work(&mut round).await;
            match &worked {
                Ok(Work::More) => self.send_continue(records).await,
                Ok(Work::Done) => {}
                Err(stop) => back.extend(self.stopped(stop, &round.batch)),
            }
            self.end_attempts(&round.marked).await;
            let is_done = matches!(worked, Ok(_) | Err(Stop::Kept));
            let now = round.isolation.into_memory(is_done);
            self.remember(row, now).await;
        }
        return_together(&self.exchange, &back, &self.runtime).await
    }

    async fn dead_letter_hopeless<'a>(&self, batch: &mut Batch<'a>) -> Vec<(&'a Record, Wait)> {
        let mut back = Vec::new();
        for (record, reason) in batch.take_hopeless() {
            let (dead_letters, runtime) = (&self.dead_letters, &self.runtime);
            if !dead_letter_or_return(dead_letters, record, &reason, "", runtime).await {
                back.push((record, Wait::Retry));
            }
        }
        back
    }

    /// Does step by step what the search for poison says, until there is nothing left to bring.
    async fn work(&self, round: &mut Round<'_>) -> Result<Work, Stop> {
        let mut unknown_outcome_reason = None;
        loop {
            let step = round.isolation.next(self.runtime.now());
            let payload = match self.prepare(step, round).await {
                Prepared::Post(payload) => payload,
                Prepared::NoPost => continue,
                Prepared::NothingLeft => break,
                Prepared::MoreLater => return round.ended(Work::More),
            };
            if round.batch.is_spent() {
                // Everything was dead-lettered, and nothing could keep others from posting if this POST
                // ended in doubt.
                return Ok(Work::More);
            }
            if let Some(what) = self.bring(payload, round).await? {
                unknown_outcome_reason = Some(what);
            }
        }
        match unknown_outcome_reason {
            Some(what) => Err(Stop::InDoubt(what)),
            None => round.ended(Work::Done),
        }
    }

    /// Prepares the POST of a step, or does a step that needs none.
    async fn prepare(&self, step: Step, round: &mut Round<'_>) -> Prepared {
        match step {
            Step::End => return Prepared::NothingLeft,
            Step::Control => return Prepared::Post(Payload::default()),
            Step::Messages { ids, with_statuses } if round.knows_unfinished() => {
                return Prepared::Post(Payload {
                    messages: round.batch.sms(&ids),
                    updates: match with_statuses {
                        true => self.fresh_updates(round).await,
                        false => Vec::new(),
                    },
                });
            }
            Step::SomeStatuses(ids) => {
                let updates = self.updates_of(&ids, round).await;
                if !updates.is_empty() {
                    return Prepared::Post(Payload::of_updates(updates));
                }
            }
            Step::Statuses { at_most, is_last } => {
                return self.prepare_statuses(at_most, is_last, round).await;
            }
            Step::Messages { .. } => self.find_unfinished(round).await,
            Step::Quarantine(id, quarantine) => self.quarantine(&id, &quarantine, round).await,
            Step::DeadLetter(id, failure) => {
                self.dead_letter(&id, REFUSED, failure.text(), round).await;
            }
            Step::NoteFailure(status, answer) => {
                let failure = MedicFailure::Answer(answer);
                let progress = round.isolation.memory.note_progress();
                self.note_failure(&status, &failure, progress, round).await;
            }
            Step::SetAside(status, failure) => {
                let progress = round.isolation.set_aside(&status, self.runtime.now());
                self.note_failure(&status, &failure, progress, round).await;
            }
        }
        Prepared::NoPost
    }

    async fn prepare_statuses(
        &self,
        at_most: usize,
        is_last: bool,
        round: &mut Round<'_>,
    ) -> Prepared {
        let updates = self.updates(at_most, round).await;
        let failed_before = updates
            .iter()
            .any(|update| round.reports.has_failed_before(update));
        if !is_last && (updates.is_empty() || failed_before) {
            return Prepared::NoPost;
        }
        if updates.is_empty() && round.has_posted && !round.reports.has_left_offers {
            return Prepared::NothingLeft;
        }
        let posts_left = match failed_before {
            true => round.failed_posts_left,
            false => round.status_posts_left,
        };
        if posts_left == 0 {
            return Prepared::MoreLater;
        }
        if !failed_before {
            round.status_posts_left -= 1;
        }
        Prepared::Post(Payload::of_updates(updates))
    }

    /// A POST, and what the search makes of it; what the doubt is, if it ended in doubt.
    async fn bring(&self, payload: Payload, round: &mut Round<'_>) -> Result<Option<String>, Stop> {
        let brought = round.reports.brought(&payload);
        if let (true, [alone]) = (round.marks_attempts, brought.messages.as_slice()) {
            self.begin_attempt(alone, round).await;
        }
        let posted = self.post(payload, round).await;
        // Before anything else is brought that may kill the function: this attempt has ended.
        let marked = std::mem::take(&mut round.marked);
        self.end_attempts(&marked).await;
        let (end, unknown_outcome_reason) = posted?;
        if brought.is_control() && matches!(end, PostEnd::Failed(_)) {
            return Err(Stop::FailsOnNothing);
        }
        let now = self.runtime.now();
        round.isolation.after(&brought, &end, now);
        Ok(unknown_outcome_reason)
    }

    /// Asks for another turn, behind everything that came in meanwhile. If the queue does not take
    /// it, the minute's poll goes on instead.
    async fn send_continue(&self, records: &[&Record]) {
        let Some(last) = records.last() else { return };
        let message = NewMessage {
            body: encode(&ExchangeMessage::Continue),
            fifo: Some(Fifo {
                group: MEDIC_GROUP.to_owned(),
                // One for each life of this batch.
                deduplication_id: format!("continue-{}", last.message_id),
            }),
        };
        log_queue_errors(&self.exchange.send(vec![message]).await, &self.runtime);
    }
}
