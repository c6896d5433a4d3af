//! Finding what Medic refuses for ever among what it takes.
//!
//! Only what fails alone while another was stored beside it is dead-lettered: a Medic with a full disk
//! answers control, takes what it has already, refuses everything else, and none of that is poison.

use std::collections::{BTreeSet, VecDeque};

use super::{Control, MedicExchange, Posted, Round, Stop};
use crate::domain::exchange::Candidate;
use crate::domain::ids::{IncomingId, MedicMessageId};
use crate::handlers::medic_exchange::batch::{Batch, Item};
use crate::ports::{LedgerStore, Medic, Queue, Runtime};
use crate::queue::dead_letter::dead_letter_or_return;
use crate::wire::medic::{Payload, Update};
use crate::wire::queue_messages::IncomingSms;

/// What ended so many POSTs in which it was alone, without an answer that says why, is not brought to
/// see whether Medic takes anything. If each was soon after Medic had taken something else, it is not
/// brought again at all: it is dead-lettered.
const HOPELESS_AFTER_POSTS_IN_DOUBT: u32 = 5;

/// What has no other beside it to show that Medic can take anything is dead-lettered after a day of
/// failing alone, in milliseconds.
const HOPELESS_AFTER_MS: i64 = 24 * 60 * 60 * 1000;

/// After failing alone for so long, in milliseconds, the next message of the same sender may show
/// that it is to blame.
const OVERTAKEN_AFTER_MS: i64 = 10 * 60 * 1000;

/// After so many failures with nothing taken between them it is Medic that cannot take anything. So
/// many try each message of a batch alone, and some of its statuses.
const FAILURES_AT_MOST: usize = 24;

/// So many are enough in one search where Medic does take something: the next one goes on.
const FAILURES_BESIDE_A_CONTROL: usize = 60;

/// Why what never got an answer is dead-lettered.
pub(super) const ENDED_EVERY_POST: &str = "it ended every POST in which it was alone";

/// A message or a status.
enum One {
    Message(IncomingSms),
    Status(Update),
}

impl One {
    fn candidate(&self) -> Candidate {
        match self {
            Self::Message(sms) => Candidate::Message(sms.id.clone()),
            Self::Status(update) => Candidate::Status(update.id.clone()),
        }
    }

    fn alone(self) -> Payload {
        match self {
            Self::Message(sms) => Payload {
                messages: vec![sms],
                updates: Vec::new(),
            },
            Self::Status(update) => Payload {
                messages: Vec::new(),
                updates: vec![update],
            },
        }
    }

    fn is_of_sender(&self, from: &str) -> bool {
        matches!(self, Self::Message(sms) if sms.from == from)
    }
}

/// What failed alone.
struct Failure {
    one: One,
    /// Medic's answer.
    answer: String,
    /// What Medic had shown, in this search, when it failed.
    beside: Control,
}

/// A search for what fails alone.
#[derive(Default)]
struct Search {
    /// What is still to be tried.
    parts: VecDeque<Payload>,
    failed: Vec<Failure>,
    /// How many POSTs failed.
    failures: usize,
    /// What Medic has shown.
    control: Control,
}

impl Search {
    /// A part failed: its halves are tried, or it is one.
    fn note_failure(&mut self, part: Payload, answer: &str) {
        if part.len() > 1 {
            let (first, second) = part.halves();
            self.parts.push_front(second);
            self.parts.push_front(first);
            return;
        }
        let messages = part.messages.into_iter().map(One::Message);
        for one in messages.chain(part.updates.into_iter().map(One::Status)) {
            self.failed.push(Failure {
                one,
                answer: answer.to_owned(),
                beside: self.control,
            });
        }
    }

    /// What Medic must have shown, for what failed to be dead-lettered. What it stored of the POST that
    /// failed is enough for a single failure; where there are more, its disk may have filled up, and
    /// half as many must have been stored since.
    fn enough(&self) -> Control {
        match self.failed.len() {
            1 => Control::Stored,
            failures => Control::Fresh(failures.div_ceil(2)),
        }
    }

