//! The circuit breakers towards Africa's Talking: the account's, and one for each sender ID that
//! Africa's Talking does not know.
//!
//! While one is open, its messages wait. One of them, the pilot, tries whether the trouble is over,
//! and only the acceptance of a pilot closes the circuit.

mod account_row;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::MedicMessageId;
use super::time::Timestamp;

/// The pilot tries this often.
const TRY_INTERVAL: Duration = Duration::from_secs(45);

/// Sends of which nobody knows the outcome come at growing intervals, this long at most. It is also
/// the longest interval at which an unknown sender ID is tried.
const LONGEST_INTERVAL: Duration = Duration::from_mins(10);

/// A pilot that is overdue by this much is lost, for example because it was settled or expired.
const LOST_AFTER: Duration = Duration::from_mins(1);

/// A message in doubt is not sent before it has been the pilot for this long. Everything that waits
/// comes back within that time, and takes over unless it is in doubt, too.
const IN_DOUBT_WAITS: Duration = Duration::from_mins(5);

/// Without credit a send is tried this often although the balance is no better. A refusal costs
/// nothing.
const TRY_WITHOUT_CREDIT: Duration = Duration::from_mins(5);

/// A send is tried this often whatever the user call shows, because that is another service than the
/// one that sends.
const TRY_ANYWAY: Duration = Duration::from_hours(1);

/// The same while nothing answers, because each try can leave one more message in doubt.
const TRY_INTO_SILENCE: Duration = Duration::from_hours(6);

/// One more unknown outcome would be the last of a message in doubt. If the user call shows no trouble
/// and sends have no answer all the same, such a one is sent this often.
const TRY_IN_DOUBT: Duration = Duration::from_hours(1);

/// How often the balance is read while anything is sent.
pub const BALANCE_INTERVAL: Duration = Duration::from_hours(1);

/// Why a circuit is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// `statusCode` 402, `InvalidSenderId` with no recipient, or HTTP 401 although the account is
    /// fine: Africa's Talking does not know the sender ID.
    InvalidSenderId,
    /// `statusCode` 405: no credit.
    InsufficientBalance,
    /// HTTP 401 or 403: the API key or the user name is not right (or not yet: a new key can take
    /// twenty minutes).
    CredentialsRefused,
    /// HTTP 404, 405 or a redirect: nothing at this address takes messages.
    WrongAddress,
    /// Several calls in a row had no readable answer: no connection, a time-out, HTTP 408 or 5xx,
    /// `statusCode` 500, or an unreadable response.
    NoAnswer,
    /// Written by a later version.
    #[serde(other)]
    Other,
}

impl Cause {
    /// What is wrong, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::InvalidSenderId => "the sender id is not known to Africa's Talking",
            Self::InsufficientBalance => "no credit at Africa's Talking",
            Self::CredentialsRefused => "Africa's Talking refuses the API key or the user name",
            Self::WrongAddress => "nothing at Africa's Talking's address takes messages",
            Self::NoAnswer => "Africa's Talking does not answer, or with errors of its own",
            Self::Other => "something that this version does not know",
        }
    }
}

/// Which messages a circuit keeps waiting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Circuit {
    /// All of them.
    Account,
    /// Those with this sender ID. `None` is Africa's Talking's default.
    SenderId(Option<String>),
}

impl Circuit {
    /// The circuit that a failure opens, of a message with this sender ID.
    fn of(cause: Cause, sender_id: Option<&str>) -> Self {
        match cause {
            Cause::InvalidSenderId => Self::SenderId(sender_id.map(str::to_owned)),
            _ => Self::Account,
        }
    }

    /// The sender ID that is not known, in words. `None` for the account's circuit.
    pub fn sender_id(&self) -> Option<&str> {
        match self {
            Self::Account => None,
            Self::SenderId(id) => Some(id.as_deref().unwrap_or("(default)")),
        }
    }
}

/// The message that tries whether the trouble is over, while the others wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pilot {
    /// The message.
    pub message: MedicMessageId,
    /// Whether it had a call of unknown outcome.
    #[serde(default, skip_serializing_if = "is_default")]
    pub in_doubt: bool,
    /// Since when it is the pilot.
    #[serde(rename = "since_ms")]
    pub since: Timestamp,
}

/// A circuit breaker that is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenCircuit {
    /// Which messages wait.
    pub of: Circuit,
    /// Why.
    pub cause: Cause,
    /// Since when.
    #[serde(rename = "since_ms")]
    pub since: Timestamp,
    /// When the pilot tries next.
    #[serde(rename = "next_try_ms")]
    pub next_try: Timestamp,
    /// The pilot. Without one, the next message becomes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pilot: Option<Pilot>,
    /// How many pilots were sent because the trouble seemed to be over, and had no answer.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unanswered_sends: u32,
    /// When a pilot was sent last.
    #[serde(
        default,
        rename = "last_send_ms",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_send: Option<Timestamp>,
    /// The balance that was seen last, in millionths of the currency's unit. Nothing could be sent
    /// with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance_micros: Option<i64>,
}

/// An operator has paused sending. It does not end by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Since when.
    #[serde(rename = "since_ms")]
    pub since: Timestamp,
}

