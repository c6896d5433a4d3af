//! Monitors what no single event shows: the credit that is left, steps that are late, and queues that
//! nobody reads.
//!
//! They run beside the work of an invocation or after it, if there is time left. Nothing is late or
//! lost when a check fails.

mod balance;
mod ledger;
mod queues;

use std::time::Duration;

pub use balance::BalanceMonitor;
pub use ledger::LedgerMonitor;
pub use queues::QueueMonitor;

/// A check takes a few calls of some seconds each at the most. With less time than this before the
/// end of the invocation, the next one does it.
const TIME_FOR_A_CHECK: Duration = Duration::from_secs(25);
