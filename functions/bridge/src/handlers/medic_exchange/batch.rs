//! One batch of the exchange queue's main group: what in it is still to be done.

use std::time::Duration;

use crate::domain::ids::IncomingId;
use crate::domain::isolation::Candidate;
use crate::domain::quarantine::Quarantine;
use crate::domain::time::Timestamp;
use crate::ports::Record;
use crate::queue::consumer::{TOO_OLD, is_too_old};
use crate::wire::queue_messages::MEDIC_GROUP;
use crate::wire::queue_messages::{ExchangeMessage, IncomingSms, decode};

/// A poll that waited longer than this has been overtaken by another: the queue holds one a minute
/// for each minute that Medic was away.
const STALE_POLL: Duration = Duration::from_mins(2);

/// An SMS of the batch, with the record that brought it.
#[derive(Clone)]
pub struct Message<'a> {
    /// The record.
    pub record: &'a Record,
    /// The SMS.
    pub sms: IncomingSms,
    /// Why it was in quarantine, if it was.
    pub quarantine: Option<Quarantine>,
}

/// A batch, in the order of its queue.
pub struct Batch<'a> {
    waiting: Vec<Message<'a>>,
    /// Messages that Medic has, by its own word in this invocation.
    stored: Vec<Message<'a>>,
    polls: Vec<&'a Record>,
    /// Records for the dead-letter queue, with the reason.
    hopeless: Vec<(&'a Record, String)>,
    was_received_before: bool,
}

/// Whether a record is of the main group: only such a record, held, is a right to POST.
pub fn is_of_main_group(record: &Record) -> bool {
    record.group.as_deref() == Some(MEDIC_GROUP)
}

impl<'a> Batch<'a> {
    /// Sorts the records of the main group. Polls that are too old are done with.
    pub fn sort(records: &[&'a Record], now: Timestamp) -> Self {
        let mut batch = Self {
            waiting: Vec::new(),
            stored: Vec::new(),
            polls: Vec::new(),
            hopeless: Vec::new(),
            was_received_before: records.iter().any(|record| record.receive_count > 1),
        };
        let mut stale = None;
        for record in records {
            match decode(&record.body) {
                Ok(ExchangeMessage::Incoming(_) | ExchangeMessage::Quarantined(_))
                    if is_too_old(record, now) =>
                {
                    batch.hopeless.push((record, TOO_OLD.to_owned()));
                }
                Ok(ExchangeMessage::Incoming(sms)) => batch.waiting.push(Message {
                    record,
                    sms,
                    quarantine: None,
                }),
                Ok(ExchangeMessage::Quarantined(one)) => batch.waiting.push(Message {
                    record,
                    sms: one.sms,
                    quarantine: Some(one.quarantine),
                }),
                Ok(ExchangeMessage::Poll | ExchangeMessage::Continue) => {
                    if now.since(record.sent_at) <= STALE_POLL {
                        batch.polls.push(record);
                    } else {
                        stale = Some(*record);
                    }
                }
                Err(error) => batch.hopeless.push((record, error.to_string())),
            }
        }
        if batch.was_received_before && !batch.has_work() {
            // Whoever had it before may have left Medic in doubt: that is asked before it goes.
            batch.polls.extend(stale);
        }
        batch
    }

    /// Takes out what cannot be read, and what is too old.
    pub fn take_hopeless(&mut self) -> Vec<(&'a Record, String)> {
        std::mem::take(&mut self.hopeless)
    }

    /// Whether there is nothing to do for it: it is of polls that are too old.
    pub fn is_done(&self) -> bool {
        !self.has_work() && self.hopeless.is_empty()
    }

    /// Whether there is anything to ask Medic for.
    pub fn has_work(&self) -> bool {
        !self.waiting.is_empty() || !self.polls.is_empty()
    }

    /// Whether any message was in quarantine.
    pub fn has_quarantined(&self) -> bool {
        let mut waiting = self.waiting.iter();
        waiting.any(|message| message.quarantine.is_some())
    }

    /// Whether any of it was handed out before: then an earlier POST may have ended in doubt.
    pub fn was_received_before(&self) -> bool {
        self.was_received_before
    }

    /// Whether any message of it waits.
    pub fn has_messages(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Its messages, each id once, for the search for poison.
    pub fn candidates(&self) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = Vec::new();
        for message in &self.waiting {
            let is_new = message.record.receive_count == 1;
            let known = candidates.iter_mut().find(|one| one.id == message.sms.id);
            if let Some(known) = known {
                // A copy: what is known of one is known of the other.
                known.is_new &= is_new;
                known.quarantine = known.quarantine.take().or(message.quarantine.clone());
            } else {
                candidates.push(Candidate {
                    id: message.sms.id.clone(),
                    sender: message.sms.from.clone(),
                    is_new,
                    quarantine: message.quarantine.clone(),
                });
            }
        }
        candidates
    }

    /// The ids of its messages, each once.
    pub fn ids(&self) -> Vec<IncomingId> {
        let candidates = self.candidates().into_iter();
        candidates.map(|candidate| candidate.id).collect()
    }

    /// The SMS with these ids, in this order.
    pub fn sms(&self, ids: &[IncomingId]) -> Vec<IncomingSms> {
        let of_ids = ids
            .iter()
            .filter_map(|id| self.messages_of(id).first().cloned());
        of_ids.map(|message| message.sms.clone()).collect()
    }

    /// The records that still wait with this message.
    pub fn messages_of(&self, id: &IncomingId) -> Vec<&Message<'a>> {
        let of_id = self.waiting.iter().filter(|message| message.sms.id == *id);
        of_id.collect()
    }

