//! The promises, as assertions over a world that has come to rest.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use bridge::domain::message::{Sending, UnknownOutcomePolicy};
use bridge::domain::status::{Status, reported_status};
use bridge::domain::time::millis;
use bridge::wire::queue_messages::MEDIC_GROUP;
use bridge::wire::queue_messages::{DeadLetter, ExchangeMessage, IncomingSms, decode};
use models::medic::{MessageState, OutgoingMessage};

use crate::africas_talking::{SendCall, SendDecision};
use crate::medic::{MedicInWorld, POISONS, status_of};
use crate::plan::KILLER_ID;
use crate::ports::POST_UNCONFIRMED;
use crate::queue::QueuedMessage;
use crate::world::{MINUTE_MS, QueueName, World};

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

/// 1: what got a 200 is in Medic exactly once, or dead-lettered with a reason.
fn incoming(world: &World) -> Vec<Breach> {
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
fn killed_for_ever(world: &World) -> Option<Breach> {
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
fn budget(world: &World) -> Option<Breach> {
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

/// 2: what Medic offered was sent once; twice at most, if nobody could know; or it failed, with a
/// reason.
fn sent(world: &World, message: &OutgoingMessage) -> Vec<Breach> {
    let mut found = Vec::new();
    let at = world.africas_talking.borrow();
    let calls = at.calls_for(&message.id);
    let taken = at.taken(&message.id);
    let unheard = calls.iter().filter(|call| !is_heard(world, call)).count();
    let resends = world.settings.rules.unknown_outcome == UnknownOutcomePolicy::ResendOnce;
    let allowed = if unheard > 0 && resends { 2 } else { 1 };
    if taken > allowed {
        found.push(breach(
            2,
            &message.id,
            format!("was sent {taken} times, {unheard} unheard"),
        ));
    }
    let unknown = calls.iter().filter(|call| !call.verdict.is_clear()).count();
    if unknown > if resends { 2 } else { 1 } {
        found.push(breach(
            2,
            &message.id,
            format!("was tried after {unknown} unknown outcomes"),
        ));
    }
    if taken == 0 && !message.is_failing() {
        let has_reason = message.details().is_some_and(|reason| !reason.is_empty());
        if message.state != MessageState::Failed || !has_reason {
            let what = format!("was never sent, and is {:?}", message.state);
            found.push(breach(2, &message.id, what));
        }
    }
    for (n, call) in calls.iter().enumerate().skip(1) {
        let before = calls[..n]
            .iter()
            .rfind(|call| call.verdict.is_taken() || !call.verdict.is_clear());
        let too_soon = before.is_some_and(|before| {
            let resend_after_ms = millis(world.settings.rules.resend_after);
            call.at_ms - before.at_ms < resend_after_ms - CLOCKS_DIFFER_MS
        });
        if too_soon {
            found.push(breach(
                2,
                &message.id,
                "was sent again too soon after an unknown outcome",
            ));
        }
    }
    let settled_ms = world.settled.borrow().get(&message.id).copied();
    if settled_ms.is_some_and(|settled_ms| calls.iter().any(|call| call.at_ms > settled_ms)) {
        let what = "was sent again after evidence had settled it";
        found.push(breach(2, &message.id, what));
    }
    if calls
        .iter()
        .any(|call| call.sms.0 != message.to.trim() || call.sms.2 != message.content)
    {
        found.push(breach(
            2,
            &message.id,
            "was sent to another number, or with another text",
        ));
    }
    found
}

/// 2: no number gets more messages than its recipient limit lets through. Two windows can touch, so that an hour
/// may hold twice the limit.
fn over_limit(world: &World) -> Vec<Breach> {
    let at = world.africas_talking.borrow();
    let mut begun: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for call in &at.calls {
        // A message counts once, however often it is tried.
        if known.insert(&call.message) {
            begun.entry(&call.sms.0).or_default().push(call.at_ms);
        }
    }
    let most = 2 * world.settings.recipient_limit.messages_per_hour as usize;
    let storms = begun.iter().filter(|(_, times)| {
        let mut windows = times.windows(most + 1);
        windows.any(|window| window[most] - window[0] < HOUR_MS - CALL_AFTER_COUNT_MS)
    });
    let breaches = storms.map(|(_, times)| {
        let what = format!("more than {most} of {} came within an hour", times.len());
        breach(2, "", what)
    });
    breaches.collect()
}

/// 3: a circuit breaker closes by an acceptance only, which came while it was open.
fn closed_without_acceptance(world: &World) -> Vec<Breach> {
    let at = world.africas_talking.borrow();
    let closings = world.closings.borrow();
    let is_accepted = |open: &Range<i64>| {
        let open = open.start - CLOCKS_DIFFER_MS..open.end;
        at.calls.iter().any(|call| {
            let is_slow = matches!(call.verdict, SendDecision::AcceptedSlowly(_));
            let is_heard = call.verdict.is_clear() || is_slow;
            open.contains(&call.at_ms) && call.verdict.is_taken() && is_heard
        })
    };
    let breaches = closings.iter().filter(|open| !is_accepted(open));
    breaches
        .map(|_| breach(3, "", "a circuit breaker closed without an acceptance"))
        .collect()
}

/// Whether somebody heard what became of the call, in time and for certain, and could write it down.
fn is_heard(world: &World, call: &SendCall) -> bool {
    let is_kept = || {
        let not_kept = world.not_kept.borrow();
        !not_kept.contains(&(call.task, call.message.clone()))
    };
    call.at_id.is_none() || (call.verdict.is_clear() && !world.was_killed(call.task) && is_kept())
}

/// 3: Medic's last word is the join of everything that was reported, and its words never fell.
fn reported(world: &World, message: &OutgoingMessage) -> Vec<Breach> {
    let mut found = Vec::new();
    let history = message.history.iter();
    let reported: Vec<Status> = history.filter_map(|row| status_of(row.state)).collect();
    if reported.windows(2).any(|two| two[1] < two[0]) {
        found.push(breach(3, &message.id, format!("was told {reported:?}")));
    }
    let ledger = world.ledger.borrow();
    let Some(row) = ledger.message(&message.id) else {
        return found;
    };
    let at = world.africas_talking.borrow();
    let mut least = Status::Unsent;
    let mut most = Status::Unsent;
    if row.sending == Sending::Failed {
        least = Status::Failed;
        most = Status::Failed;
    }
    if row.status == Status::Failed && row.unknown_outcomes > 0 {
        // Said before evidence for an earlier call came; only a delivery overrides it.
        most = Status::Failed;
    }
    for call in at.calls_for(&message.id) {
        let Some(at_id) = &call.at_id else { continue };
        let accepted = match call.verdict {
            SendDecision::Accepted(100) => Status::Pending,
            SendDecision::Accepted(102) => Status::Unsent,
            _ => Status::Sent,
        };
        let known = row.at_ids.iter().any(|id| id.as_str() == at_id);
        most = most.join(accepted);
        if known && call.verdict.is_clear() && !world.was_killed(call.task) {
            least = least.join(accepted);
        }
        for report in at.reports.get(at_id).into_iter().flatten() {
            let Some(status) = reported_status(&report.word) else {
                continue;
            };
            most = most.join(status);
            if known && report.answers.contains(&200) {
                least = least.join(status);
            }
        }
    }
    if row.status < least || row.status > most {
        let what = format!(
            "is {:?} in the ledger, reported were {least:?} to {most:?}",
            row.status
        );
        found.push(breach(3, &message.id, what));
    }
    let last_word = status_of(message.state) == Some(row.status);
    if !last_word && !message.is_failing() {
        let what = format!(
            "is {:?} in Medic and {:?} in the ledger",
            message.state, row.status
        );
        found.push(breach(3, &message.id, what));
    }
    found
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
