//! What was promised of incoming messages.

use std::collections::{BTreeMap, BTreeSet};

use bridge::wire::queue_messages::{ExchangeMessage, decode};

use super::{
    Breach, CLOCKS_DIFFER_MS, HOUR_MS, breach, dead_letters, ever_dead_lettered, ever_quarantined,
    sms_in,
};
use crate::medic::POISONS;
use crate::plan::KILLER_ID;
use crate::world::{QueueName, World};

/// 1: what got a 200 is in Medic exactly once, or dead-lettered with a reason.
pub(super) fn incoming(world: &World) -> Vec<Breach> {
    let mut found = Vec::new();
    let medic = world.medic.borrow();
    let dead_letter = dead_letters(world);
    let exchange = world.queue(QueueName::Exchange).borrow();
    let waiting: BTreeSet<String> = exchange
        .messages()
        .filter_map(|message| sms_in(&message.body))
        .map(|sms| sms.id.as_str().to_owned())
        .collect();
    for sms in world.africas_talking.borrow().incoming.values() {
        let copies = medic.copies(&sms.id);
        let is_dead_lettered = dead_letter
            .get(&sms.id)
            .is_some_and(|reason| !reason.is_empty());
        if copies > 1 {
            found.push(breach(1, &sms.id, format!("is in Medic {copies} times")));
        }
        // Poison about which nothing more can be learned is kept there; what else waits there is a breach
        // of its own.
        let is_kept = is_dead_lettered || waiting.contains(&sms.id);
        if sms.answers.contains(&200) && copies == 0 && !is_kept {
            found.push(breach(1, &sms.id, "got a 200 and is lost"));
        }
        // Nothing else goes to the dead-letter queue, whatever Medic or its disk went through.
        let is_poison = POISONS.iter().any(|poison| sms.text.contains(poison));
        let may_be_dead_lettered = is_poison || is_killer(world, &sms.id);
        if dead_letter.contains_key(&sms.id) && (copies > 0 || !may_be_dead_lettered) {
            found.push(breach(
                1,
                &sms.id,
                "is dead-lettered, and Medic would have taken it",
            ));
        }
    }
    let at = world.africas_talking.borrow();
    for stored in &medic.stored {
        let sms = at.incoming.get(&stored.id).expect("only phones send");
        let text = if sms.text.is_empty() { " " } else { &sms.text };
        if stored.content != text || stored.from != sms.from {
            found.push(breach(1, &sms.id, "is another text or sender in Medic"));
        }
    }
    for body in world.expired.borrow().iter() {
        if !matches!(
            decode(body),
            Ok(ExchangeMessage::Poll | ExchangeMessage::Continue)
        ) {
            found.push(breach(
                1,
                body,
                "was dropped by SQS, because it was too old",
            ));
        }
    }
    found
}

/// Whether this SMS ends `medic-exchange` each time.
fn is_killer(world: &World, id: &str) -> bool {
    id == KILLER_ID && world.settings.killer.is_some()
}

/// 9: a record that ends its function each time goes to the dead-letter queue.
pub(super) fn killed_for_ever(world: &World) -> Option<Breach> {
    let at = world.africas_talking.borrow();
    let mut accepted = at
        .incoming
        .values()
        .filter(|sms| sms.answers.contains(&200));
    let killer = accepted.find(|sms| is_killer(world, &sms.id))?;
    (!dead_letters(world).contains_key(&killer.id))
        .then(|| breach(9, &killer.id, "ends its function for ever"))
}

/// 1: a Medic that can store nothing does not empty the queue into quarantine: a message is quarantined
/// first after another was newly stored, or after an hour. A quarantine that a death, the ledger or the queue
/// has kept from being written down may be spent again; and a repeat
/// that SQS did not recognise passes for new.
pub(super) fn budget(world: &World) -> Option<Breach> {
    let exchange = world.queue(QueueName::Exchange).borrow();
    let mut since_ms: BTreeMap<String, i64> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut excused = 0;
    for body in &exchange.taken {
        match decode(body) {
            Ok(ExchangeMessage::Quarantined(one)) => {
                let id = one.sms.id.as_str().to_owned();
                since_ms
                    .entry(id)
                    .or_insert(one.quarantine.since.as_millis());
            }
            Ok(ExchangeMessage::Incoming(sms)) if !seen.insert(sms.id.clone()) => excused += 1,
            _ => {}
        }
    }
    for (what, count) in world.counts.borrow().iter() {
        let leaves_it_unspent = [
            "medic-exchange Read",
            "medic-exchange Write",
            "medic-exchange Send",
            "deaths of medic-exchange",
        ];
        if leaves_it_unspent.iter().any(|one| what.starts_with(one)) {
            excused += count;
        }
    }
    let mut times: Vec<i64> = since_ms.into_values().collect();
    times.sort_unstable();
    let medic = world.medic.borrow();
    let unearned = times.windows(2).filter(|two| {
        let between = two[0] - CLOCKS_DIFFER_MS..two[1] + CLOCKS_DIFFER_MS;
        let mut stored = medic.stored.iter();
        let is_earned = stored.any(|stored| between.contains(&stored.at_ms));
        !is_earned && two[1] - two[0] < HOUR_MS - CLOCKS_DIFFER_MS
    });
    let unearned = unearned.count() as u64;
    (unearned > excused).then(|| {
        let what = format!("{unearned} were quarantined that the budget does not allow");
        breach(1, "", what)
    })
}

/// 1: one sender's messages are in Medic in the order in which SQS accepted them: a breach for each
/// sender of whom that is not true.
pub fn order(world: &World) -> Vec<Breach> {
    let medic = world.medic.borrow();
    let exchange = world.queue(QueueName::Exchange).borrow();
    let mut accepted: BTreeMap<String, Once> = BTreeMap::new();
    for body in &exchange.taken {
        if let Some(sms) = sms_in(body) {
            accepted.entry(sms.from).or_default().push(sms.id.as_str());
        }
    }
    // A message that was quarantined, or dead-lettered and put back, has lost its place.
    let mut dead_letter_item = ever_quarantined(world);
    dead_letter_item.extend(ever_dead_lettered(world));
    let mut stored: BTreeMap<&str, Once> = BTreeMap::new();
    for message in &medic.stored {
        if !dead_letter_item.contains(&message.id) {
            stored.entry(&message.from).or_default().push(&message.id);
        }
    }
    let mut found = Vec::new();
    for (from, accepted) in accepted {
        let Some(stored) = stored.get(from.as_str()) else {
            continue;
        };
        let expected = accepted.ids.iter().filter(|id| stored.known.contains(*id));
        if let Some((is, should)) = stored
            .ids
            .iter()
            .zip(expected)
            .find(|(is, should)| is != should)
        {
            found.push(breach(
                1,
                is,
                format!("is in Medic where {should} should be"),
            ));
        }
    }
    found
}

/// Ids in the order in which they first came.
#[derive(Default)]
struct Once {
    ids: Vec<String>,
    known: BTreeSet<String>,
}

impl Once {
    fn push(&mut self, id: &str) {
        if self.known.insert(id.to_owned()) {
            self.ids.push(id.to_owned());
        }
    }
}
