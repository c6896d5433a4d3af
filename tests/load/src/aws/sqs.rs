//! Queues, as SQS keeps them: visibility, order and the lock of a FIFO queue's one message group.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::{Value, json};

use super::now_ms;

/// At most so many messages in one receive.
const BATCH: usize = 10;

/// A message that was received.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its place in the queue; also its message id.
    pub number: u64,
    /// What was sent.
    pub body: String,
    /// How often it was received, this time included.
    pub receives: u32,
    /// When it was sent, in milliseconds since 1970.
    pub sent_ms: u64,
}

#[derive(Debug)]
struct Message {
    body: String,
    receives: u32,
    sent_ms: u64,
}

/// A queue.
#[derive(Debug)]
pub struct Queue {
    is_fifo: bool,
    visibility_ms: u64,
    last: u64,
    messages: BTreeMap<u64, Message>,
    ready: BTreeSet<u64>,
    hidden: BTreeMap<u64, u64>,
    seen: HashSet<String>,
}

impl Queue {
    /// An empty one; its name ends in `.fifo` if it is one.
    pub fn new(name: &str, visibility_s: u64) -> Self {
        Self {
            is_fifo: name.ends_with(".fifo"),
            visibility_ms: visibility_s * 1000,
            last: 0,
            messages: BTreeMap::new(),
            ready: BTreeSet::new(),
            hidden: BTreeMap::new(),
            seen: HashSet::new(),
        }
    }

    /// How many messages it holds, those that are out included.
    pub fn depth(&self) -> usize {
        self.messages.len()
    }

    /// How many of them are out.
    pub fn in_flight(&self) -> usize {
        self.hidden.len()
    }

    /// Puts a message in. One whose deduplication id was seen is swallowed.
    pub fn send(&mut self, body: &str, deduplication_id: Option<&str>) -> u64 {
        if let Some(id) = deduplication_id
            && !self.seen.insert(id.to_owned())
        {
            return 0;
        }
        self.last += 1;
        let message = Message {
            body: body.to_owned(),
            receives: 0,
            sent_ms: now_ms(),
        };
        self.messages.insert(self.last, message);
        self.ready.insert(self.last);
        self.last
    }

    /// Takes out up to ten messages. A FIFO queue with a message out gives nothing.
    pub fn receive(&mut self) -> Vec<Received> {
        let now = now_ms();
        let back: Vec<u64> = self
            .hidden
            .iter()
            .filter(|(_, until)| **until <= now)
            .map(|(number, _)| *number)
            .collect();
        for number in back {
            self.hidden.remove(&number);
            self.ready.insert(number);
        }
        if self.is_fifo && !self.hidden.is_empty() {
            return Vec::new();
        }
        let taken: Vec<u64> = self.ready.iter().take(BATCH).copied().collect();
        let mut received = Vec::new();
        for number in taken {
            self.ready.remove(&number);
            self.hidden.insert(number, now + self.visibility_ms);
            if let Some(message) = self.messages.get_mut(&number) {
                message.receives += 1;
                received.push(Received {
                    number,
                    body: message.body.clone(),
                    receives: message.receives,
                    sent_ms: message.sent_ms,
                });
            }
        }
        received
    }

    /// A message is done with.
    pub fn delete(&mut self, number: u64) {
        self.messages.remove(&number);
        self.hidden.remove(&number);
        self.ready.remove(&number);
    }

    fn change_visibility(&mut self, number: u64, seconds: u64) {
        if let Some(until) = self.hidden.get_mut(&number) {
            *until = now_ms() + seconds * 1000;
        }
    }
}

/// Puts in the message of a call or of an entry, and answers with its id.
fn send(queue: &mut Queue, message: &Value) -> Value {
    let text = |name: &str| message.get(name).and_then(Value::as_str);
    let body = text("MessageBody").unwrap_or_default();
    let number = queue.send(body, text("MessageDeduplicationId"));
    json!({
        "MessageId": number.to_string(),
        "MD5OfMessageBody": "00000000000000000000000000000000",
    })
}

/// One call of SQS's JSON protocol; how many entries it had.
pub fn call(queue: &mut Queue, action: &str, input: &Value) -> anyhow::Result<Value> {
    let entries = input.get("Entries").and_then(Value::as_array);
    let entries = entries.map(Vec::as_slice).unwrap_or_default();
    let text =
        |entry: &Value, name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
    if action == "SendMessage" {
        return Ok(send(queue, input));
    }
    let mut done = Vec::new();
    for entry in entries {
        let id = text(entry, "Id").unwrap_or_default();
        match action {
            "SendMessageBatch" => {
                let mut sent = send(queue, entry);
                sent["Id"] = json!(id);
                done.push(sent);
            }
            "ChangeMessageVisibilityBatch" => {
                let handle = text(entry, "ReceiptHandle").unwrap_or_default();
                let seconds = entry.get("VisibilityTimeout").and_then(Value::as_u64);
                if let Ok(number) = handle.parse() {
                    queue.change_visibility(number, seconds.unwrap_or_default());
                }
                done.push(json!({ "Id": id }));
            }
            _ => anyhow::bail!("SQS's {action} is not played here"),
        }
    }
    Ok(json!({ "Successful": done, "Failed": [] }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifo_queue_gives_nothing_while_a_batch_is_out() {
        let mut queue = Queue::new("exchange.fifo", 330);
        for n in 0..12 {
            queue.send(&n.to_string(), Some(&n.to_string()));
        }
        queue.send("again", Some("1"));
        let batch = queue.receive();
        assert_eq!(batch.len(), 10);
        assert!(queue.receive().is_empty());
        for message in batch {
            queue.delete(message.number);
        }
        assert_eq!(queue.receive().len(), 2);
    }

    #[test]
    fn a_message_that_is_not_hidden_any_more_comes_again() {
        let mut queue = Queue::new("outbox", 120);
        queue.send("a", None);
        let batch = queue.receive();
        queue.change_visibility(batch[0].number, 0);
        assert_eq!(queue.receive()[0].receives, 2);
    }
}
