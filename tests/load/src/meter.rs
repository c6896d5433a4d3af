//! The usage of AWS, counted where it arises.

use std::collections::BTreeMap;
use std::sync::Mutex;

/// Something that AWS charges for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AwsCharge {
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
    /// A byte of the ledger for as long as it is kept, in months.
    LedgerByteMonth,
    /// A month of a secret.
    SecretMonth,
    /// A month of an alarm.
    AlarmMonth,
}

impl AwsCharge {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::HttpRequest,
        Self::Invocation,
        Self::FunctionMs,
        Self::StandardQueueRequest,
        Self::FifoQueueRequest,
        Self::WriteUnit,
        Self::ReadUnit,
        Self::SecretCall,
        Self::LogByte,
        Self::ScheduledPoll,
        Self::LedgerByteMonth,
        Self::SecretMonth,
        Self::AlarmMonth,
    ];
}

/// Amounts by the kind of charge, and by the user and the purpose.
pub type Usage = BTreeMap<(AwsCharge, String), f64>;

/// Counts.
#[derive(Debug, Default)]
pub struct Meter(Mutex<Usage>);

impl Meter {
    /// Counts something.
    pub fn add(&self, charge: AwsCharge, what: &str, amount: f64) {
        if amount > 0.0
            && let Ok(mut usage) = self.0.lock()
        {
            *usage.entry((charge, what.to_owned())).or_default() += amount;
        }
    }

    /// The usage since the last call. Begins at zero again.
    pub fn take(&self) -> Usage {
        match self.0.lock() {
            Ok(mut usage) => std::mem::take(&mut *usage),
            Err(_) => Usage::new(),
        }
    }
}

/// Adds a multiple of some usage to another.
pub fn add(total: &mut Usage, usage: &Usage, times: f64) {
    for (key, amount) in usage {
        *total.entry(key.clone()).or_default() += amount * times;
    }
}
