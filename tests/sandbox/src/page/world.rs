//! Where every SMS is, made out of what there is to see.
//!
//! Nothing is guessed: an SMS is in a queue because the queue holds it, in a function because a
//! request is under way or the ledger says so, and at an end because that end has it.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde_json::{Value, json};

use super::account::{FromPhones, ToPhones};
use super::facts::{Facts, MessageInQueue, StackQueue};
use crate::medic::{MessageState, StateChange};

/// Of a trail so many steps are kept; what is dropped are the oldest but the first.
const LONGEST_TRAIL: usize = 40;

/// Where something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Place {
    Phone,
    AfricasTalking,
    Exchange,
    ExchangeDeadLetter,
    MedicExchange,
    Medic,
    Outbox,
    OutboxDeadLetter,
    OutboundSender,
    Reports,
    ReportsDeadLetter,
    Ledger,
    /// It will not be sent, and Medic hears why.
    Failed,
    /// It was accepted and is nowhere.
    Nowhere,
}

/// Where something was, from when on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct TrailStep {
    pub place: Place,
    pub at_ms: i64,
}

impl TrailStep {
    fn new(place: Place, at_ms: i64) -> Self {
        Self { place, at_ms }
    }
}

/// How a message in a queue waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct QueueWait {
    receives: u64,
    next_try_ms: Option<i64>,
    reason: Option<String>,
}

impl QueueWait {
    fn of(message: Option<&MessageInQueue>) -> Self {
        Self {
            receives: message.map_or(0, |message| message.receives),
            next_try_ms: message.map(|message| message.next_try_ms),
            reason: message.and_then(|message| message.reason.clone()),
        }
    }
}

/// An SMS that a phone sent.
#[derive(Serialize)]
struct IncomingView<'a> {
    id: &'a str,
    phone: &'a str,
    text: &'a str,
    at_ms: i64,
    attempts: u32,
    status: Option<u16>,
    is_over: bool,
    stored: usize,
    place: Place,
    wait: QueueWait,
    trail: Vec<TrailStep>,
}

/// An SMS that Medic wants sent.
#[derive(Serialize)]
struct OutgoingView<'a> {
    id: &'a str,
    phone: &'a str,
    text: &'a str,
    at_ms: i64,
    state: MessageState,
    history: &'a [StateChange],
    status: Option<&'a str>,
    reported: Option<&'a str>,
    at_ids: Vec<&'a str>,
    place: Place,
    wait: QueueWait,
    trail: Vec<TrailStep>,
}

/// An SMS that Africa's Talking has accepted.
#[derive(Serialize)]
struct LandedView<'a> {
    id: &'a str,
    phone: &'a str,
    from: &'a str,
    text: &'a str,
    at_ms: i64,
    on_phone: bool,
    message: Option<&'a str>,
}

/// A delivery report that was accepted with a 200.
#[derive(Serialize)]
struct ReportView<'a> {
    id: &'a str,
    status: &'a str,
    message: Option<&'a str>,
    place: Place,
    trail: Vec<TrailStep>,
}

/// A queue.
#[derive(Serialize)]
struct QueueView {
    /// SMS and reports in it.
    messages: usize,
    /// Polls and the like.
    others: usize,
    /// Those of `messages` that were tried and wait for the next try.
    tried: usize,
    /// The earliest of those next tries.
    next_try_ms: Option<i64>,
    /// How often the most often tried of them was.
    receives: u64,
}

impl QueueView {
    fn of(queue: StackQueue, messages: &[MessageInQueue]) -> Self {
        let is_dead_lettered = matches!(
            queue,
            StackQueue::ExchangeDeadLetter
                | StackQueue::OutboxDeadLetter
                | StackQueue::ReportsDeadLetter
        );
        let is_message = |message: &&MessageInQueue| {
            is_dead_lettered || !(message.is("poll") || message.is("continue"))
        };
        let (sms, others): (Vec<&MessageInQueue>, Vec<&MessageInQueue>) =
            messages.iter().partition(is_message);
        let tried = || sms.iter().filter(|message| message.receives > 0);
        Self {
            messages: sms.len(),
            others: others.len(),
            tried: tried().count(),
            next_try_ms: tried().map(|message| message.next_try_ms).min(),
            receives: tried().map(|message| message.receives).max().unwrap_or(0),
        }
    }
}

/// Remembers where everything was.
#[derive(Debug, Default)]
pub(super) struct Trails {
    trails: HashMap<String, Vec<TrailStep>>,
}

