//! One batch of the `exchange` queue: what in it is still to be done, and what comes next.

use crate::domain::exchange::Candidate;
use crate::domain::ids::IncomingId;
use crate::ports::Record;
use crate::wire::queue_messages::{ExchangeMessage, IncomingSms, UnreadableMessage, decode};

/// At most so many messages in a POST: Medic takes about a tenth of a second for each.
pub const MESSAGES_A_POST: usize = 10;

/// A poll that waited longer than this has been overtaken by another: the queue holds one a minute
/// for each minute that Medic was away.
const STALE_TRIGGER_MS: i64 = 2 * 60 * 1000;

/// An SMS of the batch, with the record that brought it.
#[derive(Clone)]
pub struct Item<'a> {
    /// The record.
    pub record: &'a Record,
    /// The SMS.
    pub sms: IncomingSms,
}

impl Item<'_> {
    /// It, as what may be to blame when a POST fails.
    pub fn candidate(&self) -> Candidate {
        Candidate::Message(self.sms.id.clone())
    }
}

/// A batch, in the order of its queue.
pub struct Batch<'a> {
    waiting: Vec<Item<'a>>,
    /// Letters that Medic has, by its own word in this invocation.
    stored: Vec<Item<'a>>,
    triggers: Vec<&'a Record>,
    unreadable: Vec<(&'a Record, UnreadableMessage)>,
    received_before: bool,
}

impl<'a> Batch<'a> {
    /// Sorts a batch. Polls that are too old are done with.
    pub fn sort(records: &'a [Record], now_ms: i64) -> Self {
        let mut batch = Self {
            waiting: Vec::new(),
            stored: Vec::new(),
            triggers: Vec::new(),
            unreadable: Vec::new(),
            received_before: records.iter().any(|record| record.receive_count > 1),
        };
        let mut stale = None;
        for record in records {
            match decode(&record.body) {
                Ok(ExchangeMessage::Incoming(sms)) => batch.waiting.push(Item { record, sms }),
                Ok(ExchangeMessage::Poll | ExchangeMessage::Continue) => {
                    if now_ms.saturating_sub(record.sent_at_ms) <= STALE_TRIGGER_MS {
                        batch.triggers.push(record);
                    } else {
                        stale = Some(record);
                    }
                }
                Err(error) => batch.unreadable.push((record, error)),
            }
        }
        if batch.received_before && !batch.has_work() {
            // Whoever had it before may have left Medic in doubt: that is asked before it goes.
            batch.triggers.extend(stale);
        }
        batch
    }

    /// Takes out what cannot be read.
    pub fn take_unreadable(&mut self) -> Vec<(&'a Record, UnreadableMessage)> {
        std::mem::take(&mut self.unreadable)
    }

    /// Whether there is anything to ask Medic for.
    pub fn has_work(&self) -> bool {
        !self.waiting.is_empty() || !self.triggers.is_empty()
    }

    /// Whether any of it was handed out before: then an earlier POST may have ended in doubt.
    pub fn was_received_before(&self) -> bool {
        self.received_before
    }

    /// How often the most often received of its waiting messages was.
    pub fn receives(&self) -> u32 {
        let receives = self.waiting.iter().map(|l| l.record.receive_count);
        receives.max().unwrap_or(0)
    }

