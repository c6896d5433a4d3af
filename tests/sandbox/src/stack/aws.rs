//! Calls to the emulator, without an SDK.
//!
//! The emulator reads from a request's signature who calls and which service is meant, and does
//! not verify it for the services that are used here. So a name in the place of a signature is
//! enough, and the tests need none of AWS's SDKs.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::http;

/// The region that everything is deployed to. The emulator has no regions of its own.
pub const REGION: &str = "us-east-1";
/// What the emulator takes as its owner's key id and secret.
pub const ACCESS_KEY: &str = "test";

/// CloudFormation's name and version.
const CLOUDFORMATION: (&str, &str) = ("cloudformation", "2010-05-15");

/// Longer than SQS's longest wait for a message.
const CALL_WITHIN: Duration = Duration::from_secs(30);

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

/// A line that a function has logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When, in milliseconds since 1970: at the end of its invocation.
    pub at_ms: u64,
    /// The log stream.
    pub stream: String,
    /// The line.
    pub text: String,
}

/// How many messages a queue holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageCounts {
    /// That could be received now.
    pub visible: u64,
    /// That somebody has received and not yet deleted, or that wait for their visibility time-out.
    pub in_flight: u64,
}

impl MessageCounts {
    /// All of them.
    #[must_use]
    pub fn total(self) -> u64 {
        self.visible.saturating_add(self.in_flight)
    }
}

/// A client of one emulator, as the owner of its account.
#[derive(Clone, Debug)]
pub struct EmulatorClient {
    url: String,
    http: reqwest::Client,
}

impl EmulatorClient {
    /// A client of the emulator at `url`.
    ///
    /// # Errors
    /// When there can be no HTTP client.
    pub fn new(url: String) -> anyhow::Result<Self> {
        let http = http::client(CALL_WITHIN)?;
        Ok(Self { url, http })
    }

    /// Where the emulator is reached.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether it answers.
    pub async fn is_healthy(&self) -> bool {
        let answer = self.http.get(format!("{}/_ministack/health", self.url));
        answer
            .send()
            .await
            .is_ok_and(|answer| answer.status().is_success())
    }

