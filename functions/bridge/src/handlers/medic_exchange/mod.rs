//! `medic-exchange`: one POST to Medic at a time. Brings it the messages that came in and the
//! statuses that it has not been told, and takes what it wants sent.
//!
//! One POST at a time is what keeps Medic right: it checks for duplicates first and writes later,
//! goes on working after a hang-up, takes the last update as the truth, and marks whatever it offers
//! over a status that another POST wrote a moment before. The queue has a single message group, so
//! that one batch is out at any time; this module sees to the rest.

mod batch;
mod memory;
mod offers;
mod one_by_one;
mod statuses;

use std::collections::BTreeSet;

use futures_util::future::join;

use crate::domain::backoff::{BRIEF_WAIT_MS, Wait, whole_seconds};
use crate::domain::exchange::{Candidate, ExchangeRow};
use crate::domain::ids::MedicMessageId;
use crate::domain::status::Status;
use crate::log::{LogEvent, Redacted};
use crate::ports::{
    CredentialsError, Fifo, LedgerStore, Medic, NewMessage, Queue, Record, Runtime,
};
use crate::queue::dead_letter::{
    DeadLetterQueue, MEDIC_GROUP, dead_letter_or_return, log_queue_errors, return_together,
};
use crate::wire::medic::{Payload, Refusal, Reply, Update};
use crate::wire::queue_messages::{ExchangeMessage, encode};
use batch::Batch;

/// So many POSTs that bring only statuses and questions: then whatever came in meanwhile has its
/// turn, and a `continue` at the queue's end carries on. Eight of them acknowledge 175 messages.
const POSTS_AT_MOST: u32 = 8;

/// What is kept of the invocation beside a POST, in milliseconds: for reading the credentials before
/// it, and for a read and a write of the ledger and a call to the queue after it. None takes longer
/// than 6 s.
const LAST_ACTS_MS: i64 = 25_000;

/// After an outcome in doubt, the wait is longer than Medic may go on working by this much, in milliseconds; and
/// so much longer than the invocation the batch is ours, for that may die in a POST.
const IN_DOUBT_MARGIN_MS: i64 = 5_000;

/// Ten refused logins lock everybody out for a moment, so that a refused user waits for minutes.
const CREDENTIALS_WAIT_MS: i64 = 5 * 60 * 1000;

/// Medic lets somebody in again ten seconds after the last wrong login.
const TOO_MANY_WAIT_MS: i64 = 15_000;

/// A wrong address, a refused request, missing credentials: somebody has to fix something.
const ATTENTION_WAIT_MS: i64 = 60_000;

/// From so many receives on, the messages of a batch are tried one by one: something in it ends
/// every POST.
const ALONE_AFTER_RECEIVES: u32 = 4;

/// The handler, with all that it needs.
#[derive(Debug)]
pub struct MedicExchange<L, Q, M, S> {
    /// What is known of every outgoing message.
    pub ledger: L,
    /// The queue that the records come from.
    pub exchange: Q,
    /// Where messages to be sent go.
    pub outbox: Q,
    /// Where it puts what cannot be processed.
    pub dead_letters: DeadLetterQueue<Q>,
    /// Whom it talks to.
    pub medic: M,
    /// Time, chance and a log.
    pub runtime: S,
    /// The time-out of a POST, in milliseconds.
    pub post_timeout_ms: i64,
    /// For how long after that Medic may go on working on it, in milliseconds.
    pub grace_ms: i64,
}

/// What is remembered from POST to POST of one invocation.
struct Round {
    deadline_ms: i64,
    /// Messages that Medic offered, dealt with already.
    offered: BTreeSet<MedicMessageId>,
    /// Messages whose status is told in the next POST, whatever Medic was told before.
    to_report: Vec<MedicMessageId>,
    /// What was reported to Medic. Nothing is told twice in an invocation, also when that could not be
    /// written down.
    reported: BTreeSet<(MedicMessageId, Status)>,
    /// What earlier invocations have learned of the exchange.
    memory: ExchangeRow,
    /// What the last POST brought.
    in_hand: Payload,
    /// What was in a POST that failed.
    tried: BTreeSet<Candidate>,
    /// Whether a POST was taken in this invocation.
    was_taken: bool,
    /// What Medic has shown in this invocation.
    control: Control,
    /// Whether something was dead-lettered without a control: one at the most is.
    dead_lettered_one: bool,
}

