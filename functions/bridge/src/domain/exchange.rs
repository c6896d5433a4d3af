//! What the exchange remembers from one invocation to the next: the budgets of quarantine, and what
//! ended in doubt.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::IncomingId;
use super::quarantine::{FAILURES_TO_DEAD_LETTER, MedicFailure, Quarantine};
use crate::domain::time::Timestamp;

const HOUR: Duration = Duration::from_hours(1);

/// So many quarantined messages are remembered for whoever looks; the queue holds all of them.
const QUARANTINED_REMEMBERED: usize = 20;

/// A message that was to be tried again so long ago is no longer there, because no queue keeps it for
/// longer.
const STALE: Duration = Duration::from_hours(14 * 24);

/// What keeps a Medic that can store nothing from emptying the queue into quarantine: one new suspicion
/// for each proof that Medic stores, or one an hour.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// How often Medic has newly stored something. Counts on only after somebody took note of it, so
    /// that not every message costs a write.
    #[serde(default)]
    progress: u64,
    /// Whether somebody took note of the present number.
    #[serde(default)]
    is_noted: bool,
    /// When something was quarantined first, and at which number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spent: Option<Spent>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Spent {
    progress: u64,
    #[serde(rename = "at_ms")]
    at: Timestamp,
}

impl Budget {
    /// How much was newly stored.
    pub fn progress(&self) -> u64 {
        self.progress
    }

    /// Medic has newly stored something.
    pub fn earn(&mut self) {
        if self.is_noted {
            self.progress = self.progress.saturating_add(1);
            self.is_noted = false;
        }
    }

    /// The present number, to be compared with a later one.
    pub fn note(&mut self) -> u64 {
        self.is_noted = true;
        self.progress
    }

    /// Whether something may be suspected that was not before.
    pub fn allows(&self, now: Timestamp) -> bool {
        self.spent
            .as_ref()
            .is_none_or(|spent| self.progress > spent.progress || now >= spent.at + HOUR)
    }

    /// Something was suspected that was not before.
    pub fn spend(&mut self, now: Timestamp) {
        let progress = self.note();
        self.spent = Some(Spent { progress, at: now });
    }

    /// A budget that allows nothing.
    fn exhausted() -> Self {
        Self {
            spent: Some(Spent {
                progress: u64::MAX,
                at: Timestamp::MAX,
            }),
            ..Self::default()
        }
    }
}

/// What was in the last POST that ended in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InDoubt {
    /// Messages, with statuses or without: statuses have their turn first, next time.
    Messages,
    /// Statuses only.
    Statuses,
}

/// A message in quarantine, for whoever looks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// How often it failed.
    pub failures: u32,
    /// When it was quarantined first.
    #[serde(rename = "since_ms")]
    pub since: Timestamp,
    /// When it is tried again.
    #[serde(rename = "until_ms")]
    pub until: Timestamp,
}

/// The ledger's one row for the exchange with Medic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeRow {
    /// The budget for quarantined messages.
    #[serde(default)]
    pub messages: Budget,
    /// The budget for statuses that are set aside.
    #[serde(default)]
    pub statuses: Budget,
    /// While this is set, messages and statuses go in POSTs of their own: one ended in doubt, and not
    /// everything that was in it has passed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_doubt: Option<InDoubt>,
    /// In how many POSTs in a row that ended in doubt each waiting message was.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub posts_in_doubt: BTreeMap<IncomingId, u32>,
    /// How often a POST of statuses is halved: as many ended in doubt, less those that passed since.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub statuses_in_doubt: u32,
    /// The messages in quarantine, as far as they are remembered.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub quarantined: BTreeMap<IncomingId, Quarantined>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What becomes of a message that failed alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Nothing yet: it goes back, in its place.
    Wait,
    /// It is quarantined.
    Quarantine(Quarantine),
    /// It goes to the dead-letter queue.
    DeadLetter,
}

