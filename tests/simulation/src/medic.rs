//! Drives Medic's model in virtual time: how long each step takes, what becomes of a connection, and
//! what is refused before Medic.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bridge::domain::status::Status;
use bridge::ports::Response;
use models::faults::Scope;
use models::http::{self, ServerOutcome, ServerRequest};
use models::medic::{
    AutoReply, MedicFault, MedicModel, MessageState, NewReply, OutgoingMessage, Over, PostProgress,
    PostStep, Reaction,
};
use serde_json::{Value, json};

use crate::executor::Slot;
use crate::world::{MEDIC_PASSWORD, MEDIC_USER, World};

/// A text with this in it is refused by Medic for ever, with its own 500.
pub const POISON: &str = "POISON";

/// A text with this in it ends the POST that brings it without an answer.
pub const CRASHER: &str = "CRASHER";

/// A text with this in it makes Medic fail before it stores anything of the POST.
pub const THROWER: &str = "THROWER";

/// A text with this in it is refused by a filter between the bridge and Medic, with a page of its own.
pub const FILTERED: &str = "FILTERED";

/// All that Medic never takes.
pub const POISONS: [&str; 4] = [POISON, CRASHER, THROWER, FILTERED];

/// A text with this in it gets an automatic reply.
pub const REPLY: &str = "REPLY";

/// The server's behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It works.
    Up,
    /// Nobody listens.
    Down,
    /// It answers this status to everything, and does nothing.
    Answers(u16),
    /// It answers 200 with a page of HTML, and does nothing.
    Html,
    /// It answers this status with a page of HTML, and does nothing.
    Page(u16),
}

/// The outcome of one POST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostDisposition {
    /// It is worked on and answered.
    Fine,
    /// Its work takes so long altogether, in milliseconds.
    Slow(i64),
    /// Its work is done, and the answer gets lost.
    AnswerLost,
    /// The proxy answers this status after so many milliseconds; the work goes on for as many as the
    /// third number says, altogether.
    Proxy(u16, i64, i64),
    /// No connection comes about.
    Unreachable,
    /// This is answered, and nothing is done.
    Refused(u16),
    /// 200 with HTML, and nothing is done.
    Html,
    /// Its messages and updates meet a full disk.
    FullDisk,
}

/// Medic, and the way to it.
pub struct MedicInWorld {
    medic: MedicModel,
    /// Its behaviour.
    pub mode: Mode,
    /// The outcomes of the next POSTs; by chance after that.
    pub script: VecDeque<PostDisposition>,
    /// Every POST that reached it: how many messages, and what updates.
    pub log: Vec<Logged>,
    /// How long it works for each message of a POST, in milliseconds; by chance, if not set.
    pub message_ms: Option<i64>,
    open: BTreeMap<u64, Open>,
}

/// A POST that reached Medic.
#[derive(Clone, Debug)]
pub struct Logged {
    /// When.
    pub at_ms: i64,
    /// The ids of its messages.
    pub messages: Vec<String>,
    /// Its updates.
    pub updates: Vec<(String, String)>,
    /// How many other POSTs the client had open then.
    pub others_open: usize,
}

/// A POST that Medic works on.
struct Open {
    /// Its number in the model.
    post: usize,
    /// Between two steps, in milliseconds.
    pace_ms: i64,
    answer_lost: bool,
    slot: Rc<Slot<Response>>,
}

impl Deref for MedicInWorld {
    type Target = MedicModel;
    fn deref(&self) -> &MedicModel {
        &self.medic
    }
}

impl DerefMut for MedicInWorld {
    fn deref_mut(&mut self) -> &mut MedicModel {
        &mut self.medic
    }
}

impl Default for MedicInWorld {
    fn default() -> Self {
        let mut medic = MedicModel::new(MEDIC_USER, MEDIC_PASSWORD);
        for (fault, text) in [
            (MedicFault::PoisonMessage, POISON),
            (MedicFault::CrashingMessage, CRASHER),
            (MedicFault::ThrowingMessage, THROWER),
            (MedicFault::FilteredMessage, FILTERED),
        ] {
            medic.faults.set(fault, Scope::Matching(text.to_owned()));
        }
        medic.reply = AutoReply::with(|stored, copies| {
            let id = format!("reply-to-{}", stored.id);
            let content = format!("{} {id}", crate::plan::SECRET_TEXT);
            // A second reply has another id than the first.
            let id = match copies {
                0 => id,
                n => format!("{id}-{n}"),
            };
            stored
                .content
                .contains(REPLY)
                .then_some(NewReply { id, content })
        });
        Self {
            medic,
            mode: Mode::Up,
            script: VecDeque::new(),
            log: Vec::new(),
            message_ms: None,
            open: BTreeMap::new(),
        }
    }
}

impl MedicInWorld {
    /// Medic wants this sent.
    pub fn wants(&mut self, id: &str, to: &str, content: &str) {
        self.send(OutgoingMessage::new(id, to, content, 0));
    }
}