/// What a POST that was taken shows: a Medic with a full disk takes what it has already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Control {
    /// Nothing: what it brought may have been there before.
    #[default]
    Nothing,
    /// That Medic has stored something in this invocation, in this POST or in one that failed.
    Stored,
    /// That Medic has stored so many things just now.
    Fresh(usize),
}

impl Control {
    /// What both show together.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Fresh(some), Self::Fresh(more)) => Self::Fresh(some.saturating_add(more)),
            (one, other) => one.max(other),
        }
    }
}

impl Round {
    /// Whether Medic was told a higher status than this one.
    fn has_reported_more(&self, update: &Update) -> bool {
        self.reported
            .iter()
            .any(|(id, status)| *id == update.id && *status > update.status)
    }
}

/// Why the work stops before its end.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error("Medic may still be working on a POST: {0}")]
    InDoubt(String),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("Medic fails on an empty POST")]
    FailsOnNothing,
    #[error("Medic answers, and fails on everything that is brought to it")]
    FailsOnEverything,
    #[error("no time is left for another POST")]
    OutOfTime,
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error("what Medic refuses for ever could not be dead-lettered")]
    NotDeadLettered,
}

impl Stop {
    /// Whether what was brought can be the reason. Nothing that is the account's or the server's is.
    fn may_be_the_payloads_fault(&self) -> bool {
        matches!(self, Self::InDoubt(_) | Self::Refused(Refusal::Request(_)))
    }
}

/// How a POST ended, if the work can go on.
enum Posted {
    Taken(Control),
    Poison(String),
}

impl<L: LedgerStore, Q: Queue, M: Medic, S: Runtime> MedicExchange<L, Q, M, S> {
    /// Works off a batch, which must be over at `deadline_ms` (milliseconds since 1970). Returns the
    /// message ids of what goes back into the queue.
    pub async fn handle(&self, records: &[Record], deadline_ms: i64) -> Vec<String> {
        let (is_ours, memory) = join(
            self.extend_visibility_of_batch(records, deadline_ms),
            self.recall(),
        )
        .await;
        if !is_ours {
            // It may be somebody else's by now: nothing may be posted.
            return records
                .iter()
                .map(|record| record.message_id.clone())
                .collect();
        }
        let mut batch = Batch::sort(records, self.runtime.now_ms());
        let mut back: Vec<(&Record, Wait)> = self.dead_letter_unreadable(&mut batch).await;
        if batch.has_work() {
            let mut round = Round {
                deadline_ms,
                offered: BTreeSet::new(),
                to_report: Vec::new(),
                reported: BTreeSet::new(),
                memory: memory.clone().unwrap_or_default(),
                in_hand: Payload::default(),
                tried: BTreeSet::new(),
                was_taken: false,
                control: Control::Nothing,
                dead_lettered_one: false,
            };
            match self.work(&mut batch, &mut round).await {
                Ok(true) => self.send_continue(records).await,
                Ok(false) => {}
                Err(stop) => {
                    round.note(&stop, self.runtime.now_ms());
                    back.extend(self.stopped(&stop, &batch, &round));
                }
            }
            self.remember(memory, round.memory).await;
        }
        return_together(&self.exchange, &back, &self.runtime).await
    }

    /// The first act: the batch is ours for longer than this invocation can live. A visibility
    /// time-out of the queue that long would lock the exchange as long after every crash.
    async fn extend_visibility_of_batch(&self, records: &[Record], deadline_ms: i64) -> bool {
        let lifetime_ms = deadline_ms
            .saturating_sub(self.runtime.now_ms())
            .saturating_add(self.grace_ms)
            .saturating_add(IN_DOUBT_MARGIN_MS);
        let seconds = whole_seconds(lifetime_ms);
        let visibilities: Vec<(&Record, i32)> =
            records.iter().map(|record| (record, seconds)).collect();
        let changed = self.exchange.change_visibility(&visibilities).await;
        log_queue_errors(&changed, &self.runtime);
        changed.iter().all(Result::is_ok)
    }

