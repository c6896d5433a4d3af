//! The work of a POST: store messages, then apply updates, then offer what is to be sent.
//!
//! Medic checks for duplicates first and writes later, one message after another, and goes on when
//! the caller has hung up (observed on CHT 5.2.0). Whoever drives the model decides how long each
//! step takes, so that the steps of several POSTs can come in any order.

use serde::Serialize;
use serde_json::{Value, json};

use super::body::{self, Posted, PostedMessage, ReportedStatus};
use super::faults::{MedicFault, MedicFaultPlace};
use super::store::{OFFERED_AT_MOST, OutgoingMessage, StoredMessage};
use super::{ArrivedRequest, GATEWAY, LONGEST_BODY, MedicModel, Reaction, responses};
use crate::http::{ServerOutcome, ServerRequest, ServerResponse};

/// A POST of a gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Post {
    /// Its place in the order of arrival, from 0.
    pub number: usize,
    /// When it had arrived, in milliseconds since 1970.
    pub at_ms: i64,
    /// How many messages it had, also those that are dropped.
    pub messages: usize,
    /// The ids of its messages that have all they need.
    pub message_ids: Vec<String>,
    /// Its updates, in order.
    pub updates: Vec<ReportedStatus>,
    /// How many POSTs were in flight when it arrived, itself included. One whose caller has hung
    /// up is in flight until its work is done.
    pub in_flight: usize,
    /// The ids of the outgoing messages that it was offered, whether the response arrived or not.
    pub offered: Vec<String>,
    /// Whether its work came to an end, good or bad.
    pub worked: bool,
    /// Whether it is not in flight any more.
    pub ended: bool,
    /// The HTTP status it was answered with, if it was.
    pub status: Option<u16>,
    /// The fault that struck it, before or after its work.
    pub fault: Option<MedicFault>,
}

/// The steps that are left to do for a POST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostStep {
    /// See which messages are there already.
    Check,
    /// Write this one, if it was not.
    Write(usize),
    /// Apply the updates.
    Update,
    /// See what is to be offered.
    Read,
    /// Mark it as offered.
    Mark,
    /// Answer.
    Answer,
}

/// Over what Medic's process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// A message.
    Message,
    /// A status.
    Status,
}

/// The outcome of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PostProgress {
    /// It is done.
    Done {
        /// The step.
        step: PostStep,
        /// The steps that follow.
        next: PostStep,
    },
    /// The database hangs: nothing was done, and nothing will be before this time.
    Hangs {
        /// In milliseconds since 1970.
        until_ms: i64,
    },
    /// Another POST that hung before is to be worked off first.
    Behind,
    /// The work is at its end.
    Ended(ServerOutcome),
    /// Medic's process ended over the POST; its caller gets nothing.
    Crashed(Over),
    /// There is no such work, or not any more.
    Gone,
}

/// A POST that is worked on.
#[derive(Debug)]
pub(super) struct PostWork {
    posted: Posted,
    next: PostStep,
    /// Which messages were not there when it looked.
    new: Vec<bool>,
    /// It met the hang of the database.
    stalled: bool,
    failed: bool,
    full_disk: bool,
    offered: Vec<String>,
    accepts_json: bool,
    after: Option<MedicFault>,
    applied: Vec<ReportedStatus>,
}

impl MedicModel {
    fn meet_at(&mut self, place: MedicFaultPlace, posted: Option<&Posted>) -> Option<MedicFault> {
        let concerns = |text: &str| posted.is_some_and(|posted| posted.concerns(text));
        let met = self.faults.meet(|fault| fault.place() == place, concerns);
        met.map(|met| met.fault)
    }

