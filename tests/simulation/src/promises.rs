//! The promises, as assertions over a world that has come to rest.

mod incoming;
mod outgoing;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use bridge::domain::message::Sending;
use bridge::wire::queue_messages::MEDIC_GROUP;
use bridge::wire::queue_messages::{DeadLetter, ExchangeMessage, IncomingSms, decode};
use models::medic::OutgoingMessage;

use crate::medic::{MedicInWorld, POISONS};
use crate::ports::POST_UNCONFIRMED;
use crate::queue::QueuedMessage;
use crate::world::{MINUTE_MS, QueueName, World};
pub use incoming::order;
use incoming::{budget, incoming, killed_for_ever};
use outgoing::{closed_without_acceptance, over_limit, reported, sent};

/// The most by which the clocks of two invocations may differ, in milliseconds.
const CLOCKS_DIFFER_MS: i64 = 10_000;

const HOUR_MS: i64 = 60 * MINUTE_MS;

/// A message is counted with its claim, and called for before its invocation has to end; by clocks
/// that may differ.
const CALL_AFTER_COUNT_MS: i64 = 100_000;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Which, by its number.
    pub promise: u8,
    /// The SMS concerned.
    pub about: String,
    /// The breach in words.
    pub what: String,
}

fn breach(promise: u8, about: &str, what: impl Into<String>) -> Breach {
    Breach {
        promise,
        about: about.to_owned(),
        what: what.into(),
    }
}

/// Every promise that this world breaks.
pub fn breaches(world: &Rc<World>) -> Vec<Breach> {
    let mut found = incoming(world);
    found.extend(order(world));
    found.extend(budget(world));
    let medic = world.medic.borrow();
    for message in &medic.outgoing {
        found.extend(sent(world, message));
        found.extend(reported(world, message));
    }
    found.extend(over_limit(world));
    found.extend(closed_without_acceptance(world));
    found.extend(killed_for_ever(world));
    if let Some(post) = medic.log.iter().find(|post| post.others_open > 0) {
        let what = "a POST began while another was open";
        found.push(breach(2, post.messages.first().map_or("", |id| id), what));
    }
    if world.counts.borrow().contains_key(POST_UNCONFIRMED) {
        found.push(breach(2, "", POST_UNCONFIRMED));
    }
    drop(medic);
    if let Err((about, what)) = at_rest(world) {
        found.push(breach(4, &about, what));
    }
    found.extend(world.leaks.borrow().iter().map(|leak| breach(5, "", leak)));
    found
}

/// The reasons of the dead letters of `exchange`, by the id of the message.
pub fn dead_letters(world: &World) -> BTreeMap<String, String> {
    let queue = world.queue(QueueName::ExchangeDeadLetter).borrow();
    queue
        .messages()
        .filter_map(|message| {
            let dead_letter: DeadLetter = decode(&message.body).ok()?;
            let sms = sms_in(&dead_letter.body)?;
            Some((sms.id.as_str().to_owned(), dead_letter.reason))
        })
        .collect()
}

fn ever_dead_lettered(world: &World) -> Vec<String> {
    let queue = world.queue(QueueName::ExchangeDeadLetter).borrow();
    let ids = queue.taken.iter().filter_map(|body| {
        let dead_letter: DeadLetter = decode(body).ok()?;
        Some(sms_in(&dead_letter.body)?.id.as_str().to_owned())
    });
    ids.collect()
}

/// The SMS in a body of `exchange`, in quarantine or not.
pub fn sms_in(body: &str) -> Option<IncomingSms> {
    match decode(body) {
        Ok(ExchangeMessage::Incoming(sms)) => Some(sms),
        Ok(ExchangeMessage::Quarantined(one)) => Some(one.sms),
        _ => None,
    }
}

/// The ids of the messages that ever were in quarantine.
pub fn ever_quarantined(world: &World) -> BTreeSet<String> {
    let queue = world.queue(QueueName::Exchange).borrow();
    let ids = queue.taken.iter().filter_map(|body| match decode(body) {
        Ok(ExchangeMessage::Quarantined(one)) => Some(one.sms.id.as_str().to_owned()),
        _ => None,
    });
    ids.collect()
}

/// Whether this is poison in quarantine, about which nothing more can be learned: Medic has stored
/// nothing since it failed last.
fn rests_in_quarantine(medic: &MedicInWorld, message: &QueuedMessage) -> bool {
    let Ok(ExchangeMessage::Quarantined(one)) = decode(&message.body) else {
        return false;
    };
    let is_poison = POISONS
        .iter()
        .any(|poison| one.sms.content.contains(poison));
    let failed_at_ms = message.sent_at_ms;
    let last_stored_ms = medic.stored.last().map_or(0, |stored| stored.at_ms);
    is_poison && message.group != MEDIC_GROUP && last_stored_ms + CLOCKS_DIFFER_MS < failed_at_ms
}

/// 4: nothing is left to do.
///
/// # Errors
/// The SMS that still waits, and what for.
pub fn at_rest(world: &World) -> Result<(), (String, String)> {
    let waits = |about: &str, what: &str| Err((about.to_owned(), what.to_owned()));
    if world.africas_talking.borrow().pending > 0 {
        return waits("", "callbacks are still to come");
    }
    let medic = world.medic.borrow();
    if medic.is_busy() || world.running() > 0 {
        return waits("", "somebody is working");
    }
    for message in world.queue(QueueName::Exchange).borrow().messages() {
        if let Some(sms) = sms_in(&message.body)
            && !rests_in_quarantine(&medic, message)
        {
            return waits(sms.id.as_str(), "waits in exchange");
        }
    }
    for name in [QueueName::Outbox, QueueName::Reports] {
        if let Some(message) = world.queue(name).borrow().messages().next() {
            return waits(&message.body, &format!("waits in {name:?}"));
        }
    }
    let refuses = |id: &str| medic.outgoing(id).is_some_and(OutgoingMessage::is_failing);
    if let Some(message) = medic.waiting().find(|message| !refuses(&message.id)) {
        return waits(&message.id, "waits in Medic");
    }
    for row in world.ledger.borrow().messages() {
        let id = row.id.as_str();
        if row.is_unreported() && !refuses(id) {
            return waits(id, "was not told");
        }
        if !matches!(row.sending, Sending::Accepted | Sending::Failed) {
            return waits(id, "waits in the ledger");
        }
    }
    Ok(())
}
