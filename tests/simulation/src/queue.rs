//! A queue as SQS keeps its contract, standard or FIFO.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bridge::ports::{Fifo, NewMessage, QueueError, Record};

use crate::random::Random;

/// The same deduplication id within this time is swallowed.
pub const DEDUPLICATION_MS: i64 = 5 * 60 * 1000;

/// A message is kept no longer than this.
pub const RETENTION_MS: i64 = 14 * 24 * 60 * 60 * 1000;

/// So many receives, and the message moves to the dead-letter queue.
pub const MAX_RECEIVES: u32 = 1_000;

/// No visibility time-out reaches further than this from the receive.
pub const LONGEST_VISIBILITY_MS: i64 = 12 * 60 * 60 * 1000;

/// No batch is larger, to send, receive or change.
pub const BATCH: usize = 10;

/// A message in the queue.
#[derive(Clone)]
pub struct Message {
    /// SQS's id.
    pub id: String,
    /// What was sent.
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
pub struct QueueModel {
    /// Its name, which begins its messages' ids.
    pub name: &'static str,
    /// Whether it is a FIFO queue.
    pub is_fifo: bool,
    visibility_ms: i64,
    /// AWS's lock of a message group; off only in a broken variant.
    pub group_lock: bool,
    messages: BTreeMap<u64, Message>,
    /// What of each group is in the queue, in order.
    groups: BTreeMap<String, BTreeSet<u64>>,
    /// The deduplication ids of the last five minutes.
    seen: BTreeSet<String>,
    /// The same, in the order of time.
    seen_in_order: VecDeque<(i64, String)>,
    number: u64,
    receipts: u64,
    /// Every body that was taken in, in order.
    pub taken: Vec<String>,
}

impl QueueModel {
    /// A standard queue.
    pub fn standard(name: &'static str, visibility_ms: i64) -> Self {
        Self {
            name,
            is_fifo: false,
            visibility_ms,
            group_lock: true,
            messages: BTreeMap::new(),
            groups: BTreeMap::new(),
            seen: BTreeSet::new(),
            seen_in_order: VecDeque::new(),
            number: 0,
            receipts: 0,
            taken: Vec::new(),
        }
    }

    /// A FIFO queue with content-based deduplication.
    pub fn fifo(name: &'static str, visibility_ms: i64) -> Self {
        Self {
            is_fifo: true,
            ..Self::standard(name, visibility_ms)
        }
    }

