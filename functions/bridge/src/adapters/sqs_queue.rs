//! A queue of SQS.

use serde::{Deserialize, Serialize};

use super::aws::{Client, or_default};
use crate::ports::{NewMessage, Queue, QueueError, Record};

/// So many entries in one call.
const ENTRIES_A_CALL: usize = 10;

/// All bodies of one call together: SQS takes 1 MiB, and this leaves room for the rest.
const BYTES_A_CALL: usize = 900_000;

/// A queue, by its address.
#[derive(Clone, Debug)]
pub struct SqsQueue {
    client: Client,
    url: String,
}

impl SqsQueue {
    /// The queue at this address.
    pub fn new(client: Client, url: String) -> Self {
        Self { client, url }
    }

    async fn send_some(&self, messages: &[NewMessage]) -> Vec<Result<(), QueueError>> {
        let entries = messages.iter().enumerate().map(|(index, message)| {
            let fifo = message.fifo.as_ref();
            NewEntry {
                id: index.to_string(),
                message_body: &message.body,
                message_group_id: fifo.map(|fifo| fifo.group.as_str()),
                message_deduplication_id: fifo.map(|fifo| fifo.deduplication_id.as_str()),
            }
        });
        self.call("SendMessageBatch", entries.collect()).await
    }

    async fn hide_some(&self, records: &[(&Record, i32)]) -> Vec<Result<(), QueueError>> {
        let entries = records.iter().enumerate();
        let entries = entries.map(|(index, (record, seconds))| VisibilityEntry {
            id: index.to_string(),
            receipt_handle: &record.receipt_handle,
            visibility_timeout: *seconds,
        });
        self.call("ChangeMessageVisibilityBatch", entries.collect())
            .await
    }

    /// Calls an operation with entries, whose ids are their indexes. Gives what became of each.
    async fn call<E: Serialize>(
        &self,
        operation: &str,
        entries: Vec<E>,
    ) -> Vec<Result<(), QueueError>> {
        let count = entries.len();
        let input = Batch {
            queue_url: &self.url,
            entries,
        };
        match self.client.call(operation, &input).await {
            Ok(answer) => results(count, &answer),
            Err(error) => {
                let problem = error.to_string();
                (0..count)
                    .map(|_| Err(QueueError(problem.clone())))
                    .collect()
            }
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Batch<'a, E> {
    queue_url: &'a str,
    entries: Vec<E>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct NewEntry<'a> {
    id: String,
    message_body: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_group_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_deduplication_id: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct VisibilityEntry<'a> {
    id: String,
    receipt_handle: &'a str,
    visibility_timeout: i32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchAnswer {
    #[serde(default, deserialize_with = "or_default")]
    successful: Vec<Done>,
    #[serde(default, deserialize_with = "or_default")]
    failed: Vec<Failed>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Done {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failed {
    id: String,
    code: String,
}

impl Queue for SqsQueue {
    async fn send(&self, messages: Vec<NewMessage>) -> Vec<Result<(), QueueError>> {
        let mut sent = Vec::with_capacity(messages.len());
        let mut rest = messages.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(fitting(rest));
            sent.extend(self.send_some(now).await);
            rest = later;
        }
        sent
    }

    async fn hide(&self, records: &[(&Record, i32)]) -> Vec<Result<(), QueueError>> {
        let mut hidden = Vec::with_capacity(records.len());
        for some in records.chunks(ENTRIES_A_CALL) {
            hidden.extend(self.hide_some(some).await);
        }
        hidden
    }
}

/// How many of the messages, from the first one on, fit into a call; at least one.
fn fitting(messages: &[NewMessage]) -> usize {
    let mut bytes = 0;
    let fitting = messages
        .iter()
        .take(ENTRIES_A_CALL)
        .take_while(|message| {
            bytes += message.body.len();
            bytes <= BYTES_A_CALL
        })
        .count();
    fitting.max(1)
}

/// One result for each entry, by its index: what the answer does not name as done is not done.
fn results(count: usize, answer: &BatchAnswer) -> Vec<Result<(), QueueError>> {
    (0..count)
        .map(|index| {
            let id = index.to_string();
            if answer.successful.iter().any(|entry| entry.id == id) {
                return Ok(());
            }
            let failed = answer.failed.iter().find(|entry| entry.id == id);
            let code = failed.map_or("an answer without this entry", |entry| &entry.code);
            Err(QueueError(code.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> NewMessage {
        NewMessage {
            body: "x".repeat(bytes),
            fifo: None,
        }
    }

    #[test]
    fn a_call_holds_ten_entries_and_less_than_a_mebibyte() {
        assert_eq!(fitting(&vec![message(10); 25]), 10);
        assert_eq!(fitting(&vec![message(400_000); 5]), 2);
        assert_eq!(fitting(&vec![message(1_000_000); 2]), 1);
    }

    #[test]
    fn an_entry_that_the_answer_does_not_name_is_not_done() {
        let answer =
            r#"{"Successful":[{"Id":"1","MessageId":"m","MD5OfMessageBody":"x"}],"Failed":null}"#;
        let results = results(2, &serde_json::from_str(answer).unwrap());
        assert!(results[0].is_err());
        assert!(results[1].is_ok());
    }
}
