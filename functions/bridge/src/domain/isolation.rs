//! Finding the messages and statuses that Medic fails on, among those that it takes.
//!
//! A pure state machine for one invocation: [`Isolation::next`] says what is done next, and
//! [`Isolation::after`] takes in how a POST ended. It calls nobody and has no clock.

mod post;
mod step;

use std::collections::{BTreeSet, VecDeque};

use super::exchange::{ExchangeRow, InDoubt, Judgement};
use super::ids::{IncomingId, MedicMessageId};
use super::quarantine::{MedicFailure, Quarantine};
use crate::domain::time::Timestamp;

pub use post::{Brought, Candidate, FailedBefore, PostEnd, StatusCandidate};
pub use step::Step;

/// At most so many messages in a POST: Medic takes about a tenth of a second for each.
pub const MESSAGES_A_POST: usize = 10;

/// At most so many statuses in a POST: Medic takes 0.18 s for a hundred, and more than twice as
/// long for each beyond.
pub const STATUSES_A_POST: usize = 100;

/// After so many POSTs of statuses that failed with none taken between them it is Medic that takes no
/// status. From a hundred to one are eight.
const STATUS_FAILURES_AT_MOST: u32 = 12;

/// So many are enough for one invocation also while others are taken.
const STATUS_FAILURES_BESIDE_OTHERS: u32 = 60;

/// A message that ended alone in doubt is suspected when it was in doubt so often in a row: once with
/// whatever was beside it, and once alone after Medic had answered.
const IN_DOUBT_TO_QUARANTINE: u32 = 2;

/// The search of one invocation.
#[derive(Debug)]
pub struct Isolation {
    /// What is remembered.
    pub memory: ExchangeRow,
    waiting: Vec<Candidate>,
    /// Whether messages go one by one.
    is_alone: bool,
    /// Whether an empty POST has to be answered before anything else.
    needs_control: bool,
    /// Whether Medic took any POST in this invocation.
    is_answering: bool,
    /// Whether a POST ended in doubt: there is none after it.
    is_over: bool,
    /// Whether statuses shall have a POST before messages have theirs.
    statuses_first: bool,
    /// Messages that were in a POST that failed.
    tried: BTreeSet<IncomingId>,
    /// Messages that failed alone and wait all the same.
    kept: BTreeSet<IncomingId>,
    /// Messages during which earlier invocations were killed.
    unfinished: BTreeSet<IncomingId>,
    /// What was decided on and not yet done.
    acts: VecDeque<Step>,
    /// Statuses that failed together.
    parts: VecDeque<Vec<MedicMessageId>>,
    /// Statuses that failed alone, and are not brought again in this invocation.
    kept_statuses: BTreeSet<MedicMessageId>,
    status_failures: u32,
    was_status_taken: bool,
}

impl Isolation {
    /// The search in a batch; `was_received_before`, if anything in it was.
    pub fn begin(memory: ExchangeRow, waiting: Vec<Candidate>, was_received_before: bool) -> Self {
        let is_doubtful = was_received_before || memory.in_doubt.is_some();
        Self {
            waiting,
            is_alone: is_doubtful,
            needs_control: is_doubtful,
            is_answering: false,
            is_over: false,
            statuses_first: memory.in_doubt == Some(InDoubt::Messages),
            tried: BTreeSet::new(),
            kept: BTreeSet::new(),
            unfinished: BTreeSet::new(),
            acts: VecDeque::new(),
            parts: VecDeque::new(),
            kept_statuses: BTreeSet::new(),
            status_failures: 0,
            was_status_taken: false,
            memory,
        }
    }

    /// An earlier attempt at this message has begun and not ended. It goes alone, after the others.
    pub fn note_unfinished(&mut self, id: &IncomingId) {
        self.unfinished.insert(id.clone());
    }

    /// What is done next.
    pub fn next(&mut self, now: Timestamp) -> Step {
        if self.is_over {
            return self.acts.pop_front().unwrap_or(Step::End);
        }
        if self.needs_control {
            return Step::Control;
        }
        if let Some(act) = self.acts.pop_front() {
            return act;
        }
        if std::mem::take(&mut self.statuses_first) {
            return self.statuses(false);
        }
        if let Some(act) = self.candidate_in_doubt(now) {
            return act;
        }
        if let Some(step) = self.next_messages() {
            return step;
        }
        let failures_at_most = match self.was_status_taken {
            true => STATUS_FAILURES_BESIDE_OTHERS,
            false => STATUS_FAILURES_AT_MOST,
        };
        if self.status_failures >= failures_at_most {
            return Step::End;
        }
        match self.parts.pop_front() {
            Some(part) => Step::SomeStatuses(part),
            None => self.statuses(true),
        }
    }

    /// Takes in how a POST ended.
    pub fn after(&mut self, brought: &Brought, end: &PostEnd, now: Timestamp) {
        match end {
            PostEnd::Taken => self.after_success(brought),
            PostEnd::Failed(answer) => self.after_failure(brought, answer, now),
            PostEnd::InDoubt => self.after_in_doubt(brought, now),
        }
    }