impl Trails {
    /// Everything that a page shows, each thing under a key of its own.
    pub(super) fn see(&mut self, facts: &Facts, now_ms: i64) -> Vec<(String, Value)> {
        let account = FromPhones::of(facts);
        let mut things = Vec::new();
        self.see_incoming(facts, &account, now_ms, &mut things);
        self.see_outgoing(facts, now_ms, &mut things);
        self.see_reports(facts, now_ms, &mut things);
        see_inside(facts, &mut things);
        let ends = &facts.ends;
        things.push(("account/from-phones".to_owned(), json!(account)));
        things.push(("account/to-phones".to_owned(), json!(ToPhones::of(facts))));
        things.push((
            "end/africastalking".to_owned(),
            json!({
                "active": ends.africastalking_faults,
                "paused": ends.paused_reports,
                "real": ends.real_africastalking,
            }),
        ));
        things.push((
            "end/medic".to_owned(),
            json!({
                "active": ends.medic_faults,
                "paused": ends.paused_posts,
                "replies": ends.replies,
                "real": ends.real_medic,
            }),
        ));
        things
    }

    /// Notes where something is now; at `first` it was before it was ever seen.
    fn trail(&mut self, key: &str, first: TrailStep, now: TrailStep) -> Vec<TrailStep> {
        let trail = self
            .trails
            .entry(key.to_owned())
            .or_insert_with(|| vec![first]);
        if trail.last().is_none_or(|last| last.place != now.place) {
            trail.push(now);
            if trail.len() > LONGEST_TRAIL {
                trail.remove(1);
            }
        }
        trail.clone()
    }

    fn see_incoming(
        &mut self,
        facts: &Facts,
        account: &FromPhones,
        now_ms: i64,
        things: &mut Vec<(String, Value)>,
    ) {
        let mut stored: HashMap<&str, (usize, i64)> = HashMap::new();
        for message in &facts.ends.stored {
            stored.entry(&message.id).or_insert((0, message.at_ms)).0 += 1;
        }
        let waiting = by_id(facts.inside.queue(StackQueue::Exchange));
        let dead_letters = by_id(facts.inside.queue(StackQueue::ExchangeDeadLetter));
        for sms in &facts.phones.sent {
            let id = sms.id.as_str();
            let (times, stored_ms) = stored.get(id).copied().unwrap_or_default();
            let (wait, dead_letters) = (waiting.get(id).copied(), dead_letters.get(id).copied());
            let place = if times > 0 {
                Place::Medic
            } else if facts.ends.at_medic.contains(id) {
                Place::MedicExchange
            } else if wait.is_some() {
                Place::Exchange
            } else if dead_letters.is_some() {
                Place::ExchangeDeadLetter
            } else if account.has_lost(sms) {
                Place::Nowhere
            } else if facts.ends.medic_is_real && sms.is_accepted() {
                Place::Medic
            } else {
                Place::AfricasTalking
            };
            let key = format!("incoming/{id}");
            let first = TrailStep::new(Place::Phone, sms.at_ms);
            let at_ms = if times > 0 { stored_ms } else { now_ms };
            let trail = self.trail(&key, first, TrailStep::new(place, at_ms));
            let view = IncomingView {
                id,
                phone: &sms.from,
                text: &sms.text,
                at_ms: sms.at_ms,
                attempts: sms.attempts,
                status: sms.status,
                is_over: sms.is_over,
                stored: times,
                place,
                wait: QueueWait::of(dead_letters.or(wait)),
                trail,
            };
            things.push((key, json!(view)));
        }
    }

    fn see_outgoing(&mut self, facts: &Facts, now_ms: i64, things: &mut Vec<(String, Value)>) {
        let rows = facts.inside.message_rows();
        let waiting = by_id(facts.inside.queue(StackQueue::Outbox));
        let dead_letters = by_id(facts.inside.queue(StackQueue::OutboxDeadLetter));
        let on_phone: HashSet<&str> = facts
            .ends
            .landed
            .iter()
            .filter(|sms| sms.on_phone)
            .map(|sms| sms.id.as_str())
            .collect();
        let is_real = facts.ends.medic_is_real || facts.ends.phones_are_real;
        for message in &facts.ends.outgoing {
            let id = message.id.as_str();
            let row = LedgerRow(rows.get(id).copied());
            let (wait, dead_letters) = (waiting.get(id).copied(), dead_letters.get(id).copied());
            let at_ids = row.at_ids();
            let is_delivered = is_real && row.text("status") == Some("delivered");
            let place = if is_delivered || at_ids.iter().any(|id| on_phone.contains(id)) {
                Place::Phone
            } else if row.sending() == Some("failed") || message.state == MessageState::Failed {
                Place::Failed
            } else if !at_ids.is_empty() {
                Place::AfricasTalking
            } else if row.sending() == Some("calling") {
                Place::OutboundSender
            } else if wait.is_some() {
                Place::Outbox
            } else if dead_letters.is_some() {
                Place::OutboxDeadLetter
            } else if row.sending().is_some() {
                Place::Ledger
            } else {
                Place::Medic
            };
            let key = format!("outgoing/{id}");
            let at_ms = message.history.first().map_or(now_ms, |first| first.at_ms);
            let first = TrailStep::new(Place::Medic, at_ms);
            let trail = self.trail(&key, first, TrailStep::new(place, now_ms));
            let mut wait = QueueWait::of(dead_letters.or(wait));
            wait.reason = wait.reason.or_else(|| row.reason().map(str::to_owned));
            let view = OutgoingView {
                id,
                phone: &message.to,
                text: &message.content,
                at_ms,
                state: message.state,
                history: &message.history,
                status: row.text("status"),
                reported: row.text("reported"),
                at_ids,
                place,
                wait,
                trail,
            };
            things.push((key, json!(view)));
        }
        let message_of = messages_by_at_id(&rows);
        for sms in &facts.ends.landed {
            let view = LandedView {
                id: &sms.id,
                phone: &sms.to,
                from: &sms.from,
                text: &sms.text,
                at_ms: sms.at_ms,
                on_phone: sms.on_phone,
                message: message_of.get(sms.id.as_str()).copied(),
            };
            things.push((format!("landed/{}", sms.id), json!(view)));
        }
    }

