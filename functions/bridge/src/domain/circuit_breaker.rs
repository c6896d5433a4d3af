//! The circuit breaker of the account: it opens when Africa's Talking fails for the whole account,
//! and closes after a probe that works.

use serde::{Deserialize, Serialize};

/// The first probe comes a minute after the refusal.
const FIRST_PROBE_MS: i64 = 60_000;
/// A message behind an open circuit is retried this often, and less often the longer it waits.
const CHECK_AGAIN_MS: i64 = 60_000;
/// Later probes come at growing intervals, an hour apart at most. That is how long messages can
/// wait after the credit was topped up.
const LONGEST_PROBE_INTERVAL_MS: i64 = 60 * 60 * 1000;

/// This many calls in a row without a readable response open the circuit. It is more than the two
/// calls that one message can make.
const UNANSWERED_CALLS_THAT_OPEN: u32 = 5;

/// How often the balance is read while anything is sent, in milliseconds.
pub const BALANCE_INTERVAL_MS: i64 = 60 * 60 * 1000;

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
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
    /// How many probes have failed.
    pub probes: u32,
    /// When one message may be sent as the next probe, in milliseconds since 1970.
    pub next_probe_ms: i64,
}

impl OpenCircuit {
    /// When a message that already had a call of unknown outcome may probe, in milliseconds since
    /// 1970. One more such call would be its last, so other messages probe first, and it does so an
    /// hour after the last probe.
    fn next_probe_in_doubt_ms(&self) -> i64 {
        let later_ms = match self.cause {
            AccountFailure::NoAnswer => LONGEST_PROBE_INTERVAL_MS - interval_ms(self.probes),
            _ => 0,
        };
        self.next_probe_ms.saturating_add(later_ms)
    }
}

/// An operator has paused sending. It does not end by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
}

/// The ledger's one row for the account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRow {
    /// The open circuit, while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_circuit: Option<OpenCircuit>,
    /// When the balance was last asked for, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance_asked_ms: Option<i64>,
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
    /// Not before this time, in milliseconds since 1970.
    WaitUntil(i64),
}

impl AccountRow {
    /// Whether a message may be sent. `in_doubt` says that it had a call of unknown outcome.
    pub fn permission(&self, now_ms: i64, in_doubt: bool) -> Permission {
        if self.pause.is_some() {
            return Permission::WaitUntil(now_ms.saturating_add(CHECK_AGAIN_MS));
        }
        let Some(open_circuit) = &self.open_circuit else {
            return Permission::Free;
        };
        if now_ms < open_circuit.next_probe_ms {
            return Permission::WaitUntil(open_circuit.next_probe_ms);
        }
        if in_doubt && now_ms < open_circuit.next_probe_in_doubt_ms() {
            return Permission::WaitUntil(now_ms.saturating_add(CHECK_AGAIN_MS));
        }
        let probes = open_circuit.probes.saturating_add(1);
        Permission::HalfOpenProbe(Self {
            open_circuit: Some(OpenCircuit {
                probes,
                next_probe_ms: now_ms.saturating_add(interval_ms(probes)),
                ..open_circuit.clone()
            }),
            ..self.clone()
        })
    }

