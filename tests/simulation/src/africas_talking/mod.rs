//! Drives Africa's Talking's model in virtual time, and the phones behind it: outcomes that nobody
//! hears of, reports early, late, reordered, repeated or never, callbacks that are retried.

mod callbacks;

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use bridge::domain::time::millis;
use bridge::ports::{Response, Sms};
use models::africastalking::{
    AfricasTalkingModel, Application, Conduct, Instead, Ruling, Submission,
};

use crate::executor::{Slot, TaskId};
use crate::medic;
use crate::plan::{SECRET_KEY, SECRET_TEXT};
use crate::world::{API_KEY, World};

pub use callbacks::{phone_sends, report, request};

/// The decision of Africa's Talking on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendDecision {
    /// It takes it, with this `statusCode`.
    Accepted(u16),
    /// It takes it, and gives no id.
    AcceptedWithoutId,
    /// It takes it, and answers after so many milliseconds.
    AcceptedSlowly(i64),
    /// It does not, with this `statusCode`.
    Rejected(u16),
    /// 201 with no recipient, and this message.
    NoRecipient(&'static str),
    /// An HTTP status and plain text; whether it was taken.
    Http(u16, bool),
    /// `statusCode` 500; whether it was taken.
    Code500(bool),
    /// A 201 that cannot be read; whether it was taken.
    Unreadable(bool),
    /// No answer; whether it was taken.
    NoAnswer(bool),
    /// No connection.
    NotConnected,
}

impl SendDecision {
    /// Whether the SMS goes out.
    pub fn is_taken(self) -> bool {
        match self {
            Self::Accepted(_) | Self::AcceptedWithoutId | Self::AcceptedSlowly(_) => true,
            Self::Http(_, taken)
            | Self::Code500(taken)
            | Self::Unreadable(taken)
            | Self::NoAnswer(taken) => taken,
            Self::Rejected(_) | Self::NoRecipient(_) | Self::NotConnected => false,
        }
    }

    /// Whether whoever gets this answer can know what was done.
    pub fn is_clear(self) -> bool {
        match self {
            Self::Http(status, _) => status < 500 && status != 408,
            Self::AcceptedSlowly(_)
            | Self::Code500(_)
            | Self::Unreadable(_)
            | Self::NoAnswer(_) => false,
            Self::NoRecipient(message) => message == "InvalidSenderId",
            _ => true,
        }
    }
}

/// A request to send.
#[derive(Clone, Debug)]
pub struct SendCall {
    /// Medic's id for the message, which every text ends with.
    pub message: String,
    /// When it came.
    pub at_ms: i64,
    /// Whose call it was.
    pub task: TaskId,
    /// Its outcome.
    pub verdict: SendDecision,
    /// The id, if it was taken.
    pub at_id: Option<String>,
    /// To whom, as whom, what.
    pub sms: (String, Option<String>, String),
}

/// An SMS that a phone sent.
#[derive(Clone, Debug)]
pub struct PhoneMessage {
    /// Africa's Talking's id.
    pub id: String,
    /// From whom.
    pub from: String,
    /// The text.
    pub text: String,
    /// The status codes that answered the callbacks.
    pub answers: Vec<u16>,
}

/// A report of an SMS.
#[derive(Clone, Debug)]
pub struct Reported {
    /// The word.
    pub word: String,
    /// The status codes that answered the callbacks.
    pub answers: Vec<u16>,
}

/// The state of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// Nothing.
    Good,
    /// Every send is answered like this.
    Failing(SendDecision),
}

/// Africa's Talking, and the way to it.
pub struct AfricasTalkingInWorld {
    /// The model of its API.
    pub model: AfricasTalkingModel,
    /// Every request to send, in order.
    pub calls: Vec<SendCall>,
    /// The outcomes of the next requests; by chance after that.
    pub script: VecDeque<SendDecision>,
    /// The account.
    pub account: Account,
    /// The outcomes of requests with these sender IDs. Nothing else is wrong with the account.
    pub unknown_sender_ids: BTreeMap<Option<String>, SendDecision>,
    /// Whether the user call works although every send fails, because another service answers it.
    pub user_is_well: bool,
    /// How often the user call was asked.
    pub user_calls: usize,
    /// Whether SMS are reported on by themselves.
    pub reporting: bool,
    /// Numbers that answer whatever they get with what makes Medic reply, and how often they still
    /// will.
    pub robots: BTreeMap<String, u32>,
    /// The key in the callback URLs.
    pub key: String,
    /// The SMS that phones sent.
    pub incoming: BTreeMap<String, PhoneMessage>,
    /// The reported statuses, by id.
    pub reports: BTreeMap<String, Vec<Reported>>,
    /// Callbacks that are still to come.
    pub pending: usize,
    /// When the last of them comes.
    pub last_callback_ms: i64,
}

