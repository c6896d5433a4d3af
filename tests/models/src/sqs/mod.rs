//! SQS: standard and FIFO queues.

mod api;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

pub use self::api::{call, md5};

/// A second message with the same deduplication id is dropped within this time, also after the first was
/// deleted.
pub const DEDUPLICATION_MS: i64 = 5 * 60 * 1000;

/// A message is kept no longer than this.
pub const RETENTION_MS: i64 = 14 * 24 * 60 * 60 * 1000;

/// No visibility timeout ends later than this after the receive.
pub const LONGEST_VISIBILITY_MS: i64 = 12 * 60 * 60 * 1000;

/// No batch is larger, to send, receive or change.
pub const BATCH: usize = 10;

/// No body is longer, in bytes.
pub const LONGEST_BODY: usize = 1024 * 1024;

/// No deduplication id or group is longer, in characters.
pub const LONGEST_ID: usize = 128;

/// Why SQS refuses something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqsError {
    /// A character that no body may have.
    InvalidMessageContents,
    /// A parameter is missing, or must not be there, or is out of its range.
    InvalidParameterValue,
    /// A receipt that is not the message's latest.
    ReceiptHandleIsInvalid,
    /// The message is not in flight any more.
    MessageNotInflight,
}

impl SqsError {
    /// Its name on the wire.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidMessageContents => "InvalidMessageContents",
            Self::InvalidParameterValue => "InvalidParameterValue",
            Self::ReceiptHandleIsInvalid => "ReceiptHandleIsInvalid",
            Self::MessageNotInflight => "MessageNotInflight",
        }
    }
}

impl fmt::Display for SqsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

/// A message that is to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageToSend {
    /// The text.
    pub body: String,
    /// The message group: in a FIFO queue, and only there.
    pub group: Option<String>,
    /// The deduplication id; in a FIFO queue the body takes its place if there is none.
    pub deduplication_id: Option<String>,
}

/// A message that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// SQS's id.
    pub message_id: String,
    /// The receipt handle, which deletes it or changes its visibility.
    pub receipt_handle: String,
    /// The text.
    pub body: String,
    /// The message group, in a FIFO queue.
    pub group: Option<String>,
    /// Its place in the queue.
    pub sequence_number: u64,
    /// How often it was received, this time included.
    pub receive_count: u32,
    /// When it was sent.
    pub sent_at_ms: i64,
}

/// A message in the queue.
#[derive(Clone, Debug)]
pub struct QueuedMessage {
    /// SQS's id.
    pub id: String,
    /// The body that was sent.
    pub body: String,
    /// The group, in a FIFO queue.
    pub group: String,
    /// When it was sent.
    pub sent_at_ms: i64,
    /// From when on it can be received.
    pub visible_at_ms: i64,
    /// How often it was received.
    pub receives: u32,
    receipt: u64,
    received_at_ms: i64,
}

/// A queue.
#[derive(Debug)]
pub struct QueueModel {
    /// Its name, which begins its messages' ids.
    pub name: String,
    /// Whether it is a FIFO queue.
    pub is_fifo: bool,
    /// How long a received message is in flight, unless somebody changes that.
    pub visibility_ms: i64,
    /// Whether a message group is locked while one of its messages is in flight, as on AWS. Off only to
    /// show what would happen without the lock.
    pub group_lock: bool,
    messages: BTreeMap<u64, QueuedMessage>,
    /// When each can be received, in order.
    times: BTreeSet<(i64, u64)>,
    /// The messages of each group that are in the queue, in order.
    groups: BTreeMap<String, BTreeSet<u64>>,
    /// The deduplication ids of the last five minutes, and the number of the message of each.
    seen: BTreeMap<String, u64>,
    /// The same, in the order of time.
    seen_in_order: VecDeque<(i64, String)>,
    number: u64,
    receipts: u64,
    /// Every body that was accepted, in order.
    pub taken: Vec<String>,
}

impl QueueModel {
    /// A standard queue.
    #[must_use]
    pub fn standard(name: &str, visibility_ms: i64) -> Self {
        Self {
            name: name.to_owned(),
            is_fifo: false,
            visibility_ms,
            group_lock: true,
            messages: BTreeMap::new(),
            times: BTreeSet::new(),
            groups: BTreeMap::new(),
            seen: BTreeMap::new(),
            seen_in_order: VecDeque::new(),
            number: 0,
            receipts: 0,
            taken: Vec::new(),
        }
    }

