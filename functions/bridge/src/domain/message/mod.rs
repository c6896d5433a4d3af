//! An outgoing message: its row in the ledger, and every transition of the row.
//!
//! Each transition is a pure function from a row to the next one. A handler reads a row, applies a
//! transition and writes the result on the condition that the row has not changed meanwhile.

pub mod history;
mod remembering;
mod reporting;
mod transitions;

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cost::Cost;
use super::delivery::OwnReport;
use super::failure_reason::FailureReason;
use super::ids::{AtMessageId, MedicMessageId};
use super::status::Status;
use crate::domain::message::history::Event;
use crate::domain::time::Timestamp;

/// The failure reason of a message whose outcome stays unknown.
const OUTCOME_UNKNOWN: &str = "outcome unknown";

/// Who holds the right to call Africa's Talking for a message: new for each invocation and message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimToken(pub String);

/// Where the sending of a message stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Sending {
    /// No call was made yet.
    Queued,
    /// It surely was not sent, and will be retried.
    Waiting {
        /// Why it was not sent.
        reason: FailureReason,
        /// Not before this time.
        #[serde(rename = "until_ms")]
        until: Timestamp,
    },
    /// An invocation is calling Africa's Talking, or died doing so.
    Calling {
        /// Whose call it is.
        claim: ClaimToken,
        /// When it was claimed.
        #[serde(rename = "since_ms")]
        since: Timestamp,
    },
    /// It is unknown whether Africa's Talking accepted it.
    Unknown {
        /// When the wait for a matching report begins.
        #[serde(rename = "since_ms")]
        since: Timestamp,
    },
    /// Africa's Talking accepted it.
    Accepted,
    /// It will not be sent.
    Failed,
}

/// So often a status was set aside, each time with another status or message taken since the one
/// before, and somebody is called.
pub const FAILURES_TO_ALARM: u32 = 5;

/// Medic's failure on a status. The status is set aside for an hour when Medic has taken something else between
/// two failures on it, or when it ended POSTs in doubt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusRefusal {
    /// The status on which it failed.
    pub status: Status,
    /// Its answer.
    pub answer: FailureReason,
    /// When that was: the first failure, or the one for which the status was set aside last.
    #[serde(rename = "at_ms", default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// How often the status was set aside.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub times: u32,
    /// How much Medic had taken by then, by
    /// [`ExchangeRow::note_progress`](super::exchange::ExchangeRow::note_progress).
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub progress: u64,
}

/// So many of Africa's Talking's charges are kept for a message: it is called twice at most, unless
/// answers come where none was expected any more.
const CHARGES_KEPT: usize = 8;

/// What Africa's Talking charged for an attempt that it accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// Its id for the SMS, if it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_id: Option<AtMessageId>,
    /// When the call began.
    #[serde(rename = "called_at_ms")]
    pub called_at: Timestamp,
    /// The price, if it named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// The number of parts, if it named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<u32>,
}

/// The ledger's row for one message of Medic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRow {
    /// Medic's id for it.
    pub id: MedicMessageId,
    /// When Medic first offered it.
    #[serde(rename = "first_offered_ms")]
    pub first_offered: Timestamp,
    /// Where the sending stands.
    pub sending: Sending,
    /// A keyed hash of the number that it goes to, from the first call on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number_hash: Option<String>,
    /// When the calls of unknown outcome began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_calls: Vec<Timestamp>,
    /// Whether the recipient limit has counted it.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub counted: bool,
    /// How often Africa's Talking was called for it.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub attempts: u32,
    /// How many of them had an unknown outcome.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub unknown_outcomes: u32,
    /// How many of them surely did not send it, for a reason that is not the account's.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub not_sent: u32,
    /// The highest status it has reached.
    pub status: Status,
    /// Why it failed, when that is its status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<FailureReason>,
    /// The status that Medic took last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<Status>,
    /// Medic's failure on a status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<StatusRefusal>,
    /// Africa's Talking's ids for it, one for each attempt that it accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at_ids: Vec<AtMessageId>,
    /// The different delivery reports on its SMS, in the order of arrival.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reports: Vec<OwnReport>,
    /// What Africa's Talking charged for the last attempt that it accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// Its number of parts by Africa's Talking's count, where it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<u32>,
    /// Its number of parts by our own count.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub segments: u32,
    /// The sender id, from the first call on. With `None`, Africa's Talking uses its default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_id: Option<String>,
    /// What Africa's Talking charged for each attempt that it accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub charges: Vec<Charge>,
    /// Why the outcome of the last call is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_outcome_reason: Option<FailureReason>,
    /// What happened to it. The first versions have it as `history`, in another form; a row with `log`
    /// they read without it, instead of not at all.
    #[serde(
        default,
        rename = "log",
        alias = "history",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub history: Vec<Event>,
}

