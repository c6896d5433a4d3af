//! AWS as the functions call it: SQS, DynamoDB and Secrets Manager in memory, fast enough not to be
//! what is measured, and counting what AWS would charge for.
//!
//! SQS and DynamoDB are the models that the simulation drives as well, here behind their JSON
//! protocols; the contract suites and the emulator are what proves that the adapters are right.

pub mod dynamodb;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use models::lambda::EventSourceMapping;
use models::sqs::{self, MessageToSend, QueueModel, ReceivedMessage};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::meter::{AwsCharge, Meter};
use dynamodb::InMemoryLedger;

/// Who replays what another has called: its answers are those that the other got.
const REPLAYER: &str = "floor";

/// The key at the end of the callback URLs.
pub const INCOMING_KEY: &str = "a-key-for-measuring-only";

/// The user name, the password and the key for what is outside.
pub const CREDENTIALS: [&str; 3] = [
    "gateway",
    "a-password-for-the-sandbox-only",
    "a-key-for-the-sandbox-only",
];

/// The message group of what is put into a FIFO queue here.
pub const GROUP: &str = "medic";

/// A call, as it was made.
#[derive(Clone, Debug)]
pub struct RecordedCall {
    /// `sqs`, `dynamodb` or `secretsmanager`; nothing when it went outside AWS.
    pub service: String,
    /// `x-amz-target`; outside AWS the path.
    pub target: String,
    /// The body.
    pub body: String,
    /// The content type.
    pub content_type: String,
}

/// AWS in memory, as far as the bridge uses it.
#[derive(Debug)]
pub struct InMemoryAws {
    /// The usage that is charged.
    pub meter: Arc<Meter>,
    /// How long a call takes.
    pub latency: Duration,
    /// Somebody put something into a queue, or deleted something.
    pub changed: Notify,
    queues: Mutex<HashMap<String, QueueModel>>,
    table: Mutex<InMemoryLedger>,
    calls: Mutex<Option<Vec<RecordedCall>>>,
    answers: Mutex<HashMap<String, (u16, String)>>,
    sends: Mutex<u64>,
}

/// The queues of the template and their visibility time-outs, in seconds.
const QUEUES: [(&str, i64); 6] = [
    ("exchange.fifo", 330),
    ("exchange-dead-letter.fifo", 30),
    ("outbox", 120),
    ("outbox-dead-letter", 30),
    ("reports", 60),
    ("reports-dead-letter", 30),
];

impl InMemoryAws {
    /// An empty account, whose calls take this long.
    pub fn new(latency: Duration) -> Arc<Self> {
        let queues = QUEUES
            .iter()
            .map(|(name, visibility_s)| ((*name).to_owned(), new_queue(name, *visibility_s)));
        Arc::new(Self {
            meter: Arc::default(),
            latency,
            changed: Notify::new(),
            queues: Mutex::new(queues.collect()),
            table: Mutex::default(),
            calls: Mutex::default(),
            answers: Mutex::default(),
            sends: Mutex::default(),
        })
    }

    /// The routes of AWS, and of an Africa's Talking and a Medic that answer at once.
    pub fn routes(self: &Arc<Self>) -> Router {
        Router::new().fallback(serve).with_state(Arc::clone(self))
    }

    /// Puts a message into a queue.
    ///
    /// # Errors
    /// When there is no such queue, or SQS would refuse the message.
    pub fn send(&self, queue: &str, body: &str) -> anyhow::Result<()> {
        let message = MessageToSend {
            body: body.to_owned(),
            group: is_fifo(queue).then(|| GROUP.to_owned()),
            deduplication_id: None,
        };
        let mut queues = locked(&self.queues);
        let queue = queues.get_mut(queue).context("no such queue")?;
        let sent = queue.send(message, model_now_ms());
        sent.map_err(|error| anyhow::anyhow!("SQS refuses it: {error}"))?;
        self.changed.notify_waiters();
        Ok(())
    }