    fn after_success(&mut self, brought: &Brought) {
        self.needs_control = false;
        self.is_answering = true;
        let is_newly_stored = self.waiting.iter().any(|one| {
            one.is_new
                && one.quarantine.is_none()
                && brought.messages.contains(&one.id)
                && !self.tried.contains(&one.id)
        });
        if is_newly_stored {
            self.memory.messages.earn();
        }
        for id in &brought.messages {
            self.memory.forget(id);
        }
        self.waiting
            .retain(|one| !brought.messages.contains(&one.id));
        if !brought.statuses.is_empty() {
            self.memory.statuses.earn();
            self.was_status_taken = true;
            if brought.messages.is_empty() {
                self.memory.statuses_in_doubt = self.memory.statuses_in_doubt.saturating_sub(1);
            }
        }
    }

    fn after_failure(&mut self, brought: &Brought, answer: &str, now: Timestamp) {
        self.tried.extend(brought.messages.iter().cloned());
        match (brought.messages.as_slice(), brought.statuses.as_slice()) {
            ([], []) => {}
            ([id], []) => self.after_failing_alone(id, answer, now),
            ([], [status]) => {
                self.status_failures = self.status_failures.saturating_add(1);
                self.candidate_status(status, MedicFailure::Answer(answer.to_owned()), now);
            }
            ([], statuses) => {
                self.status_failures = self.status_failures.saturating_add(1);
                let (first, second) = statuses.split_at(statuses.len().div_ceil(2));
                for half in [second, first] {
                    let ids = half.iter().map(|status| status.id.clone());
                    self.parts.push_front(ids.collect());
                }
                self.needs_control |= !self.is_answering;
            }
            // Messages come first: what they show is shown by each of them alone.
            _ => {
                self.is_alone = true;
                self.needs_control = true;
            }
        }
    }

    fn after_failing_alone(&mut self, id: &IncomingId, answer: &str, now: Timestamp) {
        let failure = MedicFailure::Answer(answer.to_owned());
        match self.judged(id, &failure, now) {
            Some(act) => {
                self.acts.push_back(act);
                // Medic fails on this, or on everything.
                self.needs_control = true;
            }
            None => {
                self.kept.insert(id.clone());
                self.needs_control = !self.is_answering;
            }
        }
    }

    fn candidate_status(
        &mut self,
        status: &StatusCandidate,
        failure: MedicFailure,
        now: Timestamp,
    ) {
        // Whatever becomes of it, it is not brought again in this invocation.
        self.kept_statuses.insert(status.id.clone());
        // Whatever is taken from now on shows that the next failure is no full disk.
        let progress = match self.memory.is_known() {
            true => self.memory.note_progress(),
            false => 0,
        };
        let is_suspected = match failure {
            MedicFailure::Answer(_) => status.before.is_some_and(|it| progress > it.progress),
            // All others wait for each try.
            MedicFailure::NoAnswer => true,
        };
        let was_set_aside = status.before.is_some_and(|it| it.was_set_aside);
        if is_suspected && (was_set_aside || self.memory.statuses.allows(now)) {
            self.acts.push_back(Step::SetAside(status.clone(), failure));
            self.needs_control = true;
            return;
        }
        if status.before.is_none() && self.memory.is_known() {
            let step = Step::NoteFailure(status.clone(), failure.text().to_owned());
            self.acts.push_back(step);
        }
        self.needs_control |= !self.is_answering;
    }

    fn after_in_doubt(&mut self, brought: &Brought, now: Timestamp) {
        self.is_over = true;
        self.acts.clear();
        if brought.is_control() {
            return;
        }
        for id in &brought.messages {
            let posts_in_doubt = self.memory.posts_in_doubt.entry(id.clone()).or_default();
            *posts_in_doubt = posts_in_doubt.saturating_add(1);
        }
        self.memory.in_doubt = Some(match brought.messages.is_empty() {
            true => InDoubt::Statuses,
            false => InDoubt::Messages,
        });
        if brought.messages.is_empty() {
            if let [status] = brought.statuses.as_slice()
                && (self.memory.statuses_in_doubt > 0 || status.before.is_some())
            {
                self.candidate_status(status, MedicFailure::NoAnswer, now);
            }
            self.memory.statuses_in_doubt = self.memory.statuses_in_doubt.saturating_add(1);
        }
    }

    /// What becomes of a message, if anything does.
    fn judged(&self, id: &IncomingId, failure: &MedicFailure, now: Timestamp) -> Option<Step> {
        let quarantine = self.quarantine_of(id);
        match self.memory.judge(quarantine, failure, now) {
            Judgement::Wait => None,
            Judgement::Quarantine(quarantine) => Some(Step::Quarantine(id.clone(), quarantine)),
            Judgement::DeadLetter => Some(Step::DeadLetter(id.clone(), failure.clone())),
        }
    }

