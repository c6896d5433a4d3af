//! The callbacks of Africa's Talking: SMS of phones, and delivery reports; tried again until they are
//! answered 200, and sometimes after that.

use std::cell::Cell;
use std::rc::Rc;

use bridge::handlers::webhook::Request;
use models::africastalking::{ReportToPost, SmsFromPhone, encode};
use serde_json::json;

use super::{PhoneMessage, Reported};
use crate::lambda::{self, Function};
use crate::medic::REPLY;
use crate::plan::SECRET_TEXT;
use crate::world::World;

/// A phone sends an SMS.
pub fn phone_sends(world: &Rc<World>, id: &str, from: &str, text: &str) {
    let incoming = PhoneMessage {
        id: id.to_owned(),
        from: from.to_owned(),
        text: text.to_owned(),
        answers: Vec::new(),
    };
    let sms = SmsFromPhone {
        id: id.to_owned(),
        from: from.to_owned(),
        text: text.to_owned(),
        link_id: "0".to_owned(),
        at_ms: world.now_ms(),
    };
    world.note(|| format!("a phone sends {id}"));
    let mut at = world.africas_talking.borrow_mut();
    let body = encode(&at.model.application.incoming_form(&sms));
    at.incoming.insert(id.to_owned(), incoming);
    drop(at);
    call_back(
        world,
        Function::IncomingMessages,
        body,
        About::Incoming(id.to_owned()),
    );
}

/// If there is a robot at this number, it answers what it got.
pub fn robot_answers(world: &Rc<World>, number: &str) {
    match world.africas_talking.borrow_mut().robots.get_mut(number) {
        None | Some(0) => return,
        Some(left) => *left -= 1,
    }
    let after_ms = world.random.between(500, 5_000);
    will_call(world, after_ms);
    let (id, number) = (format!("robot-{}", world.next_number()), number.to_owned());
    world.after(after_ms, move |world| {
        world.africas_talking.borrow_mut().pending -= 1;
        world.count(|| "a robot answers".to_owned());
        phone_sends(world, &id, &number, &format!("{SECRET_TEXT} {REPLY}"));
    });
}

/// The network reports on an SMS.
pub fn report(world: &Rc<World>, at_id: &str, number: &str, word: &str) {
    let failure = matches!(word, "Failed" | "Rejected");
    // The words of networks may hold anything.
    let sent = ReportToPost {
        id: at_id.to_owned(),
        number: number.to_owned(),
        status: word.to_owned(),
        failure_reason: failure.then(|| format!("DeliveryFailure {number}")),
    };
    let mut at = world.africas_talking.borrow_mut();
    let body = encode(&at.model.application.report_form(&sent));
    let reports = at.reports.entry(at_id.to_owned()).or_default();
    reports.push(Reported {
        word: word.to_owned(),
        answers: Vec::new(),
    });
    let about = About::Report(at_id.to_owned(), reports.len() - 1);
    drop(at);
    call_back(world, Function::DeliveryReports, body, about);
}

/// The network reports on an SMS as networks do: early, late, out of order, twice or never.
pub fn report_by_chance(world: &Rc<World>, at_id: &str, number: &str) {
    const STORIES: [&[&str]; 9] = [
        &["Sent", "Submitted", "Buffered", "Success"],
        &["Sent", "Success"],
        &["Success"],
        &["Submitted", "Failed"],
        &["Rejected"],
        &["Buffered", "Expired", "Success"],
        &["AbsentSubscriber"],
        &["Teleported", "Buffered"],
        &[],
    ];
    let random = &world.random;
    let mut at_ms = 0;
    let in_order = random.chance(500_000);
    for word in *random.pick(&STORIES) {
        let step_ms = match random.between(0, 9) {
            0..=5 => random.between(0, 2_000),
            6..=8 => random.between(1_000, 120_000),
            _ => random.between(60_000, 1_800_000),
        };
        at_ms = if in_order { at_ms + step_ms } else { step_ms };
        let times = if random.chance(100_000) { 2 } else { 1 };
        for repeat in 0..times {
            let at_ms = at_ms + repeat * random.between(0, 400_000);
            let (at_id, number, word) = (at_id.to_owned(), number.to_owned(), (*word).to_owned());
            will_call(world, at_ms);
            world.after(at_ms, move |world| {
                world.africas_talking.borrow_mut().pending -= 1;
                report(world, &at_id, &number, &word);
            });
        }
    }
}

#[derive(Clone)]
enum About {
    Incoming(String),
    Report(String, usize),
}

fn will_call(world: &World, after_ms: i64) {
    let mut at = world.africas_talking.borrow_mut();
    at.pending += 1;
    at.last_callback_ms = at.last_callback_ms.max(world.now_ms() + after_ms);
}

fn call_back(world: &Rc<World>, function: Function, body: String, about: About) {
    let tries = Rc::new(Cell::new(world.random.between(2, 6)));
    will_call(world, 0);
    try_callback(world, function, Rc::new(body), about, tries);
}

fn try_callback(
    world: &Rc<World>,
    function: Function,
    body: Rc<String>,
    about: About,
    tries: Rc<Cell<i64>>,
) {
    let key = world.africas_talking.borrow().key.clone();
    let request = request(function, &key, &body);
    lambda::serve(world, function, request, move |world, status| {
        let mut at = world.africas_talking.borrow_mut();
        match &about {
            About::Incoming(id) => {
                at.incoming
                    .get_mut(id)
                    .expect("it was sent")
                    .answers
                    .push(status);
            }
            About::Report(id, n) => at.reports.get_mut(id).expect("reported")[*n]
                .answers
                .push(status),
        }
        at.pending -= 1;
        drop(at);
        world.count(|| format!("{} answers {status}", function.name()));
        tries.set(tries.get() - 1);
        let repeated = world
            .random
            .chance(world.faults.rates.borrow().callback_repeated);
        if tries.get() > 0 && (status != 200 || repeated) {
            let after_ms = world.random.between(10, 600_000);
            will_call(world, after_ms);
            world.after(after_ms, move |world| {
                try_callback(world, function, body, about, tries);
            });
        }
    });
}

/// A callback as API Gateway hands it over.
pub fn request(function: Function, key: &str, body: &str) -> Request {
    let event = json!({
        "version": "2.0",
        "rawPath": format!("/api/v1/sms/africastalking/{}", function.name()),
        "rawQueryString": encode(&[("key".to_owned(), key.to_owned())]),
        "headers": { "content-type": "application/x-www-form-urlencoded" },
        "requestContext": { "http": { "method": "POST" } },
        "body": body,
        "isBase64Encoded": false,
    });
    bridge::wire::api_gateway::request(event.to_string().as_bytes())
}
