//! Lambda: functions with time-outs, event source mappings with partial batch responses, and the two
//! functions behind HTTP.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use bridge::domain::time::Timestamp;
use bridge::handlers::medic_exchange::MedicExchange;
use bridge::handlers::outbound_sender::OutboundSender;
use bridge::handlers::report_recorder::ReportRecorder;
use bridge::handlers::webhook::{CallbackHandler, Request};
use bridge::log::Callback;
use bridge::ports::Record;
use bridge::queue::dead_letter::DeadLetterQueue;
use bridge::secrets::IncomingKeys;
use models::lambda::EventSourceMapping;
use models::sqs::ReceivedMessage;

use crate::broken::{self, BentAfricasTalking, BentLedger, BentMedic, BentQueue};
use crate::executor::TaskId;
use crate::ports::{Ctx, SimHash, SimRuntime, SimSecret};
use crate::queue::{self, BATCH};
use crate::world::{QueueName, World};

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Function {
    /// `incoming-messages`.
    IncomingMessages,
    /// `delivery-reports`.
    DeliveryReports,
    /// `report-recorder`.
    ReportRecorder,
    /// `outbound-sender`.
    OutboundSender,
    /// `medic-exchange`.
    MedicExchange,
}

impl Function {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::IncomingMessages => "incoming-messages",
            Self::DeliveryReports => "delivery-reports",
            Self::ReportRecorder => "report-recorder",
            Self::OutboundSender => "outbound-sender",
            Self::MedicExchange => "medic-exchange",
        }
    }

    /// Its time-out, as in the template.
    pub fn timeout_ms(self) -> i64 {
        match self {
            Self::IncomingMessages | Self::DeliveryReports => 15_000,
            Self::ReportRecorder => 30_000,
            Self::OutboundSender => 90_000,
            Self::MedicExchange => 300_000,
        }
    }

    /// How many run at a time, as in the template.
    fn concurrency(self) -> usize {
        match self {
            Self::OutboundSender => 5,
            _ => 2,
        }
    }

    /// The queue that wakes it.
    pub fn queue(self) -> QueueName {
        match self {
            Self::ReportRecorder => QueueName::Reports,
            Self::OutboundSender => QueueName::Outbox,
            _ => QueueName::Exchange,
        }
    }

    fn of(queue: QueueName) -> Option<Self> {
        match queue {
            QueueName::Exchange => Some(Self::MedicExchange),
            QueueName::Outbox => Some(Self::OutboundSender),
            QueueName::Reports => Some(Self::ReportRecorder),
            QueueName::ExchangeDeadLetter
            | QueueName::OutboxDeadLetter
            | QueueName::ReportsDeadLetter => None,
        }
    }
}

type Webhook = CallbackHandler<BentQueue, SimSecret, SimRuntime>;

struct Environment {
    ctx: Rc<Ctx>,
    webhook: Webhook,
}

/// The state of Lambda.
#[derive(Default)]
pub struct Lambda {
    mappings: BTreeMap<Function, EventSourceMapping>,
    poll_at_ms: BTreeMap<Function, i64>,
    idle: BTreeMap<Function, Vec<Rc<Environment>>>,
    warm: BTreeMap<Function, Vec<Rc<Ctx>>>,
    /// Mappings that are switched off, for tests that look at a queue.
    pub off: Vec<Function>,
}

impl Lambda {
    /// Whether an invocation of this function is running.
    pub fn is_running(&self, function: Function) -> bool {
        let mapping = self.mappings.get(&function);
        mapping.is_some_and(|mapping| mapping.in_flight() > 0)
    }

    fn mapping(&mut self, function: Function) -> &mut EventSourceMapping {
        let enabled = !self.off.contains(&function);
        let new = || EventSourceMapping::new(function.concurrency());
        let mapping = self.mappings.entry(function).or_insert_with(new);
        mapping.enabled = enabled;
        mapping
    }

    /// Lets go of every environment, as a deployment does.
    pub fn forget(&mut self) {
        self.idle.clear();
        self.warm.clear();
    }
}

/// A queue has changed: looks at it when there will be something to receive.
pub fn check(world: &Rc<World>, queue: QueueName) {
    let Some(function) = Function::of(queue) else {
        return;
    };
    let Some(at_ms) = world.queue(queue).borrow().next_receivable_ms() else {
        return;
    };
    let at_ms = at_ms.max(world.now_ms()) + world.random.between(1, 120);
    let mut lambda = world.lambda.borrow_mut();
    let known = lambda.poll_at_ms.get(&function);
    if known.is_some_and(|known| *known <= at_ms) {
        return;
    }
    lambda.poll_at_ms.insert(function, at_ms);
    drop(lambda);
    world.at_time(at_ms, move |world| {
        let mut lambda = world.lambda.borrow_mut();
        if lambda.poll_at_ms.get(&function) == Some(&at_ms) {
            lambda.poll_at_ms.remove(&function);
            drop(lambda);
            receive(world, function);
        }
    });
}