    /// The messages that may be in the next POST: each id once, one of each sender, in order.
    ///
    /// Medic stores what comes in one POST side by side, and an id that it sees twice in it twice.
    pub fn next_items(&self) -> Vec<Item<'a>> {
        let mut chosen: Vec<Item> = Vec::new();
        for item in &self.waiting {
            let taken = chosen
                .iter()
                .any(|other| other.sms.id == item.sms.id || other.sms.from == item.sms.from);
            if !taken && chosen.len() < MESSAGES_A_POST {
                chosen.push(item.clone());
            }
        }
        chosen
    }

    /// Whether this message waits, and none of its records was handed out before: no earlier
    /// invocation has brought it.
    pub fn is_new(&self, id: &IncomingId) -> bool {
        let mut of_id = self.waiting.iter().filter(|item| item.sms.id == *id);
        of_id.clone().next().is_some() && of_id.all(|item| item.record.receive_count == 1)
    }

    /// The first other message of this one's sender.
    pub fn next_of_sender(&self, sms: &IncomingSms) -> Option<IncomingSms> {
        let mut others = self
            .waiting
            .iter()
            .filter(|item| item.sms.from == sms.from && item.sms.id != sms.id);
        others.next().map(|item| item.sms.clone())
    }

    /// The records that still wait with this message.
    pub fn items_of(&self, id: &IncomingId) -> Vec<Item<'a>> {
        let of_id = self.waiting.iter().filter(|item| item.sms.id == *id);
        of_id.cloned().collect()
    }

    /// Medic has this message. Every record that brought it is done with.
    pub fn mark_stored(&mut self, id: &IncomingId) {
        let (done, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|item| item.sms.id == *id);
        self.waiting = waiting;
        let mut done: Vec<Item> = done;
        self.stored.append(&mut done);
    }

    /// This message is dead-lettered: its record never goes back.
    pub fn mark_dead_lettered(&mut self, record: &Record) {
        self.waiting
            .retain(|item| item.record.message_id != record.message_id);
    }

    /// Whether there is nothing left that could go back into the queue.
    pub fn is_spent(&self) -> bool {
        self.waiting.is_empty() && self.stored.is_empty() && self.triggers.is_empty()
    }

    /// What goes back into the queue when the work stops before its end.
    pub fn undone(&self) -> Vec<&'a Record> {
        let items = self.waiting.iter().map(|item| item.record);
        items.chain(self.triggers.iter().copied()).collect()
    }

    /// What goes back when a POST ended in doubt: something in any case, and be it a message that Medic
    /// has, so that nobody posts before it comes again, and that begins with the question whether Medic
    /// answers at all.
    pub fn undone_or_youngest(&self) -> Vec<&'a Record> {
        let mut back = self.undone();
        if back.is_empty() {
            let stored = self.stored.iter().map(|item| item.record);
            back.extend(stored.max_by_key(|record| record.sent_at_ms));
        }
        back
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::queue_messages::encode;

    fn record(n: usize, message: &ExchangeMessage, sent_at_ms: i64) -> Record {
        Record {
            message_id: format!("m{n}"),
            receipt_handle: format!("r{n}"),
            body: encode(message),
            receive_count: 1,
            sent_at_ms,
        }
    }

    fn sms(id: &str, from: &str) -> ExchangeMessage {
        ExchangeMessage::Incoming(IncomingSms {
            id: IncomingId::new(id).unwrap(),
            from: from.to_owned(),
            content: "x".to_owned(),
            sent_at_ms: 0,
            received_at_ms: 0,
        })
    }

    fn ids(items: &[Item]) -> Vec<String> {
        items
            .iter()
            .map(|item| item.sms.id.as_str().to_owned())
            .collect()
    }

    #[test]
    fn a_post_holds_one_message_of_each_sender_and_each_id_once() {
        let records = [
            record(0, &sms("a1", "+254700000001"), 0),
            record(1, &sms("a2", "+254700000001"), 0),
            record(2, &sms("b1", "+254700000002"), 0),
            record(3, &sms("b1", "+254700000003"), 0),
        ];
        let mut batch = Batch::sort(&records, 0);
        assert_eq!(ids(&batch.next_items()), ["a1", "b1"]);
        batch.mark_stored(&IncomingId::new("a1").unwrap());
        batch.mark_stored(&IncomingId::new("b1").unwrap());
        assert_eq!(ids(&batch.next_items()), ["a2"]);
        assert_eq!(batch.undone().len(), 1);
        batch.mark_stored(&IncomingId::new("a2").unwrap());
        assert!(batch.undone().is_empty());
        assert_eq!(batch.undone_or_youngest().len(), 1);
    }

    #[test]
    fn a_poll_that_is_too_old_is_done_with() {
        let records = [
            record(0, &ExchangeMessage::Poll, 0),
            record(1, &ExchangeMessage::Continue, 0),
        ];
        assert!(!Batch::sort(&records, 120_001).has_work());
        assert!(Batch::sort(&records, 120_000).has_work());
    }

    #[test]
    fn a_poll_that_is_too_old_and_was_handed_out_before_is_still_asked_for() {
        let mut records = [
            record(0, &ExchangeMessage::Poll, 0),
            record(1, &ExchangeMessage::Poll, 60_000),
        ];
        assert!(!Batch::sort(&records, 1_000_000).has_work());
        records[0].receive_count = 2;
        let batch = Batch::sort(&records, 1_000_000);
        let undone: Vec<&str> = batch
            .undone()
            .iter()
            .map(|r| r.message_id.as_str())
            .collect();
        assert_eq!(undone, ["m1"]);
    }

    #[test]
    fn what_is_dead_lettered_never_goes_back() {
        let records = [record(0, &sms("a1", "MTN"), 0)];
        let mut batch = Batch::sort(&records, 0);
        batch.mark_dead_lettered(&records[0]);
        assert!(batch.is_spent());
        assert!(batch.undone_or_youngest().is_empty());
    }
}
