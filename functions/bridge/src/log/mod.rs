//! What is logged and counted. Every line is one of these log events, so that nothing personal can get
//! into a log: no field of them holds a number, a text or a key.

mod measures;
pub mod metrics;

use std::fmt;

use serde::{Serialize, Serializer};

use crate::domain::balance::Balance;
use crate::domain::circuit_breaker::AccountFailure;
use crate::domain::cost::Cost;
use crate::domain::message::FailureReason;
use crate::domain::status::Status;
use crate::wire::africastalking::answer_code::AnswerCode;

/// Where log events go.
pub trait EventLog {
    /// Keeps the log event. Cannot fail: nothing is ever left undone for a log line.
    fn record(&self, event: LogEvent);
}

/// Something that may be shown: an identifier in its loggable form, or the text of one of our own
/// errors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Redacted(String);

impl Redacted {
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

/// How urgent a log event is.
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
pub enum LogEvent {
    // The two callbacks.
    IncomingQueued {
        id: Redacted,
    },
    ReportQueued {
        at_id: Redacted,
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
        error: Redacted,
    },
    CallbackRefused {
        callback: Callback,
        status: u16,
        reason: &'static str,
    },
    CallbackNotQueued {
        callback: Callback,
        error: Redacted,
    },

    // The recorder.
    ReportRecorded {
        at_id: Redacted,
        message: Option<Redacted>,
        status: Option<Status>,
    },
    UnknownReportStatus {
        at_id: Redacted,
    },
    ReportMatched {
        message: Redacted,
        at_id: Redacted,
    },
    ReportMatchAmbiguous {
        at_id: Redacted,
    },
    /// The first final word on a message, or a delivery after a failure.
    Ended {
        message: Redacted,
        at_id: Redacted,
        status: Status,
        /// Why it failed, if it did.
        reason: Option<FailureReason>,
        network: &'static str,
    },

    // The sender.
    Answered {
        message: Redacted,
        attempt: u32,
        code: AnswerCode,
        took_ms: i64,
    },
    SendAccepted {
        message: Redacted,
        at_id: Option<Redacted>,
        attempt: u32,
        status: Status,
        #[serde(serialize_with = "as_text")]
        cost: Option<Cost>,
        segments: u32,
        /// Since Medic first offered it.
        since_offer_ms: i64,
    },
    SendFailed {
        message: Redacted,
        attempt: u32,
        reason: FailureReason,
    },
    SendPostponed {
        message: Redacted,
        attempt: u32,
        reason: FailureReason,
    },
    SendOutcomeUnknown {
        message: Redacted,
        attempt: u32,
        reason: FailureReason,
    },
    CircuitOpened {
        cause: AccountFailure,
    },
    /// A half-open probe has not ended the hold, or a message was under way when it began.
    CircuitStillOpen {
        cause: AccountFailure,
    },
    CircuitClosed,
    RecipientLimitExceeded {
        message: Redacted,
        reason: &'static str,
    },
    IdTakenBack {
        message: Redacted,
        at_id: Redacted,
    },
    AcceptanceQueued {
        message: Redacted,
    },
    BalanceRead {
        balance: Balance,
    },
    BalanceUnknown {
        cause: Redacted,
    },

    // The exchange.
    Posted {
        messages: usize,
        updates: usize,
        offers: usize,
    },
    MessageStored {
        id: Redacted,
        /// Since its callback.
        since_callback_ms: i64,
    },
    MessageOffered {
        message: Redacted,
    },
    OfferUnreadable,
    StatusReported {
        message: Redacted,
        status: Status,
    },
    /// Medic failed on it; it is reported again after an hour.
    StatusSetAside {
        message: Redacted,
        status: Status,
    },
    /// Medic fails on it again and again while it takes others.
    StatusRefused {
        message: Redacted,
        status: Status,
    },
    /// Medic failed on this message; it is tried again after an hour, and nothing waits behind it.
    Quarantined {
        id: Redacted,
        failures: u32,
    },
    /// How many messages are in quarantine, and how long ago the first of them was put there.
    InQuarantine {
        messages: usize,
        oldest_s: i64,
    },
    MedicUnavailable {
        cause: Redacted,
    },
    MedicNeedsAttention {
        cause: Redacted,
    },
    MedicRefusedCredentials {
        cause: Redacted,
    },
    StatusesUnreported {
        oldest_s: i64,
    },
    AwaitingFinalReport {
        messages: u64,
    },

