//! The ledger: its rows, their keys and versions, and the writes on conditions.

use crate::domain::attempts::AttemptsRow;
use crate::domain::circuit_breaker::AccountRow;
use crate::domain::delivery::SmsRow;
use crate::domain::exchange::ExchangeRow;
use crate::domain::ids::{AtMessageId, MedicMessageId};
use crate::domain::message::MessageRow;
use crate::domain::recipient_limit::RecipientRow;
use crate::domain::time::Timestamp;

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
    /// The attempts at a queue record.
    Attempts(String),
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
    /// The attempts at a queue record.
    Attempts(AttemptsRow),
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
            Self::Attempts(row) => Key::Attempts(row.record.clone()),
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
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Written {
    /// The row is written, and has this version.
    Done(Version),
    /// It had changed, so nothing is written.
    Conflict,
}

impl Written {
    /// Whether the row is written.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }
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

    /// Writes a row. If a response is lost, the call repeats the write and returns `Done`. After an error
    /// the write may have taken effect.
    async fn write(&self, write: Write) -> Result<Written, LedgerError>;

    /// Returns at most `limit` messages that may have an unreported status, the first offered
    /// first. Eventually consistent, so the caller must read the rows again.
    async fn unreported(&self, limit: usize) -> Result<Vec<MedicMessageId>, LedgerError>;
}

/// Ages in the ledger, for the monitors. Eventually consistent.
#[allow(async_fn_in_trait)]
pub trait LedgerBacklog {
    /// When the oldest row with an unreported status was last written. Checks the few dozen that
    /// were offered first. `None` if no status is unreported.
    async fn unreported_since(&self) -> Result<Option<Timestamp>, LedgerError>;
}

impl<T: LedgerStore> LedgerStore for &T {
    async fn read(&self, keys: &[Key]) -> Result<Vec<(Row, Version)>, LedgerError> {
        (**self).read(keys).await
    }

    async fn write(&self, write: Write) -> Result<Written, LedgerError> {
        (**self).write(write).await
    }

    async fn unreported(&self, limit: usize) -> Result<Vec<MedicMessageId>, LedgerError> {
        (**self).unreported(limit).await
    }
}
