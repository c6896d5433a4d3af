//! Finding what Medic refuses for ever among what it takes.
//!
//! Only what fails alone while another was stored beside it is put aside: a Medic with a full disk
//! answers control, takes what it has already, refuses everything else, and none of that is poison.

use std::collections::{BTreeSet, VecDeque};

use super::lane::{Lane, Letter};
use super::{MedicExchange, Posted, Round, Stop, Witness};
use crate::domain::ids::{IncomingId, MedicMessageId};
use crate::domain::lane::Suspect;
use crate::gateway::{Payload, Update};
use crate::parking::park_or_give_back;
use crate::ports::{LedgerStore, Medic, Queue, Surroundings};
use crate::queue_messages::IncomingSms;

/// What ended so many POSTs in which it was alone, without an answer that says why, is not brought to
/// see whether Medic takes anything. If each was soon after Medic had taken something else, it is not
/// brought again at all: it is put aside.
const HOPELESS_AFTER_DOUBTS: u32 = 5;

/// What has no other beside it to show that Medic can take anything is put aside after a day of
/// failing alone, in milliseconds.
const HOPELESS_AFTER_MS: i64 = 24 * 60 * 60 * 1000;

/// After failing alone for so long, in milliseconds, the next message of the same sender may show
/// that it is to blame.
const OVERTAKEN_AFTER_MS: i64 = 10 * 60 * 1000;

/// After so many failures with nothing taken between them it is Medic that cannot take anything. So
/// many try each message of a batch alone, and some of its statuses.
const FAILURES_AT_MOST: usize = 24;

/// So many are enough in one search where Medic does take something: the next one goes on.
const FAILURES_BESIDE_A_WITNESS: usize = 60;

/// Why what never got an answer is put aside.
pub(super) const ENDED_EVERY_POST: &str = "it ended every POST in which it was alone";

/// A message or a status.
enum One {
    Message(IncomingSms),
    Status(Update),
}