    /// A message in flight, alone in its queue: what an invocation is given that nobody else woke.
    ///
    /// # Errors
    /// When there is no such queue, or SQS would refuse the message.
    pub fn in_flight(&self, queue: &str, body: &str) -> anyhow::Result<ReceivedMessage> {
        if let Some(queue) = locked(&self.queues).get_mut(queue) {
            queue.take_all();
        }
        self.send(queue, body)?;
        let mut queues = locked(&self.queues);
        let queue = queues.get_mut(queue).context("no such queue")?;
        let (mut batch, _) = queue.receive(model_now_ms(), 1, |at| at);
        batch.pop().context("the queue hands out nothing")
    }

    /// Takes a batch out of a queue for an invocation, if one may begin.
    pub fn poll(&self, mapping: &Mutex<EventSourceMapping>, queue: &str) -> Vec<ReceivedMessage> {
        let mut queues = locked(&self.queues);
        let Some(queue) = queues.get_mut(queue) else {
            return Vec::new();
        };
        let oldest_first = |at| at;
        let (batch, _) = locked(mapping).poll(queue, sqs::BATCH, model_now_ms(), oldest_first);
        batch
    }

    /// These messages are done with.
    pub fn delete(&self, queue: &str, messages: &[&ReceivedMessage]) {
        if let Some(queue) = locked(&self.queues).get_mut(queue) {
            for message in messages {
                queue.delete(&message.receipt_handle, model_now_ms());
            }
        }
        self.changed.notify_waiters();
    }

    /// How many messages a queue holds, and how many of them are out.
    pub fn depth(&self, queue: &str) -> (usize, usize) {
        let queues = locked(&self.queues);
        queues
            .get(queue)
            .map(|queue| (queue.messages().count(), queue.in_flight(model_now_ms())))
            .unwrap_or_default()
    }

    /// How many rows of the ledger have a key that begins so.
    pub fn rows(&self, prefix: &str) -> usize {
        locked(&self.table).count(prefix)
    }

    /// What is charged for keeping the ledger's rows until they expire: bytes times months.
    pub fn ledger_byte_months(&self) -> f64 {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
        locked(&self.table).byte_months(since_1970.unwrap_or_default().as_secs_f64())
    }

    /// From now on calls are written down.
    pub fn record(&self) {
        *locked(&self.calls) = Some(Vec::new());
    }

    /// The calls since [`Self::record`].
    pub fn recorded(&self) -> Vec<RecordedCall> {
        locked(&self.calls).clone().unwrap_or_default()
    }

    fn answer(&self, target: &str, caller: &str, body: &[u8]) -> anyhow::Result<(u16, Value)> {
        let input: Value = serde_json::from_slice(body)?;
        let (service, action) = target.split_once('.').context("no action")?;
        let what = format!("{caller}: {action}");
        match service {
            "secretsmanager" => {
                self.meter.add(AwsCharge::SecretCall, &what, 1.0);
                Ok((200, secret(&input)))
            }
            "AmazonSQS" => {
                let url = input.get("QueueUrl").and_then(Value::as_str);
                let name = url
                    .and_then(|url| url.rsplit('/').next())
                    .unwrap_or_default();
                let charge = if is_fifo(name) {
                    AwsCharge::FifoQueueRequest
                } else {
                    AwsCharge::StandardQueueRequest
                };
                self.meter.add(charge, &format!("{what} {name}"), 1.0);
                let mut queues = locked(&self.queues);
                let queue = queues
                    .get_mut(name)
                    .with_context(|| format!("no queue {name}"))?;
                let answer = sqs::call(queue, action, &input, model_now_ms());
                drop(queues);
                self.changed.notify_waiters();
                answer.with_context(|| format!("SQS's {action} is not played here"))
            }
            _ => {
                let (answer, units) = locked(&self.table).call(action, &input)?;
                let amount = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
                self.meter
                    .add(AwsCharge::WriteUnit, &what, amount(units.writes));
                self.meter.add(
                    AwsCharge::WriteUnit,
                    &format!("{what}, index"),
                    amount(units.index_writes),
                );
                self.meter.add(AwsCharge::ReadUnit, &what, units.reads);
                Ok(answer)
            }
        }
    }