    async fn dead_letter_unreadable<'a>(&self, batch: &mut Batch<'a>) -> Vec<(&'a Record, Wait)> {
        let mut back = Vec::new();
        for (record, error) in batch.take_unreadable() {
            let category = error.to_string();
            if !dead_letter_or_return(&self.dead_letters, record, &category, "", &self.runtime)
                .await
            {
                back.push((record, Wait::Growing { at_least_ms: 0 }));
            }
        }
        back
    }

    /// Everything that the batch asks for. Whether there is more to do than was done.
    ///
    /// After a POST without an answer, messages and statuses go in POSTs of their own: neither stands
    /// before the other.
    async fn work(&self, batch: &mut Batch<'_>, round: &mut Round) -> Result<bool, Stop> {
        let mut posts = 0;
        if batch.was_received_before() || round.memory.apart {
            self.ask_whether_medic_answers(batch, round).await?;
            posts += 1;
        }
        if round.memory.apart && round.memory.statuses_first {
            let payload = Payload {
                messages: Vec::new(),
                updates: self.updates(round).await,
            };
            if !payload.is_empty() {
                self.bring(payload, batch, round).await?;
                posts += 1;
            }
        }
        while batch.receives() >= ALONE_AFTER_RECEIVES {
            self.deliver_one_by_one(batch, round).await?;
        }
        let mut all_is_reported = false;
        loop {
            if batch.is_spent() {
                // Everything was dead-lettered, and nothing could lock the exchange any more if this POST
                // ended in doubt.
                return Ok(true);
            }
            let items = batch.next_items();
            let payload = Payload {
                updates: if !items.is_empty() && round.memory.apart {
                    Vec::new()
                } else if all_is_reported && round.to_report.is_empty() {
                    // What is reported in these seconds is told in the next minute's.
                    Vec::new()
                } else {
                    let updates = self.updates(round).await;
                    all_is_reported = updates.is_empty();
                    updates
                },
                messages: items.into_iter().map(|item| item.sms).collect(),
            };
            let is_all = posts > 0 && payload.is_empty();
            if is_all || (posts >= POSTS_AT_MOST && payload.messages.is_empty()) {
                round.memory.apart = false;
                if is_all {
                    round.memory.status_failures = 0;
                }
                return Ok(!is_all);
            }
            self.bring(payload, batch, round).await?;
            posts += 1;
        }
    }

    /// A POST, and the search for poison if there is some in it.
    async fn bring(
        &self,
        payload: Payload,
        batch: &mut Batch<'_>,
        round: &mut Round,
    ) -> Result<(), Stop> {
        match self.post(&payload, batch, round).await? {
            Posted::Taken(_) => Ok(()),
            Posted::Poison(answer) => self.find_poison(payload, &answer, batch, round).await,
        }
    }

    /// The control POST: after an outcome in doubt nothing is brought before Medic has answered an empty POST.
    async fn ask_whether_medic_answers(
        &self,
        batch: &mut Batch<'_>,
        round: &mut Round,
    ) -> Result<(), Stop> {
        match self.post(&Payload::default(), batch, round).await? {
            Posted::Taken(_) => Ok(()),
            Posted::Poison(_) => Err(Stop::FailsOnNothing),
        }
    }

    /// One POST, and all that follows from its answer.
    async fn post(
        &self,
        payload: &Payload,
        batch: &mut Batch<'_>,
        round: &mut Round,
    ) -> Result<Posted, Stop> {
        let needed_ms = self.post_timeout_ms.saturating_add(LAST_ACTS_MS);
        if self.runtime.now_ms().saturating_add(needed_ms) > round.deadline_ms {
            return Err(Stop::OutOfTime);
        }
        round.in_hand = payload.clone();
        let response = self.medic.post(payload.to_json()).await?;
        match Reply::of(response) {
            Reply::Taken { offers, unreadable } => {
                self.runtime.record(LogEvent::Posted {
                    messages: payload.messages.len(),
                    updates: payload.updates.len(),
                    offers: offers.len(),
                });
                round.was_taken = true;
                let control = round.control_from(payload, batch);
                round.control = round.control.and(control);
                if payload.messages.is_empty() && !payload.updates.is_empty() {
                    round.memory.statuses_first = false;
                    round.memory.status_failures = round.memory.status_failures.saturating_sub(1);
                }
                for sms in &payload.messages {
                    batch.mark_stored(&sms.id);
                    round.memory.forget(&Candidate::Message(sms.id.clone()));
                    self.runtime.record(LogEvent::MessageStored {
                        id: Redacted::new(&sms.id),
                        since_callback_ms: self.runtime.now_ms().saturating_sub(sms.received_at_ms),
                    });
                }
                self.mark_reported(&payload.updates, round).await;
                for _ in 0..unreadable {
                    self.runtime.record(LogEvent::OfferUnreadable);
                }
                self.take_offers(offers, round).await;
                Ok(Posted::Taken(control))
            }
            Reply::Poison(answer) => {
                round.note_failed(payload);
                Ok(Posted::Poison(answer))
            }
            Reply::Refused(refusal) => Err(Stop::Refused(match round.was_taken {
                true => refusal.after_success(),
                false => refusal,
            })),
            Reply::InDoubt(what) => Err(Stop::InDoubt(what)),
        }
    }

    /// What goes back, and how long it waits at least.
    fn stopped<'a>(
        &self,
        stop: &Stop,
        batch: &Batch<'a>,
        round: &Round,
    ) -> Vec<(&'a Record, Wait)> {
        self.runtime.record(match stop {
            Stop::Refused(refusal @ Refusal::Credentials(_)) => LogEvent::MedicRefusedCredentials {
                cause: Redacted::new(refusal),
            },
            Stop::Credentials(error @ CredentialsError::Unusable(_)) => {
                LogEvent::MedicRefusedCredentials {
                    cause: Redacted::new(error),
                }
            }
            Stop::Credentials(error) => LogEvent::CredentialsUnavailable {
                error: Redacted::new(error),
            },
            Stop::Refused(Refusal::WrongAddress(_) | Refusal::Request(_))
            | Stop::FailsOnNothing
            | Stop::FailsOnEverything => LogEvent::MedicNeedsAttention {
                cause: Redacted::new(stop),
            },
            _ => LogEvent::MedicUnavailable {
                cause: Redacted::new(stop),
            },
        });
        let at_least_ms = match stop {
            Stop::InDoubt(_) => self.grace_ms.saturating_add(IN_DOUBT_MARGIN_MS),
            Stop::Refused(Refusal::Credentials(_)) => CREDENTIALS_WAIT_MS,
            Stop::Refused(Refusal::TooMany) => TOO_MANY_WAIT_MS,
            Stop::Refused(Refusal::WrongAddress(_) | Refusal::Request(_))
            | Stop::Credentials(_) => ATTENTION_WAIT_MS,
            Stop::FailsOnEverything => BRIEF_WAIT_MS,
            Stop::Refused(Refusal::Unreachable | Refusal::NotReady(_))
            | Stop::FailsOnNothing
            | Stop::OutOfTime
            | Stop::NotDeadLettered => 0,
        };
        let is_in_hand = stop.may_be_the_payloads_fault() && !round.in_hand.is_empty();
        let wait = if is_in_hand || matches!(stop, Stop::FailsOnEverything) {
            // Medic is well but for what was brought: nobody waits long behind it.
            Wait::Brief { at_least_ms }
        } else {
            Wait::Growing { at_least_ms }
        };
        let back = match stop {
            Stop::InDoubt(_) => batch.undone_or_youngest(),
            _ => batch.undone(),
        };
        back.into_iter().map(|record| (record, wait)).collect()
    }

    /// Asks for another turn, behind everything that came in meanwhile. If the queue does not take
    /// it, the minute's poll goes on instead.
    async fn send_continue(&self, records: &[Record]) {
        let Some(last) = records.last() else { return };
        let message = NewMessage {
            body: encode(&ExchangeMessage::Continue),
            fifo: Some(Fifo {
                group: MEDIC_GROUP.to_owned(),
                // One for each life of this batch.
                deduplication_id: format!("continue-{}", last.message_id),
            }),
        };
        log_queue_errors(&self.exchange.send(vec![message]).await, &self.runtime);
    }
}