impl ExchangeRow {
    /// What is assumed when the row cannot be read: nothing new may be suspected.
    pub fn unknown() -> Self {
        Self {
            messages: Budget::exhausted(),
            statuses: Budget::exhausted(),
            ..Self::default()
        }
    }

    /// Whether this is what was remembered, and not [`ExchangeRow::unknown`].
    pub fn is_known(&self) -> bool {
        let spent = self.statuses.spent.as_ref();
        spent.is_none_or(|spent| spent.at < Timestamp::MAX)
    }

    /// How much Medic has taken, messages and statuses, to be compared with a later number.
    pub fn note_progress(&mut self) -> u64 {
        let messages = self.messages.note();
        messages.saturating_add(self.statuses.note())
    }

    /// What becomes of a message that failed alone, or ended alone in doubt, `before` being what it was
    /// quarantined for earlier.
    pub fn judge(
        &self,
        before: Option<&Quarantine>,
        failure: &MedicFailure,
        now: Timestamp,
    ) -> Judgement {
        let progress = self.messages.progress();
        let failures = match before {
            None if self.messages.allows(now) => 1,
            None => return Judgement::Wait,
            Some(before) if progress > before.progress => before.failures.saturating_add(1),
            Some(before) => before.failures,
        };
        let is_counted = before.is_none_or(|before| failures > before.failures);
        if is_counted && failures >= FAILURES_TO_DEAD_LETTER {
            return Judgement::DeadLetter;
        }
        let is_proven = before.is_some() && is_counted;
        // With this one, if it was not there before.
        let quarantined = self.quarantined.len() + usize::from(before.is_none());
        Judgement::Quarantine(Quarantine {
            failures,
            progress: before
                .filter(|_| !is_counted)
                .map_or(progress, |before| before.progress),
            since: before.map_or(now, |before| before.since),
            until: now + failure.quarantine(is_proven, quarantined),
            answer: failure.text().to_owned(),
        })
    }

    /// A message was quarantined; `is_first`, if it was not before.
    pub fn note_quarantine(
        &mut self,
        id: &IncomingId,
        quarantine: &Quarantine,
        is_first: bool,
        now: Timestamp,
    ) {
        if is_first {
            self.messages.spend(now);
        } else {
            self.messages.note();
        }
        self.posts_in_doubt.remove(id);
        self.quarantined.insert(
            id.clone(),
            Quarantined {
                failures: quarantine.failures,
                since: quarantine.since,
                until: quarantine.until,
            },
        );
        if self.quarantined.len() > QUARANTINED_REMEMBERED {
            let mut latest = self.quarantined.iter();
            let latest = latest.by_ref().max_by_key(|(_, one)| one.since);
            if let Some(latest) = latest.map(|(id, _)| id.clone()) {
                self.quarantined.remove(&latest);
            }
        }
    }

    /// Without messages that are gone, although the row that said so could not be written.
    #[must_use]
    pub fn without_stale(mut self, now: Timestamp) -> Self {
        self.quarantined
            .retain(|_, quarantined| now.since(quarantined.until) < STALE);
        self
    }

