//! What the functions log and count. Every line is one of these log events. No field of an event can
//! hold a phone number, a text or a key, so that no log line can show one.

pub mod final_status;
mod measures;
mod messages;
pub mod metrics;

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::domain::balance::Balance;
use crate::domain::circuit_breaker::AccountFailure;
use crate::domain::cost::Cost;
use crate::domain::failure_reason::FailureReason;
use crate::domain::status::Status;
use crate::domain::time::{Timestamp, millis};
use crate::wire::africastalking::answer_code::AnswerCode;

pub use crate::domain::callback::Callback;
pub use crate::domain::redacted::Redacted;

/// Where log events go.
pub trait EventLog {
    /// Writes the log event. Does not fail: no work is left undone because a line cannot be written.
    fn record(&self, event: LogEvent);
}

/// How urgent a log event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// A usual step in the life of a message.
    Info,
    /// A failure that ends without anybody's help.
    Warn,
    /// A person has to act.
    Error,
}

impl Level {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
    fn is_usual(&self) -> bool {
        *self == Self::Info
    }
}

/// One thing that happened. The fields of outgoing messages are `medic_id`, Medic's id of the message,
/// and `at_id`, Africa's Talking's id of the SMS. An incoming SMS has one `id` in all its lines.
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
    KeyUnavailable {
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
    /// It is plainly one of the other kind: the two URLs are swapped in Africa's Talking's dashboard. It
    /// is in the dead-letter queue, and a redrive delivers it.
    CallbackAtWrongUrl {
        /// Whose URL it came to.
        callback: Callback,
        advice: &'static str,
    },

    // The recorder.
    ReportRecorded {
        at_id: Redacted,
        medic_id: Option<Redacted>,
        status: Option<Status>,
    },
    UnknownReportStatus {
        at_id: Redacted,
    },
    ReportMatched {
        medic_id: Redacted,
        at_id: Redacted,
    },
    ReportMatchAmbiguous {
        at_id: Redacted,
    },
    /// The first final status of a message, or a delivery after a failure.
    FinalStatusRecorded {
        medic_id: Redacted,
        at_id: Redacted,
        status: Status,
        /// Why it failed, if it did.
        reason: Option<FailureReason>,
        network: &'static str,
    },

    // The sender.
    SendAnswered {
        medic_id: Redacted,
        attempt: u32,
        code: AnswerCode,
        #[serde(rename = "took_ms", serialize_with = "as_millis")]
        took: Duration,
    },
    SendAccepted {
        medic_id: Redacted,
        at_id: Option<Redacted>,
        attempt: u32,
        status: Status,
        #[serde(serialize_with = "as_text")]
        cost: Option<Cost>,
        segments: u32,
        /// How long ago Medic first offered the message.
        #[serde(rename = "since_offer_ms", serialize_with = "as_millis")]
        since_offer: Duration,
    },
    SendFailed {
        medic_id: Redacted,
        attempt: u32,
        reason: FailureReason,
    },
    SendPostponed {
        medic_id: Redacted,
        attempt: u32,
        reason: FailureReason,
    },
    SendOutcomeUnknown {
        medic_id: Redacted,
        attempt: u32,
        reason: FailureReason,
    },
    CircuitOpened {
        cause: AccountFailure,
    },
    /// A half-open probe failed, or a message that was in flight when the circuit opened.
    CircuitStillOpen {
        cause: AccountFailure,
    },
    CircuitClosed,
    RecipientLimitExceeded {
        medic_id: Redacted,
        reason: &'static str,
    },
    AtIdReassigned {
        medic_id: Redacted,
        at_id: Redacted,
    },
    AcceptanceQueued {
        medic_id: Redacted,
    },
    BalanceRead {
        balance: Balance,
    },
    BalanceUnknown {
        cause: Redacted,
    },
    BalanceUnreadable {
        as_it_came: Redacted,
    },

    // The exchange.
    Posted {
        messages: usize,
        updates: usize,
        offers: usize,
    },
    MessageStored {
        id: Redacted,
        /// How long ago the callback came that brought it.
        #[serde(rename = "since_callback_ms", serialize_with = "as_millis")]
        since_callback: Duration,
    },
    MessageOffered {
        medic_id: Redacted,
    },
    OfferUnreadable,
    StatusReported {
        medic_id: Redacted,
        status: Status,
    },
    /// Medic failed on it; it is reported again after an hour.
    StatusSetAside {
        medic_id: Redacted,
        status: Status,
    },
    /// Medic fails on it again and again while it takes others.
    StatusRefused {
        medic_id: Redacted,
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
        oldest_s: u64,
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
        oldest_s: u64,
    },
    AwaitingFinalReport {
        messages: u64,
    },

    // Every function that reads a queue.
    /// An earlier attempt at this record has begun and not ended: Lambda killed the function.
    AttemptNeverEnded {
        /// SQS's id of the queue message, or the id of the incoming SMS.
        id: Redacted,
        /// How many attempts in a row.
        attempts: u32,
    },
    DeadLettered {
        /// SQS's id of the queue message.
        sqs_message_id: Redacted,
        /// The id of the SMS or of Medic's message, if it can be read.
        id: Option<Redacted>,
        reason: Redacted,
    },
    /// Records of a batch went back to the queue, and the oldest has waited for long already.
    ReturnedForRetry {
        records: usize,
        /// Seconds since the oldest came into the queue.
        oldest_s: u64,
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

/// The amount as text, with its currency.
fn as_text<S: Serializer>(amount: &Option<Cost>, serializer: S) -> Result<S::Ok, S::Error> {
    match amount {
        Some(amount) => serializer.collect_str(amount),
        None => serializer.serialize_none(),
    }
}

fn as_millis<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(millis(*span))
}

impl LogEvent {
    /// How urgent it is.
    pub fn level(&self) -> Level {
        match self {
            Self::KeyNotConfigured { .. }
            | Self::CallbackAtWrongUrl { .. }
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
            | Self::AttemptNeverEnded { .. }
            | Self::BatchUnreadable => Level::Error,
            Self::KeyRefused { .. }
            | Self::KeyUnavailable { .. }
            | Self::CallbackRefused { .. }
            | Self::CallbackNotQueued { .. }
            | Self::UnknownReportStatus { .. }
            | Self::ReportMatchAmbiguous { .. }
            | Self::AtIdReassigned { .. }
            | Self::SendFailed { .. }
            | Self::SendPostponed { .. }
            | Self::SendOutcomeUnknown { .. }
            | Self::CircuitStillOpen { .. }
            | Self::AcceptanceQueued { .. }
            | Self::BalanceUnknown { .. }
            | Self::BalanceUnreadable { .. }
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
            | Self::FinalStatusRecorded { .. }
            | Self::SendAnswered { .. }
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

    /// The log event as one line of JSON, with its metrics in CloudWatch's embedded metric format. The
    /// line has a `level` only if that is not [`Level::Info`].
    pub fn to_line(&self, origin: &Origin, now: Timestamp) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            #[serde(skip_serializing_if = "Level::is_usual")]
            level: Level,
            message: &'static str,
            #[serde(flatten)]
            origin: &'a Origin,
            #[serde(flatten)]
            event: &'a LogEvent,
        }
        let line = Line {
            level: self.level(),
            message: self.message(),
            origin,
            event: self,
        };
        let Ok(mut line) = serde_json::to_value(line) else {
            return String::new();
        };
        if let Some(fields) = line.as_object_mut() {
            metrics::embed(fields, self.measures(), now);
        }
        line.to_string()
    }
}

/// Which function writes a line, and for which invocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The name of the stack.
    pub stack: String,
    /// The name of the function, without that of the stack.
    pub function: &'static str,
    /// The invocation that runs now. Before the first one and between two there is none.
    #[serde(flatten)]
    pub invocation: Option<Invocation>,
}

