//! The closed list of log events. No field of an event can hold a phone number, a text or a key, so that no
//! log line can show one.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::domain::balance::Balance;
use crate::domain::callback::Callback;
use crate::domain::circuit_breaker::Cause;
use crate::domain::cost::Cost;
use crate::domain::failure_reason::FailureReason;
use crate::domain::redacted::Redacted;
use crate::domain::status::Status;
use crate::domain::time::millis;
use crate::wire::africastalking::answer_code::AnswerCode;

/// A queue that `medic-exchange` monitors for the function that reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkQueue {
    /// Messages for Africa's Talking, which `outbound-sender` reads.
    Outbox,
    /// Delivery reports, which `report-recorder` reads.
    Reports,
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
    // The callbacks.
    IncomingQueued {
        id: Redacted,
    },
    ReportQueued {
        at_id: Redacted,
    },
    /// A recipient wants no more SMS.
    OptOutReceived {
        id: Redacted,
        /// Whether Medic gets an SMS about it: the parameter `OptOutText` is not empty.
        for_medic: bool,
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
    /// It is plainly one of another URL: in Africa's Talking's dashboard, the callback URLs are swapped or one
    /// is misspelt. It is in the dead-letter queue, and a redrive delivers it.
    CallbackAtWrongUrl {
        /// Whose URL it came to. `None`: its path is no callback's.
        #[serde(skip_serializing_if = "Option::is_none")]
        callback: Option<Callback>,
        advice: &'static str,
    },

    // The recorder.
    /// Not for a report that gave its message a final status.
    ReportRecorded {
        at_id: Redacted,
        #[serde(skip_serializing_if = "Option::is_none")]
        medic_id: Option<Redacted>,
        #[serde(skip_serializing_if = "Option::is_none")]
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
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<FailureReason>,
        network: &'static str,
    },

    // The sender.
    /// Africa's Talking answered, and did not accept the message.
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
        code: AnswerCode,
        #[serde(rename = "took_ms", serialize_with = "as_millis")]
        took: Duration,
        status: Status,
        #[serde(serialize_with = "as_text")]
        cost: Option<Cost>,
        /// In the line as the metric `Segments`.
        #[serde(skip)]
        segments: u32,
        /// How long ago Medic first offered the message. In the line as the metric `OfferToAfricasTalking`.
        #[serde(skip)]
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
        cause: Cause,
        /// The sender ID whose messages wait. `None` if all of them do.
        sender_id: Option<Redacted>,
    },
    /// A pilot tried, and the trouble goes on.
    CircuitStillOpen {
        cause: Cause,
        sender_id: Option<Redacted>,
    },
    CircuitClosed {
        cause: Cause,
        sender_id: Option<Redacted>,
    },
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
    AcceptanceNotKept {
        medic_id: Redacted,
        at_id: Option<Redacted>,
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
        /// Whose status Medic was told, and which: Medic's id of each message with its status.
        #[serde(skip_serializing_if = "Option::is_none")]
        reported: Option<Redacted>,
    },
    MessageStored {
        id: Redacted,
        /// How long ago the callback came that brought it. In the line as the metric `CallbackToMedic`.
        #[serde(skip)]
        since_callback: Duration,
    },
    /// Messages that Medic wants sent are in the queue to the sender.
    MessagesOffered {
        medic_ids: Redacted,
    },
    OfferUnreadable,
    /// Medic failed on it for the first time; it is reported again in each round.
    StatusFailed {
        medic_id: Redacted,
        status: Status,
    },
    /// Medic failed on it again and has taken others in between, or never answered; it is reported again
    /// after an hour.
    StatusSetAside {
        medic_id: Redacted,
        status: Status,
    },
    /// Medic fails on it again and again while it takes others.
    StatusRefused {
        medic_id: Redacted,
        status: Status,
    },
    /// Medic failed on this message; it is tried again within the hour, and nothing waits behind it.
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
    /// Messages have been waiting in a queue, and nobody has received any for this long.
    QueueStalled {
        queue: WorkQueue,
        messages: u64,
        since_s: u64,
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
