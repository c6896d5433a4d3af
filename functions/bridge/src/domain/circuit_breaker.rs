//! The circuit breaker of the account: it opens when Africa's Talking fails for the whole account,
//! and closes after a probe that works.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::time::Timestamp;

/// The first probe comes a minute after the refusal.
const FIRST_PROBE: Duration = Duration::from_mins(1);
/// A message behind an open circuit is retried this often, and less often the longer it waits.
const CHECK_AGAIN: Duration = Duration::from_mins(1);
/// Later probes come at growing intervals, an hour apart at most. That is how long messages can
/// wait after the credit was topped up.
const LONGEST_PROBE_INTERVAL: Duration = Duration::from_hours(1);

/// This many calls in a row without a readable response open the circuit. It is more than the two
/// calls that one message can make.
const UNANSWERED_CALLS_THAT_OPEN: u32 = 5;

/// How often the balance is read while anything is sent.
pub const BALANCE_INTERVAL: Duration = Duration::from_hours(1);

/// What is wrong with the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountFailure {
    /// `statusCode` 402, or `InvalidSenderId` with no recipient: the sender id is not registered.
    InvalidSenderId,
    /// `statusCode` 405: no credit.
    InsufficientBalance,
    /// HTTP 401 or 403: the API key or the user name is not right (or not yet: a new key can take
    /// twenty minutes).
    CredentialsRefused,
    /// HTTP 404, 405 or a redirect: nothing at this address takes messages.
    WrongAddress,
    /// Several calls in a row had an unknown outcome: no answer, HTTP 408 or 5xx, `statusCode` 500,
    /// or an unreadable response.
    NoAnswer,
    /// Written by a later version.
    #[serde(other)]
    Other,
}

impl AccountFailure {
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

/// The circuit breaker is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenCircuit {
    /// Why.
    pub cause: AccountFailure,
    /// Since when.
    #[serde(rename = "since_ms")]
    pub since: Timestamp,
    /// How many probes have failed.
    pub probes: u32,
    /// When one message may be sent as the next probe.
    #[serde(rename = "next_probe_ms")]
    pub next_probe: Timestamp,
}

impl OpenCircuit {
    /// When a message that already had a call of unknown outcome may probe. One more such call
    /// would be its last, so other messages probe first, and it does so an hour after the last
    /// probe.
    fn next_probe_in_doubt(&self) -> Timestamp {
        let later = match self.cause {
            AccountFailure::NoAnswer => {
                LONGEST_PROBE_INTERVAL.saturating_sub(interval(self.probes))
            }
            _ => Duration::ZERO,
        };
        self.next_probe + later
    }
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
    /// The open circuit, while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_circuit: Option<OpenCircuit>,
    /// When the balance was last asked for.
    #[serde(
        rename = "balance_asked_ms",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub balance_asked: Option<Timestamp>,
    /// The pause, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// How many calls in a row had an unknown outcome, for whatever messages.
    #[serde(default)]
    pub unanswered_calls: u32,
}

/// Whether a message may be sent now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Yes.
    Free,
    /// One message, as the probe, once this row is written.
    HalfOpenProbe(AccountRow),
    /// Not before this time.
    WaitUntil(Timestamp),
}

impl AccountRow {
    /// Whether a message may be sent. `in_doubt` says that it had a call of unknown outcome.
    pub fn permission(&self, now: Timestamp, in_doubt: bool) -> Permission {
        if self.pause.is_some() {
            return Permission::WaitUntil(now + CHECK_AGAIN);
        }
        let Some(open_circuit) = &self.open_circuit else {
            return Permission::Free;
        };
        if now < open_circuit.next_probe {
            return Permission::WaitUntil(open_circuit.next_probe);
        }
        if in_doubt && now < open_circuit.next_probe_in_doubt() {
            return Permission::WaitUntil(now + CHECK_AGAIN);
        }
        let probes = open_circuit.probes.saturating_add(1);
        Permission::HalfOpenProbe(Self {
            open_circuit: Some(OpenCircuit {
                probes,
                next_probe: now + interval(probes),
                ..open_circuit.clone()
            }),
            ..self.clone()
        })
    }

    /// The row after a refusal of the whole account. Concurrent refusals open the circuit once.
    #[must_use]
    pub fn refused(&self, cause: AccountFailure, now: Timestamp) -> Self {
        let open_circuit = match &self.open_circuit {
            Some(open_circuit) => OpenCircuit {
                cause,
                ..open_circuit.clone()
            },
            None => OpenCircuit {
                cause,
                since: now,
                probes: 0,
                next_probe: now + interval(0),
            },
        };
        Self {
            open_circuit: Some(open_circuit),
            unanswered_calls: 0,
            ..self.clone()
        }
    }

