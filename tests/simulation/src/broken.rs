//! Deliberately broken variants of the system, each by a port that lies or bends: the proof that the
//! simulation would notice. Nothing of this is in the library.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::rc::Rc;

use bridge::digest::sha256_hex;
use bridge::domain::circuit_breaker::AccountRow;
use bridge::domain::exchange::ExchangeRow;
use bridge::domain::ids::MedicMessageId;
use bridge::domain::message::{MessageRow, Sending};
use bridge::domain::recipient_limit::RecipientLimits;
use bridge::domain::status::Status;
use bridge::domain::time::Timestamp;
use bridge::ports::{
    AfricasTalking, AfricasTalkingAccount, CredentialsError, Key, LedgerError, LedgerStore, Medic,
    NewMessage, Queue, QueueError, Record, Response, Row, Sms, Version, Write, Written,
};
use bridge::wire::queue_messages::{DeadLetter, encode};
use serde_json::{Value, json};

use crate::lambda::Function;
use crate::ports::{Ctx, SimAfricasTalking, SimLedger, SimMedic, SimQueue};
use crate::world::{QueueName, Settings};

/// A variant of the system with one rule broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Africa's Talking gets its 200 whether or not SQS holds the event.
    AcknowledgedBeforeQueued,
    /// Whoever claims a message gets it: a sender sees no claim but its own.
    NoClaim,
    /// The last report wins.
    NoRank,
    /// The message group does not lock: two batches, two POSTs.
    TwoPosts,
    /// An offered message is acknowledged before the ledger is looked at.
    UnsentWithoutLedger,
    /// A message that is returned comes back at once.
    RetryAtOnce,
    /// No empty POST after an outcome in doubt.
    NoControlPost,
    /// The index's status is reported, without reading the row.
    StaleIndexBelieved,
    /// A message that fails once goes to the dead-letter queue.
    DeadLetteredOnFirstFailure,
    /// Every message that fails is quarantined, also while Medic stores nothing.
    NoQuarantineBudget,
    /// A message is deleted before it is sent into quarantine.
    QuarantineDeletesFirst,
    /// HTTP 503 of Africa's Talking is taken for "surely not sent".
    Http503TakenForNotSent,
    /// A message that is dead-lettered a second time has the deduplication id of the first.
    DeduplicationIdReused,
    /// A message that evidence has settled is resent like any unknown outcome.
    MatchingReportIgnored,
    /// The recipient limit never stops anything.
    NoRecipientLimit,
    /// A good answer to the user call closes the circuit breaker, without an SMS that was accepted.
    ClosedByUserCall,
    /// Every receive of a message counts, also while the circuit breaker is open: after eight of them it
    /// is taken out of its queue.
    StoppedReceiveCounted,
    /// Medic is called also when SQS did not confirm that the batch stays invisible.
    VisibilityNotConfirmed,
    /// No attempt at a record is marked in the ledger, so that a record that kills its function is retried
    /// for ever.
    AttemptsNotMarked,
}

impl Variant {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::AcknowledgedBeforeQueued,
        Self::NoClaim,
        Self::NoRank,
        Self::TwoPosts,
        Self::UnsentWithoutLedger,
        Self::RetryAtOnce,
        Self::NoControlPost,
        Self::StaleIndexBelieved,
        Self::DeadLetteredOnFirstFailure,
        Self::NoQuarantineBudget,
        Self::QuarantineDeletesFirst,
        Self::Http503TakenForNotSent,
        Self::DeduplicationIdReused,
        Self::MatchingReportIgnored,
        Self::NoRecipientLimit,
        Self::ClosedByUserCall,
        Self::StoppedReceiveCounted,
        Self::VisibilityNotConfirmed,
        Self::AttemptsNotMarked,
    ];
}

/// The exchange's row, nothing of its budgets spent.
fn unspent(exchange: &ExchangeRow) -> ExchangeRow {
    let mut row = serde_json::to_value(exchange).expect("a row is JSON");
    for budget in ["messages", "statuses"] {
        row[budget] = json!({});
    }
    serde_json::from_value(row).expect("still a row")
}

fn is_claim(row: &Row) -> bool {
    matches!(row, Row::Message(row) if matches!(row.sending, Sending::Calling { .. }))
}

fn is(ctx: &Ctx, variant: Variant) -> bool {
    ctx.world.settings.variant == Some(variant)
}

/// The recipient limits, perhaps none.
pub fn recipient_limit(settings: &Settings) -> RecipientLimits {
    match settings.variant {
        Some(Variant::NoRecipientLimit) => RecipientLimits {
            messages_per_hour: u32::MAX,
            same_text_per_day: u32::MAX,
        },
        _ => settings.recipient_limit,
    }
}

/// A queue, perhaps broken.
pub struct BentQueue {
    port: SimQueue,
    hidden: Cell<bool>,
}

impl BentQueue {
    /// The queue of this name.
    pub fn new(ctx: &Rc<Ctx>, name: QueueName) -> Self {
        Self {
            port: SimQueue {
                ctx: Rc::clone(ctx),
                name,
            },
            hidden: Cell::new(false),
        }
    }
}

