//! Trouble that is the whole account's: the circuit breaker is open, and probed until it is over.

use serde::{Deserialize, Serialize};

/// The first probe comes a minute after the refusal.
const FIRST_PROBE_MS: i64 = 60_000;
/// While nobody knows when it will be over, a message looks again this often, or less often the longer
/// it waits.
const CHECK_AGAIN_MS: i64 = 60_000;
/// Later ones at growing intervals, an hour apart at most: that is how long a programme which has
/// topped up its credit waits for its messages.
const LONGEST_PROBE_INTERVAL_MS: i64 = 60 * 60 * 1000;

/// So many calls in a row without an answer that can be read are no message's bad luck. Both calls of
/// one message are fewer.
const UNANSWERED_CALLS_THAT_OPEN: u32 = 5;

/// The balance is asked for once an hour while anything is sent: so soon is it known that the credit
/// runs low.
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
    /// Call after call has an outcome that nobody knows: no answer, HTTP 408 or 5xx, `statusCode` 500, or
    /// an answer that cannot be read.
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
    /// How many probes have met the trouble again.
    pub probes: u32,
    /// When one message may be sent to see whether it is over.
    pub next_probe_ms: i64,
}

impl OpenCircuit {
    /// When a message may probe that was called for in vain before. Where there is no answer, one more
    /// such call would be its last: others go first, and it does so an hour after the last probe.
    fn next_probe_in_doubt_ms(&self) -> i64 {
        let later_ms = match self.cause {
            AccountFailure::NoAnswer => LONGEST_PROBE_INTERVAL_MS - interval_ms(self.probes),
            _ => 0,
        };
        self.next_probe_ms.saturating_add(later_ms)
    }
}

/// Somebody has stopped sending. It does not end by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
}

/// The ledger's one row for the account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRow {
    /// The hold, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_circuit: Option<OpenCircuit>,
    /// When the balance was last asked for, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balance_asked_ms: Option<i64>,
    /// The pause, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// How many calls in a row, for whatever messages, had an outcome that nobody knows.
    #[serde(default)]
    pub unanswered_calls: u32,
}

/// Whether a message may be sent now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Yes.
    Free,
    /// One message, once this row is written: the probe is ours then and nobody else's.
    HalfOpenProbe(AccountRow),
    /// Not before this time, in milliseconds since 1970.
    WaitUntil(i64),
}

impl AccountRow {
    /// Whether a message may be sent; `in_doubt`, if it is one that may have been sent before.
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

    /// The row after a refusal that is the account's. Several refusals at once are one hold.
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

    /// The row after a call of which nobody knows the outcome: the fifth in a row holds sending. While
    /// it is held, whatever for, such a call shows nothing new.
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

    /// The row after an answer that can be read, whatever it says: Africa's Talking is there. Other
    /// trouble than that stays.
    #[must_use]
    pub fn answered(&self) -> Self {
        let is_other = |open_circuit: &OpenCircuit| open_circuit.cause != AccountFailure::NoAnswer;
        Self {
            open_circuit: self.open_circuit.clone().filter(is_other),
            unanswered_calls: 0,
            ..self.clone()
        }
    }

    /// The row after Africa's Talking has shown that its trouble is over. A pause is somebody's
    /// will, and stays.
    #[must_use]
    pub fn recovered(&self) -> Self {
        Self {
            open_circuit: None,
            unanswered_calls: 0,
            ..self.clone()
        }
    }

    /// The row after the balance was asked for, if that is due: once an hour, for the whole stack.
    pub fn asking_for_the_balance(self, now_ms: i64) -> Option<Self> {
        let asked_ms = self.balance_asked_ms;
        let is_due = asked_ms.is_none_or(|asked_ms| {
            // Functions' clocks differ: one that is behind waits its turn, too.
            now_ms.saturating_sub(asked_ms) >= BALANCE_INTERVAL_MS
        });
        is_due.then_some(Self {
            balance_asked_ms: Some(now_ms),
            ..self
        })
    }

    /// The row after somebody has stopped sending.
    #[must_use]
    pub fn paused(&self, now_ms: i64) -> Self {
        let since_ms = self.pause.as_ref().map_or(now_ms, |pause| pause.since_ms);
        Self {
            pause: Some(Pause { since_ms }),
            ..self.clone()
        }
    }

    /// The row after somebody has let sending go on: without the pause, and with the next probe due
    /// where Africa's Talking is the trouble; for so long already that any message may be it.
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
                panic!("held")
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
