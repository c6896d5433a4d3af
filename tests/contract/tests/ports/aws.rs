//! The adapters for AWS, on the emulator: one emulator for all tests, and a table, a queue or a
//! secret for each.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_credential_types::Credentials;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bridge::adapters::aws::Aws;
use bridge::adapters::dynamodb_ledger::LedgerTable;
use bridge::adapters::secrets_manager::ManagedSecret;
use bridge::adapters::sqs_queue::SqsQueue;
use bridge::adapters::system::System;
use bridge::domain::time::Timestamp;
use bridge::ports::Record;
use sandbox::stack::{Emulator, template};
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::emulator_differences::{ALL, Difference};
use crate::ledger::LedgerBench;
use crate::queue::QueueBench;
use crate::secret::SecretBench;

/// How long rows are kept after their last change.
pub const RETENTION: Duration = Duration::from_hours(90 * 24);

/// The visibility time-out of the queues.
const VISIBILITY_S: u32 = 30;

/// The emulator. It ends with this process.
pub async fn emulator() -> &'static Emulator {
    static EMULATOR: OnceCell<Emulator> = OnceCell::const_new();
    EMULATOR.get_or_try_init(Emulator::start).await.unwrap()
}

/// AWS at this address, as the functions call it.
pub fn aws(url: &str) -> Aws {
    let credentials = Credentials::new("test", "test", None, None, "test");
    Aws::new("us-east-1".to_owned(), credentials, Some(url.to_owned())).unwrap()
}

/// What the functions have around them.
pub fn system() -> &'static System {
    Box::leak(Box::new(System::new("contract")))
}

