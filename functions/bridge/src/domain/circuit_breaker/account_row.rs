//! What the account's row says, and every step that changes it.

use std::time::Duration;

use super::{
    AccountRow, BALANCE_INTERVAL, Call, Cause, Circuit, HalfOpen, OpenCircuit, Pause, Pilot,
    PilotCandidate, Signal, TRY_INTERVAL, Turn,
};
use crate::domain::backoff::Wait;
use crate::domain::failure_reason::FailureReason;
use crate::domain::ids::MedicMessageId;
use crate::domain::time::Timestamp;

/// This many calls in a row without a readable response open the circuit. It is more than the two
/// calls that one message can make.
const UNANSWERED_CALLS_THAT_OPEN: u32 = 5;

impl AccountRow {
    /// The open circuit of these messages.
    pub fn open_circuit(&self, of: &Circuit) -> Option<&OpenCircuit> {
        self.open_circuits.iter().find(|open| open.of == *of)
    }

    /// The open circuit that keeps messages with this sender ID from being sent. The account's comes
    /// first.
    pub fn blocking(&self, sender_id: Option<&str>) -> Option<&OpenCircuit> {
        let is_its_own = |open: &&OpenCircuit| matches!(&open.of, Circuit::SenderId(id) if id.as_deref() == sender_id);
        self.open_circuit(&Circuit::Account)
            .or_else(|| self.open_circuits.iter().find(is_its_own))
    }

    /// Whether a message with this sender ID has to wait.
    pub fn stops(&self, sender_id: Option<&str>) -> bool {
        self.pause.is_some() || self.blocking(sender_id).is_some()
    }

    /// Why a message with this sender ID has to wait, if it has to.
    pub fn reason_to_wait(&self, sender_id: Option<&str>) -> Option<FailureReason> {
        let open = self.blocking(sender_id);
        match (&self.pause, open) {
            (Some(_), _) => Some(FailureReason::new("sending is paused")),
            (None, Some(open)) => {
                let reason = format!("circuit breaker open: {}", open.words());
                Some(FailureReason::new(&reason))
            }
            (None, None) => None,
        }
    }

    /// How a message with this sender ID waits, if it has to.
    pub fn wait(&self, message: &MedicMessageId, sender_id: Option<&str>) -> Option<Wait> {
        let open = self.blocking(sender_id);
        let is_pilot = |pilot: &Pilot| pilot.message == *message;
        match open {
            Some(open) if open.pilot.as_ref().is_some_and(is_pilot) => {
                Some(Wait::Until(open.next_try))
            }
            _ => self.stops(sender_id).then_some(Wait::Hold),
        }
    }

    /// What a message does about this circuit. A turn lasts no longer than `longest_turn`; before
    /// that has passed and one interval more, no other begins.
    pub fn turn(
        &self,
        of: &Circuit,
        candidate: &PilotCandidate,
        longest_turn: Duration,
        now: Timestamp,
    ) -> Turn {
        let Some(open) = self.open_circuit(of) else {
            return Turn::Waits;
        };
        let is_pilot = |pilot: &Pilot| pilot.message == candidate.message;
        let mut open = open.clone();
        if !open.pilot.as_ref().is_some_and(is_pilot) {
            if !open.admits(candidate.in_doubt, now) {
                return Turn::Waits;
            }
            open.pilot = Some(Pilot {
                message: candidate.message.clone(),
                in_doubt: candidate.in_doubt,
                since: now,
            });
        }
        if now < open.next_try {
            let at = open.next_try;
            return Turn::At(self.with(&open), at);
        }
        open.next_try = now + longest_turn + TRY_INTERVAL;
        Turn::Begins(self.with(&open), open)
    }

    /// The row after a turn of the pilot in which nothing was sent, because the user call showed
    /// that the trouble goes on, or because the message itself has to wait.
    #[must_use]
    pub fn after_question(&self, half_open: &HalfOpen, now: Timestamp) -> Self {
        self.change_opening(half_open, |open| {
            // A better balance is still to be tried, by a pilot that may be sent.
            if !open.is_good(&half_open.answer) {
                open.balance_micros = half_open.answer.balance_micros.or(open.balance_micros);
            }
            open.next_try = open.next_try_after(now);
        })
    }

    /// The row without this pilot, because it is settled. The next message takes over at once.
    #[must_use]
    pub fn without_pilot(&self, half_open: &HalfOpen, now: Timestamp) -> Self {
        self.change_opening(half_open, |open| {
            open.pilot = None;
            open.next_try = now;
        })
    }

    /// The row after a send request.
    #[must_use]
    pub fn after_call(&self, call: &Call, signal: Signal, now: Timestamp) -> Self {
        let row = match &call.half_open {
            Some(half_open) => self.after_pilot(half_open, call, signal, now),
            None => self.clone(),
        };
        match signal {
            Signal::Accepted | Signal::Answered => Self {
                unanswered_calls: 0,
                ..row
            },
            Signal::Failed { cause, in_doubt } => row.refused(call, cause, in_doubt, now),
            Signal::Unanswered { in_doubt } => row.unanswered(call, in_doubt, now),
        }
    }