    pub(super) fn receive_post(
        &mut self,
        request: &ServerRequest,
        check_login: bool,
        now_ms: i64,
    ) -> ArrivedRequest {
        let posted = read(request);
        let number = self.record(posted.as_ref(), now_ms);
        let done = |outcome| ArrivedRequest {
            post: Some(number),
            reaction: Reaction::Done(outcome),
        };
        let accepts_json = request.accepts_json();
        if let Some(fault) = self.meet_at(MedicFaultPlace::BeforeWork, posted.as_ref()) {
            self.note(number, |post| post.fault = Some(fault));
            if let Some(outcome) = fault.instead(accepts_json, None) {
                return done(outcome);
            }
        }
        let refused = |status, text| {
            done(ServerOutcome::Response(responses::error(
                accepts_json,
                status,
                text,
            )))
        };
        if check_login && let Err(denied) = self.admit(request, now_ms) {
            return done(ServerOutcome::Response(denied));
        }
        if request.header("content-type") != Some("application/json") {
            return refused(400, "Content-Type must be application/json");
        }
        if request.body.len() > LONGEST_BODY {
            return refused(413, "Payload Too Large");
        }
        let Some(posted) = posted else {
            return refused(500, "Server error");
        };
        let after = self.meet_at(MedicFaultPlace::AfterWork, Some(&posted));
        self.note(number, |post| post.fault = after);
        let writes = !posted.messages.is_empty() || posted.updates != Ok(Vec::new());
        let full_disk = writes
            && self
                .faults
                .meet(
                    |fault| fault == MedicFault::FullDisk,
                    |text| posted.concerns(text),
                )
                .is_some();
        let work = PostWork {
            posted,
            next: PostStep::Check,
            new: Vec::new(),
            stalled: false,
            failed: false,
            full_disk,
            offered: Vec::new(),
            accepts_json,
            after,
            applied: Vec::new(),
        };
        self.work.insert(number, work);
        ArrivedRequest {
            post: Some(number),
            reaction: Reaction::Works,
        }
    }

    fn record(&mut self, posted: Option<&Posted>, now_ms: i64) -> usize {
        self.in_flight += 1;
        self.max_in_flight = self.max_in_flight.max(self.in_flight);
        let number = self.posts.len();
        self.posts.push(Post {
            number,
            at_ms: now_ms,
            messages: posted.map_or(0, |posted| posted.message_count),
            message_ids: posted.map(Posted::message_ids).unwrap_or_default(),
            updates: posted
                .and_then(|posted| posted.updates.clone().ok())
                .unwrap_or_default(),
            in_flight: self.in_flight,
            ..Post::default()
        });
        number
    }

    fn note(&mut self, number: usize, note: impl FnOnce(&mut Post)) {
        if let Some(post) = self.posts.get_mut(number) {
            note(post);
        }
    }

    /// A POST was answered with this status.
    pub fn answered(&mut self, number: usize, status: u16) {
        self.note(number, |post| post.status = Some(status));
    }

