//! Receives the messages of a dead-letter queue, releases them and deletes them.

use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
    MessageSystemAttributeName,
};

use super::item::DeadLetterItem;
use super::source_queue::SourceQueue;
use crate::failure::Failure;
use crate::stack::Stack;

/// How many messages one command receives of a queue.
const READ_AT_MOST: usize = 5_000;

/// As many entries as SQS takes in one call.
pub(super) const A_CALL: usize = 10;

/// As many messages as SQS gives in one call.
const A_RECEIVE: i32 = 10;

/// The visibility timeout while messages are listed, in seconds. When the command dies, they are visible
/// again after it.
const PEEK_S: i32 = 60;

/// The visibility timeout while messages are redriven or discarded, in seconds.
pub(super) const WORK_S: i32 = 900;

/// The messages received from a dead-letter queue, and how many were not.
pub struct Peeked {
    /// The messages that SQS returned.
    pub items: Vec<DeadLetterItem>,
    /// How many more are there that could not be seen.
    pub out_of_sight: usize,
}

/// Receives all that it can of a dead-letter queue, and releases it at once, so that nobody has to wait for
/// it.
///
/// # Errors
/// When SQS refuses.
pub async fn peek(stack: &Stack, queue: SourceQueue) -> Result<Peeked, Failure> {
    let peeked = see(stack, queue, PEEK_S).await?;
    release(stack, queue, &peeked.items).await;
    Ok(peeked)
}

/// Receives all that it can of a dead-letter queue. Nobody else receives it until it is released or deleted,
/// or the visibility timeout ends because the command died.
///
/// # Errors
/// When SQS refuses.
pub async fn reserve(stack: &Stack, queue: SourceQueue) -> Result<Peeked, Failure> {
    see(stack, queue, WORK_S).await
}

async fn see(
    stack: &Stack,
    queue: SourceQueue,
    visibility_timeout_s: i32,
) -> Result<Peeked, Failure> {
    let mut items: Vec<DeadLetterItem> = Vec::new();
    let there = take(stack, queue, visibility_timeout_s, &mut items).await;
    if there.is_err() {
        release(stack, queue, &items).await;
    }
    items.sort_by_key(DeadLetterItem::came_at);
    Ok(Peeked {
        out_of_sight: there?.saturating_sub(items.len()),
        items,
    })
}

/// Receives messages into `items`. Returns how many the queue holds.
async fn take(
    stack: &Stack,
    queue: SourceQueue,
    visibility_timeout_s: i32,
    items: &mut Vec<DeadLetterItem>,
) -> Result<usize, Failure> {
    let url = stack.output(queue.dead_letter_output())?;
    while items.len() < READ_AT_MOST {
        let receive = stack
            .sqs
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(A_RECEIVE)
            .visibility_timeout(visibility_timeout_s)
            .wait_time_seconds(1)
            .message_system_attribute_names(MessageSystemAttributeName::All);
        let received = receive.send().await;
        let received =
            received.map_err(|error| Failure::call("look into a dead-letter queue", &error))?;
        let messages = received.messages.unwrap_or_default();
        if messages.is_empty() {
            break;
        }
        let seen = messages.into_iter();
        let text = stack.parameter("OptOutText");
        items.extend(seen.map(|message| DeadLetterItem::of(queue, message, text)));
    }
    stack.depth(url).await
}

/// Gives items of this queue back, so that others see them at once. Where that fails they come back by themselves.
pub async fn release(stack: &Stack, queue: SourceQueue, items: &[DeadLetterItem]) {
    let Ok(url) = stack.output(queue.dead_letter_output()) else {
        return;
    };
    for some in items.chunks(A_CALL) {
        let entries = some.iter().enumerate().map(|(index, item)| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(&item.receipt_handle)
                .visibility_timeout(0)
                .build()
        });
        let call = stack.sqs.change_message_visibility_batch().queue_url(url);
        if let Ok(entries) = entries.collect() {
            // If it fails, the visibility timeout does the same later.
            let _ = call.set_entries(Some(entries)).send().await;
        }
    }
}

/// Deletes items of this queue for good. Gives those that are gone.
pub async fn delete<'a>(
    stack: &Stack,
    queue: SourceQueue,
    items: &'a [DeadLetterItem],
) -> Vec<&'a DeadLetterItem> {
    let mut gone = Vec::new();
    let Ok(url) = stack.output(queue.dead_letter_output()) else {
        return gone;
    };
    for some in items.chunks(A_CALL) {
        let entries = some.iter().enumerate().map(|(index, item)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .receipt_handle(&item.receipt_handle)
                .build()
        });
        let Ok(entries) = entries.collect() else {
            continue;
        };
        let call = stack.sqs.delete_message_batch().queue_url(url);
        let Ok(deleted) = call.set_entries(Some(entries)).send().await else {
            continue;
        };
        let is_gone = |index: usize| {
            let id = index.to_string();
            deleted.successful.iter().any(|entry| entry.id == id)
        };
        let some = some.iter().enumerate();
        gone.extend(
            some.filter(|(index, _)| is_gone(*index))
                .map(|(_, item)| item),
        );
    }
    gone
}
