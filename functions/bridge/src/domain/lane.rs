//! What is remembered of the lane to Medic from one invocation to the next.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::{IncomingId, MedicMessageId};

/// So many suspects are remembered; a batch has ten messages at most.
const SUSPECTS_REMEMBERED: usize = 40;

/// The ledger's one row for the lane: what ended POSTs without an answer that says why (a hang, a
/// reset, a refusal of the request), and what failed alone. A receive count cannot tell that: it also
/// grows while Medic is away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneRow {
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
    suspicions: BTreeMap<String, Suspicion>,
}

/// What is known of something that failed alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Suspicion {
    /// How many POSTs in which it was alone ended without an answer that says why.
    doubts: u32,
    /// How many of them after Medic had taken something else in the same invocation.
    #[serde(default)]
    witnessed_doubts: u32,
    /// When it first failed alone, in milliseconds since 1970.
    since_ms: i64,
}

/// Something that can be brought to Medic alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suspect {
    /// An SMS that came in.
    Message(IncomingId),
    /// The status of a message that Medic wanted sent.
    Status(MedicMessageId),
}

impl Suspect {
    fn key(&self) -> String {
        match self {
            Self::Message(id) => format!("message#{}", id.as_str()),
            Self::Status(id) => format!("status#{}", id.as_str()),
        }
    }
}

impl LaneRow {
    /// How many POSTs in which it was alone ended without an answer that says why.
    pub fn doubts(&self, suspect: &Suspect) -> u32 {
        let suspicion = self.suspicions.get(&suspect.key());
        suspicion.map_or(0, |suspicion| suspicion.doubts)
    }

    /// How many of them after Medic had taken something else in the same invocation.
    pub fn witnessed_doubts(&self, suspect: &Suspect) -> u32 {
        let suspicion = self.suspicions.get(&suspect.key());
        suspicion.map_or(0, |suspicion| suspicion.witnessed_doubts)
    }

    /// For how long it has failed alone, in milliseconds, if it has.
    pub fn failing_for_ms(&self, suspect: &Suspect, now_ms: i64) -> Option<i64> {
        let suspicion = self.suspicions.get(&suspect.key());
        suspicion.map(|suspicion| now_ms.saturating_sub(suspicion.since_ms))
    }

    /// A POST in which it was alone ended without an answer that says why; `witnessed`, if Medic had
    /// taken something else shortly before.
    pub fn note_doubt(&mut self, suspect: &Suspect, witnessed: bool, now_ms: i64) {
        self.note(suspect, now_ms, |suspicion| {
            suspicion.doubts = suspicion.doubts.saturating_add(1);
            let witnessed = u32::from(witnessed);
            suspicion.witnessed_doubts = suspicion.witnessed_doubts.saturating_add(witnessed);
        });
    }

    /// Medic answered that it failed, and it was alone.
    pub fn note_failure(&mut self, suspect: &Suspect, now_ms: i64) {
        self.note(suspect, now_ms, |_| {});
    }

    fn note(&mut self, suspect: &Suspect, now_ms: i64, count: impl Fn(&mut Suspicion)) {
        count(self.suspicions.entry(suspect.key()).or_insert(Suspicion {
            doubts: 0,
            witnessed_doubts: 0,
            since_ms: now_ms,
        }));
        if self.suspicions.len() > SUSPECTS_REMEMBERED {
            let least = self
                .suspicions
                .iter()
                .min_by_key(|(_, suspicion)| (suspicion.doubts, Reverse(suspicion.since_ms)));
            if let Some(least) = least.map(|(key, _)| key.clone()) {
                self.suspicions.remove(&least);
            }
        }
    }

    /// Medic took it, or it was put aside.
    pub fn forget(&mut self, suspect: &Suspect) {
        self.suspicions.remove(&suspect.key());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(n: i64) -> Suspect {
        Suspect::Status(MedicMessageId::new(format!("s{n}")).unwrap())
    }

    #[test]
    fn a_suspect_is_remembered_until_it_is_settled() {
        let mut lane = LaneRow::default();
        let bad = Suspect::Message(IncomingId::new("bad").unwrap());
        assert_eq!(lane.failing_for_ms(&bad, 5_000), None);
        lane.note_failure(&bad, 1_000);
        lane.note_doubt(&bad, false, 2_000);
        lane.note_doubt(&bad, true, 3_000);
        assert_eq!(lane.doubts(&bad), 2);
        assert_eq!(lane.witnessed_doubts(&bad), 1);
        assert_eq!(lane.failing_for_ms(&bad, 5_000), Some(4_000));
        lane.forget(&bad);
        assert_eq!(lane.doubts(&bad), 0);
        assert_eq!(lane.failing_for_ms(&bad, 5_000), None);
    }

    #[test]
    fn the_row_does_not_grow_for_ever_and_keeps_what_is_known_longest() {
        let mut lane = LaneRow::default();
        lane.note_doubt(&status(1_000), false, 9_000);
        for n in 0..200 {
            lane.note_failure(&status(n), n);
        }
        assert_eq!(lane.suspicions.len(), SUSPECTS_REMEMBERED);
        assert_eq!(lane.doubts(&status(1_000)), 1);
        assert_eq!(lane.failing_for_ms(&status(0), 500), Some(500));
        assert_eq!(lane.failing_for_ms(&status(199), 500), None);
    }
}
