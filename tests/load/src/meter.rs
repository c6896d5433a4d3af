//! What was used of AWS, counted where it is used.

use std::collections::BTreeMap;
use std::sync::Mutex;

/// Something that AWS charges for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Charge {
    /// A request to the HTTP API.
    HttpRequest,
    /// An invocation.
    Invocation,
    /// A billed millisecond of a function of 128 MB.
    FunctionMs,
    /// A request to a standard queue.
    StandardQueueRequest,
    /// A request to a FIFO queue.
    FifoQueueRequest,
    /// A write unit of the table or of an index.
    WriteUnit,
    /// A read unit.
    ReadUnit,
    /// A call to Secrets Manager.
    SecretCall,
    /// A byte of a log.
    LogByte,
    /// A poll of the schedule.
    ScheduledPoll,
    /// A month of a secret.
    SecretMonth,
    /// A month of an alarm.
    AlarmMonth,
}

/// What was used, by what it is and by who used it for what.
pub type Usage = BTreeMap<(Charge, String), f64>;

/// Counts.
#[derive(Debug, Default)]
pub struct Meter(Mutex<Usage>);

impl Meter {
    /// Counts something.
    pub fn add(&self, charge: Charge, what: &str, amount: f64) {
        if amount > 0.0
            && let Ok(mut usage) = self.0.lock()
        {
            *usage.entry((charge, what.to_owned())).or_default() += amount;
        }
    }

    /// What was counted since the last time, which is forgotten.
    pub fn take(&self) -> Usage {
        match self.0.lock() {
            Ok(mut usage) => std::mem::take(&mut *usage),
            Err(_) => Usage::new(),
        }
    }
}