/// Whether this is the default, which is not stored.
fn is_nothing<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Africa's Talking's acceptance of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acceptance {
    /// Its id for the SMS; none when it gave `None`, and its reports can then not be followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_id: Option<AtMessageId>,
    /// The status in the response.
    pub status: Status,
    /// What it cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// Its number of parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<u32>,
}

/// What to do with a message whose outcome is unknown and stays so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownOutcomePolicy {
    /// Send it once more. Two of the same SMS are possible, none is not.
    ResendOnce,
    /// Never send it again. None is possible, two are not.
    Hold,
}

/// The text is not the name of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must be `resend-once` or `hold`")]
pub struct NotAPolicy;

impl FromStr for UnknownOutcomePolicy {
    type Err = NotAPolicy;

    fn from_str(text: &str) -> Result<Self, NotAPolicy> {
        match text {
            "resend-once" => Ok(Self::ResendOnce),
            "hold" => Ok(Self::Hold),
            _ => Err(NotAPolicy),
        }
    }
}

/// The rules of sending, from the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendingRules {
    /// What to do when the outcome is unknown.
    pub unknown_outcome: UnknownOutcomePolicy,
    /// How long an unknown outcome waits for a matching report.
    pub resend_after: Duration,
    /// How old a message may get, since it was first offered, before it expires.
    pub max_age: Duration,
    /// After how long a call must have ended one way or the other: the function's time-out and some
    /// more for clocks that differ.
    pub call_over_after: Duration,
}

/// What to do with a copy of a message from the `outbox`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// Write this row; if that succeeds, the claim is ours: call Africa's Talking.
    Call(MessageRow),
    /// The claim is ours already: call Africa's Talking.
    CallNow(MessageRow),
    /// Write this row and decide again.
    Write(MessageRow),
    /// Search for a matching report, and decide again.
    CheckForMatchingReport,
    /// Let the copy wait until this time.
    WaitUntil(Timestamp),
    /// Delete the copy, because nothing is left to do.
    Done,
}

impl MessageRow {
    /// The row with which the sender begins. Medic is told `Unsent` by the exchange, without a row.
    pub fn begun(id: MedicMessageId, first_offered: Timestamp) -> Self {
        Self {
            reported: Some(Status::Unsent),
            ..Self::new(id, first_offered)
        }
    }

    /// A new row: no calls, `Unsent`, nothing reported.
    pub fn new(id: MedicMessageId, first_offered: Timestamp) -> Self {
        Self {
            id,
            first_offered,
            sending: Sending::Queued,
            number_hash: None,
            open_calls: Vec::new(),
            counted: false,
            attempts: 0,
            unknown_outcomes: 0,
            not_sent: 0,
            status: Status::Unsent,
            failure_reason: None,
            reported: None,
            refusal: None,
            at_ids: Vec::new(),
            reports: Vec::new(),
            cost: None,
            parts: None,
            segments: 0,
            sender_id: None,
            charges: Vec::new(),
            unknown_outcome_reason: None,
            history: Vec::new(),
        }
    }

    /// Whether the recipient limit has counted it. Rows of the first versions say it by their calls.
    pub fn is_counted(&self) -> bool {
        self.counted || self.attempts > 0
    }

    /// Whether Medic has still to be told its status: such rows are in the sparse index, also while
    /// the status is set aside.
    pub fn is_unreported(&self) -> bool {
        self.reported != Some(self.status)
    }

    /// What Medic said when it failed on the status that it has now, if it did.
    pub fn refused(&self) -> Option<&StatusRefusal> {
        let refusal = self.refusal.as_ref();
        refusal.filter(|refusal| refusal.status == self.status)
    }
}

#[cfg(test)]
mod tests;
