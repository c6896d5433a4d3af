//! What Medic keeps.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::MedicModel;
use super::body::ReportedStatus;

/// How many messages a POST is offered at most (observed on CHT 5.2.0).
pub const OFFERED_AT_MOST: usize = 25;

/// An incoming message that was stored. The same `id` can be stored more than once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StoredMessage {
    /// The gateway's id.
    pub id: String,
    /// The sender.
    pub from: String,
    /// The text.
    pub content: String,
    /// When it was stored, which is also the date of its report, in milliseconds since 1970.
    pub at_ms: i64,
    /// Which POST brought it, counted from 0.
    pub post: usize,
}

/// The state of an outgoing message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MessageState {
    /// Due, and not offered yet.
    Pending,
    /// Offered, and nothing reported about it.
    ForwardedToGateway,
    /// After `UNSENT`.
    ReceivedByGateway,
    /// After `PENDING`.
    ForwardedByGateway,
    /// After `SENT`.
    Sent,
    /// After `DELIVERED`.
    Delivered,
    /// After `FAILED`.
    Failed,
    /// After any other status.
    Unrecognised,
    /// One equal message to one number too many. It is never offered.
    Duplicate,
    /// Not due yet. Medic's own task makes it `pending` when it is.
    Scheduled,
    /// Not sent because its recipient is muted.
    Muted,
    /// Taken back, for example because a report came that made it needless.
    Cleared,
    /// Not sent because Medic's settings forbid its recipient.
    Denied,
}

impl MessageState {
    /// The state after an update with this status.
    #[must_use]
    pub fn after(status: &str) -> Self {
        match status {
            "UNSENT" => Self::ReceivedByGateway,
            "PENDING" => Self::ForwardedByGateway,
            "SENT" => Self::Sent,
            "DELIVERED" => Self::Delivered,
            "FAILED" => Self::Failed,
            _ => Self::Unrecognised,
        }
    }

    /// Whether a message in this state is offered.
    #[must_use]
    pub fn is_offered(self) -> bool {
        matches!(self, Self::Pending | Self::ForwardedToGateway)
    }
}

/// A row of a message's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StateChange {
    /// The state it came to.
    pub state: MessageState,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// The reason, or the status that was not recognised.
    pub details: Option<String>,
}

/// An outgoing message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutgoingMessage {
    /// Medic's uuid of it.
    pub id: String,
    /// The recipient, as Medic has it.
    pub to: String,
    /// The text.
    pub content: String,
    /// The id that another gateway gave it; incoming ids share its space.
    pub reference: Option<String>,
    /// What Medic shows.
    pub state: MessageState,
    /// How it came to that, `pending` first.
    pub history: Vec<StateChange>,
    /// Whether the recipient is offered as a JSON number.
    #[serde(skip)]
    pub to_is_number: bool,
    /// A status with which its update fails, always.
    #[serde(skip)]
    pub refuses: Option<&'static str>,
    /// A status that ends Medic's process, always.
    #[serde(skip)]
    pub crashes: Option<&'static str>,
    /// How often it was offered.
    #[serde(skip)]
    pub offers: u32,
}

impl OutgoingMessage {
    /// A message that is due.
    #[must_use]
    pub fn new(id: &str, to: &str, content: &str, at_ms: i64) -> Self {
        let first = StateChange {
            state: MessageState::Pending,
            at_ms,
            details: None,
        };
        Self {
            id: id.to_owned(),
            to: to.to_owned(),
            content: content.to_owned(),
            reference: None,
            state: first.state,
            history: vec![first],
            to_is_number: false,
            refuses: None,
            crashes: None,
            offers: 0,
        }
    }

    /// Whether one of its statuses can never be applied.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.refuses.is_some() || self.crashes.is_some()
    }

    /// The details of the newest row of its history.
    #[must_use]
    pub fn details(&self) -> Option<&str> {
        self.history.last()?.details.as_deref()
    }

    /// Whether an update says what Medic knows already. Such an update is not written. With a reason it is
    /// written as another row of the history (observed on CHT 5.2.0).
    pub(super) fn knows(&self, update: &ReportedStatus) -> bool {
        let state = MessageState::after(&update.status);
        let is_new = state == MessageState::Unrecognised || update.reason.is_some();
        self.state == state && !is_new
    }

    fn set(&mut self, state: MessageState, details: Option<&str>, at_ms: i64) {
        if self.state == state && details.is_none() {
            return;
        }
        self.state = state;
        self.history.push(StateChange {
            state,
            at_ms,
            details: details.map(str::to_owned),
        });
    }
}

