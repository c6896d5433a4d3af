//! The running account: what went in at one end, against what came out at the other.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::facts::{Facts, StackQueue};
use crate::africastalking::PhoneSms;
use crate::medic::MessageState;

/// SMS from phones. Each that was accepted counts in exactly one of the fields after `sent`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct FromPhones {
    /// Those for which Africa's Talking got its 200.
    pub sent: usize,
    /// Those that Medic has exactly once.
    pub stored_once: usize,
    /// Those that Medic has more than once.
    pub stored_twice: usize,
    /// Those that Medic does not have and a queue has.
    pub on_their_way: usize,
    /// Those that were dead-lettered with a reason.
    pub dead_lettered: usize,
    /// Those that a real Medic has acknowledged: nobody here can count its messages.
    pub handed_over: usize,
    /// Those that are nowhere.
    pub lost: usize,
    /// The ids of the lost.
    #[serde(skip)]
    pub lost_ids: HashSet<String>,
}

/// SMS that Medic wants sent. Each counts in exactly one of the fields after `wanted`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct ToPhones {
    /// All of them.
    pub wanted: usize,
    /// Those that their phone has.
    pub on_phone: usize,
    /// Those that Medic was told have failed, and that no phone has.
    pub failed: usize,
    /// All others.
    pub on_their_way: usize,
    /// SMS on phones beyond those that Medic wanted.
    pub too_many: usize,
}

impl FromPhones {
    /// Compares both ends. The facts must have been read in their order: then an SMS that was
    /// accepted is in a queue, or had left it because Medic has it.
    pub(super) fn of(facts: &Facts) -> Self {
        let ids_in = |queue| -> HashSet<&str> {
            let messages = facts.inside.queue(queue).iter();
            messages.filter_map(|message| message.text("id")).collect()
        };
        let (waiting, dead_letters) = (
            ids_in(StackQueue::Exchange),
            ids_in(StackQueue::ExchangeDeadLetter),
        );
        let mut stored: HashMap<&str, usize> = HashMap::new();
        for message in &facts.ends.stored {
            *stored.entry(&message.id).or_default() += 1;
        }
        let mut account = Self::default();
        for sms in facts.phones.sent.iter().filter(|sms| sms.is_accepted()) {
            account.sent += 1;
            let id = sms.id.as_str();
            match stored.get(id) {
                Some(1) => account.stored_once += 1,
                Some(_) => account.stored_twice += 1,
                None if waiting.contains(id) => account.on_their_way += 1,
                None if dead_letters.contains(id) => account.dead_lettered += 1,
                // A queue forgets an SMS when Medic has answered for it, and never before.
                None if facts.ends.medic_is_real => account.handed_over += 1,
                None => {
                    account.lost += 1;
                    account.lost_ids.insert(sms.id.clone());
                }
            }
        }
        account
    }

    /// Whether this one is nowhere.
    pub(super) fn has_lost(&self, sms: &PhoneSms) -> bool {
        self.lost_ids.contains(&sms.id)
    }
}

impl ToPhones {
    /// Compares both ends: what Medic wants on a phone with what is on it, number by number and
    /// text by text, because nothing else of an SMS is the same at both ends.
    pub(super) fn of(facts: &Facts) -> Self {
        if facts.ends.medic_is_real || facts.ends.phones_are_real {
            return Self::by_status(facts);
        }
        #[derive(Default)]
        struct Same {
            wanted: usize,
            failed: usize,
            landed: usize,
        }
        let mut all: HashMap<(&str, &str), Same> = HashMap::new();
        for message in &facts.ends.outgoing {
            let same = all.entry((&message.to, &message.content)).or_default();
            same.wanted += 1;
            same.failed += usize::from(message.state == MessageState::Failed);
        }
        for sms in facts.ends.landed.iter().filter(|sms| sms.on_phone) {
            all.entry((&sms.to, &sms.text)).or_default().landed += 1;
        }
        let mut account = Self::default();
        for same in all.into_values() {
            let on_phone = same.wanted.min(same.landed);
            let failed = same.failed.min(same.wanted - on_phone);
            account.wanted += same.wanted;
            account.on_phone += on_phone;
            account.failed += failed;
            account.on_their_way += same.wanted - on_phone - failed;
            account.too_many += same.landed - on_phone;
        }
        account
    }

