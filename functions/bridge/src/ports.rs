//! What the handlers need of the world, as small traits. The adapters implement them for AWS, Medic
//! and Africa's Talking; a simulation implements them in memory.
//!
//! All of them are used from one thread, so that their futures need not be `Send`.

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

    /// Lets so many milliseconds pass.
    async fn pause(&self, milliseconds: u64);
}

/// What every handler has around it: time, chance and a log.
pub trait Runtime: Clock + RandomSource + EventLog {}

impl<T: Clock + RandomSource + EventLog> Runtime for T {}

/// A message as a queue hands it out.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// SQS's id for it. One that was dead-lettered and put back has a new one.
    pub message_id: String,
    /// What deletes it or changes its visibility, for this receive.
    pub receipt_handle: String,
    /// What was sent.
    pub body: String,
    /// How often it was handed out, this time included.
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

/// What a FIFO queue wants to know of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fifo {
    /// Messages of one group are handed out in order, one batch at a time.
    pub group: String,
    /// The same id within five minutes is swallowed silently, also after the first was deleted.
    pub deduplication_id: String,
}

/// The queue did not answer, or refused. Carries no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue refused or did not answer: {problem}")]
pub struct QueueError {
    /// SQS's code for it, or what happened instead of an answer.
    pub problem: String,
    /// Whether SQS refused it for what it is: another attempt ends in the same way.
    pub sender_fault: bool,
}

impl QueueError {
    /// The queue is to blame, or the way to it: another attempt can succeed.
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
    /// Sends the messages, in order. One result for each; `Ok` means that the queue holds it
    /// durably. An error can also mean that it does.
    async fn send(&self, messages: Vec<NewMessage>) -> Vec<Result<(), QueueError>>;

    /// Hides records from other receivers for so many seconds from now, at most twelve hours from
    /// the receive. One result for each.
    async fn change_visibility(&self, records: &[(&Record, i32)]) -> Vec<Result<(), QueueError>>;
}

/// Where a row is.
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
    /// Where it is.
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

/// Marks what a row was when it was read: it is another after every write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(pub String);

/// A row to write, on the condition that it is still what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The row as it shall be.
    pub row: Row,
    /// What it must be now; `None`: there must be none.
    pub expected: Option<Version>,
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Written {
    /// All of it is written.
    Done,
    /// A row had changed: nothing is written.
    Conflict,
}

/// The ledger did not answer, or refused. Carries no row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ledger refused or did not answer: {0}")]
pub struct LedgerError(pub String);

/// The ledger: what is known of every outgoing message.
#[allow(async_fn_in_trait)]
pub trait LedgerStore {
    /// The rows that there are at these keys, strongly consistent, in any order; each once, however
    /// often its key is given. A row that cannot be read (written by a later version, or by hand) is
    /// left out; no write takes its place, for a write where there is no row is conditioned upon
    /// there being none.
    async fn read(&self, keys: &[Key]) -> Result<Vec<(Row, Version)>, LedgerError>;

    /// Writes all of them or none; each row at most once. A write that took effect although its answer was lost is `Done`
    /// when it is repeated inside the call. An error leaves open whether it took effect.
    async fn write(&self, writes: Vec<Write>) -> Result<Written, LedgerError>;

    /// Up to so many messages whose status Medic may not have been told, those offered first first.
    /// Eventually consistent: it only names candidates.
    async fn unreported(&self, limit: usize) -> Result<Vec<MedicMessageId>, LedgerError>;

    /// Up to so many rows to this number (by its keyed hash) that wait to be matched: messages with
    /// a call whose outcome nobody knows, and SMS that were reported on and are unmatched. Eventually
    /// consistent: it only names candidates.
    async fn unsettled(&self, number_hash: &str, limit: usize) -> Result<Vec<Key>, LedgerError>;
}

/// What in the ledger waits for longer than it should. Eventually consistent.
#[allow(async_fn_in_trait)]
pub trait LedgerBacklog {
    /// When the row was last written that has waited longest to be reported to Medic, in milliseconds
    /// since 1970; of a few dozen that were offered first. None when nothing waits.
    async fn unreported_since_ms(&self) -> Result<Option<i64>, LedgerError>;

    /// How many of the messages that were first offered in this time (in milliseconds since 1970)
    /// Africa's Talking has accepted and not reported an end of.
    async fn awaiting_final_report(&self, offered_ms: Range<i64>) -> Result<u64, LedgerError>;
}

/// What comes back from an HTTP server: its status and body, or why there is none.
#[derive(Clone, PartialEq, Eq)]
pub enum Response {
    /// It answered.
    Answer {
        /// The HTTP status.
        status: u16,
        /// The body, cut at a limit far above what a good answer has.
        body: Vec<u8>,
    },
    /// No connection came about: the request surely was not seen.
    NotConnected,
    /// The request was, or may have been, written, and no whole answer came.
    NoAnswer,
}

/// Medic's gateway API. One POST; no connection outlives the invocation.
#[allow(async_fn_in_trait)]
pub trait Medic {
    /// Posts this JSON to `/api/sms`.
    async fn post(&self, body: String) -> Result<Response, CredentialsError>;
}

/// An SMS as Africa's Talking gets it.
#[derive(Clone, PartialEq, Eq)]
pub struct Sms<'a> {
    /// To whom.
    pub to: &'a PhoneNumber,
    /// The text.
    pub text: &'a str,
    /// As whom; `None` leaves the choice to Africa's Talking.
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
    /// Asks for what is known of it; sends nothing.
    async fn user(&self) -> Result<Response, CredentialsError>;
}

/// The credentials cannot be had: nothing was called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// The secret store did not answer.
    #[error("the secret store is out of reach: {0}")]
    OutOfReach(String),
    /// The secret is there, and not filled in or not readable.
    #[error("the credentials secret cannot be used: {0}")]
    Unusable(String),
}

/// A secret of the deployment, by name.
#[allow(async_fn_in_trait)]
pub trait SecretStore {
    /// The secret as it is now, freshly read.
    async fn fetch(&self) -> Result<String, SecretError>;
}

/// Hashes under a key of this deployment: for comparing numbers and texts without keeping them.
#[allow(async_fn_in_trait)]
pub trait KeyedHash {
    /// The hash, in hexadecimal.
    async fn hash(&self, text: &str) -> Result<String, SecretError>;
}

/// The secret could not be read. Carries nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret store refused or did not answer: {0}")]
pub struct SecretError(pub String);

/// A port that is only borrowed is the port.
impl<T: Queue> Queue for &T {
    async fn send(&self, messages: Vec<NewMessage>) -> Vec<Result<(), QueueError>> {
        (**self).send(messages).await
    }

    async fn change_visibility(&self, records: &[(&Record, i32)]) -> Vec<Result<(), QueueError>> {
        (**self).change_visibility(records).await
    }
}

/// A port that is only borrowed is the port.
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
