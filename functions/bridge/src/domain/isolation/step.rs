//! What is done next.

use super::post::StatusCandidate;
use crate::domain::ids::{IncomingId, MedicMessageId};
use crate::domain::quarantine::{MedicFailure, Quarantine};

/// What is done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The empty POST: does Medic answer?
    Control,
    /// These messages in a POST, with statuses beside them or without.
    Messages {
        /// Which.
        ids: Vec<IncomingId>,
        /// Whether statuses go with them.
        with_statuses: bool,
    },
    /// These statuses, which failed together with others.
    SomeStatuses(Vec<MedicMessageId>),
    /// So many statuses at the most, and the question what Medic wants sent.
    Statuses {
        /// How many.
        at_most: usize,
        /// Whether nothing else is left to be done.
        is_last: bool,
    },
    /// This message into quarantine.
    Quarantine(IncomingId, Quarantine),
    /// This message into the dead-letter queue, because Medic failed on it in this way.
    DeadLetter(IncomingId, MedicFailure),
    /// Medic failed on this status for the first time, with this answer or none, which is written down.
    NoteFailure(StatusCandidate, String),
    /// This status is set aside, because Medic failed on it in this way.
    SetAside(StatusCandidate, MedicFailure),
    /// No more POST, and nothing else.
    End,
}
