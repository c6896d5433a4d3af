//! What Medic does not know yet, and writing down that it does.

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt};

use super::handler::MedicExchange;
use super::reports::Reports;
use super::round::Round;
use crate::domain::ids::MedicMessageId;
use crate::domain::isolation::{FailedBefore, STATUSES_A_POST, StatusCandidate};
use crate::domain::message::{FAILURES_TO_ALARM, MessageRow};
use crate::domain::quarantine::MedicFailure;
use crate::ledger::{self, Rows};
use crate::log::{LogEvent, Redacted};
use crate::ports::{Key, LedgerError, LedgerStore, Medic, Queue, Row, Runtime};
use crate::wire::medic::Update;

/// So many rows are written side by side.
const WRITES_SIDE_BY_SIDE: usize = 16;

/// So many names of the index are looked at for statuses that are not set aside.
const NAMES_AT_MOST: usize = 1_600;

impl<L: LedgerStore, Q: Queue, M: Medic, S: Runtime> MedicExchange<L, Q, M, S> {
    /// The statuses beside messages: none, once there were none, and none that failed before.
    pub(super) async fn fresh_updates(&self, round: &mut Round<'_>) -> Vec<Update> {
        if round.reports.is_drained && round.reports.wanted.is_empty() {
            return Vec::new();
        }
        let mut updates = self.updates(STATUSES_A_POST, round).await;
        updates.retain(|update| !round.reports.has_failed_before(update));
        round.reports.is_drained = updates.is_empty();
        updates
    }

    /// So many statuses at the most for the next POST; those that failed before only when there are no
    /// others. The index only names candidates: each row is read strongly consistent. When the ledger does
    /// not answer there are none, and incoming messages do not wait for it.
    pub(super) async fn updates(&self, at_most: usize, round: &mut Round<'_>) -> Vec<Update> {
        let found = self.find_updates(at_most, round).await;
        let updates = self.unless_failure(found);
        round.reports.is_drained = updates.is_empty();
        updates
    }

    /// The statuses of these messages, as they are now.
    pub(super) async fn updates_of(
        &self,
        ids: &[MedicMessageId],
        round: &mut Round<'_>,
    ) -> Vec<Update> {
        let found = self.read_updates(ids, round).await;
        self.unless_failure(found)
    }

    fn unless_failure(&self, found: Result<Vec<Update>, LedgerError>) -> Vec<Update> {
        found.unwrap_or_else(|error| {
            self.log_ledger_error(&error);
            Vec::new()
        })
    }

    /// Asks the index for more and more names, until there are enough rows that never failed.
    async fn find_updates(
        &self,
        at_most: usize,
        round: &mut Round<'_>,
    ) -> Result<Vec<Update>, LedgerError> {
        // The index may not know yet what was reported a moment ago.
        let mut names = STATUSES_A_POST.saturating_add(round.reports.reported.len());
        loop {
            let mut ids = round.reports.wanted.clone();
            let named = self.ledger.unreported(names).await?;
            let are_all = named.len() < names;
            ids.extend(named);
            let mut seen = BTreeSet::new();
            ids.retain(|id| seen.insert(id.clone()));
            let updates = self.read_updates(&ids, round).await?;
            let (mut failed, mut fresh): (Vec<_>, Vec<_>) = updates
                .into_iter()
                .partition(|update| round.reports.has_failed_before(update));
            if fresh.len() >= at_most || are_all || names >= NAMES_AT_MOST {
                if !fresh.is_empty() {
                    fresh.truncate(at_most);
                    return Ok(fresh);
                }
                // One of them may have ended the last POST: one by one it does not take the others along.
                let is_in_doubt = round.isolation.memory.in_doubt.is_some();
                let at_most = if is_in_doubt { 1 } else { at_most };
                // Always the same ones first would keep the others away.
                let last = u64::try_from(failed.len()).unwrap_or(0).saturating_sub(1);
                let first = usize::try_from(self.runtime.up_to(last)).unwrap_or(0);
                if first < failed.len() {
                    failed.rotate_left(first);
                }
                failed.truncate(at_most);
                return Ok(failed);
            }
            names = names.saturating_mul(2);
        }
    }

