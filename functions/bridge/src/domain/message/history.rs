//! The history of a message, for `cargo ops trace`.

mod line;

use serde::Deserialize;

use crate::domain::failure_reason::FailureReason;
use crate::domain::ids::AtMessageId;
use crate::domain::status::Status;
use crate::domain::time::Timestamp;

/// A step in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When it was written down.
    pub at: Timestamp,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum What {
    /// Africa's Talking is being called.
    Called,
    /// It surely was not sent, and will be retried.
    Waiting {
        /// Why it was not sent.
        reason: FailureReason,
        /// Not before this time.
        #[serde(rename = "until_ms")]
        until: Timestamp,
    },
    /// It is unknown whether it was sent.
    OutcomeUnknown {
        /// Why it is unknown; `None` if the function ended during the call.
        #[serde(default)]
        reason: Option<FailureReason>,
    },
    /// Africa's Talking accepted it.
    Accepted {
        /// Its id for the SMS.
        #[serde(default)]
        at_id: Option<AtMessageId>,
    },
    /// A delivery report showed that a call whose outcome was unknown had sent it.
    Matched {
        /// Africa's Talking's id of that SMS.
        at_id: AtMessageId,
    },
    /// An SMS that was taken for it turned out to be another message's.
    Lost {
        /// Africa's Talking's id of that SMS.
        at_id: AtMessageId,
    },
    /// Its status rose.
    Rose {
        /// To this one.
        status: Status,
        /// Why, if it failed.
        #[serde(default)]
        reason: Option<FailureReason>,
    },
    /// Medic took this status.
    Reported {
        /// The status.
        status: Status,
    },
    /// Medic refused this status while it took others.
    Refused {
        /// The status.
        status: Status,
    },
    /// An operator had its status reported again.
    ToBeReportedAgain,
}