    /// The row after a call of unknown outcome. The fifth in a row opens the circuit. While it is
    /// open for any reason, such a call changes nothing.
    #[must_use]
    pub fn unanswered(&self, now: Timestamp) -> Self {
        if self.open_circuit.is_some() {
            return self.clone();
        }
        let unanswered_calls = self.unanswered_calls.saturating_add(1);
        if unanswered_calls >= UNANSWERED_CALLS_THAT_OPEN {
            return self.refused(AccountFailure::NoAnswer, now);
        }
        Self {
            unanswered_calls,
            ..self.clone()
        }
    }

    /// The row after a readable response. It closes a circuit that was open because there was no
    /// answer, and no other.
    #[must_use]
    pub fn answered(&self) -> Self {
        let is_other = |open_circuit: &OpenCircuit| open_circuit.cause != AccountFailure::NoAnswer;
        Self {
            open_circuit: self.open_circuit.clone().filter(is_other),
            unanswered_calls: 0,
            ..self.clone()
        }
    }

    /// The row after a probe that works. A pause stays, because an operator wants it.
    #[must_use]
    pub fn recovered(&self) -> Self {
        Self {
            open_circuit: None,
            unanswered_calls: 0,
            ..self.clone()
        }
    }

    /// The row after the balance was read, if that is due: once an hour for the whole stack.
    pub fn asking_for_the_balance(self, now: Timestamp) -> Option<Self> {
        let asked = self.balance_asked;
        let is_due = asked.is_none_or(|asked| {
            // Clocks differ. A function whose clock is behind waits, too.
            now.since(asked) >= BALANCE_INTERVAL
        });
        is_due.then_some(Self {
            balance_asked: Some(now),
            ..self
        })
    }

    /// The row after an operator paused sending.
    #[must_use]
    pub fn paused(&self, now: Timestamp) -> Self {
        let since = self.pause.as_ref().map_or(now, |pause| pause.since);
        Self {
            pause: Some(Pause { since }),
            ..self.clone()
        }
    }

    /// The row after an operator resumed sending: without the pause. If the circuit is open, the
    /// next probe is due, and any message may be it.
    #[must_use]
    pub fn resumed(&self, now: Timestamp) -> Self {
        let due = now - LONGEST_PROBE_INTERVAL;
        let open_circuit = self.open_circuit.clone().map(|open_circuit| OpenCircuit {
            next_probe: open_circuit.next_probe.min(due),
            ..open_circuit
        });
        Self {
            open_circuit,
            pause: None,
            ..self.clone()
        }
    }
}