fn receive(world: &Rc<World>, function: Function) {
    if world.faults.sqs_away.get() {
        return;
    }
    let mut lambda = world.lambda.borrow_mut();
    let mapping = lambda.mapping(function);
    if !mapping.may_begin() {
        return;
    }
    let limit = match function {
        // A standard queue often hands out fewer than it has.
        Function::OutboundSender | Function::ReportRecorder => world.random.between(1, 10) as usize,
        _ => BATCH,
    };
    let (batch, expired) = mapping.poll(
        &mut world.queue(function.queue()).borrow_mut(),
        limit,
        world.now_ms(),
        queue::by_chance(&world.random),
    );
    drop(lambda);
    let expired = expired.into_iter().map(|message| message.body);
    world.expired.borrow_mut().extend(expired);
    if !batch.is_empty() {
        world.uses_queue(function, function.queue());
        start(world, function, batch);
    }
    check(world, function.queue());
}

fn start(world: &Rc<World>, function: Function, batch: Vec<ReceivedMessage>) {
    let task = world.next_number();
    let records: Vec<Record> = batch.iter().cloned().map(queue::record).collect();
    world.note(|| {
        let records: Vec<String> = records
            .iter()
            .map(|r| format!("{}({})", r.message_id, r.receive_count))
            .collect();
        format!("#{task} {} begins with {records:?}", function.name())
    });
    world.count(|| format!("invocations of {}", function.name()));
    let began_ms = world.now_ms();
    let ctx = warm(world, function, task);
    let received_before = records.iter().any(|record| record.receive_count > 1);
    ctx.received_before.set(received_before);
    let deadline_ms = world.now_ms() + function.timeout_ms();
    deliver_twice(world, function, &batch);
    let work = worker(&ctx, function, records, deadline_ms);
    let at = Rc::clone(world);
    world.spawn(
        task,
        async move {
            let back = work.await;
            returned(&at, function, &batch, &back);
            at.note(|| format!("#{task} {} ends, returns {back:?}", function.name()));
            let mut lambda = at.lambda.borrow_mut();
            lambda.warm.entry(function).or_default().push(ctx);
            drop(lambda);
            billed(&at, function, began_ms);
            ended(&at, function);
        },
        move |world| {
            world.note(|| format!("#{task} {} is dead", function.name()));
            world.count(|| format!("deaths of {}", function.name()));
            billed(world, function, began_ms);
            ended(world, function);
        },
    );
    world.at_time(deadline_ms, move |world| world.kill(task));
}

/// A warm environment of a worker, or a new one.
fn warm(world: &Rc<World>, function: Function, task: TaskId) -> Rc<Ctx> {
    let mut lambda = world.lambda.borrow_mut();
    let warm = lambda.warm.get_mut(&function).and_then(Vec::pop);
    drop(lambda);
    match warm {
        Some(ctx) => {
            ctx.begin(task);
            ctx
        }
        None => Ctx::new(world, function, task),
    }
}

fn deliver_twice(world: &Rc<World>, function: Function, batch: &[ReceivedMessage]) {
    let chance = world.faults.rates.borrow().delivered_twice;
    if function == Function::MedicExchange || !world.random.chance(chance) {
        return;
    }
    world.count(|| "SQS: handed out twice".to_owned());
    let receipt = batch[0].receipt_handle.clone();
    let soon_ms = world.random.between(0, 2_000);
    world.after(soon_ms, move |world| {
        let now_ms = world.now_ms();
        let queue = world.queue(function.queue());
        queue.borrow_mut().deliver_again(&receipt, now_ms);
        check(world, function.queue());
    });
}

/// Messages that are not returned for retry are deleted.
fn returned(world: &Rc<World>, function: Function, batch: &[ReceivedMessage], back: &[String]) {
    let now_ms = world.now_ms();
    let done = models::lambda::succeeded(batch, back);
    if !done.is_empty() {
        world.uses_queue(function, function.queue());
    }
    for message in done {
        let lost = world.faults.rates.borrow().delete_lost;
        if world.faults.sqs_away.get() || world.random.chance(lost) {
            world.count(|| "SQS: deletion lost".to_owned());
        } else {
            let queue = world.queue(function.queue());
            queue.borrow_mut().delete(&message.receipt_handle, now_ms);
        }
    }
}

/// An invocation is over.
fn billed(world: &World, function: Function, began_ms: i64) {
    let took_ms = world.now_ms() - began_ms;
    world.uses(function, |usage| {
        usage.invocations += 1;
        usage.milliseconds += u64::try_from(took_ms).unwrap_or(0);
    });
}

fn ended(world: &Rc<World>, function: Function) {
    world.lambda.borrow_mut().mapping(function).ended();
    check(world, function.queue());
}

type WorkerFuture = Pin<Box<dyn Future<Output = Vec<String>>>>;