    /// Takes a message. `Ok` also when FIFO deduplication swallows it.
    ///
    /// # Errors
    /// When SQS would refuse it.
    pub fn send(&mut self, message: NewMessage, now_ms: i64) -> Result<(), QueueError> {
        let printable = |byte: u8| (0x20..0x7f).contains(&byte);
        if message.body.is_empty() || !message.body.bytes().all(printable) {
            return Err(QueueError::of_server("InvalidMessageContents"));
        }
        if message.fifo.is_some() != self.is_fifo {
            return Err(QueueError::of_server("InvalidParameterValue"));
        }
        let group = match message.fifo {
            None => String::new(),
            Some(Fifo {
                group,
                deduplication_id,
            }) => {
                if group.is_empty() || deduplication_id.is_empty() || deduplication_id.len() > 128 {
                    return Err(QueueError::of_server("InvalidParameterValue"));
                }
                self.forget_seen(now_ms);
                if !self.seen.insert(deduplication_id.clone()) {
                    return Ok(());
                }
                self.seen_in_order.push_back((now_ms, deduplication_id));
                group
            }
        };
        self.number += 1;
        let in_group = self.groups.entry(group.clone()).or_default();
        in_group.insert(self.number);
        self.taken.push(message.body.clone());
        self.messages.insert(
            self.number,
            Message {
                id: format!("{}-{}", self.name, self.number),
                body: message.body,
                group,
                sent_at_ms: now_ms,
                visible_at_ms: now_ms,
                receives: 0,
                receipt: 0,
                received_at_ms: 0,
            },
        );
        Ok(())
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

    /// When something can be received, if ever.
    pub fn next_receivable_ms(&self) -> Option<i64> {
        if self.is_fifo && self.group_lock {
            let firsts = self.groups.values().filter_map(BTreeSet::first);
            let times = firsts.map(|number| self.messages[number].visible_at_ms);
            times.min()
        } else {
            let times = self.messages.values().map(|message| message.visible_at_ms);
            times.min()
        }
    }

    /// Hands out up to so many messages; and returns those that move to the dead-letter queue.
    ///
    /// Standard: any that are visible, in any order. FIFO: of each group, in order, what precedes
    /// its first invisible message.
    pub fn receive(
        &mut self,
        now_ms: i64,
        limit: usize,
        random: &Random,
    ) -> (Vec<Record>, Vec<Message>) {
        while let Some((number, oldest)) = self.messages.first_key_value()
            && now_ms - oldest.sent_at_ms >= RETENTION_MS
        {
            let number = *number;
            self.remove(number);
        }
        let mut numbers = self.visible(now_ms, limit.min(BATCH));
        if !self.is_fifo {
            for at in (1..numbers.len()).rev() {
                numbers.swap(at, random.next() as usize % (at + 1));
            }
        }
        numbers.truncate(limit.min(BATCH));
        let mut records = Vec::new();
        let mut dead = Vec::new();
        for number in numbers {
            if self.messages[&number].receives >= MAX_RECEIVES {
                dead.extend(self.remove(number));
                continue;
            }
            self.receipts += 1;
            if let Some(message) = self.messages.get_mut(&number) {
                message.receives += 1;
                message.receipt = self.receipts;
                message.received_at_ms = now_ms;
                message.visible_at_ms = now_ms + self.visibility_ms;
                records.push(Record {
                    message_id: message.id.clone(),
                    receipt_handle: format!("{number}:{}", message.receipt),
                    body: message.body.clone(),
                    receive_count: message.receives,
                    sent_at_ms: message.sent_at_ms,
                });
            }
        }
        (records, dead)
    }

    /// What can be handed out now, in order; of a locked group no more than `limit`.
    fn visible(&self, now_ms: i64, limit: usize) -> Vec<u64> {
        let is_visible = |number: &u64| self.messages[number].visible_at_ms <= now_ms;
        if !(self.is_fifo && self.group_lock) {
            return self.messages.keys().copied().filter(is_visible).collect();
        }
        let of_groups = self.groups.values().flat_map(|group| {
            let unlocked = group.iter().copied().take_while(is_visible);
            unlocked.take(limit)
        });
        let mut visible: Vec<u64> = of_groups.collect();
        visible.sort_unstable();
        visible
    }

    fn remove(&mut self, number: u64) -> Option<Message> {
        let message = self.messages.remove(&number)?;
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
        seconds: i32,
        now_ms: i64,
    ) -> Result<(), QueueError> {
        let message = self
            .by_receipt(receipt)
            .ok_or_else(|| QueueError::of_server("ReceiptHandleIsInvalid"))?;
        if message.visible_at_ms <= now_ms {
            return Err(QueueError::of_server("MessageNotInflight"));
        }
        let until_ms = now_ms + i64::from(seconds) * 1000;
        if seconds < 0 || until_ms > message.received_at_ms + LONGEST_VISIBILITY_MS {
            return Err(QueueError::of_server("InvalidParameterValue"));
        }
        message.visible_at_ms = until_ms;
        Ok(())
    }

    /// Deletes a message, if the receipt is its latest one (in a FIFO queue: and still good).
    pub fn delete(&mut self, receipt: &str, now_ms: i64) -> bool {
        let is_fifo = self.is_fifo;
        let good = self
            .by_receipt(receipt)
            .is_some_and(|message| !is_fifo || message.visible_at_ms > now_ms);
        if good && let Some((number, _)) = parse(receipt) {
            self.remove(number);
        }
        good
    }

    /// Makes a message visible again that is in flight: a standard queue may do so at any time.
    pub fn deliver_again(&mut self, receipt: &str, now_ms: i64) {
        if let Some(message) = self.by_receipt(receipt) {
            message.visible_at_ms = now_ms;
        }
    }

    fn by_receipt(&mut self, receipt: &str) -> Option<&mut Message> {
        let (number, receipt) = parse(receipt)?;
        let message = self.messages.get_mut(&number)?;
        (message.receipt == receipt).then_some(message)
    }

    /// All that is in it, in flight or not, in order.
    pub fn messages(&self) -> impl Iterator<Item = &Message> {
        self.messages.values()
    }

    /// Takes out everything, as an operator does.
    pub fn take_all(&mut self) -> Vec<Message> {
        self.groups.clear();
        std::mem::take(&mut self.messages).into_values().collect()
    }
}

fn parse(receipt: &str) -> Option<(u64, u64)> {
    let (number, receipt) = receipt.split_once(':')?;
    Some((number.parse().ok()?, receipt.parse().ok()?))
}
