//! No credit at Africa's Talking for hours or days while thousands of messages wait: what the
//! waiting costs, and how soon they flow when somebody has topped up.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use bridge::domain::message::Sending;

use crate::africas_talking::{Account, SendDecision, text_for};
use crate::lambda::{self, Function};
use crate::meter::FunctionUsage;
use crate::plan::SECRET_NUMBERS;
use crate::world::{BEGIN_MS, MINUTE_MS, QueueName, Settings, World};

const HOUR_MS: i64 = 60 * MINUTE_MS;

/// The longest age that can be configured.
const LONGEST_AGE: Duration = Duration::from_secs(10 * 24 * 60 * 60);

/// Medic hands its messages over in this time; then the waiting is metered.
const HANDED_OVER_MS: i64 = HOUR_MS;

/// Nobody waits longer for the last message.
const PATIENCE_MS: i64 = 24 * HOUR_MS;

/// The campaign that is tried.
#[derive(Clone, Copy, Debug)]
pub struct NoCredit {
    /// How many messages wait, each to a phone of its own.
    pub messages: u32,
    /// How long there is no credit, in hours.
    pub hours: u32,
}

/// The results.
#[derive(Clone, Debug)]
pub struct NoCreditReport {
    /// The campaign that was tried.
    pub tried: NoCredit,
    /// How many messages waited in `outbox` before somebody topped up.
    pub waiting: usize,
    /// How many requests to send there were while there was no credit.
    pub requests: usize,
    /// The usage of `outbound-sender` while they waited, after Medic had handed them over.
    pub waiting_cost: FunctionUsage,
    /// How long that was, in milliseconds.
    pub waiting_ms: i64,
    /// The usage of `outbound-sender` from the top-up to the last message.
    pub sending_cost: FunctionUsage,
    /// From the top-up to the first message, in milliseconds.
    pub first_ms: Option<i64>,
    /// From the top-up to the last message, in milliseconds.
    pub last_ms: Option<i64>,
    /// Messages that Africa's Talking accepted once.
    pub sent_once: usize,
    /// Messages that it accepted more than once.
    pub sent_twice: usize,
    /// Messages that failed, each with its reason: those that grew too old.
    pub failed: usize,
}

impl NoCreditReport {
    /// Whether every message was sent once or has failed with its reason.
    pub fn keeps_the_promises(&self) -> bool {
        let messages = usize::try_from(self.tried.messages).unwrap_or(0);
        self.sent_twice == 0 && self.sent_once + self.failed == messages
    }
}

fn id(number: u32) -> String {
    format!("out-{number}")
}

/// Lets it happen.
pub fn run_no_credit(tried: NoCredit) -> NoCreditReport {
    let mut settings = Settings::default();
    settings.rules.max_age = LONGEST_AGE;
    let world = World::new(1, settings);
    {
        let mut at = world.africas_talking.borrow_mut();
        at.reporting = false;
        at.account = Account::Failing(SendDecision::Rejected(405));
        at.model.application.balance_ten_thousandths = 0;
        let mut medic = world.medic.borrow_mut();
        for number in 0..tried.messages {
            let to = format!("+{}{number:04}", SECRET_NUMBERS[0]);
            medic.wants(&id(number), &to, &text_for(&id(number)));
        }
    }
    world.run_until(BEGIN_MS + HANDED_OVER_MS);
    let before = usage(&world);
    let topped_up_ms = BEGIN_MS + HOUR_MS * i64::from(tried.hours);
    world.run_until(topped_up_ms);

    let waiting = world.queue(QueueName::Outbox).borrow().messages().count();
    let waited = usage(&world);
    let requests = world.africas_talking.borrow().calls.len();
    {
        let mut at = world.africas_talking.borrow_mut();
        at.account = Account::Good;
        at.model.application.balance_ten_thousandths = i64::MAX / 2;
    }
    lambda::check(&world, QueueName::Outbox);
    while world.queue(QueueName::Outbox).borrow().messages().count() > 0
        && world.now_ms() < topped_up_ms + PATIENCE_MS
    {
        world.run_until(world.now_ms() + 1_000);
    }
    let report = NoCreditReport {
        tried,
        waiting,
        requests,
        waiting_cost: waited - before,
        waiting_ms: topped_up_ms - BEGIN_MS - HANDED_OVER_MS,
        sending_cost: usage(&world) - waited,
        ..ends(&world, tried, topped_up_ms)
    };
    world.dissolve();
    report
}

fn usage(world: &World) -> FunctionUsage {
    world.meter.borrow().of(Function::OutboundSender)
}

/// How it ended.
fn ends(world: &Rc<World>, tried: NoCredit, topped_up_ms: i64) -> NoCreditReport {
    let at = world.africas_talking.borrow();
    let ledger = world.ledger.borrow();
    let mut taken = BTreeMap::<&str, usize>::new();
    let mut accepted_ms = Vec::new();
    for call in at.calls.iter().filter(|call| call.at_id.is_some()) {
        *taken.entry(&call.message).or_default() += 1;
        accepted_ms.push(call.at_ms - topped_up_ms);
    }
    let ids = (0..tried.messages).map(id);
    let rows = ids.filter_map(|id| ledger.message(&id));
    let failed = rows.filter(|row| row.sending == Sending::Failed);
    NoCreditReport {
        tried,
        waiting: 0,
        requests: 0,
        waiting_cost: FunctionUsage::default(),
        waiting_ms: 0,
        sending_cost: FunctionUsage::default(),
        first_ms: accepted_ms.iter().min().copied(),
        last_ms: accepted_ms.iter().max().copied(),
        sent_once: taken.values().filter(|times| **times == 1).count(),
        sent_twice: taken.values().filter(|times| **times > 1).count(),
        failed: failed.count(),
    }
}

impl fmt::Display for NoCreditReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |milliseconds: Option<i64>| {
            milliseconds.map_or("never".to_owned(), super::report::seconds)
        };
        writeln!(
            f,
            "no credit for {} hours, {} messages; when it is topped up, {} wait, and {} requests to send were refused",
            self.tried.hours, self.tried.messages, self.waiting, self.requests
        )?;
        writeln!(
            f,
            "then: the first is sent after {}, the last after {}",
            seconds(self.first_ms),
            seconds(self.last_ms)
        )?;
        writeln!(
            f,
            "in the end: {} sent once, {} twice, {} failed",
            self.sent_once, self.sent_twice, self.failed
        )?;
        let waiting = format!("the waiting, {}", super::report::seconds(self.waiting_ms));
        super::report::line(f, &waiting, &self.waiting_cost)?;
        super::report::line(f, "the sending", &self.sending_cost)
    }
}