    async fn read_updates(
        &self,
        ids: &[MedicMessageId],
        round: &mut Round<'_>,
    ) -> Result<Vec<Update>, LedgerError> {
        let now = self.runtime.now();
        let reports = &round.reports;
        let with_rows = ids.iter().filter(|id| !reports.is_just_taken(id)).cloned();
        let keys: Vec<Key> = with_rows.map(Key::Message).collect();
        let rows = ledger::read(&self.ledger, &keys).await?;
        let mut updates = Vec::new();
        for id in ids {
            let Some(row) = round.reports.row(&rows, id) else {
                continue;
            };
            let is_wanted = round.reports.wanted.contains(&row.id);
            if !(row.is_unreported() || is_wanted)
                || row.is_set_aside(now)
                || round.reports.was_reported(&row)
                || !round.isolation.may_bring_status(&row.id)
            {
                continue;
            }
            if let Some(refusal) = row.refused() {
                let before = FailedBefore {
                    progress: refusal.progress,
                    was_set_aside: refusal.times > 0,
                };
                round.reports.failed_before.insert(row.id.clone(), before);
            } else {
                round.reports.failed_before.remove(&row.id);
            }
            round
                .reports
                .read
                .take_over(Key::Message(id.clone()), &rows);
            updates.push(update(&row));
        }
        Ok(updates)
    }

    /// Writes down what was reported, in the rows as they were before the POST unless somebody has changed
    /// them since. A row leaves the index only when its status is still that one; what cannot be written is
    /// reported once more by a later invocation.
    pub(super) async fn mark_reported(&self, updates: &[Update], reports: &mut Reports) {
        for update in updates {
            let reported = (update.id.clone(), update.status);
            reports.reported.insert(reported);
            reports.wanted.retain(|id| *id != update.id);
        }
        // What has no row yet gets it from the sender, with `Unsent` as reported.
        let of_rows = updates
            .iter()
            .filter(|update| !reports.is_without_row(update));
        let read = &reports.read;
        let changes = of_rows.map(|update| async move {
            let key = Key::Message(update.id.clone());
            ledger::change_known(&self.ledger, &self.runtime, read, &[key], |rows| {
                let row = rows.message(&update.id).cloned();
                let changed = row.map(|row| Row::Message(row.after_reporting(update.status)));
                (changed.into_iter().collect(), ())
            })
            .await
        });
        let results: Vec<Result<_, LedgerError>> = stream::iter(changes)
            .buffered(WRITES_SIDE_BY_SIDE)
            .collect()
            .await;
        if let Some(error) = results.iter().find_map(|result| result.as_ref().err()) {
            self.log_ledger_error(error);
        }
        reports.read = Rows::default();
    }

    /// Writes down that Medic failed on a status, `progress` being how much it had taken by then. A status
    /// that is set aside by it is reported again after an hour. Of a message that has another status by now
    /// nothing is written.
    pub(super) async fn note_failure(
        &self,
        failed: &StatusCandidate,
        failure: &MedicFailure,
        progress: u64,
        round: &mut Round<'_>,
    ) {
        let now = self.runtime.now();
        let id = &failed.id;
        round.reports.wanted.retain(|wanted| wanted != id);
        let key = Key::Message(id.clone());
        let reports = &round.reports;
        let written = ledger::change(&self.ledger, &self.runtime, &[key], |rows| {
            let row = reports.row(rows, id);
            let Some(row) = row.filter(|row| row.status == failed.status) else {
                return (Vec::new(), None);
            };
            let before = row.times_set_aside();
            let row = row.after_refusal(failure, now, progress);
            let times = (before, row.times_set_aside());
            (vec![Row::Message(row)], Some(times))
        })
        .await;
        let medic_id = Redacted::new(id);
        match written {
            Ok(Some((before, times))) => {
                let status = failed.status;
                let alarms = before < FAILURES_TO_ALARM && times >= FAILURES_TO_ALARM;
                self.runtime.record(match times {
                    0 => LogEvent::StatusFailed { medic_id, status },
                    _ if alarms => LogEvent::StatusRefused { medic_id, status },
                    _ => LogEvent::StatusSetAside { medic_id, status },
                });
            }
            Ok(None) => {}
            Err(error) => self.log_ledger_error(&error),
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