fn unique(name: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

pub fn block_on(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

/// Makes a table like the template's, and gives its name.
pub async fn table() -> String {
    static PROPERTIES: OnceCell<Value> = OnceCell::const_new();
    let emulator = emulator().await;
    let properties = PROPERTIES
        .get_or_init(|| async {
            let template = template::transformed(&template::file()).unwrap();
            template["Resources"]["Ledger"]["Properties"].clone()
        })
        .await;
    let name = unique("ledger");
    let input = json!({
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": properties["AttributeDefinitions"],
        "KeySchema": properties["KeySchema"],
        "GlobalSecondaryIndexes": properties["GlobalSecondaryIndexes"],
    });
    let created = emulator
        .aws()
        .call("dynamodb", "DynamoDB_20120810.CreateTable", &input);
    created.await.unwrap();
    name
}

pub fn ledger_table(url: &str, table: &str) -> LedgerTable<&'static System> {
    LedgerTable::new(aws(url).dynamodb(), table.to_owned(), RETENTION, system())
}

pub struct AwsLedgerBench {
    url: String,
    table: String,
}

impl LedgerBench for AwsLedgerBench {
    type Store = LedgerTable<&'static System>;
    type Around = &'static System;

    fn store(&self) -> Self::Store {
        ledger_table(&self.url, &self.table)
    }

    fn runtime(&self) -> &'static System {
        system()
    }

    async fn wait(&self) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn on_a_ledger<F: Future<Output = ()>>(test: impl FnOnce(AwsLedgerBench) -> F) {
    block_on(async {
        let url = emulator().await.url().to_owned();
        let table = table().await;
        test(AwsLedgerBench { url, table }).await;
    });
}

pub struct AwsQueueBench {
    url: String,
    /// All queues share one clock: one test at a time.
    _turn: MutexGuard<'static, ()>,
}

/// Makes a queue, and gives its URL.
pub async fn create_queue(is_fifo: bool) -> String {
    let visibility = VISIBILITY_S.to_string();
    let input = if is_fifo {
        json!({
            "QueueName": format!("{}.fifo", unique("queue")),
            "Attributes": { "FifoQueue": "true", "VisibilityTimeout": visibility },
        })
    } else {
        json!({
            "QueueName": unique("queue"),
            "Attributes": { "VisibilityTimeout": visibility },
        })
    };
    let created = emulator()
        .await
        .aws()
        .call("sqs", "AmazonSQS.CreateQueue", &input);
    created.await.unwrap()["QueueUrl"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// Takes up to so many messages from a queue.
pub async fn receive(url: &str, limit: usize) -> Vec<Record> {
    let input = json!({
        "QueueUrl": url, "MaxNumberOfMessages": limit, "AttributeNames": ["All"],
    });
    let received = emulator()
        .await
        .aws()
        .call("sqs", "AmazonSQS.ReceiveMessage", &input);
    let answer = received.await.unwrap();
    let text = |message: &Value, pointer: &str| {
        message
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap()
            .to_owned()
    };
    let messages = answer.get("Messages").and_then(Value::as_array);
    let records = messages.into_iter().flatten().map(|message| Record {
        message_id: text(message, "/MessageId"),
        receipt_handle: text(message, "/ReceiptHandle"),
        body: text(message, "/Body"),
        receive_count: text(message, "/Attributes/ApproximateReceiveCount")
            .parse()
            .unwrap(),
        sent_at: Timestamp::from_millis(
            text(message, "/Attributes/SentTimestamp").parse().unwrap(),
        ),
        group: message
            .pointer("/Attributes/MessageGroupId")
            .and_then(Value::as_str)
            .map(str::to_owned),
    });
    records.collect()
}

impl QueueBench for AwsQueueBench {
    type Queue = SqsQueue;

    fn queue(&self) -> SqsQueue {
        let (endpoint, _) = self.url.split_once("/000000000000").unwrap();
        SqsQueue::new(aws(endpoint).sqs(), self.url.clone())
    }

    async fn receive(&self, limit: usize) -> Vec<Record> {
        receive(&self.url, limit).await
    }

    async fn delete(&self, record: &Record) {
        let input = json!({ "QueueUrl": self.url, "ReceiptHandle": record.receipt_handle });
        let deleted = emulator()
            .await
            .aws()
            .call("sqs", "AmazonSQS.DeleteMessage", &input);
        deleted.await.unwrap();
    }

    async fn pass(&self, time: Duration) {
        emulator().await.queue_clock().pass(time).unwrap();
    }

    async fn now(&self) -> Timestamp {
        Timestamp::from_millis(0) + Duration::from_secs(emulator().await.queue_clock().now_s())
    }

    fn differs(&self, difference: Difference) -> bool {
        ALL.contains(&difference)
    }
}

/// Whose turn it is to turn the queues' clock.
pub async fn queues_turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}

fn on_a_queue<F: Future<Output = ()>>(is_fifo: bool, test: impl FnOnce(AwsQueueBench) -> F) {
    block_on(async {
        let _turn = queues_turn().await;
        let url = create_queue(is_fifo).await;
        test(AwsQueueBench { url, _turn }).await;
    });
}

pub fn on_a_standard_queue<F: Future<Output = ()>>(test: impl FnOnce(AwsQueueBench) -> F) {
    on_a_queue(false, test);
}

pub fn on_a_fifo_queue<F: Future<Output = ()>>(test: impl FnOnce(AwsQueueBench) -> F) {
    on_a_queue(true, test);
}

pub struct AwsSecretBench {
    url: String,
    arn: String,
}

/// Makes a secret of text, and gives its ARN.
pub async fn create_secret(text: &str) -> String {
    create_secret_with("SecretString", text).await
}

/// Makes a secret of bytes, and gives its ARN.
pub async fn create_binary_secret(bytes: &[u8]) -> String {
    create_secret_with("SecretBinary", &STANDARD.encode(bytes)).await
}

async fn create_secret_with(kind: &str, value: &str) -> String {
    let input = json!({ "Name": unique("secret"), kind: value });
    let target = "secretsmanager.CreateSecret";
    let created = emulator()
        .await
        .aws()
        .call("secretsmanager", target, &input);
    created.await.unwrap()["ARN"].as_str().unwrap().to_owned()
}

impl SecretBench for AwsSecretBench {
    type Store = ManagedSecret;

    async fn put(&self, secret: &str) {
        let input = json!({ "SecretId": self.arn, "SecretString": secret });
        let target = "secretsmanager.PutSecretValue";
        let put = emulator()
            .await
            .aws()
            .call("secretsmanager", target, &input);
        put.await.unwrap();
    }

    fn store(&self) -> ManagedSecret {
        ManagedSecret::new(aws(&self.url).secrets_manager(), self.arn.clone())
    }
}

pub fn on_a_secret<F: Future<Output = ()>>(test: impl FnOnce(AwsSecretBench) -> F) {
    block_on(async {
        let url = emulator().await.url().to_owned();
        let arn = create_secret("at first").await;
        test(AwsSecretBench { url, arn }).await;
    });
}