/// The status that a message was last given by an update, if any.
pub fn status_of(state: MessageState) -> Option<Status> {
    Status::ALL
        .into_iter()
        .find(|status| MessageState::after(status.medic_name()) == state)
}

/// A POST reaches Medic. The slot is filled with what the client gets.
pub fn post(
    world: &Rc<World>,
    login: &[String; 2],
    body: &str,
    timeout_ms: i64,
) -> Rc<Slot<Response>> {
    let slot = Slot::new();
    let disposition = disposition(world);
    if let Some(response) = refused(world, disposition) {
        world.count(|| format!("Medic: {}", refusal_name(&response)));
        slot.fill(response);
        return slot;
    }
    let timed_out = Rc::clone(&slot);
    world.after(timeout_ms, move |world| {
        if !timed_out.is_filled() {
            world.count(|| "Medic: no answer in time".to_owned());
            timed_out.fill(Response::NoAnswer);
        }
    });
    let mut medic = world.medic.borrow_mut();
    let full_disk = disposition == PostDisposition::FullDisk;
    if full_disk {
        medic.faults.set(MedicFault::FullDisk, Scope::Next(1));
    }
    let received = medic.receive(&request(login, body), world.now_ms());
    if full_disk {
        medic.faults.clear(MedicFault::FullDisk);
    }
    let post = received.post.expect("a POST has a number");
    if let Reaction::Done(outcome) = received.reaction {
        medic.end(post);
        let response = response(outcome);
        world.count(|| match &response {
            Response::Answer { status: 403, .. } if medic.logins.permitted => {
                "Medic: a filter before it refuses a message".to_owned()
            }
            response => format!("Medic: {}", refusal_name(response)),
        });
        slot.fill(response);
        return slot;
    }
    drop(medic);
    begin(world, post, disposition, &slot);
    slot
}

fn request([user, password]: &[String; 2], body: &str) -> ServerRequest {
    let login = STANDARD.encode(format!("{user}:{password}"));
    ServerRequest::new("POST", "/api/sms")
        .with_header("authorization", &format!("Basic {login}"))
        .with_header("accept", "application/json")
        .with_header("content-type", "application/json")
        .with_body(body)
}

fn begin(world: &Rc<World>, post: usize, disposition: PostDisposition, slot: &Rc<Slot<Response>>) {
    let mut medic = world.medic.borrow_mut();
    let messages = medic.posts[post].message_ids.clone();
    let count = i64::try_from(messages.len()).unwrap_or(0);
    let steps = count + 5;
    let mut pace_ms = match medic.message_ms {
        Some(message_ms) => message_ms * count.max(1) / steps,
        None => world.random.between(5, 90),
    };
    match disposition {
        PostDisposition::Slow(total_ms) => {
            world.count(|| "Medic: slow".to_owned());
            pace_ms = total_ms / steps;
        }
        PostDisposition::Proxy(status, after_ms, total_ms) => {
            world.count(|| format!("Medic: its proxy answers {status}"));
            pace_ms = total_ms / steps;
            let slot = Rc::clone(slot);
            world.after(after_ms, move |_| {
                slot.fill(answer(
                    status,
                    &json!({"type": "ERROR", "error": "the proxy's"}),
                ));
            });
        }
        PostDisposition::AnswerLost => world.count(|| "Medic: answer lost".to_owned()),
        _ => {}
    }
    let number = world.next_number();
    let others = medic.open.values();
    let others_open = others.filter(|open| !open.slot.is_filled()).count();
    let updates = medic.posts[post].updates.iter();
    let updates = updates.map(|update| (update.id.clone(), update.status.clone()));
    let logged = Logged {
        at_ms: world.now_ms(),
        messages,
        updates: updates.collect(),
        others_open,
    };
    medic.log.push(logged);
    let open = Open {
        post,
        pace_ms,
        answer_lost: disposition == PostDisposition::AnswerLost,
        slot: Rc::clone(slot),
    };
    medic.open.insert(number, open);
    drop(medic);
    next(world, number);
}

/// Medic's process ends and begins again: what it was working on is left where it was.
pub fn restart(world: &Rc<World>) {
    let mut medic = world.medic.borrow_mut();
    let open = std::mem::take(&mut medic.open);
    for post in open.values() {
        medic.end(post.post);
    }
    medic.restart();
    drop(medic);
    for post in open.into_values() {
        post.slot.fill(Response::NoAnswer);
    }
}

