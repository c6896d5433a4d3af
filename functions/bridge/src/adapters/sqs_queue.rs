//! A queue of SQS.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, SendMessageBatchRequestEntry,
};

use futures_util::FutureExt;

use super::aws::describe;
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
        let mut call = self.client.send_message_batch().queue_url(&self.url);
        for (index, message) in messages.iter().enumerate() {
            let fifo = message.fifo.as_ref();
            let entry = SendMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .message_body(&message.body)
                .set_message_group_id(fifo.map(|fifo| fifo.group.clone()))
                .set_message_deduplication_id(fifo.map(|fifo| fifo.deduplication_id.clone()))
                .build();
            match entry {
                Ok(entry) => call = call.entries(entry),
                Err(error) => return all(messages.len(), &error.to_string()),
            }
        }
        match call.send().boxed_local().await {
            Ok(answer) => {
                let successful: Vec<&str> = answer
                    .successful()
                    .iter()
                    .map(aws_sdk_sqs::types::SendMessageBatchResultEntry::id)
                    .collect();
                results(messages.len(), &successful, answer.failed())
            }
            Err(error) => all(messages.len(), &describe(&error)),
        }
    }

    async fn hide_some(&self, records: &[(&Record, i32)]) -> Vec<Result<(), QueueError>> {
        let mut call = self
            .client
            .change_message_visibility_batch()
            .queue_url(&self.url);
        for (index, (record, seconds)) in records.iter().enumerate() {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(&record.receipt_handle)
                .visibility_timeout(*seconds)
                .build();
            match entry {
                Ok(entry) => call = call.entries(entry),
                Err(error) => return all(records.len(), &error.to_string()),
            }
        }
        match call.send().boxed_local().await {
            Ok(answer) => {
                let successful: Vec<&str> = answer
                    .successful()
                    .iter()
                    .map(aws_sdk_sqs::types::ChangeMessageVisibilityBatchResultEntry::id)
                    .collect();
                results(records.len(), &successful, answer.failed())
            }
            Err(error) => all(records.len(), &describe(&error)),
        }
    }
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

fn all(count: usize, problem: &str) -> Vec<Result<(), QueueError>> {
    (0..count)
        .map(|_| Err(QueueError(problem.to_owned())))
        .collect()
}

/// One result for each entry, by its index: what the answer does not name as done is not done.
fn results(
    count: usize,
    successful: &[&str],
    failed: &[BatchResultErrorEntry],
) -> Vec<Result<(), QueueError>> {
    (0..count)
        .map(|index| {
            let id = index.to_string();
            if successful.contains(&id.as_str()) {
                return Ok(());
            }
            let code = failed
                .iter()
                .find(|entry| entry.id() == id)
                .map_or("an answer without this entry", |entry| entry.code());
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
        let results = results(2, &["1"], &[]);
        assert!(results[0].is_err());
        assert!(results[1].is_ok());
    }
}
