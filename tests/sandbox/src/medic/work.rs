//! The work of a POST: store messages, then apply updates, then offer what is to be sent.
//!
//! Medic checks for duplicates first and writes later, one message after another, and goes on when
//! the caller has hung up (observed on CHT 5.2.0).

use std::collections::HashSet;
use std::time::Duration;

use super::State;
use super::body::{Incoming, Posted, ServerError, Update};
use super::faults::Fault;
use super::store::Offered;
use crate::ids;

/// How long [`Fault::Slow`] makes each new message take.
const SLOW_WORK_PER_MESSAGE: Duration = Duration::from_secs(2);

/// Does the work of one POST. What was done before an error stays done.
pub(super) async fn exchange(
    state: &State,
    post: usize,
    posted: Posted,
) -> Result<Vec<Offered>, ServerError> {
    let writes = !posted.messages.is_empty() || posted.updates != Ok(Vec::new());
    let is_full = |fault| fault == Fault::FullDisk;
    if writes
        && state
            .faults
            .meet(is_full, |text| posted.concerns(text))
            .is_some()
    {
        return Err(ServerError);
    }
    let names: Vec<String> = posted.names().map(str::to_owned).collect();
    store(state, post, posted.messages, &names).await?;
    apply(state, &posted.updates?)?;
    Ok(offer(state, post, &names).await)
}

async fn store(
    state: &State,
    post: usize,
    messages: Vec<Incoming>,
    names: &[String],
) -> Result<(), ServerError> {
    let new: Vec<Incoming> = state.book.read(|book| {
        messages
            .into_iter()
            .filter(|message| !book.store.knows(&message.id))
            .collect()
    });
    state.pause(Fault::PauseBeforeWriting, post, names).await;
    let mut failed = false;
    for message in new {
        let slow = |fault| fault == Fault::Slow;
        let is_slow = state.faults.meet(slow, |text| {
            message.names().iter().any(|name| name.contains(text))
        });
        let takes = is_slow.map_or(state.config.work_per_message, |_| SLOW_WORK_PER_MESSAGE);
        if takes.is_zero() {
            // Another POST may come in between here, as it may at Medic.
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(takes).await;
        }
        let poison = |fault| fault == Fault::PoisonMessage;
        let poisoned = state
            .faults
            .meet(poison, |text| message.content.contains(text))
            .is_some();
        if poisoned || message.cannot_be_written() {
            failed = true;
            continue;
        }
        let reply_id = ids::uuid().map_err(|_| ServerError)?;
        state.book.change(|book| {
            let stored = book.store.write(message, post);
            if let Some(reply) = book
                .auto_reply
                .as_ref()
                .and_then(|reply| (reply.0)(&stored))
            {
                book.store.queue(reply_id, stored.from, reply, None);
            }
        });
    }
    if failed { Err(ServerError) } else { Ok(()) }
}

fn apply(state: &State, updates: &[Update]) -> Result<(), ServerError> {
    let poison = |fault| fault == Fault::PoisonUpdate;
    let poisoned: HashSet<&str> = updates
        .iter()
        .filter(|update| state.faults.meet(poison, |id| update.id == id).is_some())
        .map(|update| update.id.as_str())
        .collect();
    state.book.change(|book| {
        for update in updates
            .iter()
            .filter(|update| !poisoned.contains(update.id.as_str()))
        {
            book.store.apply(update);
        }
    });
    if poisoned.is_empty() {
        Ok(())
    } else {
        Err(ServerError)
    }
}

async fn offer(state: &State, post: usize, names: &[String]) -> Vec<Offered> {
    let offered = state.book.read(|book| {
        if book.outgoing_service == super::GATEWAY {
            book.store.offer()
        } else {
            Vec::new()
        }
    });
    state.pause(Fault::PauseBeforeMarking, post, names).await;
    tokio::task::yield_now().await;
    let disk_is_full = state
        .faults
        .standing(|fault| fault == Fault::FullDisk)
        .is_some();
    state.book.change(|book| {
        if !disk_is_full {
            book.store.mark_offered(&offered);
        }
        if let Some(post) = book.posts.get_mut(post) {
            post.offered = offered.iter().map(|message| message.id.clone()).collect();
        }
    });
    offered
}