impl Default for AfricasTalkingInWorld {
    fn default() -> Self {
        let application = Application {
            sender_ids: vec!["MYORG".to_owned()],
            api_key: API_KEY.to_owned(),
            network_code: "63902".to_owned(),
            ..Application::default()
        };
        let mut ids = 0;
        let new_id = move || {
            ids += 1;
            format!("ATXid_{ids:05}")
        };
        Self {
            model: AfricasTalkingModel::new(application, new_id),
            calls: Vec::new(),
            script: VecDeque::new(),
            account: Account::Good,
            unknown_sender_ids: BTreeMap::new(),
            user_is_well: false,
            user_calls: 0,
            reporting: true,
            robots: BTreeMap::new(),
            key: format!("{SECRET_KEY}-1"),
            incoming: BTreeMap::new(),
            reports: BTreeMap::new(),
            pending: 0,
            last_callback_ms: 0,
        }
    }
}

impl AfricasTalkingInWorld {
    /// The requests to send this message.
    pub fn calls_for(&self, message: &str) -> Vec<&SendCall> {
        self.calls
            .iter()
            .filter(|call| call.message == message)
            .collect()
    }

    /// How often a phone got this message.
    pub fn taken(&self, message: &str) -> usize {
        self.calls_for(message)
            .iter()
            .filter(|call| call.at_id.is_some())
            .count()
    }
}

/// A request to send reaches Africa's Talking. The slot is filled with what the client gets.
pub fn send(world: &Rc<World>, task: TaskId, api_key: &str, sms: &Sms<'_>) -> Rc<Slot<Response>> {
    let verdict = match is_key(world, api_key) {
        true => verdict(world, sms.from),
        false => SendDecision::Http(401, false),
    };
    let mut at = world.africas_talking.borrow_mut();
    let (response, at_id) = response(&mut at.model, verdict, sms, world.now_ms());
    let message = sms.text.rsplit(' ').next().unwrap_or_default().to_owned();
    world.note(|| format!("#{task} Africa's Talking gets {message}: {verdict:?} {at_id:?}"));
    world.count(|| format!("Africa's Talking: {verdict:?}"));
    let slot = Slot::new();
    let after_ms = match verdict {
        SendDecision::AcceptedSlowly(milliseconds) => milliseconds,
        SendDecision::NoAnswer(_) => i64::MAX / 4,
        _ => world.random.between(20, 3_000),
    };
    at.calls.push(SendCall {
        message,
        at_ms: world.now_ms(),
        task,
        verdict,
        at_id: at_id.clone(),
        sms: (
            sms.to.as_str().to_owned(),
            sms.from.map(str::to_owned),
            sms.text.to_owned(),
        ),
    });
    let reporting = at.reporting;
    drop(at);
    let timeout_ms = millis(world.settings.call_timeout);
    let filled = Rc::clone(&slot);
    if after_ms < timeout_ms {
        world.after(after_ms, move |_| filled.fill(response));
    } else {
        world.after(timeout_ms, move |_| filled.fill(Response::NoAnswer));
    }
    if at_id.is_some() {
        callbacks::robot_answers(world, sms.to.as_str());
    }
    if let Some(at_id) = at_id
        && reporting
        // An SMS without an id gets no report.
        && verdict != SendDecision::AcceptedWithoutId
    {
        callbacks::report_by_chance(world, &at_id, sms.to.as_str());
    }
    slot
}

/// Whether this is the account's API key.
fn is_key(world: &World, api_key: &str) -> bool {
    let at = world.africas_talking.borrow();
    api_key == at.model.application.api_key
}

