//! What is remembered of the lane to Medic from one invocation to the next.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::{IncomingId, MedicMessageId};

/// So many suspects are remembered; a batch has ten messages at most.
const SUSPECTS_REMEMBERED: usize = 40;

/// The ledger's one row for the lane: what ended POSTs without an answer that says why (a hang, a
/// reset, a refusal of the request). A receive count cannot tell that: it also grows while Medic is
/// away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneRow {
    /// How many POSTs that brought statuses ended so, since all statuses were last told.
    #[serde(default)]
    pub status_failures: u32,
    /// How often a message or a status ended a POST so in which it was alone.
    #[serde(default)]
    lone_failures: BTreeMap<String, u32>,
}

/// Something that can be brought to Medic alone.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// How often it ended a POST in which it was alone.
    pub fn failures_of(&self, suspect: &Suspect) -> u32 {
        self.lone_failures.get(&suspect.key()).copied().unwrap_or(0)
    }

    /// It ended a POST in which it was alone.
    pub fn note_failure(&mut self, suspect: &Suspect) {
        let failures = self.failures_of(suspect).saturating_add(1);
        self.lone_failures.insert(suspect.key(), failures);
        if self.lone_failures.len() > SUSPECTS_REMEMBERED {
            let least = self
                .lone_failures
                .iter()
                .min_by_key(|(_, failures)| **failures);
            if let Some(least) = least.map(|(key, _)| key.clone()) {
                self.lone_failures.remove(&least);
            }
        }
    }

    /// Medic took it, or it was put aside.
    pub fn forget(&mut self, suspect: &Suspect) {
        self.lone_failures.remove(&suspect.key());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suspect_is_remembered_until_it_is_settled_and_no_row_grows_for_ever() {
        let mut lane = LaneRow::default();
        let bad = Suspect::Message(IncomingId::new("bad").unwrap());
        lane.note_failure(&bad);
        lane.note_failure(&bad);
        for n in 0..200 {
            lane.note_failure(&Suspect::Status(
                MedicMessageId::new(format!("s{n}")).unwrap(),
            ));
        }
        assert_eq!(lane.failures_of(&bad), 2);
        assert!(lane.lone_failures.len() <= SUSPECTS_REMEMBERED);
        lane.forget(&bad);
        assert_eq!(lane.failures_of(&bad), 0);
    }
}