    /// The youngest of them, whose id SQS cannot know: an older one may have been quarantined or dead-lettered
    /// a moment ago, and SQS would take another move of it for a repeat.
    pub fn youngest_of(&self, id: &IncomingId) -> Option<&Message<'a>> {
        let records = self.messages_of(id).into_iter();
        records.max_by_key(|message| message.record.sent_at)
    }

    /// Medic has this message. Every record that brought it is done with.
    pub fn mark_stored(&mut self, id: &IncomingId) {
        let (mut done, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|message| message.sms.id == *id);
        self.waiting = waiting;
        self.stored.append(&mut done);
    }

    /// This message is in another queue or group: its records never go back.
    pub fn mark_gone(&mut self, id: &IncomingId) {
        self.waiting.retain(|message| message.sms.id != *id);
    }

    /// Whether there is nothing left that could go back into the queue.
    pub fn is_spent(&self) -> bool {
        self.waiting.is_empty() && self.stored.is_empty() && self.polls.is_empty()
    }

    /// What goes back into the queue when the work stops before its end.
    pub fn undone(&self) -> Vec<&'a Record> {
        let messages = self.waiting.iter().map(|message| message.record);
        messages.chain(self.polls.iter().copied()).collect()
    }

    /// The messages that wait.
    pub fn waiting_messages(&self) -> Vec<&'a Record> {
        self.waiting.iter().map(|message| message.record).collect()
    }

    /// What goes back when a POST ended in doubt: something in any case, and be it a message that Medic
    /// has, so that nobody posts before it comes again, and that begins with the question whether Medic
    /// answers at all.
    pub fn undone_or_youngest(&self) -> Vec<&'a Record> {
        let mut back = self.undone();
        if back.is_empty() {
            let stored = self.stored.iter().map(|message| message.record);
            back.extend(stored.max_by_key(|record| record.sent_at));
        }
        back
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::queue_messages::{QuarantinedSms, encode};

    fn record(n: usize, message: &ExchangeMessage, sent_at: Timestamp) -> Record {
        Record {
            message_id: format!("m{n}"),
            receipt_handle: format!("r{n}"),
            body: encode(message),
            receive_count: 1,
            sent_at,
            group: Some(MEDIC_GROUP.to_owned()),
        }
    }

    fn sms(id: &str) -> IncomingSms {
        IncomingSms {
            id: IncomingId::new(id).unwrap(),
            from: "+254700000001".to_owned(),
            content: "x".to_owned(),
            sent_at: Timestamp::from_millis(0),
            received_at: Timestamp::from_millis(0),
        }
    }

    fn incoming(id: &str) -> ExchangeMessage {
        ExchangeMessage::Incoming(sms(id))
    }

    fn sort(records: &[Record], now: Timestamp) -> Batch<'_> {
        Batch::sort(&records.iter().collect::<Vec<_>>(), now)
    }

    #[test]
    fn what_medic_has_goes_back_only_to_keep_others_from_posting() {
        let records = [
            record(0, &incoming("a1"), Timestamp::from_millis(0)),
            record(1, &incoming("a2"), Timestamp::from_millis(1)),
        ];
        let mut batch = sort(&records, Timestamp::from_millis(0));
        for id in ["a1", "a2"] {
            batch.mark_stored(&IncomingId::new(id).unwrap());
        }
        assert!(batch.undone().is_empty());
        let youngest: Vec<&str> = batch
            .undone_or_youngest()
            .iter()
            .map(|record| record.message_id.as_str())
            .collect();
        assert_eq!(youngest, ["m1"]);
    }

    #[test]
    fn a_copy_of_a_quarantined_message_is_that_message() {
        let quarantined = ExchangeMessage::Quarantined(QuarantinedSms {
            sms: sms("a1"),
            quarantine: Quarantine {
                failures: 2,
                progress: 0,
                since: Timestamp::from_millis(0),
                until: Timestamp::from_millis(0),
                answer: String::new(),
            },
        });
        let records = [
            record(0, &incoming("a1"), Timestamp::from_millis(0)),
            record(1, &quarantined, Timestamp::from_millis(0)),
        ];
        let candidates = sort(&records, Timestamp::from_millis(0)).candidates();
        assert_eq!(candidates.len(), 1);
        assert_eq!(candidates[0].quarantine.as_ref().unwrap().failures, 2);
    }

    #[test]
    fn only_a_record_of_the_main_group_is_a_right_to_post() {
        let mut one = record(0, &incoming("a1"), Timestamp::from_millis(0));
        assert!(is_of_main_group(&one));
        for group in [None, Some("quarantine-m0".to_owned())] {
            one.group = group;
            assert!(!is_of_main_group(&one));
        }
    }

    #[test]
    fn a_poll_that_is_too_old_is_done_with() {
        let records = [
            record(0, &ExchangeMessage::Poll, Timestamp::from_millis(0)),
            record(1, &ExchangeMessage::Continue, Timestamp::from_millis(0)),
        ];
        assert!(sort(&records, Timestamp::from_millis(120_001)).is_done());
        assert!(sort(&records, Timestamp::from_millis(120_000)).has_work());
    }

    #[test]
    fn a_poll_that_is_too_old_and_was_handed_out_before_is_still_asked_for() {
        let mut records = [
            record(0, &ExchangeMessage::Poll, Timestamp::from_millis(0)),
            record(1, &ExchangeMessage::Poll, Timestamp::from_millis(60_000)),
        ];
        assert!(!sort(&records, Timestamp::from_millis(1_000_000)).has_work());
        records[0].receive_count = 2;
        let undone = sort(&records, Timestamp::from_millis(1_000_000)).undone();
        let undone: Vec<&str> = undone.iter().map(|r| r.message_id.as_str()).collect();
        assert_eq!(undone, ["m1"]);
    }

    #[test]
    fn what_is_gone_never_goes_back() {
        let records = [record(0, &incoming("a1"), Timestamp::from_millis(0))];
        let mut batch = sort(&records, Timestamp::from_millis(0));
        batch.mark_gone(&IncomingId::new("a1").unwrap());
        assert!(batch.is_spent());
        assert!(batch.undone_or_youngest().is_empty());
    }
}
