//! The simulation's ports, in a world without faults.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use bridge::domain::time::Timestamp;
use bridge::ports::{Clock as _, Record};
use simulation::lambda::Function;
use simulation::ports::{Ctx, SimLedger, SimQueue, SimRuntime, SimSecret};
use simulation::scenario::Scenario;
use simulation::world::{QueueName, Settings, World};

use crate::emulator_differences::Difference;
use crate::ledger::LedgerBench;
use crate::queue::QueueBench;
use crate::secret::SecretBench;

/// Runs a test as an invocation in a world of its own, in virtual time.
fn run<B, F: Future<Output = ()> + 'static>(
    bench: impl FnOnce(Rc<Ctx>) -> B,
    test: impl FnOnce(B) -> F,
) {
    let scenario = Scenario::new(Settings::default());
    scenario.polling.set(false);
    let task = scenario.next_number();
    let ctx = Ctx::new(&scenario, Function::OutboundSender, task);
    let is_over = Rc::new(Cell::new(false));
    let over = Rc::clone(&is_over);
    let test = test(bench(ctx));
    let invocation = async move {
        test.await;
        over.set(true);
    };
    scenario.spawn(task, invocation, |_| panic!("killed"));
    while !is_over.get() {
        assert!(scenario.step(), "it waits for something that never comes");
    }
}

async fn pass(ctx: &Rc<Ctx>, time: Duration) {
    SimRuntime(Rc::clone(ctx)).pause(time).await;
}

pub struct MemoryLedgerBench(Rc<Ctx>);

impl LedgerBench for MemoryLedgerBench {
    type Store = SimLedger;
    type Around = SimRuntime;

    fn store(&self) -> SimLedger {
        SimLedger(Rc::clone(&self.0))
    }

    fn runtime(&self) -> SimRuntime {
        SimRuntime(Rc::clone(&self.0))
    }

    async fn wait(&self) {
        pass(&self.0, Duration::from_secs(1)).await;
    }
}

pub fn on_a_ledger<F: Future<Output = ()> + 'static>(test: impl FnOnce(MemoryLedgerBench) -> F) {
    run(MemoryLedgerBench, test);
}

/// A queue that wakes no function: those for what was dead-lettered.
pub struct MemoryQueueBench {
    ctx: Rc<Ctx>,
    name: QueueName,
}

impl MemoryQueueBench {
    fn world(&self) -> &World {
        &self.ctx.world
    }
}

impl QueueBench for MemoryQueueBench {
    type Queue = SimQueue;

    fn queue(&self) -> SimQueue {
        SimQueue {
            ctx: Rc::clone(&self.ctx),
            name: self.name,
        }
    }

    async fn receive(&self, limit: usize) -> Vec<Record> {
        let world = self.world();
        let mut queue = world.queue(self.name).borrow_mut();
        queue.receive(world.now_ms(), limit, &world.random).0
    }

    async fn delete(&self, record: &Record) {
        let world = self.world();
        let mut queue = world.queue(self.name).borrow_mut();
        assert!(queue.delete(&record.receipt_handle, world.now_ms()));
    }

    async fn pass(&self, time: Duration) {
        pass(&self.ctx, time).await;
    }

    async fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.world().now_ms())
    }

    fn differs(&self, _: Difference) -> bool {
        false
    }
}

pub fn on_a_standard_queue<F: Future<Output = ()> + 'static>(
    test: impl FnOnce(MemoryQueueBench) -> F,
) {
    run(
        |ctx| MemoryQueueBench {
            ctx,
            name: QueueName::OutboxDeadLetter,
        },
        test,
    );
}

pub fn on_a_fifo_queue<F: Future<Output = ()> + 'static>(test: impl FnOnce(MemoryQueueBench) -> F) {
    run(
        |ctx| MemoryQueueBench {
            ctx,
            name: QueueName::ExchangeDeadLetter,
        },
        test,
    );
}

pub struct MemorySecretBench(Rc<Ctx>);

impl SecretBench for MemorySecretBench {
    type Store = SimSecret;

    async fn put(&self, secret: &str) {
        *self.0.world.secret.borrow_mut() = secret.to_owned();
    }

    fn store(&self) -> SimSecret {
        SimSecret(Rc::clone(&self.0))
    }
}

pub fn on_a_secret<F: Future<Output = ()> + 'static>(test: impl FnOnce(MemorySecretBench) -> F) {
    run(MemorySecretBench, test);
}