impl MedicModel {
    /// Has a message sent.
    pub fn send(&mut self, mut message: OutgoingMessage) {
        let equal =
            |other: &&OutgoingMessage| other.to == message.to && other.content == message.content;
        let is_duplicate = self
            .equal_messages_at_most
            .is_some_and(|most| self.outgoing.iter().filter(equal).count() >= most);
        if is_duplicate {
            let at_ms = message.history.first().map_or(0, |first| first.at_ms);
            message.set(MessageState::Duplicate, None, at_ms);
        }
        if let Some(reference) = message.reference.clone() {
            self.copies.entry(reference).or_default();
        }
        self.places.insert(message.id.clone(), self.outgoing.len());
        self.outgoing.push(message);
    }

    /// Has a message sent that shares its task, and with it its state, with an earlier one.
    pub fn send_with(&mut self, earlier: &str, message: OutgoingMessage) {
        let place = self.outgoing.len();
        if let Some(first) = self.places.get(earlier).copied() {
            let task = self.tasks.iter_mut().find(|task| task.contains(&first));
            match task {
                Some(task) => task.push(place),
                None => self.tasks.push(vec![first, place]),
            }
        }
        self.send(message);
    }

    /// Medic itself moves a message to this state, whatever state it has: a schedule that is due, a
    /// patient that is muted, a task that is cleared.
    pub fn move_to(&mut self, id: &str, state: MessageState, at_ms: i64) {
        self.set(id, state, None, at_ms);
    }

    /// Deletes an outgoing message, as when its document is deleted.
    pub fn delete(&mut self, id: &str) {
        self.deleted.insert(id.to_owned());
    }

    /// One outgoing message.
    #[must_use]
    pub fn outgoing(&self, id: &str) -> Option<&OutgoingMessage> {
        let message = self.outgoing.get(*self.places.get(id)?);
        message.filter(|message| !self.deleted.contains(&message.id))
    }

    /// The outgoing messages that wait to be sent, oldest first.
    pub fn waiting(&self) -> impl Iterator<Item = &OutgoingMessage> {
        let waits = |message: &&OutgoingMessage| {
            message.state.is_offered() && !self.deleted.contains(&message.id)
        };
        self.outgoing.iter().filter(waits)
    }

    /// How often a message is stored.
    #[must_use]
    pub fn copies(&self, id: &str) -> usize {
        self.copies.get(id).copied().unwrap_or(0)
    }

    /// How often each id was stored that was stored more than once.
    #[must_use]
    pub fn duplicates(&self) -> BTreeMap<String, usize> {
        let stored_often = self.copies.iter().filter(|(_, count)| **count > 1);
        stored_often
            .map(|(id, count)| (id.clone(), *count))
            .collect()
    }

    /// Stores a message, also one whose id is known. The check for duplicates was made before.
    pub fn store(&mut self, message: StoredMessage) {
        *self.copies.entry(message.id.clone()).or_default() += 1;
        self.stored.push(message);
    }

    /// Whether an incoming id was seen, or is another gateway's id of an outgoing message.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.copies.contains_key(id)
    }

    /// Applies an update, over whatever was written since. An unknown id is lost.
    pub(super) fn apply(&mut self, update: &ReportedStatus, at_ms: i64) {
        let state = MessageState::after(&update.status);
        let details = match state {
            MessageState::Unrecognised => Some(update.status.as_str()),
            _ => update.reason.as_deref(),
        };
        self.set(&update.id, state, details, at_ms);
    }

    /// Marks a message as offered, over whatever was written since.
    pub(super) fn mark_offered(&mut self, id: &str, at_ms: i64) {
        self.set(id, MessageState::ForwardedToGateway, None, at_ms);
        let place = self.places.get(id);
        if let Some(message) = place.and_then(|place| self.outgoing.get_mut(*place)) {
            message.offers += 1;
        }
    }

    /// All messages of a task share one state.
    fn set(&mut self, id: &str, state: MessageState, details: Option<&str>, at_ms: i64) {
        let Some(place) = self.places.get(id).copied() else {
            return;
        };
        if self.deleted.contains(id) {
            return;
        }
        let alone = [place];
        let task = self.tasks.iter().find(|task| task.contains(&place));
        for place in task.map_or(alone.as_slice(), Vec::as_slice) {
            if let Some(message) = self.outgoing.get_mut(*place) {
                message.set(state, details, at_ms);
            }
        }
    }
}