    /// Goes by the statuses in the ledger, where one of the two ends cannot be looked into.
    fn by_status(facts: &Facts) -> Self {
        let rows = facts.inside.message_rows();
        let mut account = Self::default();
        for message in &facts.ends.outgoing {
            let row = rows.get(message.id.as_str());
            account.wanted += 1;
            match row.and_then(|row| row.get("status")?.as_str()) {
                Some("delivered") => account.on_phone += 1,
                Some("failed") => account.failed += 1,
                _ => account.on_their_way += 1,
            }
        }
        account
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;
    use crate::page::testing::{facts, landed, outgoing, phone_sms, stored, waiting};

    #[test]
    fn every_accepted_sms_is_counted_once() {
        let mut facts = facts();
        for id in ["once", "twice", "waits", "dead_lettered", "gone"] {
            facts.phones.sent.push(phone_sms(id, Some(200)));
        }
        facts.phones.sent.push(phone_sms("refused", Some(503)));
        facts.phones.sent.push(phone_sms("unanswered", None));
        facts.ends.stored = ["once", "twice", "twice"].map(stored).to_vec();
        let wait = waiting(json!({ "kind": "incoming", "id": "waits" }));
        facts.inside.queues.insert(StackQueue::Exchange, vec![wait]);
        let dead_letters = waiting(json!({ "kind": "incoming", "id": "dead_lettered" }));
        facts
            .inside
            .queues
            .insert(StackQueue::ExchangeDeadLetter, vec![dead_letters]);
        let account = FromPhones::of(&facts);
        let expected = FromPhones {
            sent: 5,
            stored_once: 1,
            stored_twice: 1,
            on_their_way: 1,
            dead_lettered: 1,
            handed_over: 0,
            lost: 1,
            lost_ids: HashSet::from(["gone".to_owned()]),
        };
        assert_eq!(account, expected);
    }

    #[test]
    fn what_medic_has_is_not_waiting_although_its_queue_still_holds_it() {
        let mut facts = facts();
        facts.phones.sent.push(phone_sms("a", Some(200)));
        facts.ends.stored.push(stored("a"));
        let wait = waiting(json!({ "kind": "incoming", "id": "a" }));
        facts.inside.queues.insert(StackQueue::Exchange, vec![wait]);
        let account = FromPhones::of(&facts);
        assert_eq!((account.stored_once, account.on_their_way), (1, 0));
    }

    #[test]
    fn what_a_real_medic_has_answered_for_is_neither_stored_nor_lost() {
        let mut facts = facts();
        facts.ends.medic_is_real = true;
        facts.phones.sent = vec![phone_sms("gone", Some(200)), phone_sms("waits", Some(200))];
        let wait = waiting(json!({ "kind": "incoming", "id": "waits" }));
        facts.inside.queues.insert(StackQueue::Exchange, vec![wait]);
        let account = FromPhones::of(&facts);
        let counts = (account.handed_over, account.on_their_way, account.lost);
        assert_eq!(counts, (1, 1, 0));
    }

    #[test]
    fn with_a_real_end_the_statuses_of_the_ledger_count() {
        let mut facts = facts();
        facts.ends.phones_are_real = true;
        for (id, status) in [("1", "delivered"), ("2", "failed"), ("3", "sent")] {
            let row = json!({ "pk": format!("message#{id}"), "status": status });
            facts.inside.rows.push(row);
            let message = outgoing(id, "+254700000001", "hello", MessageState::Sent);
            facts.ends.outgoing.push(message);
        }
        let expected = ToPhones {
            wanted: 3,
            on_phone: 1,
            failed: 1,
            on_their_way: 1,
            too_many: 0,
        };
        assert_eq!(ToPhones::of(&facts), expected);
    }

    #[test]
    fn phones_are_compared_number_by_number_and_text_by_text() {
        let mut facts = facts();
        facts.ends.outgoing = vec![
            outgoing("1", "+254700000001", "hello", MessageState::Delivered),
            outgoing("2", "+254700000001", "hello", MessageState::Failed),
            outgoing("3", "+254700000001", "again", MessageState::Sent),
            outgoing("4", "+254700000002", "hello", MessageState::Pending),
        ];
        facts.ends.landed = vec![
            landed("a", "+254700000001", "hello"),
            landed("b", "+254700000001", "again"),
            landed("c", "+254700000001", "again"),
        ];
        let expected = ToPhones {
            wanted: 4,
            on_phone: 2,
            failed: 1,
            on_their_way: 1,
            too_many: 1,
        };
        assert_eq!(ToPhones::of(&facts), expected);
    }
}
