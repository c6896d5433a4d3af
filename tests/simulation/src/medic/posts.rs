//! How Medic works on a POST: step by step, each some time after the last, whoever still listens.

use std::rc::Rc;

use bridge::domain::status::Status;
use bridge::ports::Response;
use serde_json::{Value, json};

use super::{
    CRASHER, FILTERED, Logged, Mode, OFFERS_AT_MOST, POISON, Post, PostDisposition, REPLY, State,
    Stored, THROWER,
};
use crate::executor::Slot;
use crate::world::World;

/// What is left to do for a POST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
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
    Answer,
}

/// A POST reaches Medic. The slot is filled with what the client gets.
pub fn post(world: &Rc<World>, body: &str, timeout_ms: i64) -> Rc<Slot<Response>> {
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
    let Some((messages, updates)) = read(body) else {
        slot.fill(own_500());
        return slot;
    };
    if messages.iter().any(|sms| sms.content.contains(FILTERED)) {
        world.count(|| "Medic: a filter before it refuses a message".to_owned());
        slot.fill(Response::Answer {
            status: 403,
            body: b"<html><body>Forbidden</body></html>".to_vec(),
        });
        return slot;
    }
    let count = i64::try_from(messages.len()).unwrap_or(0);
    let steps = count + 5;
    let mut pace_ms = match world.medic.borrow().message_ms {
        Some(message_ms) => message_ms * count.max(1) / steps,
        None => world.random.between(5, 90),
    };
    let mut answer_lost = false;
    match disposition {
        PostDisposition::Slow(total_ms) => {
            world.count(|| "Medic: slow".to_owned());
            pace_ms = total_ms / steps;
        }
        PostDisposition::Proxy(status, after_ms, total_ms) => {
            world.count(|| format!("Medic: its proxy answers {status}"));
            pace_ms = total_ms / steps;
            let slot = Rc::clone(&slot);
            world.after(after_ms, move |_| {
                slot.fill(answer(
                    status,
                    &json!({"type": "ERROR", "error": "the proxy's"}),
                ));
            });
        }
        PostDisposition::AnswerLost => {
            world.count(|| "Medic: answer lost".to_owned());
            answer_lost = true;
        }
        _ => {}
    }
    let number = world.next_number();
    let mut medic = world.medic.borrow_mut();
    let others_open = medic
        .posts
        .values()
        .filter(|post| !post.slot.is_filled())
        .count();
    medic.log.push(Logged {
        at_ms: world.now_ms(),
        messages: messages.iter().map(|message| message.id.clone()).collect(),
        updates: updates
            .iter()
            .map(|(id, status, _)| (id.clone(), status.clone()))
            .collect(),
        others_open,
    });
    medic.posts.insert(
        number,
        Post {
            fresh: Vec::new(),
            messages,
            updates,
            stalled: false,
            failed: false,
            full_disk: disposition == PostDisposition::FullDisk,
            pace_ms,
            answer_lost,
            offered: Vec::new(),
            slot: Rc::clone(&slot),
        },
    );
    drop(medic);
    next(world, number, Step::Check);
    slot
}

