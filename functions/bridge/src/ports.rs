//! What the handlers need from outside, as small traits. The adapters implement them for AWS, Medic
//! and Africa's Talking; a simulation implements them in memory.
//!
//! Handlers use them from one thread, so that futures need not be `Send`.

use std::ops::Range;

use crate::domain::circuit_breaker::AccountRow;
use crate::domain::delivery::SmsRow;
use crate::domain::exchange::ExchangeRow;
use crate::domain::ids::{AtMessageId, MedicMessageId};
use crate::domain::message::MessageRow;
use crate::domain::phone_number::PhoneNumber;
use crate::domain::recipient_limit::RecipientRow;

pub use crate::domain::backoff::RandomSource;
pub use crate::log::EventLog;

/// The time.
#[allow(async_fn_in_trait)]
pub trait Clock {
    /// Milliseconds since 1970, UTC.
    fn now_ms(&self) -> i64;

    /// Waits this long.
    async fn pause(&self, milliseconds: u64);
}

/// The clock, the random numbers and the log of a handler.
pub trait Runtime: Clock + RandomSource + EventLog {}

impl<T: Clock + RandomSource + EventLog> Runtime for T {}

/// A queue message, as a consumer receives it.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// SQS's id of it. A message that was redriven has a new one.
    pub message_id: String,
    /// The handle that deletes it or changes its visibility, valid for this receive.
    pub receipt_handle: String,
    /// What was sent.
    pub body: String,
    /// How often it was received, this time included.
    pub receive_count: u32,
    /// When it was sent, in milliseconds since 1970, by SQS's clock.
    pub sent_at_ms: i64,
    /// Its message group, if its queue is a FIFO queue.
    pub group: Option<String>,
}

/// A message for a queue.
#[derive(Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// ASCII.
    pub body: String,
    /// For FIFO queues only.
    pub fifo: Option<Fifo>,
}

/// The attributes that a FIFO queue needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fifo {
    /// The message group. Messages of one group are received in order, one batch at a time.
    pub group: String,
    /// The deduplication id. SQS drops a second message with the same id within five minutes
    /// without an error, also after the first was deleted.
    pub deduplication_id: String,
}

/// The queue did not answer, or refused. The error holds nothing of the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue refused or did not answer: {problem}")]
pub struct QueueError {
    /// SQS's code for it, or what happened instead of an answer.
    pub problem: String,
    /// Whether SQS refused the request itself, so that a retry ends in the same way.
    pub sender_fault: bool,
}

impl QueueError {
    /// A failure of the queue or of the network, where a retry can succeed.
    pub fn of_server(problem: &str) -> Self {
        Self {
            problem: problem.to_owned(),
            sender_fault: false,
        }
    }
}

/// A queue.
#[allow(async_fn_in_trait)]
pub trait Queue {
    /// Sends the messages in order and returns one result for each. `Ok` means that the queue
    /// stored it durably. After an error the message may be stored, too.
    async fn send(&self, messages: Vec<NewMessage>) -> Vec<Result<(), QueueError>>;

    /// Sets the visibility timeout of records, in seconds from now. SQS allows twelve hours from
    /// the receive. Returns one result for each.
    async fn change_visibility(&self, records: &[(&Record, i32)]) -> Vec<Result<(), QueueError>>;
}

/// The key of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A message of Medic.
    Message(MedicMessageId),
    /// An SMS of Africa's Talking.
    Sms(AtMessageId),
    /// The account.
    Account,
    /// A recipient, by the keyed hash of the number.
    Recipient(String),
    /// The exchange with Medic.
    Exchange,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a handful of rows at a time, most of them of the largest kind"
)]
pub enum Row {
    /// A message of Medic.
    Message(MessageRow),
    /// An SMS of Africa's Talking.
    Sms(SmsRow),
    /// The account.
    Account(AccountRow),
    /// A recipient.
    Recipient(RecipientRow),
    /// The exchange with Medic.
    Exchange(ExchangeRow),
}

impl Row {
    /// Its key.
    pub fn key(&self) -> Key {
        match self {
            Self::Message(row) => Key::Message(row.id.clone()),
            Self::Sms(row) => Key::Sms(row.id.clone()),
            Self::Account(_) => Key::Account,
            Self::Recipient(row) => Key::Recipient(row.number_hash.clone()),
            Self::Exchange(_) => Key::Exchange,
        }
    }
}

/// The version of a row when it was read. Every write changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(pub String);

/// A write on the condition that the row has not changed since it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The new row.
    pub row: Row,
    /// The version that the stored row must have. With `None` there must be no row.
    pub expected: Option<Version>,
}

/// The result of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Written {
    /// All rows are written.
    Done,
    /// A row had changed, so nothing is written.
    Conflict,
}

/// The ledger did not answer, or refused. The error holds nothing of a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger refused or did not answer: {0}")]
pub struct LedgerError(pub String);

/// The ledger, with a row for each outgoing message, SMS and recipient.
#[allow(async_fn_in_trait)]
pub trait LedgerStore {
    /// Reads the rows at these keys, strongly consistent, in any order, each once. A row that
    /// cannot be read (written by a later version, or by hand) is left out. It is never
    /// overwritten, because a write of a row that was not read is conditioned on there being none.
    async fn read(&self, keys: &[Key]) -> Result<Vec<(Row, Version)>, LedgerError>;