    fn after_pilot(
        &self,
        half_open: &HalfOpen,
        call: &Call,
        signal: Signal,
        now: Timestamp,
    ) -> Self {
        if signal == Signal::Accepted {
            return self.accepted(half_open, call);
        }
        self.change_opening(half_open, |open| {
            open.last_send = Some(now);
            open.next_try = open.next_try_after(now);
            match signal {
                Signal::Failed { cause, .. }
                    if Circuit::of(cause, call.sender_id.as_deref()) == open.of =>
                {
                    open.cause = cause;
                    open.balance_micros = half_open.answer.balance_micros.or(open.balance_micros);
                }
                Signal::Unanswered { in_doubt: false } => {}
                Signal::Unanswered { in_doubt: true } => {
                    let is_good = open.is_good(&half_open.answer);
                    open.unanswered_sends =
                        open.unanswered_sends.saturating_add(u32::from(is_good));
                    open.pilot = Some(Pilot {
                        message: call.message.clone(),
                        in_doubt: true,
                        since: now,
                    });
                }
                // For a reason of its own, which says nothing of the others.
                _ => open.pilot = None,
            }
        })
    }

    /// The row after a pilot was accepted: its circuit is closed, and that of its sender ID.
    fn accepted(&self, half_open: &HalfOpen, call: &Call) -> Self {
        let mut row = self.clone();
        if row.opening(half_open).is_some() {
            let own = Circuit::SenderId(call.sender_id.clone());
            row.open_circuits
                .retain(|open| open.of != half_open.of && open.of != own);
            row.changes = row.changes.saturating_add(1);
        }
        row
    }

    /// The row after a refusal that is not the message's fault. Concurrent refusals open a circuit
    /// once, and the first message is its pilot.
    fn refused(&self, call: &Call, cause: Cause, in_doubt: bool, now: Timestamp) -> Self {
        let row = Self {
            unanswered_calls: 0,
            ..self.clone()
        };
        let of = Circuit::of(cause, call.sender_id.as_deref());
        if row.changes != call.changes || row.open_circuit(&of).is_some() {
            return row;
        }
        row.opened(of, cause, call, in_doubt, now)
    }

    /// The row after a call without a readable answer. The fifth in a row opens the account's
    /// circuit. While that is open for any reason, such a call changes nothing.
    fn unanswered(&self, call: &Call, in_doubt: bool, now: Timestamp) -> Self {
        let is_open = self.open_circuit(&Circuit::Account).is_some();
        if is_open || self.changes != call.changes {
            return self.clone();
        }
        let unanswered_calls = self.unanswered_calls.saturating_add(1);
        let row = self.clone();
        if unanswered_calls >= UNANSWERED_CALLS_THAT_OPEN {
            return row.opened(Circuit::Account, Cause::NoAnswer, call, in_doubt, now);
        }
        Self {
            unanswered_calls,
            ..row
        }
    }

    fn opened(
        mut self,
        of: Circuit,
        cause: Cause,
        call: &Call,
        in_doubt: bool,
        now: Timestamp,
    ) -> Self {
        self.open_circuits.push(OpenCircuit {
            of,
            cause,
            since: now,
            next_try: now + TRY_INTERVAL,
            pilot: Some(Pilot {
                message: call.message.clone(),
                in_doubt,
                since: now,
            }),
            unanswered_sends: 0,
            last_send: None,
            balance_micros: None,
        });
        self.changes = self.changes.saturating_add(1);
        self.unanswered_calls = 0;
        self
    }

    /// The same opening of the circuit, if it still lasts.
    fn opening(&self, half_open: &HalfOpen) -> Option<&OpenCircuit> {
        self.open_circuit(&half_open.of)
            .filter(|open| open.since == half_open.since)
    }

    fn change_opening(&self, half_open: &HalfOpen, step: impl FnOnce(&mut OpenCircuit)) -> Self {
        let Some(open) = self.opening(half_open) else {
            return self.clone();
        };
        let mut open = open.clone();
        step(&mut open);
        self.with(&open)
    }

    fn with(&self, changed: &OpenCircuit) -> Self {
        let mut row = self.clone();
        for open in &mut row.open_circuits {
            if open.of == changed.of {
                open.clone_from(changed);
            }
        }
        row
    }

    /// The row after the balance was read, if that is due: once an hour for the whole stack.
    pub fn asking_for_the_balance(self, now: Timestamp) -> Option<Self> {
        // Clocks differ. A function whose clock is behind waits, too.
        let is_due = |asked| now.since(asked) >= BALANCE_INTERVAL;
        self.balance_asked.is_none_or(is_due).then_some(Self {
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

    /// The row after an operator resumed sending: without the pause. The next message tries whatever
    /// circuit is open.
    #[must_use]
    pub fn resumed(&self, now: Timestamp) -> Self {
        let open_circuits = self.open_circuits.iter().cloned().map(|open| OpenCircuit {
            next_try: open.next_try.min(now),
            pilot: None,
            unanswered_sends: 0,
            last_send: None,
            ..open
        });
        Self {
            open_circuits: open_circuits.collect(),
            pause: None,
            ..self.clone()
        }
    }
}
