//! The status of an outgoing message: a value that only rises.

use serde::{Deserialize, Serialize};

use super::text::trimmed;

/// How far an outgoing message has come, as Medic's gateway API names it.
///
/// The order of the variants is the order of the lattice: [`Status::join`] is commutative,
/// associative and idempotent, so reports may come in any order and any number of times.
/// `Delivered` stands above `Failed`: networks report a failure first and a delivery later, never
/// truly the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The bridge has stored the message.
    Unsent,
    /// Africa's Talking accepted it and is processing it.
    Pending,
    /// It is on its way in a mobile network.
    Sent,
    /// It will not arrive, as far as anybody knows.
    Failed,
    /// It is on the handset.
    Delivered,
}

impl Status {
    /// Every status, lowest first.
    pub const ALL: [Self; 5] = [
        Self::Unsent,
        Self::Pending,
        Self::Sent,
        Self::Failed,
        Self::Delivered,
    ];

    /// The higher of the two.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        self.max(other)
    }

    /// The word that Medic's gateway API takes for it. Medic marks any other word as
    /// `unrecognised`.
    pub fn medic_name(self) -> &'static str {
        match self {
            Self::Unsent => "UNSENT",
            Self::Pending => "PENDING",
            Self::Sent => "SENT",
            Self::Failed => "FAILED",
            Self::Delivered => "DELIVERED",
        }
    }
}

/// What a delivery report means, if Africa's Talking's status is known.
///
/// `Sent`, `Submitted` and `Buffered` are documented as "on the way" and mapped as Medic's own
/// integration maps them; `AbsentSubscriber` and `Expired` came later and count as failures that a
/// later `Success` overrides. `None` for every other word: such a report is kept and counted, and
/// changes nothing.
pub fn reported_status(word: &str) -> Option<Status> {
    const WORDS: [(&str, Status); 8] = [
        ("Sent", Status::Pending),
        ("Submitted", Status::Sent),
        ("Buffered", Status::Sent),
        ("Success", Status::Delivered),
        ("Rejected", Status::Failed),
        ("Failed", Status::Failed),
        ("AbsentSubscriber", Status::Failed),
        ("Expired", Status::Failed),
    ];
    WORDS
        .into_iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(trimmed(word)))
        .map(|(_, status)| status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_status() -> impl Strategy<Value = Status> {
        proptest::sample::select(Status::ALL.to_vec())
    }

    proptest! {
        #[test]
        fn joining_is_commutative_associative_and_idempotent(
            a in any_status(), b in any_status(), c in any_status()
        ) {
            prop_assert_eq!(a.join(b), b.join(a));
            prop_assert_eq!(a.join(b).join(c), a.join(b.join(c)));
            prop_assert_eq!(a.join(a), a);
            prop_assert!(a.join(b) >= a);
        }
    }

    #[test]
    fn every_documented_word_of_a_report_has_its_status() {
        assert_eq!(reported_status("Sent"), Some(Status::Pending));
        assert_eq!(reported_status("Submitted"), Some(Status::Sent));
        assert_eq!(reported_status("Buffered"), Some(Status::Sent));
        assert_eq!(reported_status("Success"), Some(Status::Delivered));
        for failed in ["Rejected", "Failed", "AbsentSubscriber", "Expired"] {
            assert_eq!(reported_status(failed), Some(Status::Failed));
        }
        assert_eq!(reported_status("Teleported"), None);
        assert_eq!(reported_status(""), None);
    }

    #[test]
    fn a_delivery_stands_above_a_failure() {
        assert_eq!(Status::Failed.join(Status::Delivered), Status::Delivered);
        assert_eq!(Status::Sent.join(Status::Failed), Status::Failed);
    }
}
