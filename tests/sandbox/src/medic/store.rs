//! What Medic keeps.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::body::{Incoming, Update};
use crate::ids;

/// How many messages a POST is offered at most (observed on CHT 5.2.0).
pub const OFFERED_AT_MOST: usize = 25;

/// An incoming message that was stored. The same `id` can be stored more than once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// The gateway's id.
    pub id: String,
    /// The sender.
    pub from: String,
    /// The text.
    pub content: String,
    /// When it was stored, in milliseconds since 1970.
    pub at_ms: u64,
    /// Which POST brought it, counted from 0.
    pub post: usize,
}

/// The state of an outgoing message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MessageState {
    /// Due, and not offered yet.
    Pending,
    /// Offered, and nothing told about it.
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
}

impl MessageState {
    fn after(status: &str) -> Self {
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
pub struct Change {
    /// The state it came to.
    pub state: MessageState,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The reason, or the status that was not recognised.
    pub details: Option<String>,
}

/// An outgoing message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outgoing {
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
    pub history: Vec<Change>,
}

/// An outgoing message, as it is offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Offered {
    pub id: String,
    pub to: String,
    pub content: String,
}

/// Incoming and outgoing messages.
#[derive(Debug, Default)]
pub(super) struct Store {
    stored: Vec<Stored>,
    known_ids: HashSet<String>,
    outgoing: Vec<Outgoing>,
    places: HashMap<String, usize>,
    /// The places of those that are offered, oldest due first.
    due: BTreeSet<usize>,
}

impl Store {
    /// How many outgoing messages wait to be sent.
    pub(super) fn due_count(&self) -> usize {
        self.due.len()
    }

    pub(super) fn stored(&self) -> &[Stored] {
        &self.stored
    }

    pub(super) fn outgoing(&self) -> &[Outgoing] {
        &self.outgoing
    }

    pub(super) fn outgoing_with(&self, id: &str) -> Option<&Outgoing> {
        self.outgoing.get(*self.places.get(id)?)
    }

    /// How often each id was stored that was stored more than once.
    pub(super) fn duplicates(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for stored in &self.stored {
            *counts.entry(stored.id.clone()).or_default() += 1;
        }
        counts.retain(|_, count| *count > 1);
        counts
    }

    /// Whether an incoming id was seen, or is another gateway's id of an outgoing message.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.known_ids.contains(id)
    }

    /// Stores a message, whether its id is known or not: that check was made before.
    pub(super) fn write(&mut self, message: Incoming, post: usize) -> Stored {
        let Incoming { id, from, content } = message;
        let stored = Stored {
            id,
            from,
            content,
            at_ms: ids::now_ms(),
            post,
        };
        self.known_ids.insert(stored.id.clone());
        self.stored.push(stored.clone());
        stored
    }

    pub(super) fn queue(
        &mut self,
        id: String,
        to: String,
        content: String,
        reference: Option<String>,
    ) {
        let place = self.outgoing.len();
        self.known_ids.extend(reference.clone());
        self.places.insert(id.clone(), place);
        self.due.insert(place);
        let first = Change {
            state: MessageState::Pending,
            at_ms: ids::now_ms(),
            details: None,
        };
        let state = first.state;
        self.outgoing.push(Outgoing {
            id,
            to,
            content,
            reference,
            state,
            history: vec![first],
        });
    }

    /// What a POST is offered now.
    pub(super) fn offer(&self) -> Vec<Offered> {
        let due = self
            .due
            .iter()
            .filter_map(|place| self.outgoing.get(*place));
        due.take(OFFERED_AT_MOST)
            .map(|message| Offered {
                id: message.id.clone(),
                to: message.to.clone(),
                content: message.content.clone(),
            })
            .collect()
    }

    /// Marks what was offered, over whatever was written since.
    pub(super) fn mark_offered(&mut self, offered: &[Offered]) {
        for message in offered {
            self.set(&message.id, MessageState::ForwardedToGateway, None);
        }
    }

    /// Applies an update. An unknown id is lost.
    pub(super) fn apply(&mut self, update: &Update) {
        let state = MessageState::after(&update.status);
        let details = match state {
            MessageState::Unrecognised => Some(update.status.clone()),
            _ => update.reason.clone(),
        };
        self.set(&update.id, state, details);
    }

    /// The same state without details is recognised as a repetition; with details it is another
    /// row of the history (observed on CHT 5.2.0).
    fn set(&mut self, id: &str, state: MessageState, details: Option<String>) {
        let Some(place) = self.places.get(id).copied() else {
            return;
        };
        let Some(message) = self.outgoing.get_mut(place) else {
            return;
        };
        if message.state == state && details.is_none() {
            return;
        }
        message.state = state;
        message.history.push(Change {
            state,
            at_ms: ids::now_ms(),
            details,
        });
        if state.is_offered() {
            self.due.insert(place);
        } else {
            self.due.remove(&place);
        }
    }
}