/// The ledger's one row for the account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRow {
    /// The circuits that are open, no two of the same messages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_circuits: Vec<OpenCircuit>,
    /// How often a circuit was opened or closed. A result of a call that began before the last time
    /// opens none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub changes: u64,
    /// When the balance was last asked for.
    #[serde(
        default,
        rename = "balance_asked_ms",
        skip_serializing_if = "Option::is_none"
    )]
    pub balance_asked: Option<Timestamp>,
    /// The pause, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// How many calls in a row had no readable answer, for whatever messages.
    #[serde(default)]
    pub unanswered_calls: u32,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What Africa's Talking's user call answered. It asks for the account and sends nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserAnswer {
    /// The HTTP status. `None` without an answer.
    pub status: Option<u16>,
    /// The balance, in millionths of the currency's unit, if the answer has one.
    pub balance_micros: Option<i64>,
}

impl UserAnswer {
    /// Whether Africa's Talking accepts the API key and the user name.
    pub fn is_good(&self) -> bool {
        matches!(self.status, Some(200..=299))
    }

    fn is_answer(&self) -> bool {
        self.status.is_some_and(|status| status < 500)
    }
}

/// A message that can become a pilot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PilotCandidate {
    /// The message.
    pub message: MedicMessageId,
    /// Whether it had a call of unknown outcome.
    pub in_doubt: bool,
}

/// What a message does about an open circuit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It tries now, once this row is written.
    Begins(AccountRow, OpenCircuit),
    /// It is the pilot, once this row is written, and tries at this instant.
    At(AccountRow, Timestamp),
    /// It waits: another message is the pilot, or the circuit is closed.
    Waits,
}

/// A send as a pilot, with the circuit half-open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HalfOpen {
    /// The circuit.
    pub of: Circuit,
    /// Since when it is open, which tells this opening from others.
    pub since: Timestamp,
    /// What the user call answered before the send. An unknown sender ID is not asked for.
    pub answer: UserAnswer,
}

/// A send request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// For which message.
    pub message: MedicMessageId,
    /// Its sender ID.
    pub sender_id: Option<String>,
    /// The row's `changes` when it began.
    pub changes: u64,
    /// Whether it was a pilot's.
    pub half_open: Option<HalfOpen>,
}

/// What a send request shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Africa's Talking accepts messages.
    Accepted,
    /// It answers.
    Answered,
    /// It does not answer, or not in a way that can be read. Says whether the outcome is unknown.
    Unanswered {
        /// Whether the message may have been sent.
        in_doubt: bool,
    },
    /// It refuses what is not the message's fault.
    Failed {
        /// Why.
        cause: Cause,
        /// Whether the message had a call of unknown outcome before.
        in_doubt: bool,
    },
}

impl OpenCircuit {
    /// Why it is open, in words, with the sender ID if that is the reason.
    pub fn words(&self) -> String {
        match self.of.sender_id() {
            None => self.cause.words().to_owned(),
            Some(id) => format!("{}: {id}", self.cause.words()),
        }
    }

    /// Whether there is room for another pilot than the one that it has.
    pub fn wants_pilot(&self, now: Timestamp) -> bool {
        self.admits(false, now)
    }

    /// Whether another message can become the pilot.
    fn admits(&self, in_doubt: bool, now: Timestamp) -> bool {
        match &self.pilot {
            None => true,
            Some(pilot) => (pilot.in_doubt && !in_doubt) || now > self.next_try + LOST_AFTER,
        }
    }

    /// Whether the pilot is sent after this answer. An unknown sender ID needs no question: the
    /// refusal itself is the answer.
    pub fn lets_pilot_send(&self, answer: &UserAnswer, now: Timestamp) -> bool {
        let Some(pilot) = &self.pilot else {
            return false;
        };
        if pilot.in_doubt && now.since(pilot.since) < IN_DOUBT_WAITS {
            return false;
        }
        let is_good = self.is_good(answer);
        let interval = match self.cause {
            _ if is_good && self.unanswered_sends == 0 => return true,
            _ if is_good && pilot.in_doubt => TRY_IN_DOUBT,
            _ if is_good => growing(self.unanswered_sends),
            Cause::InsufficientBalance if answer.is_answer() => TRY_WITHOUT_CREDIT,
            Cause::NoAnswer if pilot.in_doubt => return false,
            Cause::NoAnswer => TRY_INTO_SILENCE,
            _ => TRY_ANYWAY,
        };
        now.since(self.last_send.unwrap_or(self.since)) >= interval
    }

    /// Whether the trouble seems to be over.
    fn is_good(&self, answer: &UserAnswer) -> bool {
        match self.cause {
            Cause::InsufficientBalance => answer
                .balance_micros
                .is_some_and(|balance| self.balance_micros.is_none_or(|before| balance > before)),
            Cause::NoAnswer => answer.is_answer(),
            _ => answer.is_good(),
        }
    }

    /// When an unknown sender ID is tried next: the longer it is unknown, the later. Every other
    /// trouble is asked for at once.
    fn next_try_after(&self, now: Timestamp) -> Timestamp {
        let interval = match self.of {
            Circuit::Account => TRY_INTERVAL,
            Circuit::SenderId(_) => now.since(self.since).clamp(TRY_INTERVAL, LONGEST_INTERVAL),
        };
        now + interval
    }
}

/// The wait after so many sends without an answer.
fn growing(unanswered_sends: u32) -> Duration {
    let doublings = unanswered_sends.saturating_sub(1).min(8);
    LONGEST_INTERVAL.min(TRY_INTERVAL.saturating_mul(1 << doublings))
}

#[cfg(test)]
mod tests;