fn worker(
    ctx: &Rc<Ctx>,
    function: Function,
    records: Vec<Record>,
    deadline_ms: i64,
) -> WorkerFuture {
    let runtime = SimRuntime(Rc::clone(ctx));
    let settings = &ctx.world.settings;
    let ledger = BentLedger::new(ctx);
    let dead_letter = |name, is_fifo| DeadLetterQueue {
        queue: BentQueue::new(ctx, name),
        is_fifo,
    };
    match function {
        Function::MedicExchange => {
            let handler = MedicExchange {
                ledger,
                exchange: BentQueue::new(ctx, QueueName::Exchange),
                outbox: BentQueue::new(ctx, QueueName::Outbox),
                dead_letters: dead_letter(QueueName::ExchangeDeadLetter, true),
                medic: BentMedic::new(ctx),
                runtime,
                post_timeout: settings.post_timeout,
                grace: settings.grace,
            };
            Box::pin(async move {
                handler
                    .handle(&records, Timestamp::from_millis(deadline_ms))
                    .await
            })
        }
        Function::OutboundSender => {
            let handler = OutboundSender {
                ledger,
                outbox: BentQueue::new(ctx, QueueName::Outbox),
                dead_letters: dead_letter(QueueName::OutboxDeadLetter, false),
                africas_talking: BentAfricasTalking::new(ctx),
                hashes: SimHash(Rc::clone(ctx)),
                recipient_limit: broken::recipient_limit(settings),
                runtime,
                rules: settings.rules,
                sender_ids: Rc::clone(&settings.sender_ids),
                call_timeout: settings.call_timeout,
            };
            Box::pin(async move {
                handler
                    .handle(&records, Timestamp::from_millis(deadline_ms))
                    .await
            })
        }
        _ => {
            let handler = ReportRecorder {
                ledger,
                reports: BentQueue::new(ctx, QueueName::Reports),
                dead_letters: dead_letter(QueueName::ReportsDeadLetter, false),
                runtime,
                call_over_after: settings.rules.call_over_after,
            };
            Box::pin(async move { handler.handle(&records).await })
        }
    }
}

/// Serves an HTTP request; what happens then is told the status that the caller gets.
pub fn serve(
    world: &Rc<World>,
    function: Function,
    request: Request,
    then: impl FnOnce(&Rc<World>, u16) + 'static,
) {
    let task: TaskId = world.next_number();
    let began_ms = world.now_ms();
    world.uses(function, |usage| usage.http_requests += 1);
    let environment = environment(world, function, task);
    environment.ctx.begin(task);
    let then: Rc<Cell<Option<Then>>> = Rc::new(Cell::new(Some(Box::new(then))));
    let answered = Rc::clone(&then);
    let at = Rc::clone(world);
    world.spawn(
        task,
        async move {
            let response = environment.webhook.handle(&request).await;
            at.note(|| {
                let name = function.name();
                format!("#{task} {name} answers {}", response.status().as_u16())
            });
            at.lambda
                .borrow_mut()
                .idle
                .entry(function)
                .or_default()
                .push(environment);
            billed(&at, function, began_ms);
            if let Some(then) = answered.take() {
                then(&at, response.status().as_u16());
            }
        },
        move |world| {
            world.note(|| format!("#{task} {} is dead", function.name()));
            world.count(|| format!("deaths of {}", function.name()));
            billed(world, function, began_ms);
            if let Some(then) = then.take() {
                then(world, 502);
            }
        },
    );
    world.after(function.timeout_ms(), move |world| world.kill(task));
}

type Then = Box<dyn FnOnce(&Rc<World>, u16)>;

/// What Medic gets as the text of an opt-out.
pub const OPT_OUT_TEXT: &str = "STOP";

/// A warm environment, or a new one.
fn environment(world: &Rc<World>, function: Function, task: TaskId) -> Rc<Environment> {
    let idle = world
        .lambda
        .borrow_mut()
        .idle
        .get_mut(&function)
        .and_then(Vec::pop);
    if let Some(environment) = idle {
        return environment;
    }
    let ctx = Ctx::new(world, function, task);
    let (callback, queue, dead_letter, is_fifo) = match function {
        Function::IncomingMessages => (
            Callback::IncomingMessage,
            QueueName::Exchange,
            QueueName::ExchangeDeadLetter,
            true,
        ),
        _ => (
            Callback::DeliveryReport,
            QueueName::Reports,
            QueueName::ReportsDeadLetter,
            false,
        ),
    };
    let webhook = CallbackHandler {
        callback,
        opt_out_text: Some(OPT_OUT_TEXT.to_owned()),
        queue: BentQueue::new(&ctx, queue),
        dead_letters: DeadLetterQueue {
            queue: BentQueue::new(&ctx, dead_letter),
            is_fifo,
        },
        keys: IncomingKeys::new(SimSecret(Rc::clone(&ctx))),
        runtime: SimRuntime(Rc::clone(&ctx)),
    };
    Rc::new(Environment { ctx, webhook })
}