fn disposition(world: &World) -> PostDisposition {
    if let Some(disposition) = world.medic.borrow_mut().script.pop_front() {
        return disposition;
    }
    let random = &world.random;
    let rates = world.faults.rates.borrow();
    if random.chance(rates.medic_slow) {
        // Longer than the client waits, and shorter than any batch comes back.
        PostDisposition::Slow(random.between(1_000, 90_000))
    } else if random.chance(rates.medic_answer_lost) {
        PostDisposition::AnswerLost
    } else if random.chance(rates.medic_gateway_error) {
        let after_ms = random.between(10, 40_000);
        // Who was answered by the proxy waits for 65 seconds.
        let more_ms = random.between(0, 60_000);
        PostDisposition::Proxy(*random.pick(&[502, 504]), after_ms, after_ms + more_ms)
    } else if random.chance(rates.medic_unreachable) {
        *random.pick(&[
            PostDisposition::Unreachable,
            PostDisposition::Refused(503),
            PostDisposition::Refused(429),
            PostDisposition::Refused(401),
            PostDisposition::Refused(413),
            PostDisposition::Html,
        ])
    } else {
        PostDisposition::Fine
    }
}

fn refused(world: &World, disposition: PostDisposition) -> Option<Response> {
    let html = |status| Response::Answer {
        status,
        body: b"<html><body>Medic is starting</body></html>".to_vec(),
    };
    match (world.medic.borrow().mode, disposition) {
        (Mode::Down, _) | (_, PostDisposition::Unreachable) => Some(Response::NotConnected),
        (Mode::Answers(status), _) | (_, PostDisposition::Refused(status)) => {
            Some(answer(status, &json!({"code": status, "error": "refused"})))
        }
        (Mode::Html, _) | (_, PostDisposition::Html) => Some(html(200)),
        (Mode::Page(status), _) => Some(html(status)),
        (Mode::Up, _) => None,
    }
}

fn refusal_name(response: &Response) -> String {
    match response {
        Response::Answer { status: 200, .. } => "a page of HTML".to_owned(),
        Response::Answer { status, .. } => format!("answers {status}"),
        _ => "not reached".to_owned(),
    }
}

fn answer(status: u16, body: &Value) -> Response {
    Response::Answer {
        status,
        body: body.to_string().into_bytes(),
    }
}

/// The response that a client sees.
pub(crate) fn response(outcome: ServerOutcome) -> Response {
    match outcome {
        ServerOutcome::Response(http::ServerResponse { status, body, .. }) => {
            Response::Answer { status, body }
        }
        ServerOutcome::Silence | ServerOutcome::Closed => Response::NoAnswer,
    }
}

/// A step comes after the POST's pace; when the database hangs, after that.
fn next(world: &Rc<World>, number: u64) {
    let medic = world.medic.borrow();
    let Some(pace_ms) = medic.open.get(&number).map(|post| post.pace_ms) else {
        return;
    };
    let jitter_ms = match medic.message_ms {
        Some(_) => 0,
        None => world.random.between(0, 20),
    };
    drop(medic);
    world.after(pace_ms + jitter_ms, move |world| take(world, number));
}

fn take(world: &Rc<World>, number: u64) {
    let now_ms = world.now_ms();
    let mut medic = world.medic.borrow_mut();
    let Some(post) = medic.open.get(&number).map(|open| open.post) else {
        return;
    };
    let (stored, had_failed) = (medic.stored.len(), medic.has_failed(post));
    let progress = medic.step(post, now_ms);
    for message in &medic.stored[stored..] {
        world.note(|| format!("Medic stores {}", message.id));
    }
    match progress {
        PostProgress::Hangs { until_ms } => {
            let at_ms = until_ms + world.random.between(1, 400);
            world.at_time(at_ms, move |world| take(world, number));
        }
        PostProgress::Behind => world.after(50, move |world| take(world, number)),
        PostProgress::Done { step, .. } => {
            if step == PostStep::Update && had_failed {
                world.count(|| "Medic: fails on a message".to_owned());
            } else if step == PostStep::Update {
                for update in medic.applied(post) {
                    world.note(|| format!("Medic is told {} {}", update.id, update.status));
                }
            }
            drop(medic);
            next(world, number);
        }
        PostProgress::Ended(outcome) => {
            drop(medic);
            finish(world, number, outcome);
        }
        PostProgress::Crashed(over) => {
            let over = match over {
                Over::Message => "message",
                Over::Status => "status",
            };
            world.count(|| format!("Medic: ends without an answer over a {over}"));
            medic.open.remove(&number);
            medic.end(post);
        }
        PostProgress::Gone => {}
    }
}

fn finish(world: &Rc<World>, number: u64, outcome: ServerOutcome) {
    let mut medic = world.medic.borrow_mut();
    let Some(open) = medic.open.remove(&number) else {
        return;
    };
    medic.end(open.post);
    let post = &medic.posts[open.post];
    let response = response(outcome);
    let has_failed = matches!(&response, Response::Answer { status, .. } if *status != 200);
    world.note(|| {
        format!(
            "Medic has done POST {number}: {:?} {}, offers {:?}",
            post.message_ids,
            if has_failed { "failed" } else { "taken" },
            post.offered
        )
    });
    drop(medic);
    open.slot.fill(match open.answer_lost {
        true => Response::NoAnswer,
        false => response,
    });
}
