//! The queues.

use std::rc::Rc;

use bridge::ports::{NewMessage, Queue, QueueBacklog, QueueDepth, QueueError, Record};

use super::Ctx;
use crate::faults::PortCall;
use crate::lambda;
use crate::queue::BATCH;
use crate::world::QueueName;

/// A queue.
pub struct SimQueue {
    /// Who is calling.
    pub ctx: Rc<Ctx>,
    /// Which.
    pub name: QueueName,
}

impl Queue for SimQueue {
    async fn send(&self, messages: Vec<NewMessage>) -> Vec<Result<(), QueueError>> {
        let mut results = Vec::new();
        let mut rest = messages.into_iter().peekable();
        while rest.peek().is_some() {
            let batch: Vec<NewMessage> = rest.by_ref().take(BATCH).collect();
            let count = batch.len();
            self.ctx.world.uses_queue(self.ctx.function, self.name);
            let sent = self.ctx.call(PortCall::Send, || {
                batch
                    .into_iter()
                    .map(|message| self.send_one(message))
                    .collect::<Vec<_>>()
            });
            let failed = || vec![Err(QueueError::of_server("no answer")); count];
            results.extend(sent.await.unwrap_or_else(failed));
        }
        results
    }

    async fn change_visibility(&self, records: &[(&Record, i32)]) -> Vec<Result<(), QueueError>> {
        let mut results = Vec::new();
        for batch in records.chunks(BATCH) {
            let world = &self.ctx.world;
            world.uses_queue(self.ctx.function, self.name);
            let hidden = self.ctx.call(PortCall::ChangeVisibility, || {
                let mut queue = world.queue(self.name).borrow_mut();
                batch
                    .iter()
                    .map(|(record, seconds)| {
                        if self.entry_fails() {
                            return Err(QueueError::of_server("ServiceUnavailable"));
                        }
                        let receipt = &record.receipt_handle;
                        let changed = queue.change_visibility(receipt, *seconds, world.now_ms());
                        if changed.is_ok() && *seconds > 0 {
                            self.ctx.is_confirmed.set(true);
                        }
                        changed
                    })
                    .collect::<Vec<_>>()
            });
            let failed = || vec![Err(QueueError::of_server("no answer")); batch.len()];
            results.extend(hidden.await.unwrap_or_else(failed));
            lambda::check(world, self.name);
        }
        results
    }
}

impl QueueBacklog for SimQueue {
    async fn depth(&self) -> Result<QueueDepth, QueueError> {
        let world = &self.ctx.world;
        let depth = self.ctx.call(PortCall::Depth, || {
            let queue = world.queue(self.name).borrow();
            queue.depth(world.now_ms())
        });
        depth
            .await
            .ok_or_else(|| QueueError::of_server("no answer"))
    }
}

impl SimQueue {
    fn send_one(&self, message: NewMessage) -> Result<(), QueueError> {
        let world = &self.ctx.world;
        if self.entry_fails() {
            return Err(QueueError::of_server("ServiceUnavailable"));
        }
        if let Some(fifo) = &message.fifo {
            world.shown(&fifo.deduplication_id);
            world.shown(&fifo.group);
        }
        let sent = world
            .queue(self.name)
            .borrow_mut()
            .send(message, world.now_ms());
        lambda::check(world, self.name);
        sent
    }

    fn entry_fails(&self) -> bool {
        let world = &self.ctx.world;
        let fails = world.random.chance(world.faults.rates.borrow().entry_fails);
        if fails {
            world.count(|| "SQS: one entry of a batch fails".to_owned());
        }
        fails
    }
}
