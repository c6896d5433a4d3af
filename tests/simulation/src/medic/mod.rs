//! Medic as its contract describes it: checks first and writes later, goes on working after a
//! hang-up, marks what it offers over what others wrote, believes the last update.

mod posts;

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use bridge::domain::status::Status;
use bridge::ports::Response;

use crate::executor::Slot;
pub use posts::{post, restart};

/// Medic offers so many in an answer.
pub const OFFERS_AT_MOST: usize = 25;

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

/// A message in Medic.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its id.
    pub id: String,
    /// From whom.
    pub from: String,
    /// The text.
    pub content: String,
    /// When it was stored.
    pub at_ms: i64,
}

/// What Medic makes of an outgoing message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// To be sent.
    Pending,
    /// Offered.
    Forwarded,
    /// What it was told last.
    LastStatus(Status, Option<String>),
    /// It was told a word that it does not know.
    Unrecognised,
}

/// A message that Medic wants sent.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Medic's id.
    pub id: String,
    /// To whom.
    pub to: String,
    /// The text.
    pub content: String,
    /// Its state.
    pub state: State,
    /// Every update that was applied, in order.
    pub history: Vec<Status>,
    /// A status that Medic fails on for ever.
    pub refuses: Option<Status>,
    /// The status over which Medic ends without an answer.
    pub crashes: Option<Status>,
    /// How often it was offered.
    pub offers: u32,
}

impl Outgoing {
    /// Whether one of its statuses can never be told.
    pub fn is_failing(&self) -> bool {
        self.refuses.is_some() || self.crashes.is_some()
    }
}

/// What the server does with requests.
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
}

/// What becomes of one POST.
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

/// The server and its database.
pub struct MedicModel {
    /// What it stored, in order.
    pub stored: Vec<Stored>,
    /// What it wants sent, in the order in which it is due.
    pub outgoing: Vec<Outgoing>,
    /// What it does with requests.
    pub mode: Mode,
    /// Its database hangs until then.
    pub hangs_until_ms: i64,
    /// Nothing can be stored.
    pub disk_full: bool,
    /// What becomes of the next POSTs; by chance after that.
    pub script: VecDeque<PostDisposition>,
    /// Every POST that reached it: how many messages, and what updates.
    pub log: Vec<Logged>,
    /// How long it works for each message of a POST, in milliseconds; by chance, if not set.
    pub message_ms: Option<i64>,
    posts: BTreeMap<u64, Post>,
    /// How often each id is stored.
    copies: BTreeMap<String, usize>,
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

struct Post {
    messages: Vec<Stored>,
    updates: Vec<(String, String, Option<String>)>,
    /// Which messages were not there when it looked.
    fresh: Vec<bool>,
    stalled: bool,
    failed: bool,
    full_disk: bool,
    /// Between two steps, in milliseconds.
    pace_ms: i64,
    answer_lost: bool,
    offered: Vec<String>,
    slot: Rc<Slot<Response>>,
}

impl Default for MedicModel {
    fn default() -> Self {
        Self {
            stored: Vec::new(),
            outgoing: Vec::new(),
            mode: Mode::Up,
            hangs_until_ms: 0,
            disk_full: false,
            script: VecDeque::new(),
            log: Vec::new(),
            message_ms: None,
            posts: BTreeMap::new(),
            copies: BTreeMap::new(),
        }
    }
}

impl MedicModel {
    /// Medic wants this sent.
    pub fn wants(&mut self, id: &str, to: &str, content: &str) {
        self.outgoing.push(Outgoing {
            id: id.to_owned(),
            to: to.to_owned(),
            content: content.to_owned(),
            state: State::Pending,
            history: Vec::new(),
            refuses: None,
            crashes: None,
            offers: 0,
        });
    }

    /// A message that it wants sent.
    pub fn outgoing(&self, id: &str) -> Option<&Outgoing> {
        self.outgoing.iter().find(|message| message.id == id)
    }

    fn outgoing_mut(&mut self, id: &str) -> Option<&mut Outgoing> {
        self.outgoing.iter_mut().find(|message| message.id == id)
    }

    /// How often a message is stored.
    pub fn copies(&self, id: &str) -> usize {
        self.copies.get(id).copied().unwrap_or(0)
    }

    /// Stores a message, whether or not it has it.
    pub fn store(&mut self, message: Stored) {
        *self.copies.entry(message.id.clone()).or_default() += 1;
        self.stored.push(message);
    }

    /// Whether it works on anything.
    pub fn is_busy(&self) -> bool {
        !self.posts.is_empty()
    }

    /// What it would offer now.
    pub fn waiting(&self) -> impl Iterator<Item = &Outgoing> {
        let waits = |state: &State| matches!(state, State::Pending | State::Forwarded);
        self.outgoing.iter().filter(move |o| waits(&o.state))
    }

    fn apply(&mut self, id: &str, word: &str, reason: Option<String>) {
        let Some(message) = self.outgoing_mut(id) else {
            return;
        };
        match Status::ALL.iter().find(|s| s.medic_name() == word) {
            Some(status) => {
                message.history.push(*status);
                message.state = State::LastStatus(*status, reason);
            }
            None => message.state = State::Unrecognised,
        }
    }
}