    /// A FIFO queue with content-based deduplication.
    #[must_use]
    pub fn fifo(name: &str, visibility_ms: i64) -> Self {
        Self {
            is_fifo: true,
            ..Self::standard(name, visibility_ms)
        }
    }

    /// Accepts a message and returns its id. Returns `Ok` also when FIFO deduplication drops the message,
    /// with the id of the earlier one.
    ///
    /// # Errors
    /// When SQS would refuse it.
    pub fn send(&mut self, message: MessageToSend, now_ms: i64) -> Result<String, SqsError> {
        let MessageToSend {
            body,
            group,
            deduplication_id,
        } = message;
        if body.is_empty() || body.len() > LONGEST_BODY {
            return Err(SqsError::InvalidParameterValue);
        }
        if !body.chars().all(is_allowed) {
            return Err(SqsError::InvalidMessageContents);
        }
        let deduplicated = self.is_fifo || deduplication_id.is_some();
        if group.is_some() != self.is_fifo || deduplicated != self.is_fifo {
            return Err(SqsError::InvalidParameterValue);
        }
        let group = group.unwrap_or_default();
        if self.is_fifo {
            let fits = |id: &str| (1..=LONGEST_ID).contains(&id.len());
            if !fits(&group) || deduplication_id.as_deref().is_some_and(|id| !fits(id)) {
                return Err(SqsError::InvalidParameterValue);
            }
            self.forget_seen(now_ms);
            let id = deduplication_id.unwrap_or_else(|| body.clone());
            if let Some(number) = self.seen.get(&id) {
                return Ok(self.message_id(*number));
            }
            self.seen.insert(id.clone(), self.number + 1);
            self.seen_in_order.push_back((now_ms, id));
        }
        self.number += 1;
        let id = self.message_id(self.number);
        let in_group = self.groups.entry(group.clone()).or_default();
        in_group.insert(self.number);
        self.taken.push(body.clone());
        self.times.insert((now_ms, self.number));
        self.messages.insert(
            self.number,
            QueuedMessage {
                id: id.clone(),
                body,
                group,
                sent_at_ms: now_ms,
                visible_at_ms: now_ms,
                receives: 0,
                receipt: 0,
                received_at_ms: 0,
            },
        );
        Ok(id)
    }

    fn message_id(&self, number: u64) -> String {
        format!("{}-{number}", self.name)
    }

    /// Deduplication forgets after its time.
    fn forget_seen(&mut self, now_ms: i64) {
        while let Some((seen_ms, _)) = self.seen_in_order.front()
            && now_ms - seen_ms >= DEDUPLICATION_MS
        {
            if let Some((_, id)) = self.seen_in_order.pop_front() {
                self.seen.remove(&id);
            }
        }
    }

    /// When the next message can be received, if there is one.
    #[must_use]
    pub fn next_receivable_ms(&self) -> Option<i64> {
        if self.is_fifo && self.group_lock {
            let firsts = self.groups.values().filter_map(BTreeSet::first);
            let firsts = firsts.filter_map(|number| self.messages.get(number));
            firsts.map(|message| message.visible_at_ms).min()
        } else {
            self.times.first().map(|(at_ms, _)| *at_ms)
        }
    }