    /// Medic has the message, or the dead-letter queue.
    pub fn forget(&mut self, id: &IncomingId) {
        self.posts_in_doubt.remove(id);
        self.quarantined.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quarantined(failures: u32, progress: u64) -> Quarantine {
        Quarantine {
            failures,
            progress,
            since: Timestamp::from_millis(3),
            until: Timestamp::from_millis(4),
            answer: "500".to_owned(),
        }
    }

    fn answer() -> MedicFailure {
        MedicFailure::Answer("500".to_owned())
    }

    #[test]
    fn a_budget_is_one_suspicion_for_each_newly_stored_message_or_one_an_hour() {
        let mut budget = Budget::default();
        assert!(budget.allows(Timestamp::from_millis(0)));
        budget.spend(Timestamp::from_millis(0));
        assert!(!budget.allows(Timestamp::from_millis(0) + HOUR - Duration::from_millis(1)));
        assert!(budget.allows(Timestamp::from_millis(0) + HOUR));
        budget.earn();
        budget.earn();
        assert!(budget.allows(Timestamp::from_millis(1)));
        budget.spend(Timestamp::from_millis(1));
        assert!(
            !budget.allows(Timestamp::from_millis(2)),
            "what was stored before counts once"
        );
        assert!(!Budget::exhausted().allows(Timestamp::from_millis(i64::MAX - 1)));
    }

    #[test]
    fn a_message_that_no_queue_can_have_any_more_is_not_in_quarantine() {
        let mut row = ExchangeRow::default();
        let id = IncomingId::new("in-1").unwrap();
        let until = Timestamp::from_millis(0) + HOUR;
        let one = Quarantined {
            failures: 1,
            since: Timestamp::from_millis(0),
            until,
        };
        row.quarantined.insert(id, one);
        let before = until + STALE - Duration::from_millis(1);
        assert_eq!(row.clone().without_stale(before), row);
        assert!(row.without_stale(until + STALE).quarantined.is_empty());
    }

    #[test]
    fn progress_counts_on_only_after_somebody_took_note() {
        let mut budget = Budget::default();
        for _ in 0..3 {
            budget.earn();
        }
        assert_eq!(budget.progress(), 0, "no write for each message");
        let noted = budget.note();
        budget.earn();
        budget.earn();
        assert_eq!(budget.progress(), noted + 1);
    }

    #[test]
    fn a_failure_counts_when_something_was_newly_stored_since_the_one_before() {
        let mut row = ExchangeRow::default();
        row.messages.spend(Timestamp::from_millis(0));
        row.messages.earn();
        // Failures and progress before; failures and progress after, if it is quarantined again.
        for (before, after) in [
            ((1, 0), Some((2, 1))),
            ((1, 1), Some((1, 1))),
            ((3, 0), Some((4, 1))),
            ((4, 1), Some((4, 1))),
            ((4, 0), None),
            // Redriven from the dead-letter queue.
            ((5, 1), Some((5, 1))),
            ((5, 0), None),
        ] {
            let before = quarantined(before.0, before.1);
            let judged = row.judge(Some(&before), &answer(), Timestamp::from_millis(10));
            match after {
                None => assert_eq!(judged, Judgement::DeadLetter),
                Some((failures, progress)) => {
                    let stays = answer().quarantine(failures > before.failures, 0);
                    let expected = Quarantine {
                        until: Timestamp::from_millis(10) + stays,
                        ..quarantined(failures, progress)
                    };
                    assert_eq!(judged, Judgement::Quarantine(expected), "{before:?}");
                }
            }
        }
    }

    #[test]
    fn a_first_quarantine_needs_the_budget_and_one_that_was_there_before_does_not() {
        let mut row = ExchangeRow::default();
        let first = |row: &ExchangeRow| row.judge(None, &answer(), Timestamp::from_millis(10));
        assert!(matches!(first(&row), Judgement::Quarantine(one) if one.failures == 1));
        row.messages.spend(Timestamp::from_millis(9));
        assert_eq!(first(&row), Judgement::Wait);
        let again = row.judge(
            Some(&quarantined(1, 0)),
            &answer(),
            Timestamp::from_millis(10),
        );
        assert!(matches!(again, Judgement::Quarantine(_)));
        assert_eq!(first(&ExchangeRow::unknown()), Judgement::Wait);
    }

    #[test]
    fn the_row_stays_small_and_keeps_what_waits_longest() {
        let mut row = ExchangeRow::default();
        for n in 0..100 {
            let id = IncomingId::new(format!("in-{n:03}")).unwrap();
            let quarantine = Quarantine {
                since: Timestamp::from_millis(n),
                ..quarantined(1, 0)
            };
            row.note_quarantine(&id, &quarantine, true, Timestamp::from_millis(n));
        }
        assert_eq!(row.quarantined.len(), QUARANTINED_REMEMBERED);
        let first = IncomingId::new("in-000").unwrap();
        assert!(row.quarantined.contains_key(&first));
        row.forget(&first);
        assert!(!row.quarantined.contains_key(&first));
    }
}
