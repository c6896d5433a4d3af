//! A queue of SQS.

use std::ops::ControlFlow;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::operation::send_message::SendMessageError;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, QueueAttributeName,
    SendMessageBatchRequestEntry,
};

use super::aws::describe;
use super::system::Real;
use crate::ports::{NewMessage, Queue, QueueBacklog, QueueDepth, QueueError, Record};
use crate::retry::{FAILED_ENTRIES, retry};

/// The largest number of entries in one call.
const ENTRIES_A_CALL: usize = 10;

/// All bodies of one call together: SQS takes 1 MiB, and this leaves room for the rest.
const BYTES_A_CALL: usize = 900_000;

/// The time for a batch with all its attempts: as long as any other call to AWS.
const BATCH_TIMEOUT: Duration = super::aws::OPERATION_TIMEOUT;

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

    /// Alone, so that a fault of the server is an error of the call, which the SDK repeats.
    async fn send_one(&self, message: &NewMessage) -> Result<(), QueueError> {
        let fifo = message.fifo.as_ref();
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_body(&message.body)
            .set_message_group_id(fifo.map(|fifo| fifo.group.clone()))
            .set_message_deduplication_id(fifo.map(|fifo| fifo.deduplication_id.clone()))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| QueueError {
                sender_fault: is_refused(&error),
                ..of_call(&error)
            })
    }

    async fn send_some(&self, messages: &[NewMessage]) -> Vec<Result<(), QueueError>> {
        if let [message] = messages {
            return vec![self.send_one(message).await];
        }
        in_attempts(messages, entry_to_send, async |entries| {
            let call = self.client.send_message_batch().queue_url(&self.url);
            let answer = call.set_entries(Some(entries)).send().await;
            let answer = answer.map_err(|error| of_call(&error))?;
            let done = answer.successful.into_iter().map(|entry| entry.id);
            Ok(Answer {
                done: done.collect(),
                failed: answer.failed,
            })
        })
        .await
    }

    async fn change_some_visibilities(
        &self,
        records: &[(&Record, i32)],
    ) -> Vec<Result<(), QueueError>> {
        in_attempts(records, entry_to_change, async |entries| {
            let call = self.client.change_message_visibility_batch();
            let call = call.queue_url(&self.url).set_entries(Some(entries));
            let answer = call.send().await.map_err(|error| of_call(&error))?;
            let done = answer.successful.into_iter().map(|entry| entry.id);
            Ok(Answer {
                done: done.collect(),
                failed: answer.failed,
            })
        })
        .await
    }
}

fn entry_to_send(
    id: String,
    message: &NewMessage,
) -> Result<SendMessageBatchRequestEntry, BuildError> {
    let fifo = message.fifo.as_ref();
    SendMessageBatchRequestEntry::builder()
        .id(id)
        .message_body(&message.body)
        .set_message_group_id(fifo.map(|fifo| fifo.group.clone()))
        .set_message_deduplication_id(fifo.map(|fifo| fifo.deduplication_id.clone()))
        .build()
}

fn entry_to_change(
    id: String,
    (record, seconds): &(&Record, i32),
) -> Result<ChangeMessageVisibilityBatchRequestEntry, BuildError> {
    ChangeMessageVisibilityBatchRequestEntry::builder()
        .id(id)
        .receipt_handle(&record.receipt_handle)
        .visibility_timeout(*seconds)
        .build()
}

/// What a call with several entries has brought, by the entries' ids.
struct Answer {
    done: Vec<String>,
    failed: Vec<BatchResultErrorEntry>,
}

/// Calls with an entry for each of these, and again for those that failed through a fault of SQS.
/// Returns a result for each. An entry that no response names is an error.
async fn in_attempts<T, E>(
    all: &[T],
    entry: impl Fn(String, &T) -> Result<E, BuildError>,
    call: impl AsyncFn(Vec<E>) -> Result<Answer, QueueError>,
) -> Vec<Result<(), QueueError>> {
    let mut results: Vec<Result<(), QueueError>> = all
        .iter()
        .map(|_| Err(QueueError::of_server("no answer in time")))
        .collect();
    let attempts = retry(FAILED_ENTRIES, &Real, async || {
        let open: Vec<(usize, &T)> = all
            .iter()
            .enumerate()
            .zip(&results)
            .filter(|(_, result)| is_open(result))
            .map(|(one, _)| one)
            .collect();
        let entries = open
            .iter()
            .map(|(index, one)| entry(index.to_string(), one));
        let answer = match entries.collect::<Result<Vec<E>, BuildError>>() {
            Ok(entries) => call(entries).await,
            Err(error) => Err(unsendable(error)),
        };
        for (index, _) in open {
            if let Some(result) = results.get_mut(index) {
                *result = result_of(index, &answer);
            }
        }
        // A call that failed as a whole was repeated by the SDK already.
        match answer.is_ok() && results.iter().any(is_open) {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(Ok(())),
        }
    });
    // Results from before the time-out are kept.
    let _ = tokio::time::timeout(BATCH_TIMEOUT, attempts).await;
    results
}

/// Whether a retry can succeed.
fn is_open(result: &Result<(), QueueError>) -> bool {
    result.as_ref().is_err_and(|error| !error.sender_fault)
}

fn result_of(index: usize, answer: &Result<Answer, QueueError>) -> Result<(), QueueError> {
    let answer = answer.as_ref().map_err(Clone::clone)?;
    let id = index.to_string();
    if answer.done.contains(&id) {
        return Ok(());
    }
    Err(match answer.failed.iter().find(|entry| entry.id == id) {
        Some(entry) => QueueError {
            problem: entry.code.clone(),
            sender_fault: entry.sender_fault,
        },
        None => QueueError::of_server("an answer without this entry"),
    })
}