    /// A POST is not in flight any more: its caller has the response or has gone, and its work is
    /// done.
    pub fn end(&mut self, number: usize) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.note(number, |post| post.ended = true);
    }

    /// Whether a message of a POST was not there when Medic looked.
    #[must_use]
    pub fn is_new(&self, number: usize, message: usize) -> bool {
        let new = self
            .work
            .get(&number)
            .and_then(|work| work.new.get(message));
        new.copied().unwrap_or(false)
    }

    /// The updates of a POST that were applied.
    #[must_use]
    pub fn applied(&self, number: usize) -> &[ReportedStatus] {
        self.work
            .get(&number)
            .map_or(&[], |work| work.applied.as_slice())
    }

    /// Whether a POST is failed by one of its messages or updates.
    #[must_use]
    pub fn has_failed(&self, number: usize) -> bool {
        self.work.get(&number).is_some_and(|work| work.failed)
    }

    /// Whether a fault of time strikes a POST, or one message of it. It counts as met.
    pub fn meet(&mut self, fault: MedicFault, number: usize, message: Option<usize>) -> bool {
        let Some(work) = self.work.get(&number) else {
            return false;
        };
        let concerns = |text: &str| match message {
            None => work.posted.concerns(text),
            Some(place) => {
                let message = work.posted.messages.get(place);
                message.is_some_and(|one| one.names().iter().any(|name| name.contains(text)))
            }
        };
        let met = self.faults.meet(|other| other == fault, concerns).is_some();
        if met && message.is_none() {
            self.note(number, |post| post.fault = Some(fault));
        }
        met
    }

    /// Takes the next step of a POST's work. What was done before an error stays done.
    pub fn step(&mut self, number: usize, now_ms: i64) -> PostProgress {
        let Some(work) = self.work.get_mut(&number) else {
            return PostProgress::Gone;
        };
        let step = work.next;
        if self.hangs_until_ms > now_ms && step != PostStep::Answer {
            work.stalled = true;
            return PostProgress::Hangs {
                until_ms: self.hangs_until_ms,
            };
        }
        let stepped = match step {
            PostStep::Check => self.check(number),
            PostStep::Write(place) => self.write(number, place, now_ms),
            PostStep::Update => self.update(number, now_ms),
            PostStep::Read => self.read_outgoing(number),
            PostStep::Mark => self.mark(number, now_ms),
            PostStep::Answer => Err(self.finish(number)),
        };
        match stepped {
            Ok(next) => {
                if let Some(work) = self.work.get_mut(&number) {
                    work.next = next;
                }
                PostProgress::Done { step, next }
            }
            Err(progress) => progress,
        }
    }

    fn check(&mut self, number: usize) -> Result<PostStep, PostProgress> {
        let mut work = self.work.remove(&number).ok_or(PostProgress::Gone)?;
        let messages = &work.posted.messages;
        work.new = messages.iter().map(|one| !self.knows(&one.id)).collect();
        let faults = &mut self.faults;
        work.failed = messages.iter().any(|message| {
            let names = |text: &str| message.content.contains(text);
            let throws = |fault| fault == MedicFault::ThrowingMessage;
            faults.meet(throws, names).is_some()
        });
        let next = match messages.is_empty() || work.failed {
            true => PostStep::Update,
            false => PostStep::Write(0),
        };
        self.work.insert(number, work);
        Ok(next)
    }

    fn is_full(&self, number: usize) -> bool {
        let standing = |fault| fault == MedicFault::FullDisk;
        let of_post = self.work.get(&number).is_some_and(|work| work.full_disk);
        self.disk_full || of_post || self.faults.standing(standing).is_some()
    }

    fn write(
        &mut self,
        number: usize,
        place: usize,
        now_ms: i64,
    ) -> Result<PostStep, PostProgress> {
        let full = self.is_full(number);
        let is_new = self.is_new(number, place);
        let work = self.work.get_mut(&number).ok_or(PostProgress::Gone)?;
        let next = match place + 1 < work.posted.messages.len() {
            true => PostStep::Write(place + 1),
            false => PostStep::Update,
        };
        let message = work.posted.messages.get(place).cloned();
        let Some(message) = message.filter(|_| is_new) else {
            return Ok(next);
        };
        let mut meet = |wanted: MedicFault| {
            let names = |text: &str| message.content.contains(text);
            self.faults.meet(|fault| fault == wanted, names).is_some()
        };
        if meet(MedicFault::CrashingMessage) {
            self.work.remove(&number);
            return Err(PostProgress::Crashed(Over::Message));
        }
        if meet(MedicFault::PoisonMessage) || message.cannot_be_written() || full {
            work.failed = true;
        } else {
            self.write_one(number, message, now_ms);
        }
        Ok(next)
    }

    fn write_one(&mut self, number: usize, message: PostedMessage, now_ms: i64) {
        let stored = StoredMessage {
            id: message.id,
            from: message.from,
            content: message.content,
            at_ms: now_ms,
            post: number,
        };
        if let Some(reply) = self.reply.to(&stored, self.copies(&stored.id)) {
            let reply = OutgoingMessage {
                to_is_number: message.from_is_number,
                ..OutgoingMessage::new(&reply.id, &stored.from, &reply.content, now_ms)
            };
            self.send(reply);
        }
        self.store(stored);
    }

    fn update(&mut self, number: usize, now_ms: i64) -> Result<PostStep, PostProgress> {
        let full = self.is_full(number);
        let work = self.work.get_mut(&number).ok_or(PostProgress::Gone)?;
        let updates = match (&work.posted.updates, work.failed) {
            (Ok(updates), false) => updates.clone(),
            _ => {
                work.failed = true;
                return Ok(PostStep::Answer);
            }
        };
        let mut failed = false;
        let mut applied = Vec::new();
        for update in updates {
            let message = self.outgoing(&update.id);
            let is = |status: Option<&str>| status == Some(update.status.as_str());
            if message.is_some_and(|message| is(message.crashes)) {
                self.work.remove(&number);
                return Err(PostProgress::Crashed(Over::Status));
            }
            let must_be_written = message.is_some_and(|message| !message.knows(&update));
            let refused = message.is_some_and(|message| is(message.refuses));
            let poisons = |fault| fault == MedicFault::PoisonUpdate;
            let poisoned = self.faults.meet(poisons, |id| update.id == id).is_some();
            if refused || poisoned || (full && must_be_written) {
                failed = true;
            } else {
                self.apply(&update, now_ms);
                applied.push(update);
            }
        }
        if let Some(work) = self.work.get_mut(&number) {
            work.failed = failed;
            work.applied = applied;
        }
        Ok(if failed {
            PostStep::Answer
        } else {
            PostStep::Read
        })
    }

    /// What is offered is read from a view, which is up to date when the database has worked off what
    /// hung in it: so an empty POST that is answered after a hang comes after all that hung before it.
    fn read_outgoing(&mut self, number: usize) -> Result<PostStep, PostProgress> {
        let mut before = self.work.range(..number);
        if before.any(|(_, work)| work.stalled) {
            return Err(PostProgress::Behind);
        }
        let service = self.outgoing_service.as_deref();
        let offered: Vec<String> = match service.unwrap_or(GATEWAY) == GATEWAY {
            true => self
                .waiting()
                .take(OFFERED_AT_MOST)
                .map(|message| message.id.clone())
                .collect(),
            false => Vec::new(),
        };
        if let Some(work) = self.work.get_mut(&number) {
            work.offered = offered;
        }
        Ok(PostStep::Mark)
    }

    fn mark(&mut self, number: usize, now_ms: i64) -> Result<PostStep, PostProgress> {
        let work = self.work.get(&number).ok_or(PostProgress::Gone)?;
        let offered = work.offered.clone();
        if !self.is_full(number) {
            for id in &offered {
                self.mark_offered(id, now_ms);
            }
        }
        self.note(number, |post| post.offered = offered);
        Ok(PostStep::Answer)
    }

    fn finish(&mut self, number: usize) -> PostProgress {
        let Some(work) = self.work.remove(&number) else {
            return PostProgress::Gone;
        };
        self.note(number, |post| post.worked = true);
        let response = match work.failed {
            true => responses::server_error(work.accepts_json),
            false => {
                let offered = work.offered.iter().filter_map(|id| self.outgoing(id));
                let offered: Vec<Value> = offered.map(offer).collect();
                ServerResponse::json(200, &json!({ "messages": offered }))
            }
        };
        let after = work.after;
        let instead = after.and_then(|fault| fault.instead(work.accepts_json, Some(&response)));
        PostProgress::Ended(instead.unwrap_or(ServerOutcome::Response(response)))
    }
}

/// A message as it is offered.
fn offer(message: &OutgoingMessage) -> Value {
    let number = message.to.parse::<serde_json::Number>().ok();
    let to = match number.filter(|_| message.to_is_number) {
        Some(number) => Value::Number(number),
        None => Value::String(message.to.clone()),
    };
    json!({"id": message.id, "to": to, "content": message.content})
}

fn read(request: &ServerRequest) -> Option<Posted> {
    if request.body.len() > LONGEST_BODY {
        return None;
    }
    body::read(&request.body).ok()
}
