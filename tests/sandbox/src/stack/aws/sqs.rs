//! SQS: messages sent, received, and seen without being received.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{EmulatorClient, successful, text_at};

/// A message that was taken from a queue.
#[derive(Clone, Debug)]
pub struct QueueMessage {
    /// Its text.
    pub body: String,
    /// SQS's own attributes: `MessageGroupId`, `ApproximateReceiveCount` and so on.
    pub system_attributes: Value,
    /// Attributes that the sender gave it.
    pub attributes: Value,
}

/// A message that is in a queue.
#[derive(Clone, Debug)]
pub struct WaitingMessage {
    /// Its text.
    pub body: String,
    /// Its message group, in a FIFO queue.
    pub group: Option<String>,
    /// How often it was received.
    pub receives: u64,
    /// When it can be received, in seconds since 1970, by the queues' clock.
    pub visible_at_s: u64,
}

/// How many messages a queue holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageCounts {
    /// That could be received now.
    pub visible: u64,
    /// Messages that were received and not yet deleted, or that wait for their visibility timeout.
    pub in_flight: u64,
}

impl MessageCounts {
    /// All of them.
    #[must_use]
    pub fn total(self) -> u64 {
        self.visible.saturating_add(self.in_flight)
    }
}

impl EmulatorClient {
    /// All messages of a queue, in order, without receiving them.
    ///
    /// # Errors
    /// When the emulator refuses.
    pub async fn peek(&self, queue: &str) -> anyhow::Result<Vec<WaitingMessage>> {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("QueueUrl", queue)
            .finish();
        let queues = self.observe(&format!("?{query}")).await?;
        Ok(queues.into_values().flatten().collect())
    }

    /// All messages of all queues at one moment, by the queues' URLs, without receiving them.
    ///
    /// # Errors
    /// When the emulator refuses.
    pub async fn peek_all(&self) -> anyhow::Result<BTreeMap<String, Vec<WaitingMessage>>> {
        self.observe("").await
    }

    async fn observe(&self, query: &str) -> anyhow::Result<BTreeMap<String, Vec<WaitingMessage>>> {
        let url = format!("{}/_ministack/sqs/messages{query}", self.url);
        let answer = successful("the look", self.http.get(url).send().await?).await?;
        let answer: Value = serde_json::from_str(&answer)?;
        let mut queues = BTreeMap::new();
        gather_queues(&answer, &mut queues);
        Ok(queues)
    }

    /// Puts a message into a queue; a FIFO queue needs a `group`.
    ///
    /// # Errors
    /// When SQS refuses.
    pub async fn send(&self, queue: &str, body: &str, group: Option<&str>) -> anyhow::Result<()> {
        let mut input = json!({ "QueueUrl": queue, "MessageBody": body });
        if let (Some(group), Some(input)) = (group, input.as_object_mut()) {
            input.insert("MessageGroupId".to_owned(), group.into());
        }
        self.call("sqs", "AmazonSQS.SendMessage", &input).await?;
        Ok(())
    }

    /// Deletes all messages of a queue, including those in flight.
    ///
    /// # Errors
    /// When SQS refuses.
    pub async fn purge(&self, queue: &str) -> anyhow::Result<()> {
        let input = json!({ "QueueUrl": queue });
        self.call("sqs", "AmazonSQS.PurgeQueue", &input).await?;
        Ok(())
    }

    /// How many messages a queue holds.
    ///
    /// # Errors
    /// When SQS refuses.
    pub async fn depth(&self, queue: &str) -> anyhow::Result<MessageCounts> {
        let input = json!({ "QueueUrl": queue, "AttributeNames": ["All"] });
        let answer = self
            .call("sqs", "AmazonSQS.GetQueueAttributes", &input)
            .await?;
        let number = |name: &str| {
            let text = answer.pointer(&format!("/Attributes/{name}"));
            text.and_then(Value::as_str)
                .and_then(|text| text.parse::<u64>().ok())
                .with_context(|| format!("no {name} of the queue {queue}"))
        };
        Ok(MessageCounts {
            visible: number("ApproximateNumberOfMessages")?,
            in_flight: number("ApproximateNumberOfMessagesNotVisible")?,
        })
    }

    /// Receives and deletes all visible messages of a queue.
    ///
    /// # Errors
    /// When SQS refuses.
    pub async fn take_all(&self, queue: &str) -> anyhow::Result<Vec<QueueMessage>> {
        let receive = json!({
            "QueueUrl": queue,
            "MaxNumberOfMessages": 10,
            "VisibilityTimeout": 60,
            "AttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        });
        let mut taken = Vec::new();
        loop {
            let mut answer = self
                .call("sqs", "AmazonSQS.ReceiveMessage", &receive)
                .await?;
            let Some(Value::Array(messages)) = answer.get_mut("Messages").map(Value::take) else {
                return Ok(taken);
            };
            if messages.is_empty() {
                return Ok(taken);
            }
            for message in messages {
                let receipt = message.get("ReceiptHandle");
                let delete = json!({ "QueueUrl": queue, "ReceiptHandle": receipt });
                self.call("sqs", "AmazonSQS.DeleteMessage", &delete).await?;
                taken.push(QueueMessage {
                    body: text_at(&message, "Body"),
                    system_attributes: message.get("Attributes").cloned().unwrap_or_default(),
                    attributes: message
                        .get("MessageAttributes")
                        .cloned()
                        .unwrap_or_default(),
                });
            }
        }
    }
}

/// Collects the queues with their messages, which are lists in nested objects.
fn gather_queues(value: &Value, queues: &mut BTreeMap<String, Vec<WaitingMessage>>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        match value {
            Value::Array(messages) => {
                let messages = messages.iter().map(waiting_message).collect();
                queues.insert(name.clone(), messages);
            }
            other => gather_queues(other, queues),
        }
    }
}

fn waiting_message(message: &Value) -> WaitingMessage {
    let number = |name: &str| message.get(name).and_then(Value::as_u64);
    WaitingMessage {
        body: text_at(message, "Body"),
        group: Some(text_at(message, "MessageGroupId")).filter(|group| !group.is_empty()),
        receives: number("ReceiveCount").unwrap_or_default(),
        visible_at_s: number("VisibleAt").unwrap_or_default(),
    }
}
