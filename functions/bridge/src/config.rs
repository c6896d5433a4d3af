//! The configuration of each function, from environment variables that the template sets. An error
//! names the variable, and shows its value only as far as the value's type allows.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use crate::domain::message::SendingRules;
use crate::domain::recipient_limit::RecipientLimits;
use crate::domain::sender_ids::SenderIds;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// By how much the clocks of two invocations may differ.
const CLOCK_SKEW: Duration = Duration::from_secs(30);

/// What is wrong with the configuration, by the name of the variable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Not set, or empty.
    #[error("the environment variable {0} is not set")]
    Missing(&'static str),
    /// Set to an invalid value.
    #[error("the environment variable {name} is wrong: {problem}")]
    Wrong {
        /// The variable.
        name: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl ConfigError {
    /// The error of a variable with an invalid value.
    pub fn wrong(name: &'static str, problem: &impl ToString) -> Self {
        Self::Wrong {
            name,
            problem: problem.to_string(),
        }
    }
}

/// `incoming-messages` and `delivery-reports`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookConfig {
    /// The queue for accepted callbacks.
    pub queue_url: String,
    /// The dead-letter queue for callbacks that cannot be processed.
    pub dead_letter_queue_url: String,
    /// The secret with the key in the callback URLs.
    pub incoming_key_secret_arn: String,
    /// The text of the SMS that tells Medic of an opt-out. `None`: Medic is not told.
    pub opt_out_text: Option<String>,
}

impl WebhookConfig {
    /// The configuration of `incoming-messages`.
    ///
    /// # Errors
    /// When a variable is missing.
    pub fn of_incoming_messages() -> Result<Self, ConfigError> {
        Self::from_env("EXCHANGE_QUEUE_URL", "EXCHANGE_DEAD_LETTER_QUEUE_URL")
    }

    /// The configuration of `delivery-reports`.
    ///
    /// # Errors
    /// When a variable is missing.
    pub fn of_delivery_reports() -> Result<Self, ConfigError> {
        Self::from_env("REPORTS_QUEUE_URL", "REPORTS_DEAD_LETTER_QUEUE_URL")
    }

    fn from_env(queue: &'static str, dead_letter_queue: &'static str) -> Result<Self, ConfigError> {
        Ok(Self {
            queue_url: required(queue)?,
            dead_letter_queue_url: required(dead_letter_queue)?,
            incoming_key_secret_arn: required("INCOMING_KEY_SECRET_ARN")?,
            opt_out_text: optional("OPT_OUT_TEXT"),
        })
    }
}

/// The ledger's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerConfig {
    /// Its name.
    pub table: String,
    /// How long a row is kept after its last change.
    pub retention: Duration,
}

impl LedgerConfig {
    fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            table: required("LEDGER_TABLE")?,
            retention: duration("LEDGER_RETENTION_DAYS", DAY, 90..=3650)?,
        })
    }
}

/// `report-recorder`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportRecorderConfig {
    /// The queue that the reports come from.
    pub reports_queue_url: String,
    /// The queue for reports that cannot be processed.
    pub dead_letter_queue_url: String,
    /// The ledger.
    pub ledger: LedgerConfig,
    /// After how long a send request has surely ended.
    pub call_over_after: Duration,
}

impl ReportRecorderConfig {
    /// Reads the variables.
    ///
    /// # Errors
    /// When one is missing or wrong.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            reports_queue_url: required("REPORTS_QUEUE_URL")?,
            dead_letter_queue_url: required("REPORTS_DEAD_LETTER_QUEUE_URL")?,
            ledger: LedgerConfig::from_env()?,
            call_over_after: call_over_after()?,
        })
    }
}

/// `outbound-sender`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundSenderConfig {
    /// The queue that the messages come from.
    pub outbox_queue_url: String,
    /// The queue for messages that cannot be processed.
    pub dead_letter_queue_url: String,
    /// The ledger.
    pub ledger: LedgerConfig,
    /// The secret with Africa's Talking's API key.
    pub credentials_secret_arn: String,
    /// The secret with the key under which numbers are hashed.
    pub incoming_key_secret_arn: String,
    /// The application's user name; `sandbox` is the simulator.
    pub africastalking_username: String,
    /// The base URL of Africa's Talking, if it is not the one of the user name.
    pub africastalking_base_url: Option<String>,
    /// The rules for sending, retrying and giving up.
    pub rules: SendingRules,
    /// The limits for one recipient.
    pub recipient_limit: RecipientLimits,
    /// The sender ids.
    pub sender_ids: SenderIds,
}

