//! What Medic has not been told, and writing down that it was.

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt};

use super::one_by_one::ENDED_EVERY_POST;
use super::{MedicExchange, Round};
use crate::domain::exchange::Candidate;
use crate::domain::ids::MedicMessageId;
use crate::domain::message::MessageRow;
use crate::ledger;
use crate::log::{LogEvent, Redacted};
use crate::ports::{Key, LedgerError, LedgerStore, Medic, Queue, Row, Runtime};
use crate::wire::medic::Update;

/// At most so many statuses in a POST: Medic takes 0.18 s for a hundred, and more than twice as
/// long for each beyond.
pub const UPDATES_A_POST: usize = 100;

/// So many rows are written side by side.
const WRITES_SIDE_BY_SIDE: usize = 16;

impl<L: LedgerStore, Q: Queue, M: Medic, S: Runtime> MedicExchange<L, Q, M, S> {
    /// The statuses for the next POST. The index only names candidates: each row is read strongly
    /// consistent. When the ledger does not answer there are none, and incoming messages do not wait
    /// for it.
    ///
    /// POSTs with nothing but statuses that ended without an answer make for smaller ones, down to a
    /// single status, those last that failed alone; what has ended too many of them is dead-lettered.
    pub(super) async fn updates(&self, round: &mut Round) -> Vec<Update> {
        self.updates_but(&BTreeSet::new(), round).await
    }

    /// The same without the statuses of these messages.
    pub(super) async fn updates_but(
        &self,
        tried: &BTreeSet<MedicMessageId>,
        round: &mut Round,
    ) -> Vec<Update> {
        let mut updates = match self.unreported(tried, round).await {
            Ok(updates) => updates,
            Err(error) => {
                self.runtime.record(LogEvent::LedgerFailed {
                    error: Redacted::new(&error),
                });
                return Vec::new();
            }
        };
        let now_ms = self.runtime.now_ms();
        for update in &updates {
            let candidate = Candidate::Status(update.id.clone());
            if round.is_hopeless(&candidate, now_ms) {
                round.dead_lettered_one = true;
                self.mark_refused(update, ENDED_EVERY_POST, round).await;
            }
        }
        updates.retain(|update| !round.reported.contains(&(update.id.clone(), update.status)));
        updates.sort_by_key(|update| {
            let candidate = Candidate::Status(update.id.clone());
            let fails = round.memory.failing_for_ms(&candidate, now_ms).is_some();
            (round.memory.posts_in_doubt(&candidate), fails)
        });
        // What has ended a POST in which it was alone does not share one.
        let is_good = |update: &Update| {
            let candidate = Candidate::Status(update.id.clone());
            round.memory.posts_in_doubt(&candidate) == 0
        };
        let good = updates.partition_point(is_good);
        let limit = UPDATES_A_POST >> round.memory.status_failures.min(7);
        updates.truncate(good.min(limit).max(1));
        updates
    }

    async fn unreported(
        &self,
        tried: &BTreeSet<MedicMessageId>,
        round: &Round,
    ) -> Result<Vec<Update>, LedgerError> {
        let mut ids: Vec<MedicMessageId> = Vec::new();
        // The index may not know yet what was told a moment ago.
        let page = UPDATES_A_POST
            .saturating_add(round.reported.len())
            .saturating_add(tried.len());
        for id in round
            .to_report
            .iter()
            .cloned()
            .chain(self.ledger.unreported(page).await?)
        {
            if !ids.contains(&id) && !tried.contains(&id) {
                ids.push(id);
            }
        }
        let keys: Vec<Key> = ids.iter().cloned().map(Key::Message).collect();
        let rows = ledger::read(&self.ledger, &keys).await?;
        Ok(ids
            .iter()
            .filter_map(|id| rows.message(id))
            .filter(|row| row.is_unreported() || round.to_report.contains(&row.id))
            .filter(|row| !round.reported.contains(&(row.id.clone(), row.status)))
            .take(UPDATES_A_POST)
            .map(update)
            .collect())
    }

    /// Writes down what was reported to Medic. A row leaves the index only when its status is still that
    /// one; what cannot be written is reported once more by a later invocation.
    pub(super) async fn mark_reported(&self, updates: &[Update], round: &mut Round) {
        for update in updates {
            round.reported.insert((update.id.clone(), update.status));
            round.to_report.retain(|id| *id != update.id);
            round.memory.forget(&Candidate::Status(update.id.clone()));
            self.runtime.record(LogEvent::StatusReported {
                message: Redacted::new(&update.id),
                status: update.status,
            });
        }
        self.change_rows(updates, |row, update| row.after_reporting(update.status))
            .await;
    }

    /// Marks statuses that Medic refuses while it takes others: they are not reported again by
    /// themselves.
    pub(super) async fn mark_refused(&self, update: &Update, answer: &str, round: &mut Round) {
        round.reported.insert((update.id.clone(), update.status));
        round.memory.forget(&Candidate::Status(update.id.clone()));
        self.runtime.record(LogEvent::StatusRefused {
            message: Redacted::new(&update.id),
            status: update.status,
        });
        let now_ms = self.runtime.now_ms();
        self.change_rows(std::slice::from_ref(update), |row, update| {
            row.after_refusal(update.status, answer, now_ms)
        })
        .await;
    }

    async fn change_rows(
        &self,
        updates: &[Update],
        step: impl Fn(MessageRow, &Update) -> MessageRow,
    ) {
        let step = &step;
        let changes = updates.iter().map(|update| async move {
            let key = Key::Message(update.id.clone());
            ledger::change(&self.ledger, &self.runtime, &[key], |rows| {
                let row = rows.message(&update.id).cloned();
                let changed = row.map(|row| Row::Message(step(row, update)));
                (changed.into_iter().collect(), ())
            })
            .await
        });
        let results: Vec<Result<(), LedgerError>> = stream::iter(changes)
            .buffered(WRITES_SIDE_BY_SIDE)
            .collect()
            .await;
        if let Some(error) = results.iter().find_map(|result| result.as_ref().err()) {
            self.runtime.record(LogEvent::LedgerFailed {
                error: Redacted::new(error),
            });
        }
    }
}

fn update(row: &MessageRow) -> Update {
    Update {
        id: row.id.clone(),
        status: row.status,
        reason: row.failure_reason.clone(),
    }
}