    /// Writes all of the rows or none. Each row may be given once. If a response is lost, the call
    /// repeats the write and returns `Done`. After an error the write may have taken effect.
    async fn write(&self, writes: Vec<Write>) -> Result<Written, LedgerError>;

    /// Returns at most `limit` messages that may have an unreported status, the first offered
    /// first. Eventually consistent, so the caller must read the rows again.
    async fn unreported(&self, limit: usize) -> Result<Vec<MedicMessageId>, LedgerError>;

    /// Returns at most `limit` rows to this number (by its keyed hash) that wait for a match:
    /// messages with a call of unknown outcome, and unmatched SMS with a report. Eventually
    /// consistent, so the caller must read the rows again.
    async fn unsettled(&self, number_hash: &str, limit: usize) -> Result<Vec<Key>, LedgerError>;
}

/// Ages in the ledger, for the monitors. Eventually consistent.
#[allow(async_fn_in_trait)]
pub trait LedgerBacklog {
    /// When the oldest row with an unreported status was last written, in milliseconds since 1970.
    /// Checks the few dozen that were offered first. `None` if no status is unreported.
    async fn unreported_since_ms(&self) -> Result<Option<i64>, LedgerError>;

    /// Counts the messages that were first offered in this range (milliseconds since 1970), that
    /// Africa's Talking accepted, and that have no final report.
    async fn awaiting_final_report(&self, offered_ms: Range<i64>) -> Result<u64, LedgerError>;
}

/// The response of an HTTP server, or why there is none.
#[derive(Clone, PartialEq, Eq)]
pub enum Response {
    /// A complete response.
    Answer {
        /// The HTTP status.
        status: u16,
        /// The body, cut at a limit far above that of a good response.
        body: Vec<u8>,
    },
    /// There was no connection, so that the server cannot have seen the request.
    NotConnected,
    /// The request was or may have been sent, and there was no complete response.
    NoAnswer,
}

/// Medic's gateway API. No connection lives longer than the invocation.
#[allow(async_fn_in_trait)]
pub trait Medic {
    /// Posts this JSON to `/api/sms`.
    async fn post(&self, body: String) -> Result<Response, CredentialsError>;
}

/// An SMS, as it is sent to Africa's Talking.
#[derive(Clone, PartialEq, Eq)]
pub struct Sms<'a> {
    /// The recipient.
    pub to: &'a PhoneNumber,
    /// The text, as Medic wrote it.
    pub text: &'a str,
    /// The sender id. With `None`, Africa's Talking uses its default.
    pub from: Option<&'a str>,
}

/// Africa's Talking's messaging API.
#[allow(async_fn_in_trait)]
pub trait AfricasTalking {
    /// Sends one SMS to one recipient, once.
    async fn send(&self, sms: Sms<'_>) -> Result<Response, CredentialsError>;
}

/// The account with Africa's Talking.
#[allow(async_fn_in_trait)]
pub trait AfricasTalkingAccount {
    /// Reads the account's balance. Sends no SMS.
    async fn user(&self) -> Result<Response, CredentialsError>;
}

/// The credentials cannot be read, so that no request was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// The secret store did not answer.
    #[error("the secret store is out of reach: {0}")]
    OutOfReach(String),
    /// The secret exists, but it is not filled in or cannot be parsed.
    #[error("the credentials secret cannot be used: {0}")]
    Unusable(String),
}

/// A secret of the deployment.
#[allow(async_fn_in_trait)]
pub trait SecretStore {
    /// Reads the current value, without a cache.
    async fn fetch(&self) -> Result<String, SecretError>;
}

/// Hashes under a key of this deployment, to compare phone numbers and texts without storing them.
#[allow(async_fn_in_trait)]
pub trait KeyedHash {
    /// The hash of the text, in hexadecimal.
    async fn hash(&self, text: &str) -> Result<String, SecretError>;
}

/// The secret could not be read. The error holds nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret store refused or did not answer: {0}")]
pub struct SecretError(pub String);

impl<T: Queue> Queue for &T {
    async fn send(&self, messages: Vec<NewMessage>) -> Vec<Result<(), QueueError>> {
        (**self).send(messages).await
    }

    async fn change_visibility(&self, records: &[(&Record, i32)]) -> Vec<Result<(), QueueError>> {
        (**self).change_visibility(records).await
    }
}

impl<T: LedgerStore> LedgerStore for &T {
    async fn read(&self, keys: &[Key]) -> Result<Vec<(Row, Version)>, LedgerError> {
        (**self).read(keys).await
    }

    async fn write(&self, writes: Vec<Write>) -> Result<Written, LedgerError> {
        (**self).write(writes).await
    }

    async fn unreported(&self, limit: usize) -> Result<Vec<MedicMessageId>, LedgerError> {
        (**self).unreported(limit).await
    }

    async fn unsettled(&self, number_hash: &str, limit: usize) -> Result<Vec<Key>, LedgerError> {
        (**self).unsettled(number_hash, limit).await
    }
}