    /// The peers outside AWS, when nothing else plays them: a Medic that wants nothing sent, and an
    /// Africa's Talking that accepts everything.
    fn outside(&self, path: &str) -> (u16, Value) {
        if path.ends_with("/api/sms") {
            return (200, json!({ "messages": [] }));
        }
        let mut sends = locked(&self.sends);
        *sends += 1;
        let recipient = json!({
            "statusCode": 101, "number": "+254700000001", "status": "Success",
            "cost": "KES 0.8000", "messageId": format!("ATXid_{:032x}", *sends),
        });
        let message = "Sent to 1/1 Total Cost: KES 0.8000";
        (
            201,
            json!({ "SMSMessageData": { "Message": message, "Recipients": [recipient] } }),
        )
    }
}

fn new_queue(name: &str, visibility_s: i64) -> QueueModel {
    let id = name.trim_end_matches(".fifo");
    match is_fifo(name) {
        true => QueueModel::fifo(id, visibility_s * 1000),
        false => QueueModel::standard(id, visibility_s * 1000),
    }
}

/// The time as the models take it.
fn model_now_ms() -> i64 {
    now_ms().cast_signed()
}

/// Whether a queue of this name is FIFO.
pub fn is_fifo(name: &str) -> bool {
    name.rsplit('.').next() == Some("fifo")
}

/// The time, in milliseconds since 1970.
pub fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn secret(input: &Value) -> Value {
    let arn = input
        .get("SecretId")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let [username, password, api_key] = CREDENTIALS;
    let text = if arn.contains("incoming-key") {
        json!({ "key": INCOMING_KEY })
    } else {
        json!({ "medic_username": username, "medic_password": password, "africastalking_api_key": api_key })
    };
    json!({
        "ARN": arn, "Name": arn, "VersionId": "00000000-0000-0000-0000-000000000001",
        "SecretString": text.to_string(), "VersionStages": ["AWSCURRENT"], "CreatedDate": 1_700_000_000,
    })
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// Each function has its own name as its access key, so that a call tells who made it.
fn caller(headers: &HeaderMap) -> &str {
    let credential = header(headers, "authorization").split("Credential=").nth(1);
    credential
        .and_then(|rest| rest.split('/').next())
        .unwrap_or_default()
}

async fn serve(
    State(aws): State<Arc<InMemoryAws>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !aws.latency.is_zero() {
        tokio::time::sleep(aws.latency).await;
    }
    let amz_target = header(&headers, "x-amz-target");
    let is_aws = !amz_target.is_empty();
    let target = if is_aws { amz_target } else { uri.path() };
    if caller(&headers) == REPLAYER || header(&headers, "user-agent") == REPLAYER {
        let answer = locked(&aws.answers).get(target).cloned();
        let (status, answer) = answer.unwrap_or((404, String::new()));
        return reply(status, answer);
    }
    let answer = if is_aws {
        aws.answer(target, caller(&headers), &body)
    } else {
        Ok(aws.outside(uri.path()))
    };
    let (status, answer) = answer.unwrap_or_else(|error| {
        (
            400,
            json!({ "__type": "NotPlayedHere", "message": error.to_string() }),
        )
    });
    let answer = answer.to_string();
    if let Some(calls) = &mut *locked(&aws.calls) {
        let service = match target.split_once('.') {
            Some(("AmazonSQS", _)) => "sqs",
            Some(("secretsmanager", _)) => "secretsmanager",
            _ if is_aws => "dynamodb",
            _ => "",
        };
        calls.push(RecordedCall {
            service: service.to_owned(),
            target: target.to_owned(),
            body: String::from_utf8_lossy(&body).into_owned(),
            content_type: header(&headers, "content-type").to_owned(),
        });
        locked(&aws.answers).insert(target.to_owned(), (status, answer.clone()));
    }
    reply(status, answer)
}

fn reply(status: u16, body: String) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (
        status,
        [("content-type", "application/x-amz-json-1.0")],
        body,
    )
        .into_response()
}
