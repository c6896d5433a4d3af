//! Redrives dead-lettered messages: puts each into its work queue first, and only then deletes it from the
//! dead-letter queue. A command that dies in between leaves it in both, and the function recognises its id.

use std::collections::{BTreeMap, BTreeSet};

use bridge::adapters::sqs_queue::SqsQueue;
use bridge::ports::{Fifo, NewMessage, Queue as _};
use bridge::wire::queue_messages::MEDIC_GROUP;

use super::item::DeadLetterItem;
use super::queue::{self, A_CALL, reserve};
use super::source_queue::SourceQueue;
use super::{Chosen, not_there, out_of_sight, refused_status};
use crate::callbacks::read_keys;
use crate::failure::Failure;
use crate::stack::Stack;
use crate::terminal::{Progress, Terminal};

/// Redrives the chosen messages.
///
/// # Errors
/// When not each of them could be redriven.
pub async fn run(stack: &Stack, terminal: &Terminal, chosen: &Chosen) -> Result<(), Failure> {
    let mut done = Done::default();
    for queue in chosen.queues() {
        redrive_queue(stack, terminal, queue, chosen, &mut done).await?;
    }
    if chosen.has_statuses() {
        put_back_statuses(stack, terminal, chosen, &mut done).await?;
    }
    terminal.say(&format!("Put back: {}", done.put_back.len()));
    for (id, why) in &done.stuck {
        terminal.note(&format!(
            "{id} stays, because this version would refuse it again: {why}; \
             `cargo ops dead-letters show {id} --reveal` shows it, `cargo ops dead-letters discard {id}` throws it away"
        ));
    }
    let dealt_with = |id: &&String| done.put_back.contains(*id) || done.stuck.contains_key(*id);
    let missing: Vec<String> = chosen
        .ids
        .iter()
        .filter(|id| !dealt_with(id))
        .cloned()
        .collect();
    if !missing.is_empty() {
        return Err(not_there(&missing));
    }
    if done.stuck.is_empty() {
        Ok(())
    } else {
        let stuck = done.stuck.len();
        Err(Failure::Problem(format!("{stuck} could not be put back")))
    }
}

#[derive(Default)]
struct Done {
    put_back: Vec<String>,
    /// The messages that stay, by their id, and why.
    stuck: BTreeMap<String, String>,
    /// The key under which phone numbers are hashed, once it is needed.
    number_hash_key: Option<String>,
    /// The bodies that were redriven. A message with one of them was dead-lettered again meanwhile.
    bodies: BTreeSet<String>,
}

impl Done {
    /// Whether it is put back now: once, in this command.
    fn takes(&self, item: &DeadLetterItem, chosen: &Chosen) -> bool {
        item.retryable && chosen.has(&item.message_id) && !self.bodies.contains(&item.body)
    }
}

/// Works in rounds, because SQS gives the messages behind others of a message group only when those are
/// deleted.
async fn redrive_queue(
    stack: &Stack,
    terminal: &Terminal,
    queue: SourceQueue,
    chosen: &Chosen,
    done: &mut Done,
) -> Result<(), Failure> {
    let mut progress = Progress::begin(terminal, "put back");
    let mut kept_back: Vec<DeadLetterItem> = Vec::new();
    loop {
        let peeked = reserve(stack, queue).await?;
        let hidden = peeked.out_of_sight.saturating_sub(kept_back.len());
        let (mut going, staying): (Vec<DeadLetterItem>, Vec<DeadLetterItem>) = peeked
            .items
            .into_iter()
            .partition(|item| done.takes(item, chosen));
        let stuck = staying
            .iter()
            .filter(|item| !item.retryable && chosen.has(&item.message_id));
        done.stuck.extend(stuck.map(|item| {
            let why = item
                .refusal()
                .unwrap_or_else(|| "it names no message".to_owned());
            (item.message_id.clone(), why)
        }));
        // They stay reserved, so that the next round does not receive them again.
        kept_back.extend(staying);
        let mut ended = Ok(());
        if hidden > 0 && chosen.is_all() {
            if let Some(later) = until_the_last_of_the_group(&mut going) {
                queue::release(stack, queue, &later).await;
            } else if done.bodies.is_empty() && (queue == SourceQueue::Exchange || going.is_empty())
            {
                // A message that could not be received may be older than these. (Only in the first round:
                // later SQS may still count messages that were deleted.)
                ended = Err(out_of_sight(hidden));
            }
        }
        if ended.is_ok() {
            for some in batches(&going) {
                ended = put_back_some(stack, queue, &some, done).await;
                if ended.is_err() {
                    break;
                }
                progress.at(done.put_back.len());
            }
        }
        if ended.is_err() {
            queue::release(stack, queue, &going).await;
        }
        if ended.is_err() || going.is_empty() || !chosen.is_all() {
            queue::release(stack, queue, &kept_back).await;
            return ended;
        }
    }
}