    /// What failed before Medic had shown enough, to be looked at again.
    fn take_unsure(&mut self) -> VecDeque<Payload> {
        let enough = self.enough();
        let (sure, unsure) = std::mem::take(&mut self.failed)
            .into_iter()
            .partition(|failure| failure.beside >= enough);
        self.failed = sure;
        unsure
            .into_iter()
            .map(|failure: Failure| failure.one.alone())
            .collect()
    }

    /// A later message of a sender whose message failed was taken: now the earlier one cannot be
    /// looked at again, for it would come after it.
    fn note_overtaking(&mut self, from: &str, control: Control) {
        self.control = self.control.and(control);
        for failure in &mut self.failed {
            if failure.one.is_of_sender(from) {
                failure.beside = Control::Fresh(usize::MAX);
            }
        }
    }

    /// Whether all that failed did so beside enough.
    fn is_sure(&self) -> bool {
        let enough = self.enough();
        self.failed.iter().all(|failure| failure.beside >= enough)
    }

    fn is_exhausted(&self) -> bool {
        let at_most = match self.control {
            Control::Nothing => FAILURES_AT_MOST,
            Control::Stored | Control::Fresh(_) => FAILURES_BESIDE_A_CONTROL,
        };
        self.failures >= at_most
    }
}

impl Round {
    fn posts_in_doubt_of(&self, item: &Item<'_>) -> u32 {
        self.memory.posts_in_doubt(&item.candidate())
    }

    /// What Medic shows by taking this. What it may have had before shows nothing: it does not write a
    /// message a second time, nor a status, unless that comes with a reason or it had just offered the
    /// message.
    pub(super) fn control_from(&self, payload: &Payload, batch: &Batch<'_>) -> Control {
        let messages = payload.messages.iter();
        let messages = messages
            .filter(|sms| batch.is_new(&sms.id))
            .map(|sms| Candidate::Message(sms.id.clone()));
        let updates = payload.updates.iter();
        let updates = updates
            .filter(|update| update.reason.is_some() || self.offered.contains(&update.id))
            .map(|update| Candidate::Status(update.id.clone()));
        messages
            .chain(updates)
            .map(|candidate| match self.tried.contains(&candidate) {
                true => Control::Stored,
                false => Control::Fresh(1),
            })
            .fold(Control::Nothing, Control::and)
    }

    /// Medic failed on this. Its messages come first: when they fail, no status was looked at.
    pub(super) fn note_failed(&mut self, payload: &Payload) {
        let messages = payload.messages.iter();
        self.tried
            .extend(messages.map(|sms| Candidate::Message(sms.id.clone())));
        if payload.messages.is_empty() {
            let updates = payload.updates.iter();
            self.tried
                .extend(updates.map(|update| Candidate::Status(update.id.clone())));
        }
    }

    /// Whether it is not brought again, for it would only end in doubt once more and hold up the
    /// others.
    pub(super) fn is_hopeless(&self, candidate: &Candidate, now_ms: i64) -> bool {
        self.memory.controlled_posts_in_doubt(candidate) >= HOPELESS_AFTER_POSTS_IN_DOUBT
            || (self.memory.posts_in_doubt(candidate) >= HOPELESS_AFTER_POSTS_IN_DOUBT
                && self.is_given_up(candidate, now_ms))
    }

    /// Whether it is dead-lettered without a control: after a day of it, and one at the most.
    fn is_given_up(&self, candidate: &Candidate, now_ms: i64) -> bool {
        !self.dead_lettered_one && self.has_failed_for(candidate, HOPELESS_AFTER_MS, now_ms)
    }

    fn has_failed_for(&self, candidate: &Candidate, at_least_ms: i64, now_ms: i64) -> bool {
        let failing_ms = self.memory.failing_for_ms(candidate, now_ms);
        failing_ms.is_some_and(|failing_ms| failing_ms >= at_least_ms)
    }

