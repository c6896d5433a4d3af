//! Finding what Medic refuses for ever among what it takes.
//!
//! Only what fails alone while another was stored beside it is put aside: a Medic with a full disk
//! answers control and refuses everything, and none of that is poison.

use std::collections::VecDeque;

use super::lane::{Lane, Letter};
use super::{MedicExchange, Posted, Round, Stop};
use crate::domain::lane::Suspect;
use crate::gateway::Payload;
use crate::parking::park_or_give_back;
use crate::ports::{LedgerStore, Medic, Queue, Surroundings};

/// What ended so many POSTs in which it was alone, without an answer that says why, is put aside
/// when Medic has taken something else in the same invocation.
pub(super) const HOPELESS_AFTER: u32 = 5;

/// What has no other beside it to show that Medic can take anything is put aside after so many: at
/// the longest wait that is a day.
pub(super) const HOPELESS_UNWITNESSED_AFTER: u32 = 100;

impl Round {
    fn failures_of(&self, letter: &Letter<'_>) -> u32 {
        self.memory
            .failures_of(&Suspect::Message(letter.sms.id.clone()))
    }
}

/// Why such a message is parked.
const ENDED_EVERY_POST: &str = "it ended every POST in which it was alone";

/// What failed alone, with Medic's answer.
type Failed = Vec<(Payload, String)>;

impl<L: LedgerStore, Q: Queue, M: Medic, S: Surroundings> MedicExchange<L, Q, M, S> {
    /// A POST ended with Medic's own error: its work has ended, and something in it is poison. Found
    /// by halves, at once.
    pub(super) async fn find_poison(
        &self,
        payload: Payload,
        answer: String,
        lane: &mut Lane<'_>,
        round: &mut Round,
    ) -> Result<(), Stop> {
        self.ask_whether_medic_answers(lane, round).await?;
        let mut parts = VecDeque::new();
        let mut failed = Failed::new();
        split_or_fail(payload, answer, &mut parts, &mut failed);
        self.try_parts(parts, failed, lane, round).await
    }

    /// Something in the batch ended POST after POST without an answer that says what. Every message is
    /// tried alone, those last that have ended most of them, so that what is good gets through.
    pub(super) async fn deliver_one_by_one(
        &self,
        lane: &mut Lane<'_>,
        round: &mut Round,
    ) -> Result<(), Stop> {
        let mut letters = lane.next_letters();
        letters.sort_by_key(|letter| round.failures_of(letter));
        // Each of them ends an invocation: together they have a day.
        let senders = u32::try_from(letters.len()).unwrap_or(1).max(1);
        let unwitnessed = (HOPELESS_UNWITNESSED_AFTER / senders).max(HOPELESS_AFTER);
        // Those first that nobody tries any more: a round that ends early never comes to the last.
        let (given_up, letters): (Vec<_>, Vec<_>) = letters
            .into_iter()
            .partition(|letter| round.failures_of(letter) >= unwitnessed);
        for letter in given_up {
            self.park_all(&letter, ENDED_EVERY_POST, lane, round)
                .await?;
        }
        for letter in letters {
            if lane.letters_of(&letter.sms.id).is_empty() {
                // Stored meanwhile, as a witness against another.
                continue;
            }
            if round.failures_of(&letter) >= HOPELESS_AFTER && round.witnessed {
                // Not tried once more: that would end in doubt again, and hold up the others.
                self.park_all(&letter, ENDED_EVERY_POST, lane, round)
                    .await?;
            } else {
                let parts = VecDeque::from([alone(letter)]);
                self.try_parts(parts, Failed::new(), lane, round).await?;
            }
        }
        Ok(())
    }

    /// Tries part after part, and puts aside what fails alone, before another was stored and after.
    async fn try_parts(
        &self,
        mut parts: VecDeque<Payload>,
        mut failed: Failed,
        lane: &mut Lane<'_>,
        round: &mut Round,
    ) -> Result<(), Stop> {
        let mut witnessed = false;
        let mut looked_again = false;
        loop {
            let Some(mut part) = parts.pop_front() else {
                if failed.is_empty() || looked_again {
                    break;
                }
                if witnessed {
                    // What failed before Medic stored the other may have met a full disk.
                    looked_again = true;
                    parts.extend(failed.drain(..).map(|(part, _)| part));
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
                Posted::Poison(answer) => split_or_fail(part, answer, &mut parts, &mut failed),
            }
        }
        self.put_aside(failed, witnessed, lane, round).await
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
            failed
                .iter()
                .flat_map(|(part, _)| &part.messages)
                .any(|sms| sms.id == letter.sms.id || sms.from == letter.sms.from)
        };
        // The first of its sender's, so that none overtakes another; and rather one that has not
        // ended POSTs before.
        let firsts = lane.next_letters().into_iter();
        let untried = firsts.filter(|letter| !has_failed(letter));
        if let Some(letter) = untried.min_by_key(|letter| round.failures_of(letter)) {
            return Some(alone(letter));
        }
        let updates: Vec<_> = self
            .updates(round)
            .await
            .into_iter()
            .filter(|update| !failed.iter().any(|(part, _)| part.updates.contains(update)))
            .collect();
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
        // Without a witness one message at the most is put aside, and only after a day of it.
        let mut may_park_one = !witnessed;
        let mut unsure = false;
        for (part, answer) in &failed {
            for sms in &part.messages {
                for letter in lane.letters_of(&sms.id) {
                    let hopeless = letter.record.receive_count >= HOPELESS_UNWITNESSED_AFTER;
                    if witnessed || (hopeless && may_park_one) {
                        may_park_one = false;
                        self.park(&letter, answer, lane).await?;
                    } else {
                        unsure = true;
                    }
                }
            }
            for update in &part.updates {
                if witnessed {
                    self.mark_refused(update, answer, round).await;
                } else {
                    unsure = true;
                }
            }
        }
        if unsure {
            return Err(Stop::FailsOnEverything);
        }
        Ok(())
    }

    /// Parks every record that brings this message.
    async fn park_all(
        &self,
        letter: &Letter<'_>,
        answer: &str,
        lane: &mut Lane<'_>,
        round: &mut Round,
    ) -> Result<(), Stop> {
        for letter in lane.letters_of(&letter.sms.id) {
            self.park(&letter, answer, lane).await?;
        }
        round
            .memory
            .forget(&Suspect::Message(letter.sms.id.clone()));
        Ok(())
    }

    async fn park(
        &self,
        letter: &Letter<'_>,
        answer: &str,
        lane: &mut Lane<'_>,
    ) -> Result<(), Stop> {
        let category = "Medic refuses this message while it takes others";
        if park_or_give_back(
            &self.parked,
            letter.record,
            category,
            answer,
            &self.surroundings,
        )
        .await
        {
            lane.mark_parked(letter.record);
            Ok(())
        } else {
            Err(Stop::NotParked)
        }
    }
}

fn alone(letter: Letter<'_>) -> Payload {
    Payload {
        messages: vec![letter.sms],
        updates: Vec::new(),
    }
}

fn split_or_fail(
    part: Payload,
    answer: String,
    parts: &mut VecDeque<Payload>,
    failed: &mut Failed,
) {
    if part.len() > 1 {
        let (first, second) = part.halves();
        parts.push_front(second);
        parts.push_front(first);
    } else if !part.is_empty() {
        failed.push((part, answer));
    }
}
