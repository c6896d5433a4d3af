//! Why a message failed, as a text that may be shown.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a message failed: a short word or phrase for Medic and for people, never with personal data.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct FailureReason(String);

impl FailureReason {
    /// The reason, shortened to 100 characters, without control characters and without a phone number:
    /// reasons come from outside, and are shown.
    pub fn new(reason: &str) -> Self {
        let masked = without_number(reason);
        let short = masked.trim().chars().filter(|c| !c.is_control()).take(100);
        let kept: String = short.collect();
        // A reason that is read again is cut no further.
        Self(kept.trim().to_owned())
    }

    /// The text of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for FailureReason {
    fn from(reason: String) -> Self {
        Self::new(&reason)
    }
}

impl From<FailureReason> for String {
    fn from(reason: FailureReason) -> Self {
        reason.0
    }
}

impl fmt::Debug for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// This many digits can be a phone number.
const DIGITS_OF_A_NUMBER: usize = 7;

/// A text from outside, redacted: if it has so many digits that it can hold a phone number, every
/// digit is masked.
pub fn without_number(text: &str) -> Cow<'_, str> {
    if text.chars().filter(char::is_ascii_digit).count() < DIGITS_OF_A_NUMBER {
        return text.into();
    }
    text.replace(|c: char| c.is_ascii_digit(), "…").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_shows_no_phone_number() {
        for number in ["+254700000001", "+254 700 000 001", "254-700-000001"] {
            let reason = FailureReason::new(&format!("no route to {number}\u{7}"));
            assert!(
                !reason.as_str().contains(|c: char| c.is_ascii_digit()),
                "{reason:?}"
            );
        }
        assert_eq!(
            FailureReason::new("statusCode 499").as_str(),
            "statusCode 499"
        );
        // Also where only its beginning is kept.
        let reason = FailureReason::new(&format!("{} 254700 000001", "x".repeat(90)));
        assert!(reason.as_str().ends_with("x ……………… ……"), "{reason:?}");
    }

    #[test]
    fn a_reason_is_the_same_when_it_is_read_again() {
        let cut_at_a_space = format!("{} x", "x".repeat(99));
        for reason in [
            cut_at_a_space.as_str(),
            "\u{1} x",
            "x \u{1}",
            " 1234567 \u{7}",
        ] {
            let reason = FailureReason::new(reason);
            assert_eq!(FailureReason::new(reason.as_str()), reason);
        }
    }
}