    fn may_be_control(&self, candidate: &Candidate) -> bool {
        self.memory.posts_in_doubt(candidate) < HOPELESS_AFTER_POSTS_IN_DOUBT
    }
}

impl<L: LedgerStore, Q: Queue, M: Medic, S: Runtime> MedicExchange<L, Q, M, S> {
    /// A POST ended with Medic's own error: its work has ended, and something in it is poison. Found
    /// by halves, at once.
    pub(super) async fn find_poison(
        &self,
        payload: Payload,
        answer: &str,
        batch: &mut Batch<'_>,
        round: &mut Round,
    ) -> Result<(), Stop> {
        self.ask_whether_medic_answers(batch, round).await?;
        let mut search = Search::default();
        search.note_failure(payload, answer);
        self.search(search, batch, round).await
    }

    /// Something in the batch ended POST after POST without an answer that says what. Every message
    /// is tried alone, those last that have ended most of them, so that what is good gets through.
    pub(super) async fn deliver_one_by_one(
        &self,
        batch: &mut Batch<'_>,
        round: &mut Round,
    ) -> Result<(), Stop> {
        let mut items = batch.next_items();
        let now_ms = self.runtime.now_ms();
        let mut hopeless = items.iter();
        if let Some(item) = hopeless.find(|item| round.is_hopeless(&item.candidate(), now_ms)) {
            round.dead_lettered_one = true;
            let id = &item.sms.id;
            return self.dead_letter(id, ENDED_EVERY_POST, batch, round).await;
        }
        // Together, so that what is good among them tells Medic's trouble from theirs; and a candidate
        // by itself, for it may end the invocation.
        items.sort_by_key(|item| round.posts_in_doubt_of(item));
        let good = items.partition_point(|item| round.posts_in_doubt_of(item) == 0);
        items.truncate(good.max(1));
        let messages = items.into_iter().map(|item| One::Message(item.sms));
        let search = Search {
            parts: messages.map(One::alone).collect(),
            ..Search::default()
        };
        self.search(search, batch, round).await
    }

    /// Tries part after part, smaller and smaller, and dead-letters what fails alone: also when the
    /// search cannot be ended.
    async fn search(
        &self,
        mut search: Search,
        batch: &mut Batch<'_>,
        round: &mut Round,
    ) -> Result<(), Stop> {
        let ended = self.try_parts(&mut search, batch, round).await;
        let is_done = search.parts.is_empty();
        let aside = self.dead_letter_item(search, batch, round).await;
        ended?;
        aside?;
        match is_done {
            true => Ok(()),
            false => Err(Stop::FailsOnEverything),
        }
    }

    async fn try_parts(
        &self,
        search: &mut Search,
        batch: &mut Batch<'_>,
        round: &mut Round,
    ) -> Result<(), Stop> {
        let mut looked_again = false;
        while !search.is_exhausted() {
            let Some(mut part) = search.parts.pop_front() else {
                if search.failed.is_empty() || looked_again {
                    break;
                }
                if search.control >= search.enough() || search.is_sure() {
                    // What failed before Medic stored the other may have met a full disk.
                    looked_again = true;
                    search.parts = search.take_unsure();
                } else if let Some(control) = self.control(&search.failed, batch, round).await {
                    search.parts.push_back(control);
                } else if let Some(later) = self.later_of_a_sender(&search.failed, batch, round) {
                    let from = later.from.clone();
                    let taken = self
                        .post(&One::Message(later).alone(), batch, round)
                        .await?;
                    match taken {
                        Posted::Taken(control) => search.note_overtaking(&from, control),
                        Posted::Poison(_) => break,
                    }
                } else {
                    break;
                }
                continue;
            };
            // The other that was stored may have been a later status of the same message.
            part.updates
                .retain(|update| !round.has_reported_more(update));
            if part.is_empty() {
                continue;
            }
            match self.post(&part, batch, round).await? {
                Posted::Taken(control) => search.control = search.control.and(control),
                Posted::Poison(answer) => {
                    search.failures += 1;
                    search.note_failure(part, &answer);
                }
            }
        }
        Ok(())
    }

