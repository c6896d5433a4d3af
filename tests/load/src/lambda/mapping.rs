//! Event source mappings: a queue's messages, batch by batch, to a function.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::runtime::Function;
use crate::aws::sqs::Received;
use crate::aws::{Aws, is_fifo};
use crate::meter::Charge;

/// How soon a mapping looks again at a queue whose messages are all hidden.
pub const LOOK_AGAIN: Duration = Duration::from_millis(200);

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
        aws: &Arc<Aws>,
        queue: &'static str,
        function: &Arc<Function>,
        batches: usize,
    ) -> Self {
        let pollers = (0..batches).map(|_| {
            let (aws, function) = (Arc::clone(aws), Arc::clone(function));
            tokio::spawn(async move {
                loop {
                    let changed = aws.changed.notified();
                    if !one_batch(&aws, queue, &function).await {
                        // What is returned for retry is visible later, and nobody says so.
                        let _ = tokio::time::timeout(LOOK_AGAIN, changed).await;
                    }
                }
            })
        });
        Self(pollers.collect())
    }
}

/// Hands one batch of a queue to a function, and waits for its end; whether there was one.
pub async fn one_batch(aws: &Aws, queue: &str, function: &Function) -> bool {
    let batch = aws.receive(queue);
    if !batch.is_empty() {
        work_off(aws, queue, function, &batch).await;
    }
    !batch.is_empty()
}

async fn work_off(aws: &Aws, queue: &str, function: &Function, batch: &[Received]) {
    let charge = if is_fifo(queue) {
        Charge::FifoQueueRequest
    } else {
        Charge::StandardQueueRequest
    };
    aws.meter
        .add(charge, &format!("mapping: receive {queue}"), 1.0);
    let Ok(ended) = function.invoke(event(queue, batch).to_string()).await else {
        return;
    };
    let Ok(answer) = ended.answer else { return };
    let failures = answer.get("batchItemFailures").and_then(Value::as_array);
    let failed = |number: u64| {
        failures.is_some_and(|failures| {
            let id = Value::String(number.to_string());
            failures
                .iter()
                .any(|failure| failure.get("itemIdentifier") == Some(&id))
        })
    };
    let done: Vec<u64> = batch
        .iter()
        .map(|message| message.number)
        .filter(|number| !failed(*number))
        .collect();
    if !done.is_empty() {
        aws.meter
            .add(charge, &format!("mapping: delete {queue}"), 1.0);
        aws.delete(queue, &done);
    }
}

/// A batch, as Lambda hands it over.
pub fn event(queue: &str, batch: &[Received]) -> Value {
    let records = batch.iter().map(|message| {
        let mut attributes = json!({
            "ApproximateReceiveCount": message.receives.to_string(),
            "SentTimestamp": message.sent_ms.to_string(),
            "SenderId": "AROAEXAMPLEEXAMPLE:function",
            "ApproximateFirstReceiveTimestamp": message.sent_ms.to_string(),
        });
        if is_fifo(queue)
            && let Some(attributes) = attributes.as_object_mut()
        {
            attributes.insert("MessageGroupId".to_owned(), "medic".into());
            attributes.insert(
                "SequenceNumber".to_owned(),
                format!("{:020}", message.number).into(),
            );
        }
        json!({
            "messageId": message.number.to_string(),
            "receiptHandle": message.number.to_string(),
            "body": message.body,
            "attributes": attributes,
            "messageAttributes": {},
            "md5OfBody": "00000000000000000000000000000000",
            "eventSource": "aws:sqs",
            "eventSourceARN": format!("arn:aws:sqs:us-east-1:000000000000:{queue}"),
            "awsRegion": "us-east-1",
        })
    });
    json!({ "Records": records.collect::<Vec<_>>() })
}