    /// Calls one operation of a service that speaks JSON: `target` as in the header
    /// `X-Amz-Target`.
    ///
    /// # Errors
    /// With the service's answer, when it refuses.
    pub async fn call(&self, service: &str, target: &str, input: &Value) -> anyhow::Result<Value> {
        let answer = self
            .signed(self.http.post(&self.url), service)
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", target)
            .body(input.to_string())
            .send()
            .await?;
        let text = successful(target, answer).await?;
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).with_context(|| format!("{target} did not answer with JSON"))
    }

    /// Makes a bucket.
    ///
    /// # Errors
    /// When S3 refuses.
    pub async fn create_bucket(&self, name: &str) -> anyhow::Result<()> {
        let request = self.http.put(format!("{}/{name}", self.url));
        successful("CreateBucket", request.send().await?).await?;
        Ok(())
    }

    /// Calls one operation of a service that takes a form and answers with XML: IAM and
    /// CloudFormation.
    ///
    /// # Errors
    /// With the service's answer, when it refuses.
    pub async fn query(
        &self,
        service: &str,
        version: &str,
        action: &str,
        parameters: &[(&str, &str)],
    ) -> anyhow::Result<String> {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("Action", action)
            .append_pair("Version", version)
            .extend_pairs(parameters)
            .finish();
        let answer = self
            .signed(self.http.post(&self.url), service)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await?;
        successful(action, answer).await
    }

    /// A stack's outputs, names and values.
    ///
    /// # Errors
    /// When there is no such stack.
    pub async fn stack_outputs(&self, name: &str) -> anyhow::Result<Vec<(String, String)>> {
        let parameters = [("StackName", name)];
        let answer = self
            .query(
                CLOUDFORMATION.0,
                CLOUDFORMATION.1,
                "DescribeStacks",
                &parameters,
            )
            .await?;
        Ok(outputs(&answer))
    }

    /// What a resource of a stack is called outside of its template.
    ///
    /// # Errors
    /// When there is no such stack or resource.
    pub async fn stack_resource(&self, stack: &str, resource: &str) -> anyhow::Result<String> {
        let parameters = [("StackName", stack), ("LogicalResourceId", resource)];
        let action = "DescribeStackResource";
        let answer = self
            .query(CLOUDFORMATION.0, CLOUDFORMATION.1, action, &parameters)
            .await?;
        between(&answer, "PhysicalResourceId")
            .with_context(|| format!("the stack has no resource {resource}"))
    }

    /// Deletes a stack; what the template retains stays. Comes back before it is done.
    ///
    /// # Errors
    /// When the emulator refuses.
    pub async fn delete_stack(&self, stack: &str) -> anyhow::Result<()> {
        let parameters = [("StackName", stack)];
        self.query(
            CLOUDFORMATION.0,
            CLOUDFORMATION.1,
            "DeleteStack",
            &parameters,
        )
        .await?;
        Ok(())
    }

    /// All messages of a queue, in order, without receiving them.
    ///
    /// # Errors
    /// When the emulator does not tell.
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
    /// When the emulator does not tell.
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

    /// Empties a queue of everything, also of what somebody has received.
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

    /// Takes all visible messages out of a queue, for good.
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

    /// Reads a secret that holds JSON.
    ///
    /// # Errors
    /// When there is none, or it is not JSON.
    pub async fn secret(&self, arn: &str) -> anyhow::Result<Value> {
        let input = json!({ "SecretId": arn });
        let target = "secretsmanager.GetSecretValue";
        let answer = self.call("secretsmanager", target, &input).await?;
        // Not in the error: the text is a secret.
        serde_json::from_str(&text_at(&answer, "SecretString"))
            .map_err(|_| anyhow::anyhow!("the secret {arn} does not hold JSON"))
    }

    /// Writes a new version of a secret.
    ///
    /// # Errors
    /// When there is no such secret.
    pub async fn put_secret(&self, arn: &str, value: &Value) -> anyhow::Result<()> {
        let input = json!({ "SecretId": arn, "SecretString": value.to_string() });
        let target = "secretsmanager.PutSecretValue";
        self.call("secretsmanager", target, &input).await?;
        Ok(())
    }

    /// All rows of a table, as plain JSON.
    ///
    /// # Errors
    /// When DynamoDB refuses.
    pub async fn rows(&self, table: &str) -> anyhow::Result<Vec<Value>> {
        let mut rows = Vec::new();
        let mut input = json!({ "TableName": table, "ConsistentRead": true });
        loop {
            let mut answer = self
                .call("dynamodb", "DynamoDB_20120810.Scan", &input)
                .await?;
            if let Some(Value::Array(items)) = answer.get_mut("Items").map(Value::take) {
                rows.extend(items.into_iter().map(plain_row));
            }
            let Some(next) = answer.get_mut("LastEvaluatedKey").map(Value::take) else {
                return Ok(rows);
            };
            if let Some(input) = input.as_object_mut() {
                input.insert("ExclusiveStartKey".to_owned(), next);
            }
        }
    }

    /// All lines of a log group, oldest first.
    ///
    /// # Errors
    /// When there is no such group.
    pub async fn log_lines(&self, group: &str) -> anyhow::Result<Vec<String>> {
        let mut lines = Vec::new();
        let mut input = json!({ "logGroupName": group });
        loop {
            let answer = self
                .call("logs", "Logs_20140328.FilterLogEvents", &input)
                .await?;
            if let Some(events) = answer.get("events").and_then(Value::as_array) {
                lines.extend(events.iter().map(|event| text_at(event, "message")));
            }
            let Some(next) = answer.get("nextToken").filter(|next| next.is_string()) else {
                return Ok(lines);
            };
            if let Some(input) = input.as_object_mut() {
                input.insert("nextToken".to_owned(), next.clone());
            }
        }
    }

    /// The lines of a log group from a moment on, oldest first: ten thousand at most. None before
    /// the group's first line.
    ///
    /// # Errors
    /// When the emulator does not tell.
    pub async fn log_lines_since(
        &self,
        group: &str,
        since_ms: u64,
    ) -> anyhow::Result<Vec<LogLine>> {
        let input = json!({ "logGroupName": group, "startTime": since_ms });
        let answer = match self
            .call("logs", "Logs_20140328.FilterLogEvents", &input)
            .await
        {
            Err(error) if error.to_string().contains("ResourceNotFoundException") => {
                return Ok(Vec::new());
            }
            answer => answer?,
        };
        let events = answer.get("events").and_then(Value::as_array);
        Ok(events
            .into_iter()
            .flatten()
            .map(|event| LogLine {
                at_ms: event
                    .get("timestamp")
                    .and_then(Value::as_u64)
                    .unwrap_or_default(),
                stream: text_at(event, "logStreamName"),
                text: text_at(event, "message"),
            })
            .collect())
    }

    fn signed(&self, request: reqwest::RequestBuilder, service: &str) -> reqwest::RequestBuilder {
        let signature = format!(
            "AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20260101/{REGION}/{service}/aws4_request, \
             SignedHeaders=host, Signature=none"
        );
        request.header("authorization", signature)
    }
}