fn of_call<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> QueueError {
    QueueError::of_server(&describe(error))
}

/// Whether SQS refused the message itself. A missing queue, a missing permission and a limit on calls are
/// not the message's fault, although SQS counts them as the sender's.
fn is_refused<R>(error: &SdkError<SendMessageError, R>) -> bool {
    let code = error.as_service_error().and_then(SendMessageError::code);
    matches!(
        code.map(|code| code.trim_start_matches("AWS.SimpleQueueService.")),
        Some(
            "InvalidMessageContents"
                | "InvalidParameterValue"
                | "InvalidParameterCombination"
                | "MissingParameter"
                | "UnsupportedOperation"
        )
    )
}

fn unsendable(_: BuildError) -> QueueError {
    QueueError {
        problem: "a request that could not be built".to_owned(),
        sender_fault: true,
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

    async fn change_visibility(&self, records: &[(&Record, i32)]) -> Vec<Result<(), QueueError>> {
        let mut hidden = Vec::with_capacity(records.len());
        for some in records.chunks(ENTRIES_A_CALL) {
            hidden.extend(self.change_some_visibilities(some).await);
        }
        hidden
    }
}

impl QueueBacklog for SqsQueue {
    async fn depth(&self) -> Result<QueueDepth, QueueError> {
        const VISIBLE: QueueAttributeName = QueueAttributeName::ApproximateNumberOfMessages;
        const IN_FLIGHT: QueueAttributeName =
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible;
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(&self.url)
            .attribute_names(VISIBLE)
            .attribute_names(IN_FLIGHT)
            .send()
            .await
            .map_err(|error| of_call(&error))?;
        let attributes = answer.attributes.unwrap_or_default();
        let number = |name| {
            let number = attributes
                .get(&name)
                .and_then(|text: &String| text.parse().ok());
            number.ok_or_else(|| QueueError::of_server("an answer without the number of messages"))
        };
        Ok(QueueDepth {
            visible: number(VISIBLE)?,
            in_flight: number(IN_FLIGHT)?,
        })
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn message(bytes: usize) -> NewMessage {
        NewMessage {
            body: "x".repeat(bytes),
            fifo: None,
        }
    }

    fn by_id(id: String, _: &&str) -> Result<String, BuildError> {
        Ok(id)
    }

    fn failed(id: &str, sender_fault: bool) -> BatchResultErrorEntry {
        BatchResultErrorEntry::builder()
            .id(id)
            .code("ItsReason")
            .sender_fault(sender_fault)
            .build()
            .unwrap()
    }

    #[test]
    fn a_call_holds_ten_entries_and_less_than_a_mebibyte() {
        assert_eq!(fitting(&vec![message(10); 25]), 10);
        assert_eq!(fitting(&vec![message(400_000); 5]), 2);
        assert_eq!(fitting(&vec![message(1_000_000); 2]), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_by_the_fault_of_sqs_is_sent_again_and_nothing_else() {
        let calls = RefCell::new(Vec::new());
        let results = in_attempts(&["a", "b", "c", "d"], by_id, async |ids| {
            calls.borrow_mut().push(ids);
            let first = calls.borrow().len() == 1;
            Ok(Answer {
                // Nothing is said of the last one.
                done: if first {
                    vec!["0".to_owned()]
                } else {
                    vec!["1".to_owned()]
                },
                failed: vec![
                    failed(if first { "1" } else { "3" }, false),
                    failed("2", true),
                ],
            })
        })
        .await;
        assert_eq!(
            *calls.borrow(),
            [vec!["0", "1", "2", "3"], vec!["1", "3"], vec!["3"]]
        );
        assert!(results[0].is_ok() && results[1].is_ok());
        let refused = results[2].clone().unwrap_err();
        assert!(refused.sender_fault && refused.problem == "ItsReason");
        assert!(!results[3].clone().unwrap_err().sender_fault);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_done_stays_done_when_the_call_fails_as_a_whole() {
        let calls = RefCell::new(0);
        let results = in_attempts(&["a", "b"], by_id, async |_| {
            *calls.borrow_mut() += 1;
            match *calls.borrow() {
                1 => Ok(Answer {
                    done: vec!["0".to_owned()],
                    failed: Vec::new(),
                }),
                _ => Err(QueueError::of_server("no connection")),
            }
        })
        .await;
        assert_eq!(*calls.borrow(), 2);
        assert!(results[0].is_ok());
        assert_eq!(results[1].clone().unwrap_err().problem, "no connection");
    }

    #[test]
    fn only_what_sqs_refuses_in_the_message_is_the_fault_of_the_sender() {
        let is_fault = |code: &str| {
            let meta = aws_smithy_types::error::ErrorMetadata::builder().code(code);
            let error = SendMessageError::generic(meta.build());
            is_refused(&SdkError::service_error(error, ()))
        };
        for code in [
            "InvalidMessageContents",
            "InvalidParameterValue",
            "MissingParameter",
            "AWS.SimpleQueueService.UnsupportedOperation",
        ] {
            assert!(is_fault(code), "{code}");
        }
        for code in [
            "AWS.SimpleQueueService.NonExistentQueue",
            "AccessDenied",
            "ExpiredToken",
            "KmsThrottled",
            "RequestThrottled",
            "ServiceUnavailable",
        ] {
            assert!(!is_fault(code), "{code}");
        }
    }
}