    /// Hands out at most `limit` messages. Also returns the messages that were dropped because they are
    /// too old.
    ///
    /// A standard queue hands out any visible messages, in an order that `choose` decides: it gets a number
    /// and returns one that is not larger. A FIFO queue hands out, in order, the messages of each group that
    /// precede its first invisible message.
    pub fn receive(
        &mut self,
        now_ms: i64,
        limit: usize,
        choose: impl Fn(usize) -> usize,
    ) -> (Vec<ReceivedMessage>, Vec<QueuedMessage>) {
        let mut expired = Vec::new();
        while let Some((number, oldest)) = self.messages.first_key_value()
            && now_ms - oldest.sent_at_ms >= RETENTION_MS
        {
            let number = *number;
            expired.extend(self.remove(number));
        }
        let mut numbers = self.visible(now_ms, limit.min(BATCH));
        if !self.is_fifo {
            for at in (1..numbers.len()).rev() {
                numbers.swap(at, choose(at).min(at));
            }
        }
        numbers.truncate(limit.min(BATCH));
        let mut records = Vec::new();
        for number in numbers {
            self.receipts += 1;
            if let Some(message) = self.messages.get_mut(&number) {
                message.receives = message.receives.saturating_add(1);
                message.receipt = self.receipts;
                message.received_at_ms = now_ms;
                self.times.remove(&(message.visible_at_ms, number));
                message.visible_at_ms = now_ms + self.visibility_ms;
                self.times.insert((message.visible_at_ms, number));
                records.push(ReceivedMessage {
                    message_id: message.id.clone(),
                    receipt_handle: format!("{number}:{}", message.receipt),
                    body: message.body.clone(),
                    group: self.is_fifo.then(|| message.group.clone()),
                    sequence_number: number,
                    receive_count: message.receives,
                    sent_at_ms: message.sent_at_ms,
                });
            }
        }
        (records, expired)
    }

    /// The messages that can be handed out now, in order; of a locked group no more than `limit`.
    fn visible(&self, now_ms: i64, limit: usize) -> Vec<u64> {
        let is_visible = |number: &u64| {
            let message = self.messages.get(number);
            message.is_some_and(|message| message.visible_at_ms <= now_ms)
        };
        if !(self.is_fifo && self.group_lock) {
            let now = self.times.range(..=(now_ms, u64::MAX));
            let mut visible: Vec<u64> = now.map(|(_, number)| *number).collect();
            visible.sort_unstable();
            return visible;
        }
        let of_groups = self.groups.values().flat_map(|group| {
            let unlocked = group.iter().copied().take_while(is_visible);
            unlocked.take(limit)
        });
        let mut visible: Vec<u64> = of_groups.collect();
        visible.sort_unstable();
        visible
    }

    fn remove(&mut self, number: u64) -> Option<QueuedMessage> {
        let message = self.messages.remove(&number)?;
        self.times.remove(&(message.visible_at_ms, number));
        if let Some(group) = self.groups.get_mut(&message.group) {
            group.remove(&number);
        }
        Some(message)
    }

    /// Changes the visibility of a message that is in flight under this receipt.
    ///
    /// # Errors
    /// When the receipt is an older one, the message is not in flight, or the time is too long.
    pub fn change_visibility(
        &mut self,
        receipt: &str,
        seconds: i64,
        now_ms: i64,
    ) -> Result<(), SqsError> {
        let (number, message) = self
            .by_receipt(receipt)
            .ok_or(SqsError::ReceiptHandleIsInvalid)?;
        if message.visible_at_ms <= now_ms {
            return Err(SqsError::MessageNotInflight);
        }
        let until_ms = seconds.saturating_mul(1000).saturating_add(now_ms);
        if seconds < 0 || until_ms > message.received_at_ms + LONGEST_VISIBILITY_MS {
            return Err(SqsError::InvalidParameterValue);
        }
        self.show_at(number, until_ms);
        Ok(())
    }

    /// From this time on, the message can be received.
    fn show_at(&mut self, number: u64, at_ms: i64) {
        if let Some(message) = self.messages.get_mut(&number) {
            self.times.remove(&(message.visible_at_ms, number));
            message.visible_at_ms = at_ms;
            self.times.insert((at_ms, number));
        }
    }

    /// Deletes a message, if the receipt is its latest one (in a FIFO queue: and still good).
    pub fn delete(&mut self, receipt: &str, now_ms: i64) -> bool {
        let is_fifo = self.is_fifo;
        let good = self
            .by_receipt(receipt)
            .filter(|(_, message)| !is_fifo || message.visible_at_ms > now_ms)
            .map(|(number, _)| number);
        if let Some(number) = good {
            self.remove(number);
        }
        good.is_some()
    }

    /// How many messages could be received now, also those behind a message group's lock.
    #[must_use]
    pub fn visible_messages(&self, now_ms: i64) -> usize {
        self.messages.len() - self.in_flight(now_ms)
    }

    /// How many messages are in flight.
    #[must_use]
    pub fn in_flight(&self, now_ms: i64) -> usize {
        let is_out = |one: &&QueuedMessage| one.receives > 0 && one.visible_at_ms > now_ms;
        self.messages.values().filter(is_out).count()
    }

