//! Lambda's event source mappings: how a queue's messages come to a function, and what becomes of
//! them when it has ended.

use serde_json::{Map, Value, json};

use crate::sqs::{BATCH, QueueModel, QueuedMessage, ReceivedMessage, md5};

/// Connects a queue to a function.
#[derive(Clone, Debug)]
pub struct EventSourceMapping {
    /// How many messages an invocation gets at most.
    pub batch_size: usize,
    /// How many invocations run at a time at most.
    pub concurrency: usize,
    /// Whether it polls.
    pub enabled: bool,
    in_flight: usize,
}

impl EventSourceMapping {
    /// With full batches, and so many invocations at a time.
    #[must_use]
    pub fn new(concurrency: usize) -> Self {
        Self {
            batch_size: BATCH,
            concurrency,
            enabled: true,
            in_flight: 0,
        }
    }

    /// How many invocations run.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Takes a batch for an invocation, if one may begin: what it is handed, and what the queue has
    /// dropped because it was too old. At most `limit` messages, because a queue often hands out fewer
    /// than it has; `choose` orders them as in [`QueueModel::receive`]. A FIFO queue hands out nothing of a
    /// message group that is in flight.
    pub fn poll(
        &mut self,
        queue: &mut QueueModel,
        limit: usize,
        now_ms: i64,
        choose: impl Fn(usize) -> usize,
    ) -> (Vec<ReceivedMessage>, Vec<QueuedMessage>) {
        if !self.may_begin() {
            return (Vec::new(), Vec::new());
        }
        let (batch, expired) = queue.receive(now_ms, limit.min(self.batch_size), choose);
        if !batch.is_empty() {
            self.in_flight += 1;
        }
        (batch, expired)
    }

    /// Whether one more invocation may begin.
    #[must_use]
    pub fn may_begin(&self) -> bool {
        self.enabled && self.in_flight < self.concurrency
    }

    /// An invocation has ended, well or not.
    pub fn ended(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }
}

/// Of a batch, what is deleted after an invocation that returned this. What is not comes again when
/// its visibility time-out is over.
///
/// By AWS's rules of partial batch responses: without failures all of it; with failures what is not
/// among them; nothing, if the response cannot be read or names what was not in the batch.
#[must_use]
pub fn deleted<'a>(batch: &'a [ReceivedMessage], response: &Value) -> Vec<&'a ReceivedMessage> {
    let failures = match response {
        Value::Null => &[],
        Value::Object(response) => match response.get("batchItemFailures") {
            None | Some(Value::Null) => &[],
            Some(Value::Array(failures)) => failures.as_slice(),
            Some(_) => return Vec::new(),
        },
        _ => return Vec::new(),
    };
    let id = |failure: &Value| failure.get("itemIdentifier")?.as_str().map(str::to_owned);
    let failed: Option<Vec<String>> = failures.iter().map(id).collect();
    match failed {
        Some(failed) => succeeded(batch, &failed),
        None => Vec::new(),
    }
}

/// The same for an invocation that returned the ids of these messages.
#[must_use]
pub fn succeeded<'a>(batch: &'a [ReceivedMessage], failed: &[String]) -> Vec<&'a ReceivedMessage> {
    let is_known = |id: &String| batch.iter().any(|one| one.message_id == *id);
    if !failed.iter().all(is_known) {
        return Vec::new();
    }
    let is_done = |one: &&ReceivedMessage| !failed.contains(&one.message_id);
    batch.iter().filter(is_done).collect()
}

/// A batch, as Lambda hands it over.
#[must_use]
pub fn event(queue: &str, batch: &[ReceivedMessage]) -> Value {
    let records = batch.iter().map(|message| record(queue, message));
    json!({ "Records": records.collect::<Vec<_>>() })
}

fn record(queue: &str, message: &ReceivedMessage) -> Value {
    let mut attributes = Map::new();
    let mut add = |name: &str, value: String| attributes.insert(name.to_owned(), value.into());
    add("ApproximateReceiveCount", message.receive_count.to_string());
    add("SentTimestamp", message.sent_at_ms.to_string());
    add("SenderId", "AROAEXAMPLEEXAMPLE:function".to_owned());
    add(
        "ApproximateFirstReceiveTimestamp",
        message.sent_at_ms.to_string(),
    );
    if let Some(group) = &message.group {
        add("MessageGroupId", group.clone());
        add("SequenceNumber", format!("{:020}", message.sequence_number));
    }
    json!({
        "messageId": message.message_id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": attributes,
        "messageAttributes": {},
        "md5OfBody": md5(&message.body),
        "eventSource": "aws:sqs",
        "eventSourceARN": format!("arn:aws:sqs:us-east-1:000000000000:{queue}"),
        "awsRegion": "us-east-1",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqs::MessageToSend;

    fn queue() -> QueueModel {
        let mut queue = QueueModel::fifo("q", 30_000);
        for body in ["a", "b", "c"] {
            let message = MessageToSend {
                body: body.to_owned(),
                group: Some("g".to_owned()),
                deduplication_id: None,
            };
            queue.send(message, 0).unwrap();
        }
        queue
    }

    #[test]
    fn a_response_says_what_is_deleted() {
        let (batch, _) = queue().receive(0, 10, |at| at);
        let bodies = |response: Value| -> Vec<&str> {
            let deleted = deleted(&batch, &response);
            deleted.iter().map(|one| one.body.as_str()).collect()
        };
        let failures = |ids: &[&str]| {
            let failures: Vec<Value> = ids.iter().map(|id| json!({"itemIdentifier": id})).collect();
            json!({ "batchItemFailures": failures })
        };
        for all in [
            json!(null),
            json!({}),
            failures(&[]),
            json!({"batchItemFailures": null}),
        ] {
            assert_eq!(bodies(all), ["a", "b", "c"]);
        }
        assert_eq!(bodies(failures(&["q-2"])), ["a", "c"]);
        for none in [
            failures(&["q-2", "q-9"]),
            failures(&[""]),
            json!({"batchItemFailures": [{"id": "q-1"}]}),
            json!("done"),
        ] {
            assert!(bodies(none).is_empty());
        }
    }

    #[test]
    fn one_message_group_is_one_invocation_at_a_time() {
        let mut queue = queue();
        let mut mapping = EventSourceMapping::new(2);
        let (batch, _) = mapping.poll(&mut queue, 1, 0, |at| at);
        assert_eq!((batch.len(), mapping.in_flight()), (1, 1));
        assert!(mapping.poll(&mut queue, 10, 0, |at| at).0.is_empty());
        mapping.ended();
        assert!(queue.delete(&batch[0].receipt_handle, 0));
        assert_eq!(mapping.poll(&mut queue, 10, 0, |at| at).0.len(), 2);
        let record = &event("q.fifo", &batch)["Records"][0];
        assert_eq!(record["attributes"]["MessageGroupId"], "g");
    }
}
