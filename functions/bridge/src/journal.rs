//! What is logged and counted. Every line is one of these entries, so that nothing personal can get
//! into a log: no field of them holds a number, a text or a key.

mod measures;

use std::fmt;

use serde::{Serialize, Serializer};

use crate::domain::account::AccountTrouble;
use crate::domain::answer_code::AnswerCode;
use crate::domain::balance::Balance;
use crate::domain::cost::Cost;
use crate::domain::message::FailureReason;
use crate::domain::status::Status;
use crate::metrics;

/// Where entries go.
pub trait Journal {
    /// Keeps the entry. Cannot fail: nothing is ever left undone for a log line.
    fn record(&self, entry: Entry);
}

/// Something that may be shown: an identifier in its loggable form, or the text of one of our own
/// errors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown(String);

impl Shown {
    /// What the value's `Display` shows. The types of this crate that hold personal data show
    /// nothing of it there.
    pub fn new(value: &impl fmt::Display) -> Self {
        Self(value.to_string())
    }
}

/// Which callback of Africa's Talking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Callback {
    /// An SMS that came in.
    IncomingMessage,
    /// A delivery report.
    DeliveryReport,
}

/// How urgent an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The story of a message.
    Info,
    /// It will be tried again by itself.
    Warn,
    /// Somebody has to do something.
    Error,
}

impl Level {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
    fn is_usual(&self) -> bool {
        *self == Self::Info
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "event")]
#[allow(
    missing_docs,
    reason = "the names of events and fields are what is logged, and speak for themselves"
)]
pub enum Entry {
    // The two callbacks.
    IncomingQueued {
        id: Shown,
    },
    ReportQueued {
        at_id: Shown,
    },
    KeyRefused {
        callback: Callback,
    },
    KeyNotConfigured {
        callback: Callback,
        advice: &'static str,
    },
    KeyOutOfReach {
        callback: Callback,
        error: Shown,
    },
    CallbackRefused {
        callback: Callback,
        status: u16,
        reason: &'static str,
    },
    CallbackNotQueued {
        callback: Callback,
        error: Shown,
    },

    // The recorder.
    ReportRecorded {
        at_id: Shown,
        message: Option<Shown>,
        status: Option<Status>,
    },
    UnknownReportStatus {
        at_id: Shown,
    },
    EvidenceAdopted {
        message: Shown,
        at_id: Shown,
    },
    EvidenceAmbiguous {
        at_id: Shown,
    },
    /// The first final word on a message, or a delivery after a failure.
    Ended {
        message: Shown,
        at_id: Shown,
        status: Status,
        /// Why it failed, if it did.
        reason: Option<FailureReason>,
        network: &'static str,
    },

    // The sender.
    Answered {
        message: Shown,
        attempt: u32,
        code: AnswerCode,
        took_ms: i64,
    },
    SendAccepted {
        message: Shown,
        at_id: Option<Shown>,
        attempt: u32,
        status: Status,
        #[serde(serialize_with = "as_text")]
        cost: Option<Cost>,
        segments: u32,
        /// Since Medic first offered it.
        since_offer_ms: i64,
    },
    SendFailed {
        message: Shown,
        attempt: u32,
        reason: FailureReason,
    },
    SendPostponed {
        message: Shown,
        attempt: u32,
        reason: FailureReason,
    },
    SendOutcomeUnknown {
        message: Shown,
        attempt: u32,
        reason: FailureReason,
    },
    SendingHeld {
        trouble: AccountTrouble,
    },
    /// A probe has not ended the hold, or a message was under way when it began.
    SendingStillHeld {
        trouble: AccountTrouble,
    },
    SendingResumed,
    FuseBlown {
        message: Shown,
        reason: &'static str,
    },
    IdTakenBack {
        message: Shown,
        at_id: Shown,
    },
    AcceptanceQueued {
        message: Shown,
    },
    BalanceRead {
        balance: Balance,
    },
    BalanceUnknown {
        trouble: Shown,
    },

    // The exchange.
    Posted {
        messages: usize,
        updates: usize,
        offers: usize,
    },
    MessageStored {
        id: Shown,
        /// Since its callback.
        since_callback_ms: i64,
    },
    MessageOffered {
        message: Shown,
    },
    OfferUnreadable,
    StatusTold {
        message: Shown,
        status: Status,
    },
    StatusRefused {
        message: Shown,
        status: Status,
    },
    MedicTrouble {
        trouble: Shown,
    },
    MedicNeedsMending {
        trouble: Shown,
    },
    MedicRefusedCredentials {
        trouble: Shown,
    },
    StatusesUntold {
        oldest_s: i64,
    },
    Unreported {
        messages: u64,
    },

