//! Monitors what no single event shows: the credit that is left, and steps that are late.
//!
//! They run after the work of an invocation, if there is time left. Nothing is late or lost when a
//! check fails.

mod balance;
mod ledger;

use std::time::Duration;

pub use balance::BalanceMonitor;
pub use ledger::LedgerMonitor;

/// A check takes a few calls of some seconds each at the most. With less time than this before the
/// end of the invocation, the next one does it.
const TIME_FOR_A_CHECK: Duration = Duration::from_secs(25);
