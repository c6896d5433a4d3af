//! The sample events of `infra/events`, through the Lambda Runtime API: each function does with its own what it is for.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use load::aws::{INCOMING_KEY, InMemoryAws, RecordedCall};
use load::bench::events::succeeded;
use load::lambda::programs::{self, Environments};
use load::lambda::runtime::RunningFunction;
use load::serving;
use serde_json::Value;

/// What stands for the key in the events of callbacks.
const KEY_PLACEHOLDER: &str = "YOUR-INCOMING-KEY";

/// What stands for the receipt handle in the events of queues.
const HANDLE_PLACEHOLDER: &str = "YOUR-RECEIPT-HANDLE";

/// For each function, the call that its event leads to, and what is in that call.
const EXPECTED: [(&str, &str, &[&str]); 5] = [
    (
        "incoming-messages",
        "AmazonSQS.SendMessage",
        &["exchange.fifo", "My child has a fever", "+254700000001"],
    ),
    (
        "delivery-reports",
        "AmazonSQS.SendMessage",
        &[
            "/reports",
            "ATXid_00000000000000000000000000000001",
            "Success",
        ],
    ),
    (
        "report-recorder",
        "DynamoDB_20120810.PutItem",
        &["ATXid_00000000000000000000000000000001"],
    ),
    (
        "outbound-sender",
        "/version1/messaging",
        &["254700000001", "Please"],
    ),
    (
        "medic-exchange",
        "/api/sms",
        &[
            "ec9adc86-51d5-4bc8-8eb0-000000000001",
            "My child has a fever",
        ],
    ),
];

fn event(function: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/events");
    std::fs::read_to_string(folder.join(format!("{function}.json"))).unwrap()
}

/// The event of a queue with the receipt handle of a message that is in flight there. Another event is as it was.
fn received(aws: &InMemoryAws, event: &str) -> String {
    let parsed: Value = serde_json::from_str(event).unwrap();
    let text = |field: &str| parsed.pointer(&format!("/Records/0/{field}"))?.as_str();
    let Some((queue, body)) = text("eventSourceARN").zip(text("body")) else {
        return event.to_owned();
    };
    let queue = queue.rsplit(':').next().unwrap_or_default();
    let message = aws.in_flight(queue, body).unwrap();
    event.replace(HANDLE_PLACEHOLDER, &message.receipt_handle)
}

/// Gives a function an event, and returns its answer and the calls that it made.
async fn invoke(function: &str, event: String) -> (Value, Vec<RecordedCall>) {
    let programs = tokio::task::block_in_place(|| programs::build("dev")).unwrap();
    let aws = InMemoryAws::new(Duration::ZERO);
    let event = received(&aws, &event);
    let server = serving::plain(aws.routes()).await.unwrap();
    let environments = Environments::all_at(&format!("http://{}", server.address));
    let running = RunningFunction::new(function, Arc::clone(&aws.meter));
    let mut running = running.await.unwrap();
    let variables = environments.environment(function);
    let program = programs.join(function);
    let started = running.start(&program, &[], &variables);
    started.await.unwrap();
    aws.record();
    let ended = running.invoke(event).await.unwrap();
    (ended.answer.unwrap(), aws.recorded())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sample_event_is_processed_by_its_function() {
    for (function, target, words) in EXPECTED {
        let event = event(function).replace(KEY_PLACEHOLDER, INCOMING_KEY);
        let (answer, calls) = invoke(function, event).await;
        let succeeded = succeeded(&answer);
        assert!(succeeded.is_ok(), "{function}: {succeeded:?} {calls:#?}");
        let mut bodies = calls.iter().filter(|call| call.target == target);
        let is_expected = |call: &RecordedCall| words.iter().all(|word| call.body.contains(word));
        assert!(bodies.any(is_expected), "{function}: {calls:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_callbacks_are_refused_without_the_key() {
    for function in ["incoming-messages", "delivery-reports"] {
        let (answer, calls) = invoke(function, event(function)).await;
        assert_eq!(answer["statusCode"], 403, "{function}");
        assert!(calls.iter().all(|call| call.service != "sqs"), "{calls:#?}");
    }
}