/// An invocation of a Lambda function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Invocation {
    /// Lambda's id of it, as in Lambda's own `START` and `REPORT` lines.
    pub request_id: String,
    /// Whether it is the first one of its process.
    #[serde(skip_serializing_if = "is_false")]
    pub cold_start: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// The log event's line, read again.
    pub fn line(event: &LogEvent) -> Value {
        line_in(event, None)
    }

    fn line_in(event: &LogEvent, invocation: Option<Invocation>) -> Value {
        let origin = Origin {
            stack: "bridge".to_owned(),
            function: "outbound-sender",
            invocation,
        };
        serde_json::from_str(&event.to_line(&origin, Timestamp::from_millis(5))).unwrap()
    }

    #[test]
    fn a_log_event_is_one_line_of_json_with_its_level_and_its_origin() {
        let line = line(&LogEvent::KeyRefused {
            callback: Callback::DeliveryReport,
        });
        assert_eq!(line["event"], "key_refused");
        assert_eq!(line["message"], "A callback came without a valid key.");
        assert_eq!(line["level"], "warn");
        assert_eq!(line["stack"], "bridge");
        assert_eq!(line["function"], "outbound-sender");
        assert_eq!(line["callback"], "delivery_report");
        assert_eq!(line["KeyRefused"], 1);
        assert_eq!(line["_aws"]["Timestamp"], 5);
    }

    #[test]
    fn a_line_names_its_invocation_and_says_when_that_is_the_first_of_its_process() {
        let event = LogEvent::CircuitClosed;
        let invocation = |cold_start| Invocation {
            request_id: "8476a536".to_owned(),
            cold_start,
        };
        let first = line_in(&event, Some(invocation(true)));
        assert_eq!(first["request_id"], "8476a536");
        assert_eq!(first["cold_start"], true);
        let later = line_in(&event, Some(invocation(false)));
        assert_eq!(later["request_id"], "8476a536");
        assert_eq!(later.get("cold_start"), None);
        let outside = line(&event);
        assert_eq!(outside.get("request_id"), None);
        assert_eq!(outside.get("cold_start"), None);
    }

    #[test]
    fn what_is_usual_says_no_level() {
        assert_eq!(line(&LogEvent::CircuitClosed).get("level"), None);
    }
}