    fn quarantine_of(&self, id: &IncomingId) -> Option<&Quarantine> {
        let mut waiting = self.waiting.iter();
        waiting.find(|one| one.id == *id)?.quarantine.as_ref()
    }

    /// A message that ended alone in doubt is not brought again before others wait no longer for it.
    /// Its own record has kept everything waiting until Medic could not be working on it.
    fn candidate_in_doubt(&self, now: Timestamp) -> Option<Step> {
        let candidates = self.waiting.iter().filter(|one| {
            let posts_in_doubt = self
                .memory
                .posts_in_doubt
                .get(&one.id)
                .copied()
                .unwrap_or(0);
            let enough = match one.quarantine {
                Some(_) => 1,
                None => IN_DOUBT_TO_QUARANTINE,
            };
            posts_in_doubt >= enough && !self.kept.contains(&one.id)
        });
        let mut acts =
            candidates.filter_map(|one| self.judged(&one.id, &MedicFailure::NoAnswer, now));
        acts.next()
    }

    /// The messages of the next POST: each id once, one of each sender, in order. Medic stores what
    /// comes in one POST side by side, and an id that it sees twice in it twice.
    ///
    /// What was in quarantine has lost its place: it waits for nobody, nobody for it, and it goes
    /// alone, after the others.
    fn next_messages(&self) -> Option<Step> {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut ids: BTreeSet<&IncomingId> = BTreeSet::new();
        let (mut good, mut doubtful) = (Vec::new(), Vec::new());
        for one in self.waiting.iter().filter(|one| ids.insert(&one.id)) {
            if one.quarantine.is_some() {
                doubtful.push((2, !one.is_new, one));
            } else if seen.insert(&one.sender) && !self.kept.contains(&one.id) {
                let posts_in_doubt = self.memory.posts_in_doubt.get(&one.id);
                let is_doubtful = posts_in_doubt.is_some_and(|n| *n >= IN_DOUBT_TO_QUARANTINE);
                if is_doubtful || self.unfinished.contains(&one.id) {
                    doubtful.push((1, !one.is_new, one));
                } else {
                    good.push(one);
                }
            }
        }
        if !self.is_alone && !good.is_empty() {
            let ids = good.into_iter().take(MESSAGES_A_POST);
            return Some(Step::Messages {
                ids: ids.map(|one| one.id.clone()).collect(),
                with_statuses: true,
            });
        }
        doubtful.retain(|(_, _, one)| !self.kept.contains(&one.id));
        doubtful.extend(good.into_iter().map(|one| (0, !one.is_new, one)));
        // What is new first: when Medic stores it, others may be suspected.
        let first = doubtful
            .into_iter()
            .min_by_key(|(rank, old, _)| (*rank, *old));
        let (rank, _, one) = first?;
        if rank > 0 && !self.is_answering {
            return Some(Step::Control);
        }
        Some(Step::Messages {
            ids: vec![one.id.clone()],
            with_statuses: false,
        })
    }

    fn statuses(&self, is_last: bool) -> Step {
        let at_most = (STATUSES_A_POST >> self.memory.statuses_in_doubt.min(7)).max(1);
        Step::Statuses { at_most, is_last }
    }

    /// Whether a status may be in the next POST.
    pub fn may_bring_status(&self, id: &MedicMessageId) -> bool {
        !self.kept_statuses.contains(id)
    }

    /// A message was quarantined.
    pub fn quarantined(&mut self, id: &IncomingId, quarantine: &Quarantine, now: Timestamp) {
        let is_first = self.quarantine_of(id).is_none();
        self.memory.note_quarantine(id, quarantine, is_first, now);
        self.waiting.retain(|one| one.id != *id);
    }

    /// A message went to the dead-letter queue.
    pub fn dead_lettered(&mut self, id: &IncomingId) {
        self.memory.messages.note();
        self.memory.forget(id);
        self.waiting.retain(|one| one.id != *id);
    }

    /// What was decided on for a message could not be done: it waits.
    pub fn keep(&mut self, id: &IncomingId) {
        self.kept.insert(id.clone());
    }

    /// A status is set aside. How much Medic has taken by now.
    pub fn set_aside(&mut self, status: &StatusCandidate, now: Timestamp) -> u64 {
        if !status.before.is_some_and(|it| it.was_set_aside) {
            self.memory.statuses.spend(now);
        }
        self.memory.note_progress()
    }

    /// What is remembered of the invocation; `is_done`, if its work came to its end.
    pub fn into_memory(mut self, is_done: bool) -> ExchangeRow {
        if is_done {
            self.memory.in_doubt = None;
            self.memory.statuses_in_doubt = 0;
        }
        let waiting: BTreeSet<&IncomingId> = self.waiting.iter().map(|one| &one.id).collect();
        self.memory
            .posts_in_doubt
            .retain(|id, _| waiting.contains(id));
        self.memory
    }
}

#[cfg(test)]
mod tests;