    /// Something else to bring, to see whether Medic can store anything at all: a message that was
    /// not tried, or statuses. Not of a sender whose message failed: were that no poison after all,
    /// the later message would be in Medic before it.
    async fn control(
        &self,
        failed: &[Failure],
        batch: &Batch<'_>,
        round: &mut Round,
    ) -> Option<Payload> {
        let has_failed = |item: &Item| {
            let mut failed = failed.iter();
            failed.any(|failure| failure.one.is_of_sender(&item.sms.from))
        };
        // The first of its sender's, so that none overtakes another; and rather one that Medic does
        // not have, and that has not ended POSTs before.
        let firsts = batch.next_items().into_iter();
        let untried = firsts
            .filter(|item| !has_failed(item))
            .filter(|item| round.may_be_control(&item.candidate()));
        let best =
            untried.min_by_key(|item| (round.posts_in_doubt_of(item), !batch.is_new(&item.sms.id)));
        if let Some(item) = best {
            return Some(One::Message(item.sms).alone());
        }
        let mut tried: BTreeSet<MedicMessageId> = BTreeSet::new();
        for candidate in &round.tried {
            if let Candidate::Status(id) = candidate {
                tried.insert(id.clone());
            }
        }
        let mut updates = self.updates_but(&tried, round).await;
        updates.retain(|update| round.may_be_control(&Candidate::Status(update.id.clone())));
        (!updates.is_empty()).then_some(Payload {
            messages: Vec::new(),
            updates,
        })
    }

    /// The next message of a sender whose message has failed alone for long: better one that is put
    /// aside by mistake than all who wait behind it.
    fn later_of_a_sender(
        &self,
        failed: &[Failure],
        batch: &Batch<'_>,
        round: &Round,
    ) -> Option<IncomingSms> {
        let now_ms = self.runtime.now_ms();
        let mut of_senders = failed.iter().filter_map(|failure| match &failure.one {
            One::Message(sms) => Some((sms, failure.one.candidate())),
            One::Status(_) => None,
        });
        of_senders.find_map(|(sms, candidate)| {
            let long = round.has_failed_for(&candidate, OVERTAKEN_AFTER_MS, now_ms);
            long.then(|| batch.next_of_sender(sms)).flatten()
        })
    }

    async fn dead_letter_item(
        &self,
        search: Search,
        batch: &mut Batch<'_>,
        round: &mut Round,
    ) -> Result<(), Stop> {
        let now_ms = self.runtime.now_ms();
        let enough = search.enough();
        let mut unsure = false;
        for failure in &search.failed {
            let candidate = failure.one.candidate();
            round.memory.note_failure(&candidate, now_ms);
            let is_controlled = failure.beside >= enough;
            if !is_controlled && !round.is_given_up(&candidate, now_ms) {
                unsure = true;
                continue;
            }
            round.dead_lettered_one |= !is_controlled;
            let answer = &failure.answer;
            match &failure.one {
                One::Message(sms) => self.dead_letter(&sms.id, answer, batch, round).await?,
                One::Status(update) => self.mark_refused(update, answer, round).await,
            }
        }
        match unsure {
            true => Err(Stop::FailsOnEverything),
            false => Ok(()),
        }
    }

    /// Dead-letters every record that brings this message.
    async fn dead_letter(
        &self,
        id: &IncomingId,
        answer: &str,
        batch: &mut Batch<'_>,
        round: &mut Round,
    ) -> Result<(), Stop> {
        let category = "Medic refuses this message while it takes others";
        for item in batch.items_of(id) {
            let record = item.record;
            if !dead_letter_or_return(&self.dead_letters, record, category, answer, &self.runtime)
                .await
            {
                return Err(Stop::NotDeadLettered);
            }
            batch.mark_dead_lettered(record);
        }
        round.memory.forget(&Candidate::Message(id.clone()));
        Ok(())
    }
}
