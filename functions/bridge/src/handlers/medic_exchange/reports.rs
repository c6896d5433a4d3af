//! What is known of statuses in one invocation.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::ids::MedicMessageId;
use crate::domain::isolation::{Brought, FailedBefore, StatusCandidate};
use crate::domain::message::MessageRow;
use crate::domain::status::Status;
use crate::domain::time::Timestamp;
use crate::ledger::Rows;
use crate::wire::medic::{Payload, Update};

/// What is known of statuses in one invocation.
#[derive(Default)]
pub(super) struct Reports {
    /// Messages that Medic offered, dealt with already.
    pub(super) offered: BTreeSet<MedicMessageId>,
    /// Messages whose status is reported in the next POST, whatever Medic was told before.
    pub(super) wanted: Vec<MedicMessageId>,
    /// Messages that went into `outbox`, with the time of their first offer. Until the sender begins its
    /// row, such a message is `Unsent`.
    pub(super) taken: BTreeMap<MedicMessageId, Timestamp>,
    /// Whether offers were left to a later invocation.
    pub(super) has_left_offers: bool,
    /// What was reported. Nothing is reported twice in an invocation, also when that could not be
    /// written down.
    pub(super) reported: BTreeSet<(MedicMessageId, Status)>,
    /// The rows of what is reported, as they were read for it.
    pub(super) read: Rows,
    /// Messages on whose status Medic failed before.
    pub(super) failed_before: BTreeMap<MedicMessageId, FailedBefore>,
    /// Whether nothing was left to report. What is reported on in these seconds is for the next
    /// minute.
    pub(super) is_drained: bool,
}

impl Reports {
    /// The next POST reports the status of this message, which Medic has offered.
    pub(super) fn want(&mut self, id: MedicMessageId) {
        self.offered.insert(id.clone());
        self.wanted.push(id);
    }

    /// Whether Medic failed before on this status.
    pub(super) fn has_failed_before(&self, update: &Update) -> bool {
        self.failed_before.contains_key(&update.id)
    }

    /// What this POST brings, for the search for poison.
    pub(super) fn brought(&self, payload: &Payload) -> Brought {
        let statuses = payload.updates.iter().map(|update| StatusCandidate {
            id: update.id.clone(),
            status: update.status,
            before: self.failed_before.get(&update.id).copied(),
        });
        Brought {
            messages: payload.messages.iter().map(|sms| sms.id.clone()).collect(),
            statuses: statuses.collect(),
        }
    }

    /// The message's row: the stored one, or that of a message that was taken and has none yet.
    pub(super) fn row(&self, rows: &Rows, id: &MedicMessageId) -> Option<MessageRow> {
        let stored = rows.message(id).cloned();
        stored.or_else(|| {
            let first_offered = self.taken.get(id)?;
            Some(MessageRow::new(id.clone(), *first_offered))
        })
    }

    /// Whether this message had no row when it was taken, and Medic has not been told `Unsent`: nobody but
    /// this invocation reports to Medic, so that is right whatever its sender has done by now.
    pub(super) fn is_just_taken(&self, id: &MedicMessageId) -> bool {
        self.taken.contains_key(id) && self.wanted.contains(id)
    }

    /// Whether this is the `Unsent` of a message that had no row when it was taken.
    pub(super) fn is_without_row(&self, update: &Update) -> bool {
        update.status == Status::Unsent && self.taken.contains_key(&update.id)
    }

    /// Whether this status of the message was reported in this invocation.
    pub(super) fn was_reported(&self, row: &MessageRow) -> bool {
        self.reported.contains(&(row.id.clone(), row.status))
    }
}
