//! What is remembered of the exchange with Medic from one invocation to the next.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::{IncomingId, MedicMessageId};

/// So many candidates are remembered; a batch has ten messages at most.
const CANDIDATES_REMEMBERED: usize = 40;

/// The ledger's one row for the exchange: what ended POSTs without an answer that says why (a hang, a
/// reset, a refusal of the request), and what failed alone. A receive count cannot tell that: it also
/// grows while Medic is away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeRow {
    /// Whether messages and statuses go in POSTs of their own: one that brought both, or either,
    /// ended so.
    #[serde(default)]
    pub apart: bool,
    /// Whether statuses have their turn before messages: it was messages that ended the last POST.
    #[serde(default)]
    pub statuses_first: bool,
    /// How often a POST with nothing but statuses is halved: as many ended so, less those taken since.
    #[serde(default)]
    pub status_failures: u32,
    #[serde(default)]
    candidates: BTreeMap<String, FailureRecord>,
}

/// What is known of something that failed alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FailureRecord {
    /// How many POSTs in which it was alone ended without an answer that says why.
    posts_in_doubt: u32,
    /// How many of them after Medic had taken something else in the same invocation.
    #[serde(default)]
    controlled_posts_in_doubt: u32,
    /// When it first failed alone, in milliseconds since 1970.
    since_ms: i64,
}

/// Something that can be brought to Medic alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Candidate {
    /// An SMS that came in.
    Message(IncomingId),
    /// The status of a message that Medic wanted sent.
    Status(MedicMessageId),
}

impl Candidate {
    fn key(&self) -> String {
        match self {
            Self::Message(id) => format!("message#{}", id.as_str()),
            Self::Status(id) => format!("status#{}", id.as_str()),
        }
    }
}

impl ExchangeRow {
    /// How many POSTs in which it was alone ended without an answer that says why.
    pub fn posts_in_doubt(&self, candidate: &Candidate) -> u32 {
        let failure_record = self.candidates.get(&candidate.key());
        failure_record.map_or(0, |failure_record| failure_record.posts_in_doubt)
    }

    /// How many of them after Medic had taken something else in the same invocation.
    pub fn controlled_posts_in_doubt(&self, candidate: &Candidate) -> u32 {
        let failure_record = self.candidates.get(&candidate.key());
        failure_record.map_or(0, |failure_record| failure_record.controlled_posts_in_doubt)
    }

    /// For how long it has failed alone, in milliseconds, if it has.
    pub fn failing_for_ms(&self, candidate: &Candidate, now_ms: i64) -> Option<i64> {
        let failure_record = self.candidates.get(&candidate.key());
        failure_record.map(|failure_record| now_ms.saturating_sub(failure_record.since_ms))
    }

    /// A POST in which it was alone ended without an answer that says why; `controlled`, if Medic had
    /// taken something else shortly before.
    pub fn note_in_doubt(&mut self, candidate: &Candidate, controlled: bool, now_ms: i64) {
        self.note(candidate, now_ms, |failure_record| {
            failure_record.posts_in_doubt = failure_record.posts_in_doubt.saturating_add(1);
            let controlled = u32::from(controlled);
            failure_record.controlled_posts_in_doubt = failure_record
                .controlled_posts_in_doubt
                .saturating_add(controlled);
        });
    }

    /// Medic answered that it failed, and it was alone.
    pub fn note_failure(&mut self, candidate: &Candidate, now_ms: i64) {
        self.note(candidate, now_ms, |_| {});
    }

    fn note(&mut self, candidate: &Candidate, now_ms: i64, count: impl Fn(&mut FailureRecord)) {
        count(
            self.candidates
                .entry(candidate.key())
                .or_insert(FailureRecord {
                    posts_in_doubt: 0,
                    controlled_posts_in_doubt: 0,
                    since_ms: now_ms,
                }),
        );
        if self.candidates.len() > CANDIDATES_REMEMBERED {
            let least = self.candidates.iter().min_by_key(|(_, failure_record)| {
                (
                    failure_record.posts_in_doubt,
                    Reverse(failure_record.since_ms),
                )
            });
            if let Some(least) = least.map(|(key, _)| key.clone()) {
                self.candidates.remove(&least);
            }
        }
    }

    /// Medic took it, or it was dead-lettered.
    pub fn forget(&mut self, candidate: &Candidate) {
        self.candidates.remove(&candidate.key());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(n: i64) -> Candidate {
        Candidate::Status(MedicMessageId::new(format!("s{n}")).unwrap())
    }

    #[test]
    fn a_candidate_is_remembered_until_it_is_settled() {
        let mut exchange = ExchangeRow::default();
        let bad = Candidate::Message(IncomingId::new("bad").unwrap());
        assert_eq!(exchange.failing_for_ms(&bad, 5_000), None);
        exchange.note_failure(&bad, 1_000);
        exchange.note_in_doubt(&bad, false, 2_000);
        exchange.note_in_doubt(&bad, true, 3_000);
        assert_eq!(exchange.posts_in_doubt(&bad), 2);
        assert_eq!(exchange.controlled_posts_in_doubt(&bad), 1);
        assert_eq!(exchange.failing_for_ms(&bad, 5_000), Some(4_000));
        exchange.forget(&bad);
        assert_eq!(exchange.posts_in_doubt(&bad), 0);
        assert_eq!(exchange.failing_for_ms(&bad, 5_000), None);
    }

    #[test]
    fn the_row_does_not_grow_for_ever_and_keeps_what_is_known_longest() {
        let mut exchange = ExchangeRow::default();
        exchange.note_in_doubt(&status(1_000), false, 9_000);
        for n in 0..200 {
            exchange.note_failure(&status(n), n);
        }
        assert_eq!(exchange.candidates.len(), CANDIDATES_REMEMBERED);
        assert_eq!(exchange.posts_in_doubt(&status(1_000)), 1);
        assert_eq!(exchange.failing_for_ms(&status(0), 500), Some(500));
        assert_eq!(exchange.failing_for_ms(&status(199), 500), None);
    }
}