/// SQS returns only the first ten of the messages that it moved here itself. Messages that are newer than
/// the last of those ten wait for the next round: they are taken out and returned. `None` if SQS moved none.
fn until_the_last_of_the_group(going: &mut Vec<DeadLetterItem>) -> Option<Vec<DeadLetterItem>> {
    let of_group = going.iter().filter(|item| item.by_sqs);
    let last = of_group.map(DeadLetterItem::came_at).max()?;
    let (now, later) = std::mem::take(going)
        .into_iter()
        .partition(|item| item.came_at() <= last);
    *going = now;
    Some(later)
}

/// Batches in order, with one message of each sender: an entry of a batch can fail alone, and
/// nothing of its sender may then have overtaken it. All of a batch go to one queue.
fn batches(items: &[DeadLetterItem]) -> Vec<Vec<&DeadLetterItem>> {
    let mut batches: Vec<Vec<&DeadLetterItem>> = Vec::new();
    for item in items {
        let sender = item.sender();
        let fits = batches.last().is_some_and(|batch| {
            let clashes = sender.is_some() && batch.iter().any(|other| other.sender() == sender);
            let goes_there = |other: &&DeadLetterItem| home(other) == home(item);
            batch.len() < A_CALL && !clashes && batch.first().is_none_or(goes_there)
        });
        if !fits {
            batches.push(Vec::new());
        }
        if let Some(batch) = batches.last_mut() {
            batch.push(item);
        }
    }
    batches
}

/// The queue that it goes to.
fn home(item: &DeadLetterItem) -> SourceQueue {
    item.put_back_as("").0
}

async fn put_back_some(
    stack: &Stack,
    queue: SourceQueue,
    items: &[&DeadLetterItem],
    done: &mut Done,
) -> Result<(), Failure> {
    if done.number_hash_key.is_none() && items.iter().any(|item| item.needs_key()) {
        let keys = read_keys(stack).await?;
        done.number_hash_key = Some(keys.hashes_numbers_under().to_owned());
    }
    let key = done.number_hash_key.as_deref().unwrap_or_default();
    let Some(home) = items.first().map(|item| home(item)) else {
        return Ok(());
    };
    let home_queue = SqsQueue::new(
        stack.sqs.clone(),
        stack.output(home.home_output())?.to_owned(),
    );
    let messages = items.iter().map(|item| NewMessage {
        body: item.put_back_as(key).1.into_owned(),
        fifo: (home == SourceQueue::Exchange).then(|| Fifo {
            group: MEDIC_GROUP.to_owned(),
            // The message id in the dead-letter queue is new each time that a message is dead-lettered, and
            // the same when a command that died is run again.
            deduplication_id: format!("retry-{}", item.message_id),
        }),
    });
    let sent = home_queue.send(messages.collect()).await;
    let in_queue: Vec<DeadLetterItem> = items
        .iter()
        .zip(&sent)
        .filter(|(_, sent)| sent.is_ok())
        .map(|(item, _)| (*item).clone())
        .collect();
    let gone = queue::delete(stack, queue, &in_queue).await;
    let left = in_queue.len().saturating_sub(gone.len());
    for item in &in_queue {
        done.put_back.push(item.message_id.clone());
        done.bodies.insert(item.body.clone());
    }
    if let Some(error) = sent.iter().find_map(|sent| sent.as_ref().err()) {
        return Err(Failure::aws(
            "put back what was dead-lettered",
            &error.problem,
        ));
    }
    if left > 0 {
        return Err(Failure::Problem(format!(
            "{left} are put back and still in the dead-letter queue, too; give the command again, what was \
             done twice is recognised by its id"
        )));
    }
    Ok(())
}

