//! The clock, and what a handler runs with.

use std::time::Duration;

use crate::domain::backoff::RandomSource;
use crate::domain::time::Timestamp;
use crate::log::EventLog;

/// The time.
#[allow(async_fn_in_trait)]
pub trait Clock {
    /// The present instant.
    fn now(&self) -> Timestamp;

    /// Waits this long.
    async fn pause(&self, span: Duration);
}

/// The clock, the random numbers and the log of a handler.
pub trait Runtime: Clock + RandomSource + EventLog {}

impl<T: Clock + RandomSource + EventLog> Runtime for T {}