    /// The row after a refusal of the whole account. Concurrent refusals open the circuit once.
    #[must_use]
    pub fn refused(&self, cause: AccountFailure, now_ms: i64) -> Self {
        let open_circuit = match &self.open_circuit {
            Some(open_circuit) => OpenCircuit {
                cause,
                ..open_circuit.clone()
            },
            None => OpenCircuit {
                cause,
                since_ms: now_ms,
                probes: 0,
                next_probe_ms: now_ms.saturating_add(interval_ms(0)),
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
    pub fn unanswered(&self, now_ms: i64) -> Self {
        if self.open_circuit.is_some() {
            return self.clone();
        }
        let unanswered_calls = self.unanswered_calls.saturating_add(1);
        if unanswered_calls >= UNANSWERED_CALLS_THAT_OPEN {
            return self.refused(AccountFailure::NoAnswer, now_ms);
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
    pub fn asking_for_the_balance(self, now_ms: i64) -> Option<Self> {
        let asked_ms = self.balance_asked_ms;
        let is_due = asked_ms.is_none_or(|asked_ms| {
            // Clocks differ. A function whose clock is behind waits, too.
            now_ms.saturating_sub(asked_ms) >= BALANCE_INTERVAL_MS
        });
        is_due.then_some(Self {
            balance_asked_ms: Some(now_ms),
            ..self
        })
    }

    /// The row after an operator paused sending.
    #[must_use]
    pub fn paused(&self, now_ms: i64) -> Self {
        let since_ms = self.pause.as_ref().map_or(now_ms, |pause| pause.since_ms);
        Self {
            pause: Some(Pause { since_ms }),
            ..self.clone()
        }
    }

    /// The row after an operator resumed sending: without the pause. If the circuit is open, the
    /// next probe is due, and any message may be it.
    #[must_use]
    pub fn resumed(&self, now_ms: i64) -> Self {
        let due_ms = now_ms.saturating_sub(LONGEST_PROBE_INTERVAL_MS);
        let open_circuit = self.open_circuit.clone().map(|open_circuit| OpenCircuit {
            next_probe_ms: open_circuit.next_probe_ms.min(due_ms),
            ..open_circuit
        });
        Self {
            open_circuit,
            pause: None,
            ..self.clone()
        }
    }
}

fn interval_ms(probes: u32) -> i64 {
    (FIRST_PROBE_MS << probes.min(16)).min(LONGEST_PROBE_INTERVAL_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_circuit_is_probed_by_one_at_growing_intervals() {
        let mut row = AccountRow::default().refused(AccountFailure::InsufficientBalance, 0);
        let mut now = 0;
        let mut intervals = Vec::new();
        for _ in 0..9 {
            let Permission::WaitUntil(until) = row.permission(now, false) else {
                panic!("it may not call")
            };
            intervals.push((until - now) / 60_000);
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
        let once = AccountRow::default().refused(AccountFailure::CredentialsRefused, 5);
        assert_eq!(once.refused(AccountFailure::CredentialsRefused, 9), once);
    }

    /// The row after so many calls without an answer, one a millisecond.
    fn unanswered(row: AccountRow, calls: i64) -> AccountRow {
        (0..calls).fold(row, |row, now_ms| row.unanswered(now_ms))
    }

    #[test]
    fn the_fifth_call_in_a_row_without_an_answer_opens_the_circuit() {
        let four = unanswered(AccountRow::default(), 4);
        assert_eq!(four.permission(4, false), Permission::Free);
        // Any answer ends the count.
        let after_an_answer = unanswered(four.answered(), 4);
        assert_eq!(after_an_answer.open_circuit, None);
        let opened = four.unanswered(4);
        let open_circuit = opened.open_circuit.clone().unwrap();
        assert_eq!(
            (open_circuit.cause, open_circuit.since_ms),
            (AccountFailure::NoAnswer, 4)
        );
        assert_eq!(opened.permission(5, false), Permission::WaitUntil(60_004));
        // Those that were under way then, and probes, change nothing of it.
        assert_eq!(opened.unanswered(9), opened);
        assert_eq!(opened.answered(), AccountRow::default());
    }

    #[test]
    fn an_answer_closes_no_circuit_but_that_of_no_answer() {
        let refused = AccountRow::default().refused(AccountFailure::InsufficientBalance, 0);
        assert_eq!(unanswered(refused.clone(), 9), refused);
        assert_eq!(refused.answered(), refused);
        let open_circuit =
            unanswered(AccountRow::default(), 5).refused(AccountFailure::InvalidSenderId, 9);
        assert_eq!(open_circuit.answered(), open_circuit);
        assert_eq!(open_circuit.recovered(), AccountRow::default());
    }

    #[test]
    fn without_an_answer_what_is_in_doubt_probes_an_hour_after_the_last_probe() {
        let mut row = unanswered(AccountRow::default(), 5);
        for probes in 0..9 {
            let open_circuit = row.open_circuit.clone().unwrap();
            let began_ms = open_circuit.next_probe_ms - interval_ms(probes);
            let in_an_hour_ms = began_ms + LONGEST_PROBE_INTERVAL_MS;
            let opened = |now_ms| matches!(row.permission(now_ms, true), Permission::WaitUntil(until_ms) if until_ms > now_ms);
            assert!(opened(open_circuit.next_probe_ms - 1) && opened(in_an_hour_ms - 1));
            assert!(matches!(
                row.permission(in_an_hour_ms, true),
                Permission::HalfOpenProbe(_)
            ));
            // Somebody who knows better has it probe at once.
            let resumed = row.resumed(began_ms);
            assert!(matches!(
                resumed.permission(began_ms, true),
                Permission::HalfOpenProbe(_)
            ));
            row = match row.permission(open_circuit.next_probe_ms, false) {
                Permission::HalfOpenProbe(probing) => probing,
                permission => panic!("a probe is due: {permission:?}"),
            };
        }
    }

    #[test]
    fn the_balance_is_asked_for_once_an_hour_whatever_else_happens_to_the_account() {
        let asked = AccountRow::default().asking_for_the_balance(5).unwrap();
        let opened = asked.refused(AccountFailure::InsufficientBalance, 6);
        let Permission::HalfOpenProbe(probing) = opened.permission(BALANCE_INTERVAL_MS, false)
        else {
            panic!("a probe is due")
        };
        let resumed = probing.recovered();
        assert_eq!(resumed, asked);
        let last_moment_ms = BALANCE_INTERVAL_MS + 4;
        assert_eq!(resumed.clone().asking_for_the_balance(last_moment_ms), None);
        assert!(resumed.asking_for_the_balance(last_moment_ms + 1).is_some());
    }

    #[test]
    fn a_row_of_an_earlier_version_is_read_and_one_of_a_later_version_too() {
        let open_circuit =
            r#"{"cause":"insufficient_balance","since_ms":5,"probes":0,"next_probe_ms":60005}"#;
        let opened = AccountRow::default().refused(AccountFailure::InsufficientBalance, 5);
        for row in [
            format!(r#"{{"open_circuit":{open_circuit}}}"#),
            format!(r#"{{"open_circuit":{open_circuit},"something_new":7}}"#),
        ] {
            assert_eq!(serde_json::from_str::<AccountRow>(&row).unwrap(), opened);
        }
    }

    #[test]
    fn a_pause_stops_sending_whatever_africas_talking_says_and_ends_only_when_somebody_says_so() {
        let paused = AccountRow::default().paused(5);
        let refused = paused.refused(AccountFailure::InsufficientBalance, 6);
        for row in [&paused, &refused, &refused.recovered(), &paused.paused(7)] {
            let later = 365 * 24 * 60 * 60 * 1000;
            assert!(
                matches!(row.permission(later, false), Permission::WaitUntil(until) if until > later)
            );
            assert_eq!(row.pause, Some(Pause { since_ms: 5 }));
        }
        assert_eq!(paused.resumed(8).permission(8, false), Permission::Free);
        // What Africa's Talking refused is tried at once.
        assert!(matches!(
            refused.resumed(8).permission(8, false),
            Permission::HalfOpenProbe(_)
        ));
    }

    #[test]
    fn an_account_without_a_failure_is_free() {
        assert_eq!(AccountRow::default().permission(0, true), Permission::Free);
    }
}
