//! Runs a handler on AWS Lambda, one event after the other.

use std::fmt;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use lambda_http::{Request, Response};
use lambda_runtime::{LambdaEvent, run, service_fn};

pub use lambda_runtime::Error;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::system::System;
use crate::domain::time::Timestamp;
use crate::log::{EventLog, LogEvent};
use crate::ports::Record;
use crate::wire::api_gateway::{request, response_event};
use crate::wire::json::parse_lenient;

/// Serves an HTTP API for as long as Lambda lets this process live. Every event gets a response, also
/// one that cannot be read. Log lines of `system` name the invocation.
///
/// # Errors
/// When the Lambda runtime API does not answer.
pub async fn serve_http<H>(system: &System, handler: H) -> Result<(), Error>
where
    H: AsyncFn(Request) -> Response<String>,
{
    let handler = &handler;
    run(service_fn(|event: LambdaEvent<Box<RawValue>>| async move {
        let _invocation = system.begin_invocation(&event.context.request_id);
        let request = request(event.payload.get().as_bytes());
        let response = caught(handler(request)).await?;
        Ok::<ApiGatewayV2httpResponse, Error>(response_event(response))
    }))
    .await
}

/// Processes the batches of an SQS event source mapping with partial batch responses. The handler
/// gets the records and its deadline. It returns the message ids of the records that go back to the
/// queue. Log lines of `system` name the invocation.
///
/// # Errors
/// When the Lambda runtime API does not answer.
pub async fn serve_queue<H>(system: &System, handler: H) -> Result<(), Error>
where
    H: AsyncFn(Vec<Record>, Timestamp) -> Result<Vec<String>, Error>,
{
    let handler = &handler;
    run(service_fn(|event: LambdaEvent<Box<RawValue>>| async move {
        let _invocation = system.begin_invocation(&event.context.request_id);
        let deadline =
            i64::try_from(event.context.deadline).map_or(Timestamp::MAX, Timestamp::from_millis);
        let Some(records) = records(event.payload.get()) else {
            // An error returns the whole batch to the queue. A response without items would delete it.
            system.record(LogEvent::BatchUnreadable);
            return Err(Error::from(UnreadableBatch));
        };
        let failures: Vec<Value> = caught(handler(records, deadline))
            .await??
            .into_iter()
            .map(|id| json!({ "itemIdentifier": id }))
            .collect();
        Ok::<Value, Error>(json!({ "batchItemFailures": failures }))
    }))
    .await
}

/// What a handler returns, or an error if it panics. Without this, the runtime would pass the message of the
/// panic on to Lambda, and a phone number can be in it.
async fn caught<F: Future>(handler: F) -> Result<F::Output, Panic> {
    let handler = handler.boxed_local();
    AssertUnwindSafe(handler)
        .catch_unwind()
        .await
        .map_err(|_| Panic)
}

/// The handler panicked. The log says where.
#[derive(Debug)]
struct Panic;

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the function panicked")
    }
}

impl std::error::Error for Panic {}

/// The event is no batch of SQS.
#[derive(Debug)]
struct UnreadableBatch;

impl fmt::Display for UnreadableBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the event is no batch of SQS records")
    }
}

impl std::error::Error for UnreadableBatch {}

/// The records of an SQS event. `None` if a record has no message id or no receipt handle, because the
/// response could not name it.
pub fn records(event: &str) -> Option<Vec<Record>> {
    let event = parse_lenient(event.as_bytes()).ok()?;
    let records = event.get("Records")?.as_array()?;
    records.iter().map(record).collect()
}

fn record(record: &Value) -> Option<Record> {
    let text = |name: &str| record.get(name)?.as_str().filter(|text| !text.is_empty());
    let attribute = |name: &str| record.get("attributes")?.get(name)?.as_str();
    Some(Record {
        message_id: text("messageId")?.to_owned(),
        receipt_handle: text("receiptHandle")?.to_owned(),
        body: record
            .get("body")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        receive_count: attribute("ApproximateReceiveCount")
            .and_then(|count| count.parse().ok())
            .unwrap_or(1),
        sent_at: attribute("SentTimestamp")
            .and_then(|sent| sent.parse().ok())
            .map_or(Timestamp::MAX, Timestamp::from_millis),
        group: attribute("MessageGroupId").map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_message_of_a_panic_does_not_leave_the_function() {
        let number = "+254700000001";
        let panicked = caught(async { assert!(number.is_empty(), "{number}") }).await;
        assert_eq!(panicked.unwrap_err().to_string(), "the function panicked");
        assert_eq!(caught(async { 1 }).await.unwrap(), 1);
    }

    #[test]
    fn a_batch_of_sqs_is_read_record_by_record() {
        let event = r#"{"Records":[{"messageId":"m1","receiptHandle":"r1","body":"{\"v\":1}","attributes":
            {"ApproximateReceiveCount":"3","SentTimestamp":"1700000000000","MessageGroupId":"medic"}},
            {"messageId":"m2","receiptHandle":"r2","body":"not json"}]}"#;
        let records = records(event).unwrap();
        assert_eq!(
            (records[0].receive_count, records[0].sent_at),
            (3, Timestamp::from_millis(1_700_000_000_000))
        );
        let groups = [&records[0].group, &records[1].group];
        assert_eq!(groups, [&Some("medic".to_owned()), &None]);
        assert_eq!(records[1].body, "not json");
    }

    #[test]
    fn a_batch_with_a_record_that_cannot_be_answered_for_is_unreadable() {
        for event in [
            "",
            "{}",
            "[]",
            r#"{"Records":7}"#,
            r#"{"Records":[{"messageId":"","receiptHandle":"r"}]}"#,
            r#"{"Records":[{"messageId":"m"}]}"#,
        ] {
            assert!(records(event).is_none(), "{event}");
        }
    }
}
