//! The clock, and what a handler runs with.

use crate::domain::backoff::RandomSource;
use crate::log::EventLog;

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
