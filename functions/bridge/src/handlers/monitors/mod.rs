//! What no single event shows: how much credit is left, and what should have happened by now.
//!
//! Looked at when the work of an invocation is done, and only when there is time for it: nothing is
//! late or lost when a look fails.

mod balance;
mod ledger;

pub use balance::BalanceMonitor;
pub use ledger::LedgerMonitor;

/// A look takes a few calls of some seconds each at the most; with less time than this before the end
/// of the invocation it is left to the next one, in milliseconds.
const TIME_FOR_A_CHECK_MS: i64 = 25_000;
