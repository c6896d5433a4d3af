//! SQS's JSON protocol, as far as a sender and a consumer behind an event source mapping use it.

use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use super::{BATCH, MessageToSend, QueueModel, SqsError};

/// One call: the HTTP status and the body. Nothing, if the model does not know the action.
pub fn call(
    queue: &mut QueueModel,
    action: &str,
    input: &Value,
    now_ms: i64,
) -> Option<(u16, Value)> {
    let answered = match action {
        "SendMessage" => send(queue, input, now_ms),
        "ChangeMessageVisibility" => change_visibility(queue, input, now_ms),
        "SendMessageBatch" => {
            return Some(batch(queue, input, |queue, one| send(queue, one, now_ms)));
        }
        "ChangeMessageVisibilityBatch" => {
            return Some(batch(queue, input, |queue, one| {
                change_visibility(queue, one, now_ms)
            }));
        }
        _ => return None,
    };
    Some(match answered {
        Ok(answer) => (200, answer),
        Err(error) => refusal(error.code()),
    })
}

fn refusal(code: &str) -> (u16, Value) {
    let body = json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": code});
    (400, body)
}

/// Each entry succeeds or fails by itself; an HTTP 200 says nothing of that.
fn batch(
    queue: &mut QueueModel,
    input: &Value,
    act: impl Fn(&mut QueueModel, &Value) -> Result<Value, SqsError>,
) -> (u16, Value) {
    let entries = input.get("Entries").and_then(Value::as_array);
    let entries = entries.map(Vec::as_slice).unwrap_or_default();
    if entries.is_empty() {
        return refusal("EmptyBatchRequest");
    }
    if entries.len() > BATCH {
        return refusal("TooManyEntriesInBatchRequest");
    }
    let mut successful = Vec::new();
    let mut failed = Vec::new();
    for entry in entries {
        let id = entry.get("Id").cloned().unwrap_or_default();
        match act(queue, entry) {
            Ok(mut done) => {
                if let Some(done) = done.as_object_mut() {
                    done.insert("Id".to_owned(), id);
                }
                successful.push(done);
            }
            Err(error) => failed.push(json!({
                "Id": id, "SenderFault": true, "Code": error.code(), "Message": error.code(),
            })),
        }
    }
    (200, json!({ "Successful": successful, "Failed": failed }))
}

fn text(input: &Value, name: &str) -> Option<String> {
    input.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn send(queue: &mut QueueModel, input: &Value, now_ms: i64) -> Result<Value, SqsError> {
    let body = text(input, "MessageBody").ok_or(SqsError::InvalidParameterValue)?;
    let md5 = md5(&body);
    let message = MessageToSend {
        body,
        group: text(input, "MessageGroupId"),
        deduplication_id: text(input, "MessageDeduplicationId"),
    };
    let id = queue.send(message, now_ms)?;
    let mut answer = json!({ "MessageId": id, "MD5OfMessageBody": md5 });
    if queue.is_fifo
        && let Some(answer) = answer.as_object_mut()
    {
        let number = id.rsplit('-').next().unwrap_or_default();
        answer.insert("SequenceNumber".to_owned(), format!("{number:0>20}").into());
    }
    Ok(answer)
}

fn change_visibility(
    queue: &mut QueueModel,
    input: &Value,
    now_ms: i64,
) -> Result<Value, SqsError> {
    let receipt = text(input, "ReceiptHandle").ok_or(SqsError::InvalidParameterValue)?;
    let seconds = input.get("VisibilityTimeout").and_then(Value::as_i64);
    let seconds = seconds.ok_or(SqsError::InvalidParameterValue)?;
    queue.change_visibility(&receipt, seconds, now_ms)?;
    Ok(json!({}))
}

/// The MD5 of a body, as SQS tells it.
#[must_use]
pub fn md5(body: &str) -> String {
    let digest = Md5::digest(body.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_alone_is_answered_with_its_id_and_the_md5_of_its_body() {
        let mut queue = QueueModel::fifo("exchange", 30_000);
        let input = json!({
            "QueueUrl": "https://sqs/1/exchange.fifo", "MessageBody": "This is a test message",
            "MessageGroupId": "medic", "MessageDeduplicationId": "1",
        });
        let (status, answer) = call(&mut queue, "SendMessage", &input, 0).unwrap();
        assert_eq!((status, &answer["MessageId"]), (200, &json!("exchange-1")));
        // The example of AWS's documentation.
        let md5 = "fafb00f5732ab283681e124bf8747ed1";
        assert_eq!(answer["MD5OfMessageBody"], md5);
        assert_eq!(answer["SequenceNumber"], "00000000000000000001");
        let (status, answer) = call(&mut queue, "SendMessage", &json!({}), 0).unwrap();
        assert_eq!(status, 400);
        assert_eq!(answer["__type"], "com.amazonaws.sqs#InvalidParameterValue");
    }

    #[test]
    fn entries_of_a_batch_fail_alone_under_a_200() {
        let mut queue = QueueModel::standard("outbox", 30_000);
        let input = json!({"Entries": [
            {"Id": "0", "MessageBody": "a"}, {"Id": "1", "MessageBody": "\u{1}"},
        ]});
        let (status, answer) = call(&mut queue, "SendMessageBatch", &input, 0).unwrap();
        assert_eq!(status, 200);
        assert_eq!(answer["Successful"][0]["Id"], "0");
        assert_eq!(answer["Failed"][0]["Code"], "InvalidMessageContents");
        let receipt = json!({"Id": "0", "ReceiptHandle": "no such", "VisibilityTimeout": 1});
        let input = json!({ "Entries": [receipt] });
        let hidden = call(&mut queue, "ChangeMessageVisibilityBatch", &input, 0).unwrap();
        assert_eq!(hidden.1["Failed"][0]["Code"], "ReceiptHandleIsInvalid");
        assert!(call(&mut queue, "PurgeQueue", &input, 0).is_none());
    }
}
