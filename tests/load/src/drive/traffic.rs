//! The SMS of a run, and how fast they come.

use std::num::ParseIntError;
use std::time::Duration;

use clap::{Args, value_parser};

/// Each of a thousand numbers may get sixty messages an hour before the recipient rate limit is exceeded:
/// one of a campaign and one reply for each of these.
pub const MOST_SMS: u64 = 20_000;

/// The SMS of a run.
#[derive(Clone, Debug, Args)]
pub struct LoadTraffic {
    /// How many SMS come in
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = value_parser!(u64).range(..=MOST_SMS))]
    pub count: u64,
    /// How many SMS Medic wants sent, beside its replies. In an account as many as come in, else none
    #[arg(long = "out", value_name = "N", value_parser = value_parser!(u64).range(..=MOST_SMS))]
    pub outgoing: Option<u64>,
    /// How many SMS a second, in each direction
    #[arg(long, value_name = "N", default_value_t = 10.0, value_parser = rate)]
    pub rate: f64,
    /// Of a hundred callbacks, as many come twice
    #[arg(long = "repeats", value_name = "N", default_value_t = 5)]
    pub repeats_percent: u8,
    /// Of a hundred SMS that come in, Medic replies to as many
    #[arg(long = "replies", value_name = "N", default_value_t = 100)]
    pub replies_percent: u8,
    /// How long to wait for what has not arrived, while nothing else arrives
    #[arg(long, value_name = "SECONDS", default_value = "180", value_parser = seconds)]
    pub wait: Duration,
}

impl LoadTraffic {
    /// How many SMS Medic wants sent, beside its replies.
    #[must_use]
    pub fn outgoing(&self) -> u64 {
        self.outgoing.unwrap_or(0)
    }

    /// The same with as many out as in, if nothing else was asked for.
    #[must_use]
    pub fn both_ways(&self) -> Self {
        Self {
            outgoing: Some(self.outgoing.unwrap_or(self.count)),
            ..self.clone()
        }
    }

    /// Whether Medic replies to the n-th SMS. It has nothing to do with whether its callback comes twice.
    #[must_use]
    pub fn replies_to(&self, n: u64) -> bool {
        n * 37 % 100 < u64::from(self.replies_percent)
    }

    /// How often the n-th callback comes: a repeat is what Africa's Talking makes of an answer that it did
    /// not hear.
    #[must_use]
    pub fn times(&self, n: u64) -> usize {
        1 + usize::from(n % 100 < u64::from(self.repeats_percent))
    }
}

/// A phone number of this run, invented.
#[must_use]
pub fn phone(n: u64) -> String {
    format!("+254700000{:03}", n % 1000)
}

fn rate(value: &str) -> Result<f64, &'static str> {
    let is_rate = |rate: &f64| *rate > 0.0 && rate.is_finite();
    let rate = value.parse().ok().filter(is_rate);
    rate.ok_or("a rate is a number greater than 0")
}

/// A duration in whole seconds.
///
/// # Errors
/// When it is no number.
pub fn seconds(value: &str) -> Result<Duration, ParseIntError> {
    value.parse().map(Duration::from_secs)
}
