//! One POST, and what follows from its answer.

use std::time::Duration;

use super::handler::MedicExchange;
use super::round::Round;
use super::stop::Stop;
use crate::domain::isolation::PostEnd;
use crate::log::{LogEvent, Redacted};
use crate::ports::{LedgerStore, Medic, Queue, Runtime};
use crate::wire::medic::{Payload, Refusal, Reply};

/// What is kept of the invocation beside a POST: for reading the credentials before it, and for a
/// read and a write of the ledger and a call to the queue after it. None takes longer than 6 s.
pub(super) const LAST_ACTS: Duration = Duration::from_secs(25);

/// So many POSTs that bring only statuses and questions: then whatever came in meanwhile has its
/// turn, and a `continue` at the queue's end carries on. Eight of them acknowledge 175 messages.
pub(super) const STATUS_POSTS_AT_MOST: u32 = 8;

/// The same for a batch with messages, because more of them may wait behind it. One acknowledges what
/// the POST of the messages was offered.
const STATUS_POSTS_BESIDE_MESSAGES: u32 = 1;

/// How many POSTs a batch has that bring only statuses and questions.
pub(super) fn status_posts(has_messages: bool) -> u32 {
    match has_messages {
        true => STATUS_POSTS_BESIDE_MESSAGES,
        false => STATUS_POSTS_AT_MOST,
    }
}

impl<L: LedgerStore, Q: Queue, M: Medic, S: Runtime> MedicExchange<L, Q, M, S> {
    /// Posts, and writes down what was taken. How it ended, and what the doubt is if it ended in doubt.
    ///
    /// # Errors
    /// When it ended for a reason that cannot be what was brought.
    pub(super) async fn post(
        &self,
        payload: Payload,
        round: &mut Round<'_>,
    ) -> Result<(PostEnd, Option<String>), Stop> {
        let needed = self.post_timeout.saturating_add(LAST_ACTS);
        if self.runtime.now() + needed > round.deadline {
            return Err(Stop::OutOfTime);
        }
        let response = self.medic.post(payload.to_json()).await?;
        round.has_posted = true;
        match Reply::of(response) {
            Reply::Taken { offers, unreadable } => {
                round.was_taken = true;
                self.runtime.record(LogEvent::Posted {
                    messages: payload.messages.len(),
                    updates: payload.updates.len(),
                    offers: offers.len(),
                    reported: Redacted::all(payload.updates.iter().map(Redacted::new)),
                });
                let mut updates = payload.updates.iter();
                if updates.any(|update| round.reports.has_failed_before(update)) {
                    round.failed_posts_left = round.failed_posts_left.saturating_sub(1);
                }
                self.note_stored(&payload, round);
                self.mark_reported(&payload.updates, &mut round.reports)
                    .await;
                for _ in 0..unreadable {
                    self.runtime.record(LogEvent::OfferUnreadable);
                }
                if round.status_posts_left > 0 {
                    self.take_offers(offers, &mut round.reports).await;
                } else {
                    // No POST is left that could acknowledge them: Medic offers them again.
                    let known = &round.reports.offered;
                    round.reports.has_left_offers |=
                        offers.iter().any(|offer| !known.contains(&offer.id));
                }
                Ok((PostEnd::Taken, None))
            }
            Reply::Poison(answer) => Ok((PostEnd::Failed(answer), None)),
            Reply::Refused(refusal) => {
                let refusal = match round.was_taken {
                    true => refusal.after_success(),
                    false => refusal,
                };
                match refusal {
                    // Something between here and Medic dislikes what was posted.
                    Refusal::Request(_) if !payload.is_empty() => {
                        Ok((PostEnd::Failed(refusal.to_string()), None))
                    }
                    other => Err(Stop::Refused(other)),
                }
            }
            Reply::InDoubt(what) if payload.is_empty() => Err(Stop::InDoubt(what)),
            Reply::InDoubt(what) => Ok((PostEnd::InDoubt, Some(what))),
        }
    }

    fn note_stored(&self, payload: &Payload, round: &mut Round<'_>) {
        for sms in &payload.messages {
            round.batch.mark_stored(&sms.id);
            let now = self.runtime.now();
            self.runtime.record(LogEvent::MessageStored {
                id: Redacted::new(&sms.id),
                since_callback: now.since(sms.received_at),
            });
        }
    }
}