    fn see_reports(&mut self, facts: &Facts, now_ms: i64, things: &mut Vec<(String, Value)>) {
        let rows = facts.inside.message_rows();
        let message_of = messages_by_at_id(&rows);
        let mut waiting = counted(facts.inside.queue(StackQueue::Reports));
        let mut dead_letters = counted(facts.inside.queue(StackQueue::ReportsDeadLetter));
        let accepted = facts.phones.reports.iter().enumerate();
        // The same report can be in the queue several times: the last ones of it are.
        for (number, report) in accepted.rev().filter(|(_, report)| report.is_accepted()) {
            let status = report.field("status").unwrap_or_default();
            let same = (report.id.as_str(), status);
            let place = if took_one(&mut waiting, same) {
                Place::Reports
            } else if took_one(&mut dead_letters, same) {
                Place::ReportsDeadLetter
            } else {
                Place::Ledger
            };
            let key = format!("report/{number}");
            let first = TrailStep::new(Place::AfricasTalking, report.at_ms);
            let trail = self.trail(&key, first, TrailStep::new(place, now_ms));
            let view = ReportView {
                id: &report.id,
                status,
                message: message_of.get(report.id.as_str()).copied(),
                place,
                trail,
            };
            things.push((key, json!(view)));
        }
    }
}

fn see_inside(facts: &Facts, things: &mut Vec<(String, Value)>) {
    for queue in StackQueue::ALL {
        let name = json!(queue);
        let view = QueueView::of(queue, facts.inside.queue(queue));
        let name = name.as_str().unwrap_or_default();
        things.push((format!("queue/{name}"), json!(view)));
    }
    for row in &facts.inside.rows {
        if let Some(key) = row.get("pk").and_then(Value::as_str) {
            things.push((format!("row/{key}"), row.clone()));
        }
    }
}

/// The ledger's row about a message of Medic, if there is one yet.
struct LedgerRow<'a>(Option<&'a Value>);

impl<'a> LedgerRow<'a> {
    fn at(&self, pointer: &str) -> Option<&'a str> {
        self.0?.pointer(pointer)?.as_str()
    }

    fn text(&self, field: &str) -> Option<&'a str> {
        self.at(&format!("/{field}"))
    }

    fn sending(&self) -> Option<&'a str> {
        self.at("/sending/is")
    }

    fn reason(&self) -> Option<&'a str> {
        match self.sending() {
            Some("unknown") => Some("it is unknown whether it was sent"),
            _ => self
                .at("/sending/reason")
                .or_else(|| self.text("failure_reason")),
        }
    }

    fn at_ids(&self) -> Vec<&'a str> {
        at_ids(self.0)
    }
}

fn at_ids(row: Option<&Value>) -> Vec<&str> {
    let ids = row.and_then(|row| row.get("at_ids")?.as_array());
    ids.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

fn messages_by_at_id<'a>(rows: &HashMap<&'a str, &'a Value>) -> HashMap<&'a str, &'a str> {
    let pairs = rows
        .iter()
        .flat_map(|(message, row)| at_ids(Some(row)).into_iter().map(|id| (id, *message)));
    pairs.collect()
}

fn by_id(messages: &[MessageInQueue]) -> HashMap<&str, &MessageInQueue> {
    let pairs = messages
        .iter()
        .filter_map(|message| Some((message.text("id")?, message)));
    pairs.collect()
}

/// How often each report is in a queue.
fn counted(messages: &[MessageInQueue]) -> HashMap<(&str, &str), usize> {
    let mut counts = HashMap::new();
    for message in messages {
        if let (Some(id), Some(status)) = (message.text("id"), message.text("status")) {
            *counts.entry((id, status)).or_default() += 1;
        }
    }
    counts
}

fn took_one<'a>(
    counts: &mut HashMap<(&'a str, &'a str), usize>,
    which: (&'a str, &'a str),
) -> bool {
    match counts.get_mut(&which) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
