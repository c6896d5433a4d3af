//! What is kept away from Medic, because Medic failed on it, and for how long.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::time::Timestamp;

/// How long a message stays in quarantine, and how long a status is set aside.
pub const QUARANTINE: Duration = Duration::from_hours(1);

/// How long a message stays there while nothing shows that Medic stores others: its disk may be full, and
/// have room again at any moment. As long as the usual wait for a retry.
const UNPROVEN_QUARANTINE: Duration = Duration::from_secs(45);

/// So many come back in that time. With more in quarantine each stays longer, so that a Medic that can store
/// nothing is not asked about all of them.
const BACK_AT_ONCE: usize = 2;

/// Why what never got an answer is suspected.
const NO_ANSWER: &str = "Medic never answered a POST that brought it alone";

/// So many failures, each with a message newly stored since the one before, and a message goes to the
/// dead-letter queue. A count of tries and not of hours: a disk that is full for days proves nothing.
pub const FAILURES_TO_DEAD_LETTER: u32 = 5;

/// Why a message waits in quarantine. It travels with the message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// How often the message failed alone, each time with something newly stored since the last.
    pub failures: u32,
    /// How much was newly stored when that was counted, by [`Budget::progress`](super::exchange::Budget::progress).
    pub progress: u64,
    /// When it was quarantined first.
    #[serde(rename = "since_ms")]
    pub since: Timestamp,
    /// When it goes back to the others.
    #[serde(rename = "until_ms")]
    pub until: Timestamp,
    /// What Medic answered last.
    pub answer: String,
}

/// The answer of Medic may repeat what it was sent.
impl std::fmt::Debug for Quarantine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Quarantine")
            .field("failures", &self.failures)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

/// How Medic failed on one message, or on one status, that came alone.
#[derive(Clone, PartialEq, Eq)]
pub enum MedicFailure {
    /// With this answer, at once.
    Answer(String),
    /// Without any. All others wait meanwhile until Medic cannot be working on it any more.
    NoAnswer,
}

/// The answer of Medic may repeat what it was sent.
impl std::fmt::Debug for MedicFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Answer(_) => "Answer",
            Self::NoAnswer => "NoAnswer",
        })
    }
}

impl MedicFailure {
    /// The answer, or that there was none.
    pub fn text(&self) -> &str {
        match self {
            Self::Answer(answer) => answer,
            Self::NoAnswer => NO_ANSWER,
        }
    }

    /// How long a message that failed stays in quarantine, where so many are with it. `is_proven`, if it
    /// failed before, and Medic has newly stored another since.
    pub fn quarantine(&self, is_proven: bool, quarantined: usize) -> Duration {
        match self {
            Self::Answer(_) if !is_proven => {
                let turns = quarantined.div_ceil(BACK_AT_ONCE).max(1);
                let turns = u32::try_from(turns).unwrap_or(u32::MAX);
                UNPROVEN_QUARANTINE.saturating_mul(turns).min(QUARANTINE)
            }
            _ => QUARANTINE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarantine_lasts_for_seconds_until_others_show_that_medic_stores() {
        let answer = MedicFailure::Answer("500".to_owned());
        for (quarantined, seconds) in [(0, 45), (1, 45), (2, 45), (3, 90), (10, 225), (300, 3_600)]
        {
            let stays = answer.quarantine(false, quarantined);
            assert_eq!(stays, Duration::from_secs(seconds), "{quarantined}");
        }
        assert_eq!(answer.quarantine(true, 1), QUARANTINE);
        // All others wait for each try of one that never gets an answer.
        assert_eq!(MedicFailure::NoAnswer.quarantine(false, 1), QUARANTINE);
    }

    #[test]
    fn nothing_of_what_medic_answered_is_shown() {
        let quarantine = Quarantine {
            failures: 1,
            progress: 0,
            since: Timestamp::from_millis(3),
            until: Timestamp::from_millis(4),
            answer: "+254700000001".to_owned(),
        };
        assert!(!format!("{quarantine:?}").contains("2547"));
        let failure = MedicFailure::Answer("+254700000001".to_owned());
        assert!(!format!("{failure:?}").contains("2547"));
    }
}
