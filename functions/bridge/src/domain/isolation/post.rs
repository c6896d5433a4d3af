//! What can be in a POST to Medic, what was in it, and how it ended.

use crate::domain::ids::{IncomingId, MedicMessageId};
use crate::domain::quarantine::Quarantine;
use crate::domain::status::Status;

/// A message of the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: IncomingId,
    /// From whom it is: one sender's messages stay in order.
    pub sender: String,
    /// Whether no earlier invocation can have brought it, so that Medic has newly stored it when it
    /// takes it.
    pub is_new: bool,
    /// Why it was in quarantine, if it was.
    pub quarantine: Option<Quarantine>,
}

/// A status in a POST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusCandidate {
    /// The message.
    pub id: MedicMessageId,
    /// Which status it is.
    pub status: Status,
    /// How Medic failed on it before, if it did.
    pub before: Option<FailedBefore>,
}

/// That Medic failed before on a status that came alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedBefore {
    /// How much Medic had taken by then, by
    /// [`ExchangeRow::note_progress`](crate::domain::exchange::ExchangeRow::note_progress).
    pub progress: u64,
    /// Whether the status was set aside for it.
    pub was_set_aside: bool,
}

/// What a POST brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brought {
    /// Messages.
    pub messages: Vec<IncomingId>,
    /// Statuses.
    pub statuses: Vec<StatusCandidate>,
}

impl Brought {
    /// Whether it was the control POST, which brings nothing.
    pub fn is_control(&self) -> bool {
        self.messages.is_empty() && self.statuses.is_empty()
    }
}

/// How a POST ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PostEnd {
    /// Medic has all of it.
    Taken,
    /// It failed on something in it, with this answer; nobody is working on it any more.
    Failed(String),
    /// Medic may still be working on it.
    InDoubt,
}
