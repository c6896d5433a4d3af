//! What every consumer of a queue does: dead-letter with a reason, or return for retry.

pub mod dead_letter;
