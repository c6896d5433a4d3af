//! The configuration of a function: its environment variables. The template sets them all.

use std::ops::RangeInclusive;
use std::str::FromStr;

/// What is wrong with the configuration, by the name of the variable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not set, or empty.
    #[error("the environment variable {0} is not set")]
    Missing(&'static str),
    /// Set to something that it cannot be.
    #[error("the environment variable {name} is wrong: {problem}")]
    Wrong {
        /// The variable.
        name: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl ConfigError {
    /// A variable that is set to something that it cannot be.
    pub fn wrong(name: &'static str, problem: &impl ToString) -> Self {
        Self::Wrong {
            name,
            problem: problem.to_string(),
        }
    }
}

/// A variable that may be left empty.
pub fn optional(name: &'static str) -> Option<String> {
    std::env::var(name)
        .ok()
        .filter(|value| !value.trim().is_empty())
}

/// A variable that must be set.
///
/// # Errors
/// When it is not, or empty.
pub fn required(name: &'static str) -> Result<String, ConfigError> {
    optional(name).ok_or(ConfigError::Missing(name))
}

/// A variable that must be set to something of a type.
///
/// # Errors
/// When it is not set, or to something else.
pub fn parsed<T: FromStr<Err: ToString>>(name: &'static str) -> Result<T, ConfigError> {
    read(name, &required(name)?)
}

/// What a variable is set to, as something of a type.
///
/// # Errors
/// When it is something else.
pub fn read<T: FromStr<Err: ToString>>(name: &'static str, value: &str) -> Result<T, ConfigError> {
    value
        .trim()
        .parse()
        .map_err(|error: T::Err| ConfigError::wrong(name, &error))
}

/// A duration that is given in some unit, in milliseconds. `unit_ms` is the unit's length.
///
/// # Errors
/// When it is not set, is no whole number, or is outside the range (in units).
pub fn duration_ms(
    name: &'static str,
    unit_ms: i64,
    range: RangeInclusive<i64>,
) -> Result<i64, ConfigError> {
    read_duration_ms(name, &required(name)?, unit_ms, range)
}

/// What a variable is set to, as a duration in some unit, in milliseconds. `unit_ms` is the unit's
/// length.
///
/// # Errors
/// When it is no whole number, or is outside the range (in units).
pub fn read_duration_ms(
    name: &'static str,
    value: &str,
    unit_ms: i64,
    range: RangeInclusive<i64>,
) -> Result<i64, ConfigError> {
    let value: i64 = read(name, value)?;
    if range.contains(&value) {
        Ok(value.saturating_mul(unit_ms))
    } else {
        let problem = format!(
            "{value} is not between {} and {}",
            range.start(),
            range.end()
        );
        Err(ConfigError::wrong(name, &problem))
    }
}

/// After how long a call to Africa's Talking is over one way or the other, in milliseconds: the
/// time-out of the function that calls, in `SENDER_TIMEOUT_SECONDS`, and half a minute more for
/// clocks that differ.
///
/// # Errors
/// When the variable is not set, is no whole number, or is outside 45 to 900.
pub fn call_over_after_ms() -> Result<i64, ConfigError> {
    const CLOCK_SKEW_MS: i64 = 30_000;
    let timeout_ms = duration_ms("SENDER_TIMEOUT_SECONDS", 1000, 45..=900)?;
    Ok(timeout_ms.saturating_add(CLOCK_SKEW_MS))
}