fn group(message: &NewMessage) -> &str {
    message.fifo.as_ref().map_or("", |fifo| &fifo.group)
}

impl BentQueue {
    async fn dead_letter(&self, messages: Vec<NewMessage>) -> Vec<Result<(), QueueError>> {
        let port = SimQueue {
            ctx: Rc::clone(&self.port.ctx),
            name: QueueName::ExchangeDeadLetter,
        };
        let wrapped = messages.into_iter().map(|message| NewMessage {
            body: encode(&DeadLetter {
                reason: "it failed".to_owned(),
                retryable: true,
                dead_lettered_at: Timestamp::from_millis(0),
                body: message.body,
            }),
            fifo: message.fifo,
        });
        port.send(wrapped.collect()).await
    }
}

impl Queue for BentQueue {
    async fn send(&self, mut messages: Vec<NewMessage>) -> Vec<Result<(), QueueError>> {
        let ctx = &self.port.ctx;
        if is(ctx, Variant::DeduplicationIdReused)
            && self.port.name == QueueName::ExchangeDeadLetter
        {
            for message in &mut messages {
                let dead_letter: Value = serde_json::from_str(&message.body).unwrap_or_default();
                let body = dead_letter["body"].as_str().unwrap_or_default();
                if let Some(fifo) = &mut message.fifo {
                    fifo.deduplication_id = sha256_hex(body.as_bytes());
                }
            }
        }
        let is_quarantine = self.port.name == QueueName::Exchange
            && messages
                .iter()
                .any(|message| group(message).starts_with("quarantine-"));
        if is_quarantine && is(ctx, Variant::DeadLetteredOnFirstFailure) {
            return self.dead_letter(messages).await;
        }
        if is_quarantine && is(ctx, Variant::QuarantineDeletesFirst) {
            let mut queue = ctx.world.queue(QueueName::Exchange).borrow_mut();
            for message in &messages {
                queue.delete_by_id(group(message).trim_start_matches("quarantine-"));
            }
        }
        let count = messages.len();
        let sent = self.port.send(messages).await;
        let webhook = ctx.function == Function::IncomingMessages;
        if is(ctx, Variant::AcknowledgedBeforeQueued) && webhook {
            return vec![Ok(()); count];
        }
        sent
    }

    async fn change_visibility(&self, records: &[(&Record, i32)]) -> Vec<Result<(), QueueError>> {
        if is(&self.port.ctx, Variant::StoppedReceiveCounted) {
            let world = &self.port.ctx.world;
            let counted = records
                .iter()
                .filter(|(record, _)| record.receive_count >= 8);
            for (record, _) in counted.filter(|_| self.port.name == QueueName::Outbox) {
                let mut outbox = world.queue(QueueName::Outbox).borrow_mut();
                outbox.delete_by_id(&record.message_id);
            }
        }
        let first = !self.hidden.replace(true);
        if is(&self.port.ctx, Variant::RetryAtOnce) && !first {
            let at_once: Vec<_> = records.iter().map(|(record, _)| (*record, 0)).collect();
            return self.port.change_visibility(&at_once).await;
        }
        let changed = self.port.change_visibility(records).await;
        if is(&self.port.ctx, Variant::VisibilityNotConfirmed) && first {
            return vec![Ok(()); records.len()];
        }
        changed
    }
}

/// The ledger, perhaps broken.
pub struct BentLedger {
    port: SimLedger,
    stale: RefCell<Vec<Row>>,
    claimed: RefCell<BTreeSet<MedicMessageId>>,
}

impl BentLedger {
    /// The ledger.
    pub fn new(ctx: &Rc<Ctx>) -> Self {
        Self {
            port: SimLedger(Rc::clone(ctx)),
            stale: RefCell::new(Vec::new()),
            claimed: RefCell::default(),
        }
    }

    /// A message's row as a broken sender sees it.
    fn bend_for_sender(&self, row: &mut MessageRow) {
        let ctx = &self.port.0;
        let is_claimed_by_another = matches!(row.sending, Sending::Calling { .. })
            && !self.claimed.borrow().contains(&row.id);
        if is(ctx, Variant::NoClaim) && is_claimed_by_another {
            row.sending = Sending::Queued;
        }
        let is_settled = ctx.world.settled.borrow().contains_key(row.id.as_str());
        if is(ctx, Variant::MatchingReportIgnored) && is_settled && row.sending == Sending::Accepted
        {
            row.sending = Sending::Unknown {
                since: Timestamp::from_millis(0),
            };
        }
    }
}

