//! Event source mappings: a queue's messages, batch by batch, to a function.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use models::lambda::{self, EventSourceMapping};
use models::sqs::ReceivedMessage;
use tokio::task::JoinHandle;

use super::runtime::RunningFunction;
use crate::aws::{InMemoryAws, is_fifo, locked};
use crate::meter::AwsCharge;

/// How soon a mapping looks again at a queue whose messages are all hidden.
pub const CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// Pollers that end when they are dropped.
#[derive(Debug)]
pub struct Mapping(Vec<JoinHandle<()>>);

impl Drop for Mapping {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

impl Mapping {
    /// Connects a queue to a function, with so many batches at a time.
    pub fn start(
        aws: &Arc<InMemoryAws>,
        queue: &'static str,
        function: &Arc<RunningFunction>,
        batches: usize,
    ) -> Self {
        let mapping = Arc::new(Mutex::new(EventSourceMapping::new(batches)));
        let pollers = (0..batches).map(|_| {
            let (aws, function) = (Arc::clone(aws), Arc::clone(function));
            let mapping = Arc::clone(&mapping);
            tokio::spawn(async move {
                loop {
                    let changed = aws.changed.notified();
                    if !one_batch(&aws, queue, &function, &mapping).await {
                        // A message returned for retry becomes visible later, and no event says so.
                        let _ = tokio::time::timeout(CHECK_INTERVAL, changed).await;
                    }
                }
            })
        });
        Self(pollers.collect())
    }
}

/// A mapping that runs one invocation at a time.
#[must_use]
pub fn alone() -> Mutex<EventSourceMapping> {
    Mutex::new(EventSourceMapping::new(1))
}

/// Hands one batch of a queue to a function, and waits for its end; whether there was one.
pub async fn one_batch(
    aws: &InMemoryAws,
    queue: &str,
    function: &RunningFunction,
    mapping: &Mutex<EventSourceMapping>,
) -> bool {
    let batch = aws.poll(mapping, queue);
    if batch.is_empty() {
        return false;
    }
    work_off(aws, queue, function, &batch).await;
    locked(mapping).ended();
    true
}

async fn work_off(
    aws: &InMemoryAws,
    queue: &str,
    function: &RunningFunction,
    batch: &[ReceivedMessage],
) {
    let charge = if is_fifo(queue) {
        AwsCharge::FifoQueueRequest
    } else {
        AwsCharge::StandardQueueRequest
    };
    aws.meter
        .add(charge, &format!("mapping: receive {queue}"), 1.0);
    let event = lambda::event(queue, batch).to_string();
    let Ok(ended) = function.invoke(event).await else {
        return;
    };
    let Ok(answer) = ended.answer else { return };
    let done = lambda::deleted(batch, &answer);
    if !done.is_empty() {
        aws.meter
            .add(charge, &format!("mapping: delete {queue}"), 1.0);
        aws.delete(queue, &done);
    }
}