/// The user call reaches Africa's Talking: what the client gets, and after how many milliseconds.
pub fn user(world: &World, api_key: &str) -> (Response, i64) {
    let is_key = is_key(world, api_key);
    let mut at = world.africas_talking.borrow_mut();
    at.user_calls += 1;
    let answer = |status, body: &str| Response::Answer {
        status,
        body: body.as_bytes().to_vec(),
    };
    let rates = world.faults.rates.borrow();
    let failing = match at.account {
        _ if !is_key => SendDecision::Http(401, false),
        Account::Good if world.random.chance(rates.at_unknown) => SendDecision::Http(503, false),
        Account::Good => SendDecision::Accepted(101),
        Account::Failing(_) if at.user_is_well => SendDecision::Accepted(101),
        Account::Failing(verdict) => verdict,
    };
    let answer = match failing {
        SendDecision::NotConnected => Response::NotConnected,
        SendDecision::NoAnswer(_) => return (Response::NoAnswer, USER_TIMEOUT_MS),
        SendDecision::Code500(_) | SendDecision::Unreadable(_) => answer(500, "something is wrong"),
        SendDecision::Http(status @ (401 | 403 | 404 | 408 | 500..), _) => answer(status, "no"),
        SendDecision::Rejected(405) => answer(200, r#"{"UserData":{"balance":"KES -0.3000"}}"#),
        _ => answer(200, r#"{"UserData":{"balance":"KES 900.0000"}}"#),
    };
    world.note(|| format!("Africa's Talking is asked for the user: {failing:?}"));
    (answer, world.random.between(20, 900))
}

/// The time-out of the user call, in milliseconds.
const USER_TIMEOUT_MS: i64 = 5_000;

fn verdict(world: &World, sender_id: Option<&str>) -> SendDecision {
    let mut at = world.africas_talking.borrow_mut();
    if let Some(verdict) = at.script.pop_front() {
        return verdict;
    }
    if let Account::Failing(verdict) = at.account {
        return verdict;
    }
    if let Some(verdict) = at.unknown_sender_ids.get(&sender_id.map(str::to_owned)) {
        return *verdict;
    }
    let random = &world.random;
    let rates = world.faults.rates.borrow();
    let taken = random.chance(500_000);
    if random.chance(rates.at_unknown) {
        *random.pick(&[
            SendDecision::NoAnswer(taken),
            SendDecision::Http(503, taken),
            SendDecision::Http(500, taken),
            SendDecision::Code500(taken),
            SendDecision::Unreadable(taken),
            SendDecision::NoRecipient("Sent to 0/1"),
            SendDecision::AcceptedSlowly(45_000),
        ])
    } else if random.chance(rates.at_not_sent) {
        *random.pick(&[
            SendDecision::NotConnected,
            SendDecision::Http(429, false),
            SendDecision::Http(400, false),
            SendDecision::Rejected(409),
            SendDecision::Rejected(501),
            SendDecision::Rejected(502),
        ])
    } else if random.chance(rates.at_refuses) {
        SendDecision::Rejected(*random.pick(&[401, 403, 404, 406, 407]))
    } else if random.chance(rates.at_refuses / 4) {
        SendDecision::AcceptedWithoutId
    } else {
        SendDecision::Accepted(*random.pick(&[100, 101, 101, 102]))
    }
}

/// The client's response, and the id of the SMS if it was taken.
fn response(
    model: &mut AfricasTalkingModel,
    verdict: SendDecision,
    sms: &Sms<'_>,
    now_ms: i64,
) -> (Response, Option<String>) {
    let Some(conduct) = conduct(verdict, sms.to.as_str()) else {
        return (Response::NotConnected, None);
    };
    let submission = Submission {
        to: vec![sms.to.as_str().to_owned()],
        from: sms.from.map(str::to_owned),
        message: sms.text.to_owned(),
        enqueue: true,
        accepts_json: true,
    };
    let sent = model.send(&submission, &conduct, now_ms);
    let at_id = sent.accepted.first().map(|sms| sms.id.clone());
    model.land(sent.accepted);
    (medic::response(sent.outcome), at_id)
}

/// How Africa's Talking comes to this verdict, if it is reached. The words of its errors may hold
/// anything, numbers too.
fn conduct(verdict: SendDecision, number: &str) -> Option<Conduct> {
    let ruled = |ruling: Ruling| Conduct {
        ruling: Some((ruling, None)),
        ..Conduct::default()
    };
    let instead = |instead: Instead, accepts: bool| Conduct {
        accepts,
        instead: Some(instead),
        ruling: None,
    };
    Some(match verdict {
        SendDecision::NotConnected => return None,
        SendDecision::Accepted(code) => ruled(Ruling::accepted(code)),
        SendDecision::AcceptedSlowly(_) => ruled(Ruling::accepted(101)),
        SendDecision::AcceptedWithoutId => ruled(Ruling {
            names_id: false,
            ..Ruling::accepted(101)
        }),
        SendDecision::Rejected(code) => ruled(Ruling::refused(code)),
        SendDecision::Code500(taken) => ruled(Ruling {
            accepted: taken,
            ..Ruling::refused(500)
        }),
        SendDecision::NoRecipient(message) => {
            instead(Instead::NoRecipients(message.to_owned()), false)
        }
        SendDecision::Http(status, taken) => {
            let text = format!("something is wrong with {number}");
            instead(Instead::Text(status, text), taken)
        }
        SendDecision::Unreadable(taken) => {
            instead(Instead::Page(format!("<html>{number}</html>")), taken)
        }
        SendDecision::NoAnswer(taken) => instead(Instead::Silence, taken),
    })
}

/// A text of which the message's id is the end.
pub fn text_for(id: &str) -> String {
    format!("{SECRET_TEXT} {id}")
}
