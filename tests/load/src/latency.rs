//! How long things took.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Counts durations, in microseconds, to four digits.
///
/// # Errors
/// When one is longer than a count of microseconds can say.
pub fn histogram(took: impl IntoIterator<Item = Duration>) -> anyhow::Result<Histogram<u64>> {
    let mut histogram = Histogram::new(4)?;
    for took in took {
        histogram.record(u64::try_from(took.as_micros())?)?;
    }
    Ok(histogram)
}

/// Microseconds of a histogram, in seconds.
#[must_use]
pub fn seconds(microseconds: u64) -> f64 {
    Duration::from_micros(microseconds).as_secs_f64()
}

/// Microseconds of a histogram, in milliseconds.
#[must_use]
pub fn milliseconds(microseconds: u64) -> f64 {
    seconds(microseconds) * 1000.0
}