    // All that read a queue.
    Parked {
        /// SQS's id.
        message_id: Shown,
        /// Africa's Talking's or Medic's id, if it can be read.
        id: Option<Shown>,
        reason: Shown,
    },
    /// Some of a batch has to wait on, and has waited for long already.
    GivenBack {
        records: usize,
        oldest_s: i64,
    },
    LedgerTrouble {
        error: Shown,
    },
    RowUnreadable {
        error: Shown,
    },
    QueueTrouble {
        error: Shown,
    },
    CredentialsTrouble {
        error: Shown,
    },
    BatchUnreadable,

    // Every function.
    CannotRun {
        error: Shown,
    },
    Panicked {
        place: Shown,
    },
}

/// An amount as it is read.
fn as_text<S: Serializer>(amount: &Option<Cost>, serializer: S) -> Result<S::Ok, S::Error> {
    match amount {
        Some(amount) => serializer.collect_str(amount),
        None => serializer.serialize_none(),
    }
}

impl Entry {
    /// How urgent it is.
    pub fn level(&self) -> Level {
        match self {
            Self::KeyNotConfigured { .. }
            | Self::SendingHeld { .. }
            | Self::FuseBlown { .. }
            | Self::StatusRefused { .. }
            | Self::MedicNeedsMending { .. }
            | Self::MedicRefusedCredentials { .. }
            | Self::RowUnreadable { .. }
            | Self::Parked { .. }
            | Self::CredentialsTrouble { .. }
            | Self::CannotRun { .. }
            | Self::Panicked { .. }
            | Self::BatchUnreadable => Level::Error,
            Self::KeyRefused { .. }
            | Self::KeyOutOfReach { .. }
            | Self::CallbackRefused { .. }
            | Self::CallbackNotQueued { .. }
            | Self::UnknownReportStatus { .. }
            | Self::EvidenceAmbiguous { .. }
            | Self::IdTakenBack { .. }
            | Self::SendFailed { .. }
            | Self::SendPostponed { .. }
            | Self::SendOutcomeUnknown { .. }
            | Self::SendingStillHeld { .. }
            | Self::AcceptanceQueued { .. }
            | Self::BalanceUnknown { .. }
            | Self::StatusesUntold { .. }
            | Self::GivenBack { .. }
            | Self::OfferUnreadable
            | Self::MedicTrouble { .. }
            | Self::LedgerTrouble { .. }
            | Self::QueueTrouble { .. } => Level::Warn,
            Self::IncomingQueued { .. }
            | Self::ReportQueued { .. }
            | Self::ReportRecorded { .. }
            | Self::EvidenceAdopted { .. }
            | Self::Ended { .. }
            | Self::Answered { .. }
            | Self::SendAccepted { .. }
            | Self::BalanceRead { .. }
            | Self::Unreported { .. }
            | Self::SendingResumed
            | Self::Posted { .. }
            | Self::MessageStored { .. }
            | Self::MessageOffered { .. }
            | Self::StatusTold { .. } => Level::Info,
        }
    }

    /// The entry as one line of JSON, with what is counted in CloudWatch's embedded metric format. Only
    /// what is unusual says its level.
    pub fn to_line(&self, origin: &Origin, now_ms: i64) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            #[serde(skip_serializing_if = "Level::is_usual")]
            level: Level,
            #[serde(flatten)]
            origin: &'a Origin,
            #[serde(flatten)]
            entry: &'a Entry,
        }
        let line = Line {
            level: self.level(),
            origin,
            entry: self,
        };
        let Ok(mut line) = serde_json::to_value(line) else {
            return String::new();
        };
        if let Some(fields) = line.as_object_mut() {
            metrics::embed(fields, self.measures(), now_ms);
        }
        line.to_string()
    }
}

/// Whose line it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The stack's name.
    pub stack: String,
    /// The function's, without the stack's.
    pub function: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// The entry's line, read again.
    pub fn line(entry: &Entry) -> Value {
        let origin = Origin {
            stack: "bridge".to_owned(),
            function: "outbound-sender",
        };
        serde_json::from_str(&entry.to_line(&origin, 5)).unwrap()
    }

    #[test]
    fn an_entry_is_one_line_of_json_with_its_level_and_its_origin() {
        let line = line(&Entry::KeyRefused {
            callback: Callback::DeliveryReport,
        });
        assert_eq!(line["event"], "key_refused");
        assert_eq!(line["level"], "warn");
        assert_eq!(line["stack"], "bridge");
        assert_eq!(line["function"], "outbound-sender");
        assert_eq!(line["callback"], "delivery_report");
        assert_eq!(line["KeyRefused"], 1);
        assert_eq!(line["_aws"]["Timestamp"], 5);
    }

    #[test]
    fn what_is_usual_says_no_level() {
        assert_eq!(line(&Entry::SendingResumed).get("level"), None);
    }
}
