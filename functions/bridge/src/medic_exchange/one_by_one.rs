//! Finding what Medic refuses for ever among what it takes.
//!
//! Only what fails alone while another was stored beside it is put aside: a Medic with a full disk
//! answers control and refuses everything, and none of that is poison.

use std::collections::VecDeque;

use super::lane::{Lane, Letter};
use super::{MedicExchange, Posted, Round, Stop};
use crate::gateway::{Payload, Refusal};
use crate::parking::park_or_give_back;
use crate::ports::{LedgerStore, Medic, Queue, Surroundings};

/// A message that ended every POST it was alone in, so many times, is parked when another one was
/// stored beside it.
const PARK_AFTER_RECEIVES: u32 = 10;

/// A message that fails alone and has no other beside it to show that Medic can store anything is
/// parked after so many receives: at the longest wait that is a day.
const PARK_UNWITNESSED_AFTER_RECEIVES: u32 = 100;

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

    /// Something in the batch ended POST after POST without an answer that says what. Everything is
    /// tried alone, each time beginning with another, so that what is good gets through.
    pub(super) async fn deliver_one_by_one(
        &self,
        lane: &mut Lane<'_>,
        round: &mut Round,
    ) -> Result<(), Stop> {
        let updates = Payload {
            messages: Vec::new(),
            updates: self.updates(round).await,
        };
        let mut letters = lane.next_letters();
        let turn = usize::try_from(lane.receives()).unwrap_or(0) % letters.len().max(1);
        letters.rotate_left(turn);
        let parts = std::iter::once(updates)
            .filter(|updates| !updates.is_empty())
            .chain(letters.into_iter().map(alone))
            .collect();
        self.try_parts(parts, Failed::new(), lane, round).await
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
            match self.post(&part, lane, round).await {
                Ok(Posted::Taken) => witnessed = true,
                Ok(Posted::Poison(answer)) => split_or_fail(part, answer, &mut parts, &mut failed),
                Err(stop) => {
                    if may_be_its_fault(&stop) {
                        self.park_if_hopeless(&part, &stop, witnessed, lane).await;
                    }
                    return Err(stop);
                }
            }
        }
        self.put_aside(failed, witnessed, lane, round).await
    }

    /// Something else to bring, to see whether Medic can store anything at all: a message that was
    /// not tried, or statuses. Not of a sender whose message failed: were that no poison after all,
    /// the later message would be in Medic before it.
    async fn witness(&self, failed: &Failed, lane: &Lane<'_>, round: &Round) -> Option<Payload> {
        let has_failed = |letter: &Letter| {
            failed
                .iter()
                .flat_map(|(part, _)| &part.messages)
                .any(|sms| sms.id == letter.sms.id || sms.from == letter.sms.from)
        };
        if let Some(letter) = lane.next_but(has_failed) {
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
        let hopeless =
            |letter: &Letter| letter.record.receive_count >= PARK_UNWITNESSED_AFTER_RECEIVES;
        let messages = failed.iter().flat_map(|(part, _)| &part.messages).count();
        let mut unsure = false;
        for (part, answer) in &failed {
            for sms in &part.messages {
                for letter in lane.letters_of(&sms.id) {
                    if witnessed || (messages == 1 && hopeless(&letter)) {
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

    /// A message that ended this POST without an answer, as it did before: parked when it came often
    /// enough, and another was stored beside it or there is no other.
    async fn park_if_hopeless(
        &self,
        part: &Payload,
        stop: &Stop,
        witnessed: bool,
        lane: &mut Lane<'_>,
    ) {
        let [sms] = part.messages.as_slice() else {
            return;
        };
        let limit = if witnessed {
            PARK_AFTER_RECEIVES
        } else {
            PARK_UNWITNESSED_AFTER_RECEIVES
        };
        let lonely = lane.next_but(|letter| letter.sms.id == sms.id).is_none();
        for letter in lane.letters_of(&sms.id) {
            if letter.record.receive_count >= limit && (witnessed || lonely) {
                // When it cannot be parked it goes back with the others.
                let _ = self.park(&letter, &stop.to_string(), lane).await;
            }
        }
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

/// Whether a message can be the reason for such an end. Nothing that is the account's or the
/// server's is.
fn may_be_its_fault(stop: &Stop) -> bool {
    matches!(stop, Stop::Doubt(_) | Stop::Refused(Refusal::Request(_)))
}