    // All that read a queue.
    DeadLettered {
        /// SQS's id.
        message_id: Redacted,
        /// Africa's Talking's or Medic's id, if it can be read.
        id: Option<Redacted>,
        reason: Redacted,
    },
    /// Some of a batch has to wait on, and has waited for long already.
    ReturnedForRetry {
        records: usize,
        oldest_s: i64,
    },
    LedgerFailed {
        error: Redacted,
    },
    RowUnreadable {
        error: Redacted,
    },
    QueueFailed {
        error: Redacted,
    },
    CredentialsUnavailable {
        error: Redacted,
    },
    BatchUnreadable,

    // Every function.
    CannotRun {
        error: Redacted,
    },
    Panicked {
        place: Redacted,
    },
}

/// An amount as it is read.
fn as_text<S: Serializer>(amount: &Option<Cost>, serializer: S) -> Result<S::Ok, S::Error> {
    match amount {
        Some(amount) => serializer.collect_str(amount),
        None => serializer.serialize_none(),
    }
}

impl LogEvent {
    /// How urgent it is.
    pub fn level(&self) -> Level {
        match self {
            Self::KeyNotConfigured { .. }
            | Self::CircuitOpened { .. }
            | Self::RecipientLimitExceeded { .. }
            | Self::StatusRefused { .. }
            | Self::MedicNeedsAttention { .. }
            | Self::MedicRefusedCredentials { .. }
            | Self::RowUnreadable { .. }
            | Self::DeadLettered { .. }
            | Self::CredentialsUnavailable { .. }
            | Self::CannotRun { .. }
            | Self::Panicked { .. }
            | Self::BatchUnreadable => Level::Error,
            Self::KeyRefused { .. }
            | Self::KeyOutOfReach { .. }
            | Self::CallbackRefused { .. }
            | Self::CallbackNotQueued { .. }
            | Self::UnknownReportStatus { .. }
            | Self::ReportMatchAmbiguous { .. }
            | Self::IdTakenBack { .. }
            | Self::SendFailed { .. }
            | Self::SendPostponed { .. }
            | Self::SendOutcomeUnknown { .. }
            | Self::CircuitStillOpen { .. }
            | Self::AcceptanceQueued { .. }
            | Self::BalanceUnknown { .. }
            | Self::StatusesUnreported { .. }
            | Self::StatusSetAside { .. }
            | Self::Quarantined { .. }
            | Self::InQuarantine { .. }
            | Self::ReturnedForRetry { .. }
            | Self::OfferUnreadable
            | Self::MedicUnavailable { .. }
            | Self::LedgerFailed { .. }
            | Self::QueueFailed { .. } => Level::Warn,
            Self::IncomingQueued { .. }
            | Self::ReportQueued { .. }
            | Self::ReportRecorded { .. }
            | Self::ReportMatched { .. }
            | Self::Ended { .. }
            | Self::Answered { .. }
            | Self::SendAccepted { .. }
            | Self::BalanceRead { .. }
            | Self::AwaitingFinalReport { .. }
            | Self::CircuitClosed
            | Self::Posted { .. }
            | Self::MessageStored { .. }
            | Self::MessageOffered { .. }
            | Self::StatusReported { .. } => Level::Info,
        }
    }

    /// The log event as one line of JSON, with what is counted in CloudWatch's embedded metric format. Only
    /// what is unusual says its level.
    pub fn to_line(&self, origin: &Origin, now_ms: i64) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            #[serde(skip_serializing_if = "Level::is_usual")]
            level: Level,
            #[serde(flatten)]
            origin: &'a Origin,
            #[serde(flatten)]
            event: &'a LogEvent,
        }
        let line = Line {
            level: self.level(),
            origin,
            event: self,
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

    /// The log event's line, read again.
    pub fn line(event: &LogEvent) -> Value {
        let origin = Origin {
            stack: "bridge".to_owned(),
            function: "outbound-sender",
        };
        serde_json::from_str(&event.to_line(&origin, 5)).unwrap()
    }

    #[test]
    fn a_log_event_is_one_line_of_json_with_its_level_and_its_origin() {
        let line = line(&LogEvent::KeyRefused {
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
        assert_eq!(line(&LogEvent::CircuitClosed).get("level"), None);
    }
}
