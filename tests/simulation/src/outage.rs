//! Medic away for days while phones go on sending: what is left of it when Medic is back, how long
//! that takes, and what the waiting cost.
//!
//! Nothing else goes wrong here: what faults do is the seeds' part. Phones send at an even pace, each
//! SMS from a sender by chance, until the backlog is gone.

mod no_credit;
mod report;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;

use bridge::wire::queue_messages::{ExchangeMessage, decode};

use crate::africas_talking;
use crate::lambda::Function;
use crate::medic::Mode;
use crate::plan::{SECRET_NUMBERS, SECRET_TEXT};
use crate::promises;
use crate::world::{BEGIN_MS, MINUTE_MS, QueueName, Settings, World};
pub use no_credit::{NoCredit, NoCreditReport, run_no_credit};
pub use report::{Backlog, FinalCounts, OutageCosts, OutageDrain, OutageReport};

const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// Medic works for so long on each message, in milliseconds: what its contract says.
const MEDIC_MS_A_MESSAGE: i64 = 100;

/// The backlog is gone when no SMS that waits is older than this.
const CAUGHT_UP_MS: i64 = MINUTE_MS;

/// A poll that is older than this is never used.
const STALE_POLL_MS: i64 = 2 * MINUTE_MS;

/// The queue keeps nothing for longer than this.
const LONGEST_DRAIN_MS: i64 = 14 * DAY_MS;

/// The outage that is tried.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    /// How long Medic is away, in days.
    pub days: u32,
    /// How many SMS all phones together send in a second.
    pub sms_per_second: f64,
    /// How many phones there are, at most ten thousand.
    pub senders: u32,
    /// Whether Medic takes connections and never answers, instead of refusing them.
    pub hangs: bool,
}

/// Lets it happen.
pub fn run(outage: Outage) -> OutageReport {
    let world = World::new(1, Settings::default());
    let back_ms = BEGIN_MS + i64::from(outage.days) * DAY_MS;
    {
        let mut medic = world.medic.borrow_mut();
        medic.message_ms = Some(MEDIC_MS_A_MESSAGE);
        if outage.hangs {
            medic.hangs_until_ms = back_ms;
        } else {
            medic.mode = Mode::Down;
        }
    }
    let phones = Senders::begin(&world, &outage);
    world.run_until(back_ms);

    let waiting = waiting(&world);
    let taking_in = world.meter.borrow().of(Function::IncomingMessages);
    let trying = world.meter.borrow().of(Function::MedicExchange);
    world.medic.borrow_mut().mode = Mode::Up;
    drain(&world, back_ms);
    let caught_up_ms = world.now_ms();
    let draining = world.meter.borrow().of(Function::MedicExchange) - trying;

    phones.sending.set(false);
    while promises::at_rest(&world).is_err() && world.now_ms() < caught_up_ms + DAY_MS {
        world.run_until(world.now_ms() + MINUTE_MS);
    }
    let report = OutageReport {
        outage,
        waiting,
        drain: drained(&world, &phones, back_ms, caught_up_ms),
        ends: ends(&world),
        costs: OutageCosts {
            taking_in,
            trying,
            draining,
        },
    };
    world.dissolve();
    report
}

/// Everybody who sends.
struct Senders {
    between_ms: f64,
    senders: i64,
    sending: Cell<bool>,
}

impl Senders {
    fn begin(world: &Rc<World>, outage: &Outage) -> Rc<Self> {
        let phones = Rc::new(Self {
            between_ms: 1000.0 / outage.sms_per_second,
            senders: i64::from(outage.senders),
            sending: Cell::new(true),
        });
        phones.arrive(world, 0);
        phones
    }

    /// When an SMS is sent, by its number.
    fn at_ms(&self, number: i64) -> i64 {
        BEGIN_MS + (number as f64 * self.between_ms) as i64
    }

    fn arrive(self: &Rc<Self>, world: &Rc<World>, number: i64) {
        let phones = Rc::clone(self);
        world.at_time(self.at_ms(number), move |world| {
            if !phones.sending.get() {
                return;
            }
            let sender = world.random.between(1, phones.senders);
            let from = format!("+{}{sender:04}", SECRET_NUMBERS[0]);
            let text = format!("{SECRET_TEXT} {number}");
            africas_talking::phone_sends(world, &id(number), &from, &text);
            phones.arrive(world, number + 1);
        });
    }