/// Medic's process ends and begins again: what it was working on is left where it was.
pub fn restart(world: &Rc<World>) {
    let posts = std::mem::take(&mut world.medic.borrow_mut().posts);
    for post in posts.into_values() {
        post.slot.fill(Response::NoAnswer);
    }
    world.medic.borrow_mut().hangs_until_ms = 0;
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
    let html = || Response::Answer {
        status: 200,
        body: b"<html><body>Medic is starting</body></html>".to_vec(),
    };
    match (world.medic.borrow().mode, disposition) {
        (Mode::Down, _) | (_, PostDisposition::Unreachable) => Some(Response::NotConnected),
        (Mode::Answers(status), _) | (_, PostDisposition::Refused(status)) => {
            Some(answer(status, &json!({"code": status, "error": "refused"})))
        }
        (Mode::Html, _) | (_, PostDisposition::Html) => Some(html()),
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

type Read = (Vec<Stored>, Vec<(String, String, Option<String>)>);

fn read(body: &str) -> Option<Read> {
    let body: Value = serde_json::from_str(body).ok()?;
    let text = |value: &Value, field: &str| {
        let value = value.get(field).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let messages = body.get("messages")?.as_array()?;
    let updates = body.get("updates")?.as_array()?;
    Some((
        messages
            .iter()
            .map(|message| Stored {
                id: text(message, "id"),
                from: text(message, "from"),
                content: text(message, "content"),
                at_ms: 0,
            })
            // Medic drops what has a falsy field, and says nothing.
            .filter(|m| !m.id.is_empty() && !m.from.is_empty() && !m.content.is_empty())
            .collect(),
        updates
            .iter()
            .map(|update| {
                let reason = update.get("reason").and_then(Value::as_str);
                (
                    text(update, "id"),
                    text(update, "status"),
                    reason.map(str::to_owned),
                )
            })
            .collect(),
    ))
}

fn answer(status: u16, body: &Value) -> Response {
    Response::Answer {
        status,
        body: body.to_string().into_bytes(),
    }
}

fn own_500() -> Response {
    answer(500, &json!({"code": 500, "error": "Server error"}))
}

/// A step comes after the POST's pace; when the database hangs, after that.
fn next(world: &Rc<World>, number: u64, step: Step) {
    let medic = world.medic.borrow();
    let Some(pace_ms) = medic.posts.get(&number).map(|post| post.pace_ms) else {
        return;
    };
    let jitter_ms = match medic.message_ms {
        Some(_) => 0,
        None => world.random.between(0, 20),
    };
    drop(medic);
    world.after(pace_ms + jitter_ms, move |world| {
        take(world, number, step);
    });
}

fn later(world: &Rc<World>, number: u64, step: Step, at_ms: i64) {
    world.at_time(at_ms, move |world| take(world, number, step));
}

fn take(world: &Rc<World>, number: u64, step: Step) {
    let hangs_until_ms = world.medic.borrow().hangs_until_ms;
    if hangs_until_ms > world.now_ms() && step != Step::Answer {
        if let Some(post) = world.medic.borrow_mut().posts.get_mut(&number) {
            post.stalled = true;
        }
        let jitter_ms = world.random.between(1, 400);
        later(world, number, step, hangs_until_ms + jitter_ms);
        return;
    }
    match step {
        Step::Check => check(world, number),
        Step::Write(at) => write(world, number, at),
        Step::Update => update(world, number),
        Step::Read => read_outgoing(world, number),
        Step::Mark => mark(world, number),
        Step::Answer => finish(world, number),
    }
}

fn check(world: &Rc<World>, number: u64) {
    let mut medic = world.medic.borrow_mut();
    let Some(mut post) = medic.posts.remove(&number) else {
        return;
    };
    post.fresh = post
        .messages
        .iter()
        .map(|message| medic.copies(&message.id) == 0)
        .collect();
    let mut messages = post.messages.iter();
    post.failed = messages.any(|message| message.content.contains(THROWER));
    let first = if post.messages.is_empty() || post.failed {
        Step::Update
    } else {
        Step::Write(0)
    };
    medic.posts.insert(number, post);
    drop(medic);
    next(world, number, first);
}

fn write(world: &Rc<World>, number: u64, at: usize) {
    let mut medic = world.medic.borrow_mut();
    let full = medic.disk_full;
    let Some(post) = medic.posts.get_mut(&number) else {
        return;
    };
    let full = full || post.full_disk;
    let message = post.messages[at].clone();
    let last = at + 1 == post.messages.len();
    if message.content.contains(CRASHER) {
        world.count(|| "Medic: ends without an answer over a message".to_owned());
        medic.posts.remove(&number);
        return;
    }
    if message.content.contains(POISON) || (full && post.fresh[at]) {
        post.failed = true;
    } else if post.fresh[at] {
        world.note(|| format!("Medic stores {}", message.id));
        if message.content.contains(REPLY) {
            let id = format!("reply-to-{}", message.id);
            let content = format!("{} {id}", crate::plan::SECRET_TEXT);
            let from = message.from.clone();
            // Its own check keeps a second reply from having the same id.
            let id = match medic.copies(&message.id) {
                0 => id,
                n => format!("{id}-{n}"),
            };
            medic.wants(&id, &from, &content);
        }
        medic.store(Stored {
            at_ms: world.now_ms(),
            ..message
        });
    }
    drop(medic);
    let step = if last {
        Step::Update
    } else {
        Step::Write(at + 1)
    };
    next(world, number, step);
}

fn update(world: &Rc<World>, number: u64) {
    let mut medic = world.medic.borrow_mut();
    let full = medic.disk_full;
    let Some(post) = medic.posts.get_mut(&number) else {
        return;
    };
    let full = full || post.full_disk;
    if post.failed {
        world.count(|| "Medic: fails on a message".to_owned());
        drop(medic);
        return next(world, number, Step::Answer);
    }
    for (id, word, reason) in post.updates.clone() {
        let status = Status::ALL.iter().find(|s| s.medic_name() == word);
        let refuses = medic.outgoing(&id).and_then(|message| message.refuses);
        let crashes = medic.outgoing(&id).and_then(|message| message.crashes);
        if status.is_some() && crashes == status.copied() {
            world.count(|| "Medic: ends without an answer over a status".to_owned());
            medic.posts.remove(&number);
            return;
        }
        // What it was told before, and gives no reason for, it does not write again.
        let is_known = medic.outgoing(&id).is_none_or(|message| {
            matches!(&message.state, State::LastStatus(reported, _) if Some(reported) == status)
                && reason.is_none()
        });
        if (status.is_some() && refuses == status.copied()) || (full && !is_known) {
            if let Some(post) = medic.posts.get_mut(&number) {
                post.failed = true;
            }
            drop(medic);
            return next(world, number, Step::Answer);
        }
        world.note(|| format!("Medic is told {id} {word}"));
        medic.apply(&id, &word, reason);
    }
    drop(medic);
    next(world, number, Step::Read);
}

/// What is offered is read from a view, which is up to date when the database has worked off what
/// hung in it: so an empty POST that is answered after a hang comes after all that hung before it.
fn read_outgoing(world: &Rc<World>, number: u64) {
    let mut medic = world.medic.borrow_mut();
    let hung_before = medic
        .posts
        .iter()
        .any(|(other, post)| *other < number && post.stalled);
    if hung_before {
        drop(medic);
        let at_ms = world.now_ms() + 50;
        return later(world, number, Step::Read, at_ms);
    }
    let offered: Vec<String> = medic
        .waiting()
        .take(OFFERS_AT_MOST)
        .map(|message| message.id.clone())
        .collect();
    if let Some(post) = medic.posts.get_mut(&number) {
        post.offered = offered;
    }
    drop(medic);
    next(world, number, Step::Mark);
}

fn mark(world: &Rc<World>, number: u64) {
    let mut medic = world.medic.borrow_mut();
    let Some(post) = medic.posts.get(&number) else {
        return;
    };
    for id in post.offered.clone() {
        if let Some(message) = medic.outgoing_mut(&id) {
            message.state = State::Forwarded;
            message.offers += 1;
        }
    }
    drop(medic);
    next(world, number, Step::Answer);
}

fn finish(world: &Rc<World>, number: u64) {
    let mut medic = world.medic.borrow_mut();
    let Some(post) = medic.posts.remove(&number) else {
        return;
    };
    let response = if post.failed {
        own_500()
    } else {
        let offers: Vec<Value> = post
            .offered
            .iter()
            .filter_map(|id| medic.outgoing(id))
            .map(|o| json!({"id": o.id, "to": o.to, "content": o.content}))
            .collect();
        answer(200, &json!({ "messages": offers }))
    };
    drop(medic);
    world.note(|| {
        format!(
            "Medic has done POST {number}: {:?} {}, offers {:?}",
            post.messages.iter().map(|m| &m.id).collect::<Vec<_>>(),
            if post.failed { "failed" } else { "taken" },
            post.offered
        )
    });
    post.slot.fill(if post.answer_lost {
        Response::NoAnswer
    } else {
        response
    });
}