async fn successful(what: &str, answer: reqwest::Response) -> anyhow::Result<String> {
    let status = answer.status();
    let text = answer.text().await?;
    ensure!(
        status.is_success(),
        "{what} was answered with {status}: {text}"
    );
    Ok(text)
}

/// The queues with their messages, which are lists in objects in objects.
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

fn text_at(value: &Value, name: &str) -> String {
    let text = value.get(name).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// The outputs in the XML that answers `DescribeStacks`.
fn outputs(xml: &str) -> Vec<(String, String)> {
    xml.split("<OutputKey>")
        .skip(1)
        .filter_map(|output| {
            let (key, _) = output.split_once("</OutputKey>")?;
            Some((unescaped(key), between(output, "OutputValue")?))
        })
        .collect()
}

fn between(text: &str, tag: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{tag}>"))?;
    let (inner, _) = rest.split_once(&format!("</{tag}>"))?;
    Some(unescaped(inner))
}

fn unescaped(xml: &str) -> String {
    xml.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

/// DynamoDB's `{"S":"a"}`, `{"N":"1"}` and so on as plain JSON.
fn plain_row(row: Value) -> Value {
    match row {
        Value::Object(attributes) => attributes
            .into_iter()
            .map(|(name, value)| (name, plain(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other,
    }
}

fn plain(attribute: Value) -> Value {
    let Value::Object(attribute) = attribute else {
        return attribute;
    };
    let Some((kind, value)) = attribute.into_iter().next() else {
        return Value::Null;
    };
    match (kind.as_str(), value) {
        ("N", Value::String(digits)) => serde_json::from_str(&digits).unwrap_or(digits.into()),
        ("M", map) => plain_row(map),
        ("L", Value::Array(list)) => list.into_iter().map(plain).collect(),
        ("NULL", _) => Value::Null,
        (_, value) => value,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn outputs_are_read_from_xml() {
        let xml = "<Outputs><member><OutputKey>Url</OutputKey><OutputValue>http://a/?b&amp;c=\
                   </OutputValue><Description>x</Description></member><member>\
                   <OutputKey>Table</OutputKey><OutputValue>t-1</OutputValue></member></Outputs>";
        let expected = [("Url", "http://a/?b&c="), ("Table", "t-1")];
        assert_eq!(
            outputs(xml),
            expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn a_row_becomes_plain_json() {
        let row = json!({
            "pk": { "S": "message#1" }, "tries": { "N": "3" }, "reported": { "BOOL": true },
            "cost": { "M": { "amount": { "N": "0.8000" }, "none": { "NULL": true } } },
            "ids": { "L": [{ "S": "a" }, { "N": "1" }] },
        });
        let expected = json!({
            "pk": "message#1", "tries": 3, "reported": true,
            "cost": { "amount": 0.8, "none": null }, "ids": ["a", 1],
        });
        assert_eq!(plain_row(row), expected);
    }
}