    /// Deletes a message whoever has it: only a broken variant does so.
    pub fn delete_by_id(&mut self, id: &str) {
        let mut messages = self.messages.iter();
        let found = messages.find(|(_, message)| message.id == id);
        if let Some(number) = found.map(|(number, _)| *number) {
            self.remove(number);
        }
    }

    /// Makes a message visible again that is in flight: a standard queue may do so at any time.
    pub fn deliver_again(&mut self, receipt: &str, now_ms: i64) {
        if let Some((number, _)) = self.by_receipt(receipt) {
            self.show_at(number, now_ms);
        }
    }

    fn by_receipt(&self, receipt: &str) -> Option<(u64, &QueuedMessage)> {
        let (number, receipt) = parse(receipt)?;
        let message = self.messages.get(&number)?;
        (message.receipt == receipt).then_some((number, message))
    }

    /// All messages in the queue, in flight or not, in order.
    pub fn messages(&self) -> impl Iterator<Item = &QueuedMessage> {
        self.messages.values()
    }

    /// Removes all messages, as an operator does.
    pub fn take_all(&mut self) -> Vec<QueuedMessage> {
        self.groups.clear();
        self.times.clear();
        std::mem::take(&mut self.messages).into_values().collect()
    }
}

fn parse(receipt: &str) -> Option<(u64, u64)> {
    let (number, receipt) = receipt.split_once(':')?;
    Some((number.parse().ok()?, receipt.parse().ok()?))
}

/// Whether SQS takes this character: those of XML 1.0.
fn is_allowed(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: fn(usize) -> usize = |at| at;

    fn grouped(body: &str, group: &str, id: &str) -> MessageToSend {
        MessageToSend {
            body: body.to_owned(),
            group: Some(group.to_owned()),
            deduplication_id: Some(id.to_owned()),
        }
    }

    fn bodies(received: &[ReceivedMessage]) -> Vec<&str> {
        received.iter().map(|one| one.body.as_str()).collect()
    }

    #[test]
    fn a_deduplication_id_is_swallowed_for_five_minutes_also_after_a_deletion() {
        let mut queue = QueueModel::fifo("q", 30_000);
        let first = queue.send(grouped("a", "g", "1"), 0).unwrap();
        let (received, _) = queue.receive(0, 10, FIRST);
        assert!(queue.delete(&received[0].receipt_handle, 0));
        let repeated = queue.send(grouped("b", "g", "1"), DEDUPLICATION_MS - 1);
        assert_eq!(repeated, Ok(first.clone()));
        assert!(queue.receive(DEDUPLICATION_MS - 1, 10, FIRST).0.is_empty());
        let later = queue
            .send(grouped("c", "g", "1"), DEDUPLICATION_MS)
            .unwrap();
        assert_ne!(later, first);
        let (received, _) = queue.receive(DEDUPLICATION_MS, 10, FIRST);
        assert_eq!(bodies(&received), ["c"]);
    }

    #[test]
    fn a_group_with_a_message_in_flight_is_locked_and_others_are_not() {
        let mut queue = QueueModel::fifo("q", 30_000);
        for (body, group) in [("a", "g"), ("b", "g"), ("c", "h")] {
            queue.send(grouped(body, group, body), 0).unwrap();
        }
        assert_eq!(bodies(&queue.receive(0, 1, FIRST).0), ["a"]);
        assert_eq!(bodies(&queue.receive(0, 10, FIRST).0), ["c"]);
        assert_eq!(queue.in_flight(0), 2);
        assert_eq!(bodies(&queue.receive(30_000, 10, FIRST).0), ["a", "b", "c"]);
    }

    #[test]
    fn a_message_that_is_too_old_is_dropped_however_often_it_was_received() {
        let mut queue = QueueModel::standard("q", 0);
        let message = MessageToSend {
            body: "a".to_owned(),
            ..MessageToSend::default()
        };
        queue.send(message, 0).unwrap();
        for _ in 0..2_000 {
            assert_eq!(queue.receive(0, 10, FIRST).0.len(), 1);
        }
        assert_eq!(queue.receive(RETENTION_MS - 1, 10, FIRST).0.len(), 1);
        let (received, expired) = queue.receive(RETENTION_MS, 10, FIRST);
        assert_eq!((received.len(), expired.len()), (0, 1));
    }
}