impl LedgerStore for BentLedger {
    async fn read(&self, keys: &[Key]) -> Result<Vec<(Row, Version)>, LedgerError> {
        let ctx = &self.port.0;
        let mut rows = self.port.read(keys).await?;
        if is(ctx, Variant::NoRank) && ctx.function == Function::ReportRecorder {
            for (row, _) in &mut rows {
                match row {
                    Row::Sms(row) => row.reports.clear(),
                    Row::Message(row) => row.status = Status::Unsent,
                    Row::Account(_) | Row::Recipient(_) | Row::Exchange(_) | Row::Attempts(_) => {}
                }
            }
        }
        for (row, _) in &mut rows {
            if let (Function::OutboundSender, Row::Message(row)) = (ctx.function, row) {
                self.bend_for_sender(row);
            }
        }
        if is(ctx, Variant::NoQuarantineBudget) {
            for (row, _) in &mut rows {
                if let Row::Exchange(exchange) = row {
                    *exchange = unspent(exchange);
                }
            }
        }
        for stale in self.stale.borrow_mut().drain(..) {
            if let Some((row, _)) = rows.iter_mut().find(|(row, _)| row.key() == stale.key()) {
                *row = stale;
            }
        }
        Ok(rows)
    }

    async fn write(&self, mut write: Write) -> Result<Written, LedgerError> {
        let ctx = &self.port.0;
        if is(ctx, Variant::AttemptsNotMarked) && matches!(write.row, Row::Attempts(_)) {
            return Ok(Written::Done(Version(String::new())));
        }
        let is_sender = ctx.function == Function::OutboundSender;
        if is(ctx, Variant::NoClaim) && is_sender && is_claim(&write.row) {
            if let Row::Message(row) = &write.row {
                self.claimed.borrow_mut().insert(row.id.clone());
            }
            let now = ctx.world.ledger.borrow().read(&[write.row.key()]);
            write.expected = now.0.into_iter().next().map(|(_, version)| version);
        }
        self.port.write(write).await
    }

    async fn unreported(&self, limit: usize) -> Result<Vec<MedicMessageId>, LedgerError> {
        let named = self.port.named(limit).await?;
        if is(&self.port.0, Variant::StaleIndexBelieved) {
            let rows = named.iter().cloned().map(Row::Message);
            *self.stale.borrow_mut() = rows.collect();
        }
        Ok(named.into_iter().map(|row| row.id).collect())
    }
}

/// Medic, perhaps called wrongly.
pub struct BentMedic {
    port: SimMedic,
    posted: Cell<bool>,
}

impl BentMedic {
    /// Medic.
    pub fn new(ctx: &Rc<Ctx>) -> Self {
        Self {
            port: SimMedic(Rc::clone(ctx)),
            posted: Cell::new(false),
        }
    }

    async fn acknowledge(&self, response: &Response) -> Result<(), CredentialsError> {
        let Response::Answer { status: 200, body } = response else {
            return Ok(());
        };
        let answer: Value = serde_json::from_slice(body).unwrap_or_default();
        let offers = answer["messages"].as_array().cloned().unwrap_or_default();
        let updates: Vec<Value> = offers
            .iter()
            .map(|offer| json!({"id": offer["id"], "status": "UNSENT"}))
            .collect();
        if !updates.is_empty() {
            let body = json!({"messages": [], "updates": updates}).to_string();
            self.port.post(body).await?;
        }
        Ok(())
    }
}

impl Medic for BentMedic {
    async fn post(&self, body: String) -> Result<Response, CredentialsError> {
        let ctx = &self.port.0;
        let first = !self.posted.replace(true);
        let is_control = first && ctx.received_before.get() && !body.contains("\"id\"");
        if is(ctx, Variant::NoControlPost) && is_control {
            return Ok(Response::Answer {
                status: 200,
                body: br#"{"messages":[]}"#.to_vec(),
            });
        }
        let response = self.port.post(body).await?;
        if is(ctx, Variant::UnsentWithoutLedger) {
            self.acknowledge(&response).await?;
        }
        Ok(response)
    }
}

/// Africa's Talking, perhaps misunderstood.
pub struct BentAfricasTalking(SimAfricasTalking);

impl BentAfricasTalking {
    /// Africa's Talking.
    pub fn new(ctx: &Rc<Ctx>) -> Self {
        Self(SimAfricasTalking(Rc::clone(ctx)))
    }
}

impl AfricasTalking for BentAfricasTalking {
    async fn send(&self, sms: Sms<'_>) -> Result<Response, CredentialsError> {
        let response = self.0.send(sms).await?;
        let ctx = &self.0.0;
        Ok(match response {
            Response::Answer { status: 503, body } if is(ctx, Variant::Http503TakenForNotSent) => {
                Response::Answer { status: 400, body }
            }
            other => other,
        })
    }
}

impl AfricasTalkingAccount for BentAfricasTalking {
    async fn user(&self) -> Result<Response, CredentialsError> {
        let response = self.0.user().await?;
        let world = &self.0.0.world;
        let is_good = matches!(response, Response::Answer { status: 200, .. });
        if is(&self.0.0, Variant::ClosedByUserCall) && is_good {
            let before = world.ledger.borrow().account();
            let closed = AccountRow {
                open_circuits: Vec::new(),
                changes: before.changes + 1,
                ..before.clone()
            };
            world.ledger.borrow_mut().put(Row::Account(closed));
            world.closes(&before);
        }
        Ok(response)
    }
}
