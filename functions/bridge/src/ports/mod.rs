//! What the handlers need from outside, as small traits. The adapters implement them for AWS, Medic
//! and Africa's Talking; a simulation implements them in memory.
//!
//! Handlers use them from one thread, so that futures need not be `Send`.

mod africastalking;
mod clock;
mod ledger;
mod medic;
mod queue;
mod secrets;

pub use africastalking::{AfricasTalking, AfricasTalkingAccount, Sms};
pub use clock::{Clock, Runtime};
pub use ledger::{Key, LedgerBacklog, LedgerError, LedgerStore, Row, Version, Write, Written};
pub use medic::Medic;
pub use queue::{Fifo, NewMessage, Queue, QueueBacklog, QueueDepth, QueueError, Record};
pub use secrets::{CredentialsError, KeyedHash, SecretError, SecretStore};

pub use crate::domain::backoff::RandomSource;
pub use crate::log::EventLog;
pub use crate::wire::http_response::Response;
