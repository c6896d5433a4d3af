//! Attempts at a queue record that never ended, because Lambda killed the function.

use serde::{Deserialize, Serialize};

/// After so many attempts in a row without an end the record goes to the dead-letter queue. An attempt
/// costs a visibility timeout, about six minutes at most, so that ten of them take about an hour. Lambda
/// kills a function now and then for reasons of its own, but not ten times in a row at the same record.
pub const UNFINISHED_TO_DEAD_LETTER: u32 = 10;

/// The ledger's row for the attempts at one record. A record that never had to be received again has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptsRow {
    /// Which record: SQS's message id, or the id of the SMS in it.
    pub record: String,
    /// How many attempts in a row have begun and not ended.
    pub unfinished: u32,
}

impl AttemptsRow {
    /// The row of a record without an attempt.
    pub fn new(record: String) -> Self {
        Self {
            record,
            unfinished: 0,
        }
    }

    /// The row when an attempt begins. It is written before anything is done with the record.
    #[must_use]
    pub fn begun(self) -> Self {
        Self {
            unfinished: self.unfinished.saturating_add(1),
            ..self
        }
    }

    /// The row after an attempt that ended, in whatever way.
    #[must_use]
    pub fn ended(self) -> Self {
        Self {
            unfinished: 0,
            ..self
        }
    }

    /// Whether an attempt has begun and not ended.
    pub fn has_unfinished(&self) -> bool {
        self.unfinished > 0
    }

    /// Whether the record goes to the dead-letter queue instead of another attempt.
    pub fn is_condemned(&self) -> bool {
        self.unfinished >= UNFINISHED_TO_DEAD_LETTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_attempts_in_a_row_without_an_end_condemn_a_record_and_any_end_acquits_it() {
        let mut row = AttemptsRow::new("m".to_owned());
        assert!(!row.has_unfinished());
        for n in 1..=UNFINISHED_TO_DEAD_LETTER {
            row = row.begun();
            assert!(row.has_unfinished());
            assert_eq!(row.is_condemned(), n == UNFINISHED_TO_DEAD_LETTER);
        }
        let row = row.ended();
        assert!(!row.has_unfinished() && !row.is_condemned());
    }
}
