//! What a batch does while a circuit breaker is open or sending is paused: it goes back as one, except
//! the pilot, which tries whether the trouble is over.

use super::handler::OutboundSender;
use crate::domain::backoff::Wait;
use crate::domain::circuit_breaker::{
    AccountRow, Circuit, HalfOpen, OpenCircuit, PilotCandidate, Turn, UserAnswer,
};
use crate::domain::failure_reason::FailureReason;
use crate::domain::message::MessageRow;
use crate::domain::time::Timestamp;
use crate::ledger::{self, Rows};
use crate::ports::{
    AfricasTalking, AfricasTalkingAccount, Key, KeyedHash, LedgerError, LedgerStore, Queue, Row,
    Runtime,
};
use crate::wire::queue_messages::OutgoingSms;

/// What to do with a message of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Claim it and send it.
    Send,
    /// Try as the pilot of this circuit.
    Pilot(Circuit, PilotCandidate),
    /// Return it at once, because sending is stopped for this reason.
    Hold(FailureReason),
    /// Return it at once.
    Return(Wait),
}

/// A message of a batch that can be sent.
pub(super) struct Sendable<'a> {
    pub(super) sms: OutgoingSms,
    pub(super) sender_id: Option<&'a str>,
}

impl<L, Q, A, H, S> OutboundSender<L, Q, A, H, S>
where
    L: LedgerStore,
    Q: Queue,
    A: AfricasTalking + AfricasTalkingAccount,
    H: KeyedHash,
    S: Runtime,
{
    /// Plans a batch, with one read of the account's row. Only for a pilot are the rows of its
    /// messages read.
    pub(super) async fn plan(&self, batch: &[Sendable<'_>]) -> Vec<Plan> {
        if batch.is_empty() {
            return Vec::new();
        }
        let read = async || ledger::read(&self.ledger, &[Key::Account]).await;
        let account = match self.retry_briefly(read).await {
            Ok(rows) => rows.account(),
            Err(error) => {
                self.log_ledger_error(&error);
                return vec![Plan::Return(Wait::Retry); batch.len()];
            }
        };
        let plan = |sendable: &Sendable| {
            let stopped = account.reason_to_wait(sendable.sender_id);
            stopped.map_or(Plan::Send, Plan::Hold)
        };
        let mut plans: Vec<Plan> = batch.iter().map(plan).collect();
        if account.pause.is_some() {
            return plans;
        }
        for open in &account.open_circuits {
            let of_circuit = |sendable: &Sendable| {
                let blocking = account.blocking(sendable.sender_id);
                blocking.is_some_and(|blocking| blocking.of == open.of)
            };
            let waiting: Vec<_> = batch
                .iter()
                .zip(&mut plans)
                .filter(|(sendable, _)| of_circuit(sendable))
                .collect();
            if !waiting.is_empty() {
                self.plan_pilot(&account, open, waiting).await;
            }
        }
        plans
    }

    /// Finds the pilot among the messages that wait for this circuit, if it is there or if there is
    /// room for another.
    async fn plan_pilot(
        &self,
        account: &AccountRow,
        open: &OpenCircuit,
        mut waiting: Vec<(&Sendable<'_>, &mut Plan)>,
    ) {
        let pilot = open.pilot.as_ref();
        let is_pilot = |sms: &OutgoingSms| pilot.is_some_and(|pilot| pilot.message == sms.id);
        let wants_pilot = open.wants_pilot(self.runtime.now());
        if !wants_pilot {
            let known = waiting.iter_mut().find(|(one, _)| is_pilot(&one.sms));
            if let (Some((one, plan)), Some(pilot)) = (known, pilot) {
                **plan = of(open, &one.sms, pilot.in_doubt);
            }
            return;
        }
        let keys: Vec<Key> = waiting
            .iter()
            .map(|(one, _)| Key::Message(one.sms.id.clone()))
            .collect();
        let rows = match ledger::read(&self.ledger, &keys).await {
            Ok(rows) => rows,
            Err(error) => return self.log_ledger_error(&error),
        };
        let now = self.runtime.now();
        for (one, plan) in &mut waiting {
            if row(&rows, &one.sms).is_some_and(MessageRow::is_settled) {
                **plan = Plan::Send;
            }
        }
        let rank = |(one, _): &(&Sendable, &mut Plan)| {
            let in_doubt = row(&rows, &one.sms).is_some_and(MessageRow::is_in_doubt);
            let own = Circuit::SenderId(one.sender_id.map(str::to_owned));
            let is_unknown = account.open_circuit(&own).is_some();
            (in_doubt, is_unknown, !is_pilot(&one.sms))
        };
        let best = waiting
            .into_iter()
            .filter(|(one, _)| row(&rows, &one.sms).is_none_or(|row| row.can_be_pilot(now)))
            .min_by_key(rank);
        if let Some((one, plan)) = best {
            let in_doubt = row(&rows, &one.sms).is_some_and(MessageRow::is_in_doubt);
            *plan = of(open, &one.sms, in_doubt);
        }
    }

    /// The pilot's turn. Returns the half-open circuit in which it is sent, or how it waits.
    pub(super) async fn take_turn(
        &self,
        circuit: &Circuit,
        candidate: &PilotCandidate,
        sender_id: Option<&str>,
    ) -> Result<Result<HalfOpen, Wait>, LedgerError> {
        let turn = self.begin_turn(circuit, candidate, sender_id).await?;
        let open = match turn {
            Ok(open) => open,
            Err(wait) => return Ok(Err(wait)),
        };
        let mut half_open = HalfOpen {
            of: open.of.clone(),
            since: open.since,
            answer: UserAnswer::default(),
        };
        // Of an unknown sender ID, the refusal of the send is the only answer.
        if *circuit == Circuit::Account {
            half_open.answer = self.ask_user().await;
            let now = self.runtime.now();
            if !open.lets_pilot_send(&half_open.answer, now) {
                let row = self
                    .change_account(true, |row| row.after_question(&half_open, now))
                    .await?;
                let wait = row.wait(&candidate.message, sender_id);
                return Ok(Err(wait.unwrap_or(Wait::Retry)));
            }
        }
        Ok(Ok(half_open))
    }

    async fn begin_turn(
        &self,
        circuit: &Circuit,
        candidate: &PilotCandidate,
        sender_id: Option<&str>,
    ) -> Result<Result<OpenCircuit, Wait>, LedgerError> {
        let now = self.runtime.now();
        ledger::change(&self.ledger, &self.runtime, &[Key::Account], |rows| {
            let account = rows.account();
            match account.turn(circuit, candidate, self.call_timeout, now) {
                Turn::Begins(row, open) => (vec![Row::Account(row)], Ok(open)),
                Turn::At(row, at) => (vec![Row::Account(row)], Err(Wait::Until(at))),
                Turn::Waits if account.stops(sender_id) => (Vec::new(), Err(Wait::Hold)),
                // Closed meanwhile.
                Turn::Waits => (Vec::new(), Err(Wait::Until(now))),
            }
        })
        .await
    }

    /// Makes room for another pilot, because this one cannot be sent now.
    pub(super) async fn end_turn(&self, half_open: &HalfOpen) -> Result<(), LedgerError> {
        let now = self.runtime.now();
        self.change_account(false, |row| row.without_pilot(half_open, now))
            .await
            .map(drop)
    }

    /// Whether the message is older than it may get. It is not held back then, so that it fails.
    pub(super) fn is_expired(&self, sms: &OutgoingSms, now: Timestamp) -> bool {
        now >= sms.first_offered + self.rules.max_age
    }
}

fn of(open: &OpenCircuit, sms: &OutgoingSms, in_doubt: bool) -> Plan {
    let message = sms.id.clone();
    Plan::Pilot(open.of.clone(), PilotCandidate { message, in_doubt })
}

fn row<'a>(rows: &'a Rows, sms: &OutgoingSms) -> Option<&'a MessageRow> {
    rows.message(&sms.id)
}