fn interval(probes: u32) -> Duration {
    FIRST_PROBE
        .saturating_mul(1 << probes.min(16))
        .min(LONGEST_PROBE_INTERVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_circuit_is_probed_by_one_at_growing_intervals() {
        let mut row = AccountRow::default().refused(
            AccountFailure::InsufficientBalance,
            Timestamp::from_millis(0),
        );
        let mut now = Timestamp::from_millis(0);
        let mut intervals = Vec::new();
        for _ in 0..9 {
            let Permission::WaitUntil(until) = row.permission(now, false) else {
                panic!("it may not call")
            };
            intervals.push(until.since(now).as_secs() / 60);
            now = until;
            let Permission::HalfOpenProbe(claimed) = row.permission(now, true) else {
                panic!("a probe is due")
            };
            assert!(matches!(
                claimed.permission(now, false),
                Permission::WaitUntil(_)
            ));
            row = claimed.refused(AccountFailure::InsufficientBalance, now);
        }
        assert_eq!(intervals, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
    }

    #[test]
    fn refusals_that_come_together_open_the_circuit_once() {
        let once = AccountRow::default().refused(
            AccountFailure::CredentialsRefused,
            Timestamp::from_millis(5),
        );
        assert_eq!(
            once.refused(
                AccountFailure::CredentialsRefused,
                Timestamp::from_millis(9)
            ),
            once
        );
    }

    /// The row after so many calls without an answer, one a millisecond.
    fn unanswered(row: AccountRow, calls: i64) -> AccountRow {
        (0..calls).fold(row, |row, now| row.unanswered(Timestamp::from_millis(now)))
    }

    #[test]
    fn the_fifth_call_in_a_row_without_an_answer_opens_the_circuit() {
        let four = unanswered(AccountRow::default(), 4);
        assert_eq!(
            four.permission(Timestamp::from_millis(4), false),
            Permission::Free
        );
        // Any answer ends the count.
        let after_an_answer = unanswered(four.answered(), 4);
        assert_eq!(after_an_answer.open_circuit, None);
        let opened = four.unanswered(Timestamp::from_millis(4));
        let open_circuit = opened.open_circuit.clone().unwrap();
        assert_eq!(
            (open_circuit.cause, open_circuit.since),
            (AccountFailure::NoAnswer, Timestamp::from_millis(4))
        );
        assert_eq!(
            opened.permission(Timestamp::from_millis(5), false),
            Permission::WaitUntil(Timestamp::from_millis(60_004))
        );
        // Those that were under way then, and probes, change nothing of it.
        assert_eq!(opened.unanswered(Timestamp::from_millis(9)), opened);
        assert_eq!(opened.answered(), AccountRow::default());
    }

    #[test]
    fn an_answer_closes_no_circuit_but_that_of_no_answer() {
        let refused = AccountRow::default().refused(
            AccountFailure::InsufficientBalance,
            Timestamp::from_millis(0),
        );
        assert_eq!(unanswered(refused.clone(), 9), refused);
        assert_eq!(refused.answered(), refused);
        let open_circuit = unanswered(AccountRow::default(), 5)
            .refused(AccountFailure::InvalidSenderId, Timestamp::from_millis(9));
        assert_eq!(open_circuit.answered(), open_circuit);
        assert_eq!(open_circuit.recovered(), AccountRow::default());
    }

    #[test]
    fn without_an_answer_what_is_in_doubt_probes_an_hour_after_the_last_probe() {
        let mut row = unanswered(AccountRow::default(), 5);
        for probes in 0..9 {
            let open_circuit = row.open_circuit.clone().unwrap();
            let began = open_circuit.next_probe - interval(probes);
            let in_an_hour = began + LONGEST_PROBE_INTERVAL;
            let opened = |now| matches!(row.permission(now, true), Permission::WaitUntil(until) if until > now);
            assert!(
                opened(open_circuit.next_probe - Duration::from_millis(1))
                    && opened(in_an_hour - Duration::from_millis(1))
            );
            assert!(matches!(
                row.permission(in_an_hour, true),
                Permission::HalfOpenProbe(_)
            ));
            // Somebody who knows better has it probe at once.
            let resumed = row.resumed(began);
            assert!(matches!(
                resumed.permission(began, true),
                Permission::HalfOpenProbe(_)
            ));
            row = match row.permission(open_circuit.next_probe, false) {
                Permission::HalfOpenProbe(probing) => probing,
                permission => panic!("a probe is due: {permission:?}"),
            };
        }
    }

    #[test]
    fn the_balance_is_asked_for_once_an_hour_whatever_else_happens_to_the_account() {
        let asked = AccountRow::default()
            .asking_for_the_balance(Timestamp::from_millis(5))
            .unwrap();
        let opened = asked.refused(
            AccountFailure::InsufficientBalance,
            Timestamp::from_millis(6),
        );
        let an_hour = Timestamp::from_millis(0) + BALANCE_INTERVAL;
        let Permission::HalfOpenProbe(probing) = opened.permission(an_hour, false) else {
            panic!("a probe is due")
        };
        let resumed = probing.recovered();
        assert_eq!(resumed, asked);
        let last_moment = an_hour + Duration::from_millis(4);
        assert_eq!(resumed.clone().asking_for_the_balance(last_moment), None);
        assert!(
            resumed
                .asking_for_the_balance(last_moment + Duration::from_millis(1))
                .is_some()
        );
    }

    #[test]
    fn a_row_of_an_earlier_version_is_read_and_one_of_a_later_version_too() {
        let open_circuit =
            r#"{"cause":"insufficient_balance","since_ms":5,"probes":0,"next_probe_ms":60005}"#;
        let opened = AccountRow::default().refused(
            AccountFailure::InsufficientBalance,
            Timestamp::from_millis(5),
        );
        for row in [
            format!(r#"{{"open_circuit":{open_circuit}}}"#),
            format!(r#"{{"open_circuit":{open_circuit},"something_new":7}}"#),
        ] {
            assert_eq!(serde_json::from_str::<AccountRow>(&row).unwrap(), opened);
        }
    }

    #[test]
    fn a_pause_stops_sending_whatever_africas_talking_says_and_ends_only_when_somebody_says_so() {
        let paused = AccountRow::default().paused(Timestamp::from_millis(5));
        let refused = paused.refused(
            AccountFailure::InsufficientBalance,
            Timestamp::from_millis(6),
        );
        for row in [
            &paused,
            &refused,
            &refused.recovered(),
            &paused.paused(Timestamp::from_millis(7)),
        ] {
            let later = 365 * 24 * 60 * 60 * 1000;
            assert!(
                matches!(row.permission(Timestamp::from_millis(later), false), Permission::WaitUntil(until) if until > Timestamp::from_millis(later))
            );
            assert_eq!(
                row.pause,
                Some(Pause {
                    since: Timestamp::from_millis(5)
                })
            );
        }
        assert_eq!(
            paused
                .resumed(Timestamp::from_millis(8))
                .permission(Timestamp::from_millis(8), false),
            Permission::Free
        );
        // What Africa's Talking refused is tried at once.
        assert!(matches!(
            refused
                .resumed(Timestamp::from_millis(8))
                .permission(Timestamp::from_millis(8), false),
            Permission::HalfOpenProbe(_)
        ));
    }

    #[test]
    fn an_account_without_a_failure_is_free() {
        assert_eq!(
            AccountRow::default().permission(Timestamp::from_millis(0), true),
            Permission::Free
        );
    }
}