    /// How long the first SMS after this time waited until Medic had it, if Medic has it.
    fn wait_from(&self, world: &World, at_ms: i64) -> Option<i64> {
        let number = ((at_ms - BEGIN_MS) as f64 / self.between_ms).ceil() as i64;
        let id = id(number);
        let medic = world.medic.borrow();
        let stored = medic.stored.iter().find(|message| message.id == id)?;
        Some(stored.at_ms - self.at_ms(number))
    }
}

fn id(number: i64) -> String {
    format!("in-{number}")
}

/// Until no SMS that waits is older than a minute.
fn drain(world: &Rc<World>, back_ms: i64) {
    loop {
        world.run_until(world.now_ms() + 10_000);
        let now_ms = world.now_ms();
        let oldest_ms = oldest_sms_ms(world).unwrap_or(now_ms);
        if now_ms - oldest_ms <= CAUGHT_UP_MS || now_ms - back_ms > LONGEST_DRAIN_MS {
            return;
        }
    }
}

fn oldest_sms_ms(world: &World) -> Option<i64> {
    let exchange = world.queue(QueueName::Exchange).borrow();
    let mut waiting = exchange.messages();
    let oldest = waiting.find(|message| !is_poll(&message.body));
    oldest.map(|message| message.sent_at_ms)
}

fn is_poll(body: &str) -> bool {
    matches!(decode(body), Ok(ExchangeMessage::Poll))
}

fn waiting(world: &World) -> Backlog {
    let exchange = world.queue(QueueName::Exchange).borrow();
    let polls = exchange.messages().filter(|m| is_poll(&m.body)).count();
    let receives = exchange.messages().map(|message| message.receives);
    Backlog {
        sms: exchange.messages().count() - polls,
        polls,
        most_receives: receives.max().unwrap_or(0),
    }
}

fn drained(world: &World, phones: &Senders, back_ms: i64, caught_up_ms: i64) -> OutageDrain {
    let medic = world.medic.borrow();
    let drain = back_ms..=caught_up_ms;
    let in_drain = medic.log.iter().filter(|post| drain.contains(&post.at_ms));
    let posts: Vec<_> = in_drain.collect();
    let brings_nothing = |messages: &[String]| messages.is_empty();
    let empty = posts.iter().filter(|post| brings_nothing(&post.messages));
    OutageDrain {
        first_post_ms: posts.first().map(|post| post.at_ms - back_ms),
        took_ms: caught_up_ms - back_ms,
        posts: posts.len(),
        empty_posts: empty.count(),
        wait_at_return_ms: phones.wait_from(world, back_ms),
        wait_in_the_middle_ms: phones.wait_from(world, i64::midpoint(back_ms, caught_up_ms)),
    }
}

fn ends(world: &Rc<World>) -> FinalCounts {
    let now_ms = world.now_ms();
    let exchange = world.queue(QueueName::Exchange).borrow();
    let is_stale = |sent_at_ms: i64| now_ms - sent_at_ms > STALE_POLL_MS;
    let stale = exchange.messages().filter(|m| is_stale(m.sent_at_ms));
    let left = stale.count();
    drop(exchange);
    let breaches = promises::breaches(world);
    let at = world.africas_talking.borrow();
    let medic = world.medic.borrow();
    let dead_letter = promises::dead_letters(world);
    let accepted = at
        .incoming
        .values()
        .filter(|sms| sms.answers.contains(&200));
    let accepted: BTreeSet<&str> = accepted.map(|sms| sms.id.as_str()).collect();
    let copies: Vec<usize> = accepted.iter().map(|id| medic.copies(id)).collect();
    let is_lost = |id: &&&str| medic.copies(id) == 0 && !dead_letter.contains_key(**id);
    FinalCounts {
        accepted: accepted.len(),
        stored_once: copies.iter().filter(|copies| **copies == 1).count(),
        stored_twice: copies.iter().filter(|copies| **copies > 1).count(),
        dead_letter: dead_letter.len(),
        lost: accepted.iter().filter(is_lost).count(),
        out_of_order: promises::order(world).len(),
        left,
        breaches,
    }
}
