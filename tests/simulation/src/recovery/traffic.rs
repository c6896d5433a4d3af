//! The messages of a run, and when each went through.

use std::collections::BTreeMap;

use bridge::domain::status::Status;
use bridge::domain::time::Timestamp;

use super::RecoveryTime;
use crate::medic::status_of;
use crate::world::World;

/// Something that is to go through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TrafficItem {
    /// An incoming message, to be stored by Medic.
    Stored(String),
    /// A message of Medic, to be accepted by Africa's Talking.
    Sent(String),
    /// The delivery of a message, to be in the ledger.
    Recorded(String),
    /// The delivery of a message, to be reported to Medic.
    Reported(String),
}

/// The kinds of messages, each with a way of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum TrafficKind {
    Incoming,
    Outgoing,
    Report,
}

impl TrafficItem {
    fn kind(&self) -> TrafficKind {
        match self {
            Self::Stored(_) => TrafficKind::Incoming,
            Self::Sent(_) => TrafficKind::Outgoing,
            Self::Recorded(_) | Self::Reported(_) => TrafficKind::Report,
        }
    }
}

/// Items, and when each went through.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    pending: Vec<TrafficItem>,
    done: Vec<(TrafficItem, Timestamp)>,
}

/// The time in this world.
pub(super) fn now(world: &World) -> Timestamp {
    Timestamp::from_millis(world.now_ms())
}

impl Traffic {
    pub(super) fn add(&mut self, item: TrafficItem) {
        self.pending.push(item);
    }

    /// Leaves out the incoming messages of which this is not true.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.pending.retain(|item| match item {
            TrafficItem::Stored(id) => is_kept(id),
            _ => true,
        });
    }

    pub(super) fn is_through(&self) -> bool {
        self.pending.is_empty()
    }

    /// Looks what went through since the last look.
    pub(super) fn check(&mut self, world: &World) {
        if self.pending.is_empty() {
            return;
        }
        let medic = world.medic.borrow();
        let at = world.africas_talking.borrow();
        let ledger = world.ledger.borrow();
        let accepted = at.calls.iter().filter(|call| call.at_id.is_some());
        // The first acceptance of a message counts.
        let accepted: BTreeMap<&str, i64> = accepted
            .rev()
            .map(|call| (call.message.as_str(), call.at_ms))
            .collect();
        let when = |item: &TrafficItem| match item {
            TrafficItem::Stored(id) => {
                let stored = medic.stored.iter().find(|message| message.id == *id)?;
                Some(Timestamp::from_millis(stored.at_ms))
            }
            TrafficItem::Sent(id) => {
                let at_ms = accepted.get(id.as_str())?;
                Some(Timestamp::from_millis(*at_ms))
            }
            TrafficItem::Recorded(id) => {
                let row = ledger.message(id)?;
                (row.status == Status::Delivered).then(|| now(world))
            }
            TrafficItem::Reported(id) => {
                let mut history = medic.outgoing(id)?.history.iter();
                let delivered =
                    history.find(|change| status_of(change.state) == Some(Status::Delivered))?;
                Some(Timestamp::from_millis(delivered.at_ms))
            }
        };
        for item in std::mem::take(&mut self.pending) {
            match when(&item) {
                Some(at) => self.done.push((item, at)),
                None => self.pending.push(item),
            }
        }
    }

    /// When an item went through.
    pub(super) fn at(&self, item: &TrafficItem) -> Option<Timestamp> {
        let found = self.done.iter().find(|(done, _)| done == item);
        found.map(|(_, at)| *at)
    }

    /// How long each took after this, of those that had not gone through by then.
    fn waits_after(&self, end: Timestamp) -> impl Iterator<Item = (&TrafficItem, RecoveryTime)> {
        let after = self.done.iter().filter(move |(_, at)| *at > end);
        let took = after.map(move |(item, at)| (item, RecoveryTime::Took(at.since(end))));
        let never = self.pending.iter().map(|item| (item, RecoveryTime::Never));
        took.chain(never)
    }

    /// How long the first of each kind took after this; the longest of those.
    pub(super) fn first_after(&self, end: Timestamp) -> Option<RecoveryTime> {
        let mut firsts: BTreeMap<TrafficKind, RecoveryTime> = BTreeMap::new();
        for (item, wait) in self.waits_after(end) {
            let first = firsts.entry(item.kind()).or_insert(wait);
            *first = wait.min(*first);
        }
        firsts.into_values().max()
    }

    /// How long the last took after this.
    pub(super) fn last_after(&self, end: Timestamp) -> Option<RecoveryTime> {
        self.waits_after(end).map(|(_, wait)| wait).max()
    }
}

/// How long it took from one item to another.
pub(super) fn between(earlier: Option<Timestamp>, later: Option<Timestamp>) -> RecoveryTime {
    match (earlier, later) {
        (Some(earlier), Some(later)) => RecoveryTime::Took(later.since(earlier)),
        _ => RecoveryTime::Never,
    }
}