impl One {
    fn suspect(&self) -> Suspect {
        match self {
            Self::Message(sms) => Suspect::Message(sms.id.clone()),
            Self::Status(update) => Suspect::Status(update.id.clone()),
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
    beside: Witness,
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
    witness: Witness,
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
                beside: self.witness,
            });
        }
    }

    /// What Medic must have shown, for what failed to be put aside. What it stored of the POST that
    /// failed is enough for a single failure; where there are more, its disk may have filled up, and
    /// half as many must have been stored since.
    fn enough(&self) -> Witness {
        match self.failed.len() {
            1 => Witness::Stored,
            failures => Witness::Fresh(failures.div_ceil(2)),
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
    fn note_overtaking(&mut self, from: &str, witness: Witness) {
        self.witness = self.witness.and(witness);
        for failure in &mut self.failed {
            if failure.one.is_of_sender(from) {
                failure.beside = Witness::Fresh(usize::MAX);
            }
        }
    }

    /// Whether all that failed did so beside enough.
    fn is_sure(&self) -> bool {
        let enough = self.enough();
        self.failed.iter().all(|failure| failure.beside >= enough)
    }

    fn is_exhausted(&self) -> bool {
        let at_most = match self.witness {
            Witness::Nothing => FAILURES_AT_MOST,
            Witness::Stored | Witness::Fresh(_) => FAILURES_BESIDE_A_WITNESS,
        };
        self.failures >= at_most
    }
}

impl Round {
    fn doubts_of(&self, letter: &Letter<'_>) -> u32 {
        self.memory.doubts(&letter.suspect())
    }

    /// What Medic shows by taking this. What it may have had before shows nothing: it does not write a
    /// message a second time, nor a status, unless that comes with a reason or it had just offered the
    /// message.
    pub(super) fn shown_by(&self, payload: &Payload, lane: &Lane<'_>) -> Witness {
        let messages = payload.messages.iter();
        let messages = messages
            .filter(|sms| lane.is_new(&sms.id))
            .map(|sms| Suspect::Message(sms.id.clone()));
        let updates = payload.updates.iter();
        let updates = updates
            .filter(|update| update.reason.is_some() || self.offered.contains(&update.id))
            .map(|update| Suspect::Status(update.id.clone()));
        messages
            .chain(updates)
            .map(|suspect| match self.tried.contains(&suspect) {
                true => Witness::Stored,
                false => Witness::Fresh(1),
            })
            .fold(Witness::Nothing, Witness::and)
    }

    /// Medic failed on this. Its messages come first: when they fail, no status was looked at.
    pub(super) fn note_failed(&mut self, payload: &Payload) {
        let messages = payload.messages.iter();
        self.tried
            .extend(messages.map(|sms| Suspect::Message(sms.id.clone())));
        if payload.messages.is_empty() {
            let updates = payload.updates.iter();
            self.tried
                .extend(updates.map(|update| Suspect::Status(update.id.clone())));
        }
    }

    /// Whether it is not brought again, for it would only end in doubt once more and hold up the
    /// others.
    pub(super) fn is_hopeless(&self, suspect: &Suspect, now_ms: i64) -> bool {
        self.memory.witnessed_doubts(suspect) >= HOPELESS_AFTER_DOUBTS
            || (self.memory.doubts(suspect) >= HOPELESS_AFTER_DOUBTS
                && self.is_given_up(suspect, now_ms))
    }

    /// Whether it is put aside without a witness: after a day of it, and one at the most.
    fn is_given_up(&self, suspect: &Suspect, now_ms: i64) -> bool {
        !self.put_one_aside && self.has_failed_for(suspect, HOPELESS_AFTER_MS, now_ms)
    }

    fn has_failed_for(&self, suspect: &Suspect, at_least_ms: i64, now_ms: i64) -> bool {
        let failing_ms = self.memory.failing_for_ms(suspect, now_ms);
        failing_ms.is_some_and(|failing_ms| failing_ms >= at_least_ms)
    }

    fn may_witness(&self, suspect: &Suspect) -> bool {
        self.memory.doubts(suspect) < HOPELESS_AFTER_DOUBTS
    }
}

impl<L: LedgerStore, Q: Queue, M: Medic, S: Surroundings> MedicExchange<L, Q, M, S> {
    /// A POST ended with Medic's own error: its work has ended, and something in it is poison. Found
    /// by halves, at once.
    pub(super) async fn find_poison(
        &self,
        payload: Payload,
        answer: &str,
        lane: &mut Lane<'_>,
        round: &mut Round,
    ) -> Result<(), Stop> {
        self.ask_whether_medic_answers(lane, round).await?;
        let mut search = Search::default();
        search.note_failure(payload, answer);
        self.search(search, lane, round).await
    }

    /// Something in the batch ended POST after POST without an answer that says what. Every message
    /// is tried alone, those last that have ended most of them, so that what is good gets through.
    pub(super) async fn deliver_one_by_one(
        &self,
        lane: &mut Lane<'_>,
        round: &mut Round,
    ) -> Result<(), Stop> {
        let mut letters = lane.next_letters();
        let now_ms = self.surroundings.now_ms();
        let mut hopeless = letters.iter();
        if let Some(letter) = hopeless.find(|letter| round.is_hopeless(&letter.suspect(), now_ms)) {
            round.put_one_aside = true;
            let id = &letter.sms.id;
            return self.park(id, ENDED_EVERY_POST, lane, round).await;
        }
        // Together, so that what is good among them tells Medic's trouble from theirs; and a suspect
        // by itself, for it may end the invocation.
        letters.sort_by_key(|letter| round.doubts_of(letter));
        let good = letters.partition_point(|letter| round.doubts_of(letter) == 0);
        letters.truncate(good.max(1));
        let messages = letters.into_iter().map(|letter| One::Message(letter.sms));
        let search = Search {
            parts: messages.map(One::alone).collect(),
            ..Search::default()
        };
        self.search(search, lane, round).await
    }

    /// Tries part after part, smaller and smaller, and puts aside what fails alone: also when the
    /// search cannot be ended.
    async fn search(
        &self,
        mut search: Search,
        lane: &mut Lane<'_>,
        round: &mut Round,
    ) -> Result<(), Stop> {
        let ended = self.try_parts(&mut search, lane, round).await;
        let is_done = search.parts.is_empty();
        let aside = self.put_aside(search, lane, round).await;
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
        lane: &mut Lane<'_>,
        round: &mut Round,
    ) -> Result<(), Stop> {
        let mut looked_again = false;
        while !search.is_exhausted() {
            let Some(mut part) = search.parts.pop_front() else {
                if search.failed.is_empty() || looked_again {
                    break;
                }
                if search.witness >= search.enough() || search.is_sure() {
                    // What failed before Medic stored the other may have met a full disk.
                    looked_again = true;
                    search.parts = search.take_unsure();
                } else if let Some(witness) = self.witness(&search.failed, lane, round).await {
                    search.parts.push_back(witness);
                } else if let Some(later) = self.later_of_a_sender(&search.failed, lane, round) {
                    let from = later.from.clone();
                    let taken = self.post(&One::Message(later).alone(), lane, round).await?;
                    match taken {
                        Posted::Taken(witness) => search.note_overtaking(&from, witness),
                        Posted::Poison(_) => break,
                    }
                } else {
                    break;
                }
                continue;
            };
            // The other that was stored may have been a later status of the same message.
            part.updates.retain(|update| !round.has_told_more(update));
            if part.is_empty() {
                continue;
            }
            match self.post(&part, lane, round).await? {
                Posted::Taken(witness) => search.witness = search.witness.and(witness),
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
    async fn witness(
        &self,
        failed: &[Failure],
        lane: &Lane<'_>,
        round: &mut Round,
    ) -> Option<Payload> {
        let has_failed = |letter: &Letter| {
            let mut failed = failed.iter();
            failed.any(|failure| failure.one.is_of_sender(&letter.sms.from))
        };
        // The first of its sender's, so that none overtakes another; and rather one that Medic does
        // not have, and that has not ended POSTs before.
        let firsts = lane.next_letters().into_iter();
        let untried = firsts
            .filter(|letter| !has_failed(letter))
            .filter(|letter| round.may_witness(&letter.suspect()));
        let best =
            untried.min_by_key(|letter| (round.doubts_of(letter), !lane.is_new(&letter.sms.id)));
        if let Some(letter) = best {
            return Some(One::Message(letter.sms).alone());
        }
        let mut tried: BTreeSet<MedicMessageId> = BTreeSet::new();
        for suspect in &round.tried {
            if let Suspect::Status(id) = suspect {
                tried.insert(id.clone());
            }
        }
        let mut updates = self.updates_but(&tried, round).await;
        updates.retain(|update| round.may_witness(&Suspect::Status(update.id.clone())));
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
        lane: &Lane<'_>,
        round: &Round,
    ) -> Option<IncomingSms> {
        let now_ms = self.surroundings.now_ms();
        let mut of_senders = failed.iter().filter_map(|failure| match &failure.one {
            One::Message(sms) => Some((sms, failure.one.suspect())),
            One::Status(_) => None,
        });
        of_senders.find_map(|(sms, suspect)| {
            let long = round.has_failed_for(&suspect, OVERTAKEN_AFTER_MS, now_ms);
            long.then(|| lane.next_of_sender(sms)).flatten()
        })
    }

    async fn put_aside(
        &self,
        search: Search,
        lane: &mut Lane<'_>,
        round: &mut Round,
    ) -> Result<(), Stop> {
        let now_ms = self.surroundings.now_ms();
        let enough = search.enough();
        let mut unsure = false;
        for failure in &search.failed {
            let suspect = failure.one.suspect();
            round.memory.note_failure(&suspect, now_ms);
            let is_witnessed = failure.beside >= enough;
            if !is_witnessed && !round.is_given_up(&suspect, now_ms) {
                unsure = true;
                continue;
            }
            round.put_one_aside |= !is_witnessed;
            let answer = &failure.answer;
            match &failure.one {
                One::Message(sms) => self.park(&sms.id, answer, lane, round).await?,
                One::Status(update) => self.mark_refused(update, answer, round).await,
            }
        }
        match unsure {
            true => Err(Stop::FailsOnEverything),
            false => Ok(()),
        }
    }

    /// Parks every record that brings this message.
    async fn park(
        &self,
        id: &IncomingId,
        answer: &str,
        lane: &mut Lane<'_>,
        round: &mut Round,
    ) -> Result<(), Stop> {
        let category = "Medic refuses this message while it takes others";
        for letter in lane.letters_of(id) {
            let record = letter.record;
            if !park_or_give_back(&self.parked, record, category, answer, &self.surroundings).await
            {
                return Err(Stop::NotParked);
            }
            lane.mark_parked(record);
        }
        round.memory.forget(&Suspect::Message(id.clone()));
        Ok(())
    }
}
