//! Finding what Medic refuses for ever among what it takes.
//!
//! Only what fails alone while another was stored beside it is put aside: a Medic with a full disk
//! answers control and refuses everything, and none of that is poison.

use std::collections::{BTreeSet, VecDeque};

use super::lane::{Lane, Letter};
use super::{MedicExchange, Posted, Round, Stop};
use crate::domain::ids::{IncomingId, MedicMessageId};
use crate::domain::lane::Suspect;
use crate::gateway::{Payload, Update};
use crate::parking::park_or_give_back;
use crate::ports::{LedgerStore, Medic, Queue, Surroundings};
use crate::queue_messages::IncomingSms;

/// What ended so many POSTs in which it was alone, without an answer that says why, is not brought
/// again when Medic has taken something else in the same invocation: it is put aside.
const HOPELESS_AFTER_DOUBTS: u32 = 5;

/// What has no other beside it to show that Medic can take anything is put aside after a day of
/// failing alone, in milliseconds.
const HOPELESS_AFTER_MS: i64 = 24 * 60 * 60 * 1000;

/// After so many failures with nothing taken between them it is Medic that cannot take anything. So
/// many try each message of a batch alone, and some of its statuses.
const FAILURES_AT_MOST: usize = 24;

/// Why what never got an answer is put aside.
pub(super) const ENDED_EVERY_POST: &str = "it ended every POST in which it was alone";

/// What failed alone.
enum Failure {
    Message(IncomingSms),
    Status(Update),
}

impl Failure {
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
}

/// What failed alone, with Medic's answers.
type Failed = Vec<(Failure, String)>;

impl Round {
    fn doubts_of(&self, letter: &Letter<'_>) -> u32 {
        self.memory.doubts(&letter.suspect())
    }

    /// Whether it is not brought again, for it would only end in doubt once more and hold up the
    /// others.
    pub(super) fn is_hopeless(&self, suspect: &Suspect, now_ms: i64) -> bool {
        self.memory.doubts(suspect) >= HOPELESS_AFTER_DOUBTS
            && (self.witnessed || self.has_failed_long(suspect, now_ms))
    }

    fn has_failed_long(&self, suspect: &Suspect, now_ms: i64) -> bool {
        self.memory
            .failing_for_ms(suspect, now_ms)
            .is_some_and(|failing_ms| failing_ms >= HOPELESS_AFTER_MS)
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
        let mut parts = VecDeque::new();
        let mut failed = Failed::new();
        split_or_fail(payload, answer, &mut parts, &mut failed);
        self.search(parts, failed, lane, round).await
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
            let id = &letter.sms.id;
            return self.park(id, ENDED_EVERY_POST, lane, round).await;
        }
        // Together, so that what is good among them tells Medic's trouble from theirs; and a suspect
        // by itself, for it may end the invocation.
        letters.sort_by_key(|letter| round.doubts_of(letter));
        let good = letters.partition_point(|letter| round.doubts_of(letter) == 0);
        letters.truncate(good.max(1));
        let messages = letters
            .into_iter()
            .map(|letter| Failure::Message(letter.sms));
        let parts = messages.map(Failure::alone).collect();
        self.search(parts, Failed::new(), lane, round).await
    }

    /// Tries part after part, smaller and smaller, and puts aside what fails alone, before another
    /// was stored and after.
    async fn search(
        &self,
        mut parts: VecDeque<Payload>,
        mut failed: Failed,
        lane: &mut Lane<'_>,
        round: &mut Round,
    ) -> Result<(), Stop> {
        let mut failures = 0;
        let mut witnessed = false;
        let mut looked_again = false;
        while witnessed || failures < FAILURES_AT_MOST {
            let Some(mut part) = parts.pop_front() else {
                if failed.is_empty() || looked_again {
                    break;
                }
                if witnessed {
                    // What failed before Medic stored the other may have met a full disk.
                    looked_again = true;
                    parts.extend(failed.drain(..).map(|(failure, _)| failure.alone()));
                    continue;
                }
                match self.witness(&failed, lane, round).await {
                    Some(witness) => parts.push_back(witness),
                    None => break,
                }
                continue;
            };
            // The other that was stored may have been a later status of the same message.
            part.updates.retain(|update| !round.has_told_more(update));
            if part.is_empty() {
                continue;
            }
            match self.post(&part, lane, round).await? {
                Posted::Taken => witnessed = true,
                Posted::Poison(answer) => {
                    failures += 1;
                    split_or_fail(part, &answer, &mut parts, &mut failed);
                }
            }
        }
        self.put_aside(failed, witnessed, lane, round).await?;
        match parts.is_empty() {
            true => Ok(()),
            false => Err(Stop::FailsOnEverything),
        }
    }

    /// Something else to bring, to see whether Medic can store anything at all: a message that was
    /// not tried, or statuses. Not of a sender whose message failed: were that no poison after all,
    /// the later message would be in Medic before it.
    async fn witness(
        &self,
        failed: &Failed,
        lane: &Lane<'_>,
        round: &mut Round,
    ) -> Option<Payload> {
        let has_failed = |letter: &Letter| {
            failed.iter().any(|(failure, _)| match failure {
                Failure::Message(sms) => sms.id == letter.sms.id || sms.from == letter.sms.from,
                Failure::Status(_) => false,
            })
        };
        // The first of its sender's, so that none overtakes another; and rather one that has not
        // ended POSTs before.
        let firsts = lane.next_letters().into_iter();
        let untried = firsts
            .filter(|letter| !has_failed(letter))
            .filter(|letter| round.may_witness(&letter.suspect()));
        if let Some(letter) = untried.min_by_key(|letter| round.doubts_of(letter)) {
            return Some(Failure::Message(letter.sms).alone());
        }
        let tried: BTreeSet<MedicMessageId> = failed
            .iter()
            .filter_map(|(failure, _)| match failure {
                Failure::Message(_) => None,
                Failure::Status(update) => Some(update.id.clone()),
            })
            .collect();
        let mut updates = self.updates_but(&tried, round).await;
        updates.retain(|update| round.may_witness(&Suspect::Status(update.id.clone())));
        (!updates.is_empty()).then_some(Payload {
            messages: Vec::new(),
            updates,
        })
    }

    async fn put_aside(
        &self,
        failed: Failed,
        witnessed: bool,
        lane: &mut Lane<'_>,
        round: &mut Round,
    ) -> Result<(), Stop> {
        let now_ms = self.surroundings.now_ms();
        // Without a witness one at the most is put aside, and only after a day of it.
        let mut may_be_one = true;
        let mut unsure = false;
        for (failure, answer) in &failed {
            let suspect = failure.suspect();
            round.memory.note_failure(&suspect, now_ms);
            if witnessed || (may_be_one && round.has_failed_long(&suspect, now_ms)) {
                may_be_one = false;
                match failure {
                    Failure::Message(sms) => self.park(&sms.id, answer, lane, round).await?,
                    Failure::Status(update) => self.mark_refused(update, answer, round).await,
                }
            } else {
                unsure = true;
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

fn split_or_fail(part: Payload, answer: &str, parts: &mut VecDeque<Payload>, failed: &mut Failed) {
    if part.len() > 1 {
        let (first, second) = part.halves();
        parts.push_front(second);
        parts.push_front(first);
        return;
    }
    let messages = part.messages.into_iter().map(Failure::Message);
    let updates = part.updates.into_iter().map(Failure::Status);
    failed.extend(
        messages
            .chain(updates)
            .map(|failure| (failure, answer.to_owned())),
    );
}