impl OutboundSenderConfig {
    /// Reads the variables.
    ///
    /// # Errors
    /// When one is missing or wrong.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            outbox_queue_url: required("OUTBOX_QUEUE_URL")?,
            dead_letter_queue_url: required("OUTBOX_DEAD_LETTER_QUEUE_URL")?,
            ledger: LedgerConfig::from_env()?,
            credentials_secret_arn: required("CREDENTIALS_SECRET_ARN")?,
            incoming_key_secret_arn: required("INCOMING_KEY_SECRET_ARN")?,
            africastalking_username: required("AFRICASTALKING_USERNAME")?,
            africastalking_base_url: optional("AFRICASTALKING_BASE_URL"),
            rules: SendingRules {
                unknown_outcome: parsed("UNKNOWN_OUTCOME_POLICY")?,
                resend_after: duration("RESEND_AFTER_SECONDS", SECOND, 120..=86_400)?,
                max_age: duration("MESSAGE_MAX_AGE_HOURS", HOUR, 1..=240)?,
                call_over_after: call_over_after()?,
            },
            recipient_limit: RecipientLimits {
                messages_per_hour: parsed("RECIPIENT_MESSAGES_PER_HOUR")?,
                same_text_per_day: parsed("RECIPIENT_SAME_TEXT_PER_DAY")?,
            },
            sender_ids: SenderIds::parse(&optional("SENDER_IDS").unwrap_or_default())
                .map_err(|error| ConfigError::wrong("SENDER_IDS", &error))?,
        })
    }
}

/// `medic-exchange`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MedicExchangeConfig {
    /// The queue that the messages come from.
    pub exchange_queue_url: String,
    /// The queue for messages that cannot be processed.
    pub dead_letter_queue_url: String,
    /// The queue for outgoing messages.
    pub outbox_queue_url: String,
    /// The queue for delivery reports, which the function only monitors.
    pub reports_queue_url: String,
    /// The ledger.
    pub ledger: LedgerConfig,
    /// The secret with Medic's user and password.
    pub credentials_secret_arn: String,
    /// The URL of Medic.
    pub medic_url: String,
    /// The time-out of a POST.
    pub post_timeout: Duration,
    /// How long after that Medic may still be processing the POST.
    pub grace: Duration,
}

impl MedicExchangeConfig {
    /// Reads the variables.
    ///
    /// # Errors
    /// When one is missing or wrong.
    pub fn from_env() -> Result<Self, ConfigError> {
        Ok(Self {
            exchange_queue_url: required("EXCHANGE_QUEUE_URL")?,
            dead_letter_queue_url: required("EXCHANGE_DEAD_LETTER_QUEUE_URL")?,
            outbox_queue_url: required("OUTBOX_QUEUE_URL")?,
            reports_queue_url: required("REPORTS_QUEUE_URL")?,
            ledger: LedgerConfig::from_env()?,
            credentials_secret_arn: required("CREDENTIALS_SECRET_ARN")?,
            medic_url: required("MEDIC_URL")?,
            post_timeout: duration("MEDIC_TIMEOUT_SECONDS", SECOND, 2..=60)?,
            grace: duration("MEDIC_GRACE_SECONDS", SECOND, 2..=600)?,
        })
    }
}

/// The time-out of the function that sends, and some more for clocks that differ.
fn call_over_after() -> Result<Duration, ConfigError> {
    let timeout = duration("SENDER_TIMEOUT_SECONDS", SECOND, 45..=900)?;
    Ok(timeout.saturating_add(CLOCK_SKEW))
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

fn parsed<T: FromStr<Err: ToString>>(name: &'static str) -> Result<T, ConfigError> {
    read(name, &required(name)?)
}

/// Parses the value of the variable `name`.
///
/// # Errors
/// When it cannot be parsed. The error names the variable.
pub fn read<T: FromStr<Err: ToString>>(name: &'static str, value: &str) -> Result<T, ConfigError> {
    value
        .trim()
        .parse()
        .map_err(|error: T::Err| ConfigError::wrong(name, &error))
}

fn duration(
    name: &'static str,
    unit: Duration,
    range: RangeInclusive<u32>,
) -> Result<Duration, ConfigError> {
    read_duration(name, &required(name)?, unit, range)
}

/// Parses a whole number of units of `unit`.
///
/// # Errors
/// When it is no whole number, or is outside the range (in units).
pub fn read_duration(
    name: &'static str,
    value: &str,
    unit: Duration,
    range: RangeInclusive<u32>,
) -> Result<Duration, ConfigError> {
    let value: i64 = read(name, value)?;
    if let Some(value) = u32::try_from(value)
        .ok()
        .filter(|value| range.contains(value))
    {
        Ok(unit.saturating_mul(value))
    } else {
        let problem = format!(
            "{value} is not between {} and {}",
            range.start(),
            range.end()
        );
        Err(ConfigError::wrong(name, &problem))
    }
}
