//! Where the emulator differs from what AWS documents, as far as it matters to the contracts.
//!
//! The tests on the emulator leave these cases out. The models do as AWS does.

/// A difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What AWS documents.
    pub aws: &'static str,
    /// The emulator's behaviour.
    pub emulator: &'static str,
}

/// Of a FIFO queue's message group.
pub const GROUP_LOCK: Difference = Difference {
    aws: "hands out what precedes the first invisible message of a group",
    emulator: "hands out nothing of a group while one of its messages is invisible",
};

/// Of `ChangeMessageVisibility`.
pub const NOT_IN_FLIGHT: Difference = Difference {
    aws: "refuses to hide a message that is visible again: MessageNotInflight",
    emulator: "hides it",
};

/// Of `ChangeMessageVisibility`.
pub const LONGEST_VISIBILITY: Difference = Difference {
    aws: "hides no message longer than twelve hours from its receive",
    emulator: "hides it for as long as it is told to",
};

/// Of sending to a FIFO queue.
pub const LONGEST_ID: Difference = Difference {
    aws: "refuses a deduplication id of more than 128 characters",
    emulator: "takes it",
};

/// All of them.
pub const ALL: [Difference; 4] = [GROUP_LOCK, NOT_IN_FLIGHT, LONGEST_VISIBILITY, LONGEST_ID];