async fn put_back_statuses(
    stack: &Stack,
    terminal: &Terminal,
    chosen: &Chosen,
    done: &mut Done,
) -> Result<(), Failure> {
    // An id that was found in a queue is no id of Medic.
    let open = |id: &&String| !done.put_back.contains(*id) && !done.stuck.contains_key(*id);
    if !chosen.is_all() && !chosen.ids.iter().any(|id| open(&id)) {
        return Ok(());
    }
    for status in refused_status::all(stack, terminal).await? {
        let id = &status.row.id;
        if chosen.has(id.as_str()) && refused_status::report_again(stack, terminal, id).await? {
            done.put_back.push(id.as_str().to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridge::domain::time::Timestamp;

    #[test]
    fn what_is_dead_lettered_again_meanwhile_is_left_for_the_next_command() {
        let all = Chosen {
            ids: Vec::new(),
            of: None,
        };
        let first = DeadLetterItem::example("m1", "the SMS", true);
        let mut done = Done::default();
        assert!(done.takes(&first, &all));
        done.bodies.insert(first.body.clone());
        assert!(!done.takes(&DeadLetterItem::example("m2", "the SMS", true), &all));
        assert!(done.takes(&DeadLetterItem::example("m3", "another SMS", true), &all));
        assert!(!done.takes(&DeadLetterItem::example("m4", "no SMS", false), &all));
    }

    #[test]
    fn what_goes_to_one_queue_is_put_back_together() {
        let kept = |id: &str, body: &str| {
            let body = serde_json::json!({
                "v": 1, "reason": "why", "retryable": false, "dead_lettered_at_ms": 1, "body": body,
            });
            DeadLetterItem::example_of(SourceQueue::Exchange, id, body.to_string())
        };
        let report = "id=ATXid_1&status=Success";
        let items = [
            kept("m1", report),
            kept("m2", report),
            kept("m3", "id=in-1&from=a"),
            kept("m4", "id=in-2&from=b"),
            kept("m5", "id=in-3&from=b"),
        ];
        let batches = batches(&items);
        let lengths: Vec<usize> = batches.iter().map(Vec::len).collect();
        assert_eq!(lengths, [2, 2, 1]);
        assert_eq!(home(batches[0][0]), SourceQueue::Reports);
    }

    #[test]
    fn nothing_overtakes_what_sqs_does_not_show_yet() {
        let item = |at: i64, by_sqs| {
            let mut item = DeadLetterItem::example(&format!("m{at}"), "x", true);
            (item.dead_lettered_at, item.by_sqs) = (Timestamp::from_millis(at), by_sqs);
            item
        };
        let mut going = vec![item(3, false), item(5, true), item(9, false)];
        let later = until_the_last_of_the_group(&mut going).unwrap();
        let times = |items: &[DeadLetterItem]| {
            items
                .iter()
                .map(|item| item.came_at().as_millis())
                .collect::<Vec<_>>()
        };
        assert_eq!((times(&going), times(&later)), (vec![3, 5], vec![9]));
        let mut none_of_it = vec![item(3, false)];
        assert!(until_the_last_of_the_group(&mut none_of_it).is_none());
        assert_eq!(none_of_it.len(), 1);
    }
}
