//! The ports of the bridge, in memory: each call takes a moment of virtual time, and may fail before
//! or after its effect, take long, or be the last thing that its invocation did.

mod ledger;
mod outside;
mod queue;
mod secrets;

use std::cell::Cell;
use std::rc::{Rc, Weak};
use std::time::Duration;

use bridge::domain::backoff::RandomSource;
use bridge::domain::time::{Timestamp, millis};
use bridge::log::{EventLog, Invocation, LogEvent, Origin};
use bridge::ports::Clock;
use bridge::secrets::credentials::OutsideCredentials;

use crate::executor::TaskId;
use crate::faults::{CallDisposition, Death, PortCall};
use crate::lambda::Function;
use crate::world::{MINUTE_MS, World};
pub use ledger::SimLedger;
pub use outside::{SimAfricasTalking, SimMedic};
pub use queue::SimQueue;
pub use secrets::{SimCredentials, SimHash, SimSecret};

/// Who is calling.
pub struct Ctx {
    /// The world.
    pub world: Rc<World>,
    /// The function.
    pub function: Function,
    /// Its invocation.
    pub task: Cell<TaskId>,
    /// Whether its batch was received before.
    pub received_before: Cell<bool>,
    /// Whether SQS has confirmed in this invocation that records stay invisible.
    is_confirmed: Cell<bool>,
    /// The credentials for Medic and Africa's Talking, cached as on Lambda.
    pub credentials: OutsideCredentials<SimCredentials, SimCredentials>,
    skew_ms: Cell<i64>,
}

/// How long a client of AWS waits for an answer at most, its own repetitions included.
const CLIENT_WAITS_MS: i64 = 6_000;

/// A POST of an invocation whose batch may become visible while Medic works.
pub const POST_UNCONFIRMED: &str = "a POST of a batch that SQS did not confirm as invisible";

/// Longer than any function may live.
const STANDSTILL_MS: i64 = 20 * MINUTE_MS;

impl Ctx {
    /// An environment of a function, for an invocation.
    pub fn new(world: &Rc<World>, function: Function, task: TaskId) -> Rc<Self> {
        let ctx = Rc::new_cyclic(|ctx: &Weak<Self>| Self {
            world: Rc::clone(world),
            function,
            task: Cell::new(task),
            received_before: Cell::new(false),
            is_confirmed: Cell::new(false),
            credentials: OutsideCredentials::new(
                SimCredentials(Weak::clone(ctx)),
                SimCredentials(Weak::clone(ctx)),
            ),
            skew_ms: Cell::new(0),
        });
        ctx.begin(task);
        ctx
    }

    /// Another invocation in the same environment; its clock may have jumped meanwhile.
    pub fn begin(&self, task: TaskId) {
        self.task.set(task);
        self.is_confirmed.set(false);
        let chance = self.world.faults.rates.borrow().clock_wrong;
        let wrong = self.world.random.chance(chance);
        self.skew_ms.set(if wrong {
            self.world.count(|| "clock: wrong by seconds".to_owned());
            self.world.random.between(-5_000, 5_000)
        } else {
            0
        });
    }

    /// The time by this environment's clock.
    pub fn now_ms(&self) -> i64 {
        self.world.now_ms() + self.skew_ms.get()
    }

    /// A call. `None` when it fails.
    async fn call<T>(&self, call: PortCall, effect: impl FnOnce() -> T) -> Option<T> {
        let world = &self.world;
        let disposition = world.faults.disposition(self.function, call, &world.random);
        if disposition != CallDisposition::Fine {
            world.count(|| format!("{} {call:?}: {disposition:?}", self.function.name()));
            world.note(|| format!("#{} {call:?} {disposition:?}", self.task.get()));
        }
        // Whoever calls Medic or Africa's Talking has set a time to that, connecting included.
        let is_outside = matches!(call, PortCall::Post | PortCall::Sms | PortCall::User);
        self.pass(if is_outside { 4_000 } else { i64::MAX }).await;
        match disposition {
            CallDisposition::FailsBefore => return None,
            CallDisposition::DiesBefore => world.die(self.task.get()).await,
            CallDisposition::Slow(wait_ms) => world.sleep(wait_ms).await,
            _ => {}
        }
        let result = effect();
        if let CallDisposition::AnswersSlowly(wait_ms) = disposition {
            world.sleep(wait_ms).await;
        }
        if disposition == CallDisposition::DiesAfter {
            world.die(self.task.get()).await;
        }
        self.pass(i64::MAX).await;
        (disposition != CallDisposition::FailsAfter).then_some(result)
    }

    /// The call is about this: whether or not the function survives that.
    async fn touches(&self, call: PortCall, about: impl FnOnce() -> String) {
        let world = &self.world;
        let Some(death) = world.faults.death(self.function, call, about) else {
            return;
        };
        world.count(|| format!("{} {call:?}: a record ends it", self.function.name()));
        world.note(|| format!("#{} {call:?} of a record that ends it", self.task.get()));
        match death {
            Death::Crash => world.die(self.task.get()).await,
            Death::TimeOut => world.sleep(STANDSTILL_MS).await,
        }
    }

    async fn pass(&self, longest_ms: i64) {
        let random = &self.world.random;
        let slow = self.world.faults.rates.borrow().slow;
        let wait_ms = if random.chance(slow) {
            self.world.count(|| "a port: slow".to_owned());
            // Seconds mostly, no more than a client waits; now and then the process stands still for
            // longer than any function may live.
            if random.chance(200_000) {
                STANDSTILL_MS
            } else {
                random.between(200, CLIENT_WAITS_MS)
            }
        } else {
            random.between(1, 30)
        };
        self.world.sleep(wait_ms.min(longest_ms)).await;
    }
}

/// Time, chance and the log.
pub struct SimRuntime(pub Rc<Ctx>);

impl Clock for SimRuntime {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.now_ms())
    }

    async fn pause(&self, span: Duration) {
        self.0.world.sleep(millis(span)).await;
    }
}

impl RandomSource for SimRuntime {
    fn up_to(&self, limit: u64) -> u64 {
        let number = self.0.world.random.next();
        limit.checked_add(1).map_or(number, |width| number % width)
    }
}

impl EventLog for SimRuntime {
    fn record(&self, event: LogEvent) {
        let origin = Origin {
            stack: "simulation".to_owned(),
            function: self.0.function.name(),
            // As long as Lambda's, so that the bytes are counted right.
            invocation: Some(Invocation {
                request_id: format!("00000000-0000-4000-8000-{:012}", self.0.task.get()),
                cold_start: false,
            }),
        };
        let line = event.to_line(&origin, Timestamp::from_millis(self.0.now_ms()));
        if matches!(event, LogEvent::ReportMatched { .. }) {
            self.0.world.matching_report_came(&line);
        }
        self.0.world.uses(self.0.function, |usage| {
            usage.log_bytes += line.len() as u64;
        });
        self.0.world.log(self.0.task.get(), &line);
    }
}
