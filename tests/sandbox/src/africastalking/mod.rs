//! A stand-in for Africa's Talking: takes SMS in, puts them on phones that exist nowhere else, sends
//! delivery reports by itself, and hands over what those phones send.
//!
//! It does what has been seen of the real one, and what its documentation says where nothing was
//! seen. It is not kinder: without `Accept: application/json` it answers XML, and it says 201 where
//! nothing was sent.
//!
//! Nobody outside Africa's Talking knows when it tries a callback again, in which order reports
//! come, which HTTP status tells of another content type or of missing credit, or in which order it
//! checks a request: there it guesses (a few attempts at once; Submitted, then Success; 415 and 402;
//! fields, then key). The texts of its 429, 500 and 502 are invented.

mod answers;
mod callbacks;
mod control;
mod controls;
mod faults;
mod parts;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

pub use self::callbacks::{Callback, CallbackKind, PhoneSms, SentSms};
use self::callbacks::{Report, post_incoming, post_incoming_form, post_reports};
pub use self::faults::Fault;
use crate::faults::{Active, Faults, Scope};
use crate::observed::{Changes, Observed};
use crate::server::{Binding, Server, Tasks};

/// The sender that a phone shows when the send named none.
const DEFAULT_SENDER: &str = "AFRICASTKNG";
/// What a robot answers, always.
const ROBOT_TEXT: &str = "This number does not take messages.";

/// How the stand-in is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// The port for the controls alone, which answers also while the other refuses; 0 takes a free
    /// one.
    pub control_port: u16,
    /// The only user name that is let in.
    pub username: String,
    /// The only key that is let in.
    pub api_key: String,
    /// The short code that phones write to. It is a registered sender, too.
    pub short_code: String,
    /// Further registered senders.
    pub sender_ids: Vec<String>,
    /// Where incoming messages are posted, key included.
    pub incoming_callback: Option<String>,
    /// Where delivery reports are posted, key included.
    pub reports_callback: Option<String>,
    /// How often a callback is tried until it is answered with a 2xx.
    pub callback_attempts: u32,
    /// How long to wait before a callback is tried again.
    pub callback_pause: Duration,
    /// How long to wait for the answer to a callback.
    pub callback_time_limit: Duration,
    /// How often every report comes under [`Fault::ReportsRepeated`].
    pub report_repeats: u32,
    /// The `networkCode` in callbacks.
    pub network_code: String,
    /// The currency of prices and of the balance.
    pub currency: String,
    /// What a part of an SMS costs, in ten-thousandths of the currency.
    pub price_ten_thousandths: i64,
    /// The balance at the start, in ten-thousandths of the currency.
    pub balance_ten_thousandths: i64,
    /// How long a send waits for its answer, for tests under load.
    pub answer_delay: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 0,
            control_port: 0,
            username: "sandbox".to_owned(),
            api_key: "a-key-for-the-sandbox-only".to_owned(),
            short_code: "20880".to_owned(),
            sender_ids: Vec::new(),
            incoming_callback: None,
            reports_callback: None,
            callback_attempts: 3,
            callback_pause: Duration::ZERO,
            callback_time_limit: Duration::from_secs(30),
            report_repeats: 3,
            network_code: "99999".to_owned(),
            currency: "KES".to_owned(),
            price_ten_thousandths: 8_000,
            balance_ten_thousandths: 100_000_000,
            answer_delay: Duration::ZERO,
        }
    }
}

/// An SMS that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sms {
    /// Its `messageId`.
    pub id: String,
    /// The phone it was sent to.
    pub to: String,
    /// The sender that the phone shows.
    pub from: String,
    /// The text.
    pub text: String,
    /// When it was accepted, in milliseconds since 1970.
    pub at_ms: u64,
    /// What it cost, in ten-thousandths of the currency.
    pub cost_ten_thousandths: i64,
    /// Whether the phone received it.
    pub on_phone: bool,
}

/// A request to send.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Request {
    /// When it had arrived, in milliseconds since 1970.
    pub at_ms: u64,
    /// Its fields, in order.
    pub form: Vec<(String, String)>,
    /// The HTTP status it was answered with, if it was.
    pub status: Option<u16>,
    /// The `messageId`s of what was accepted of it.
    pub accepted_ids: Vec<String>,
    /// The fault that struck its answer.
    pub fault: Option<Fault>,
}

impl Request {
    /// The value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.form
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// All that is written down.
#[derive(Debug, Default)]
struct Book {
    incoming_callback: Option<String>,
    reports_callback: Option<String>,
    balance_ten_thousandths: i64,
    from_phones: Vec<PhoneSms>,
    accepted: Vec<Sms>,
    requests: Vec<Request>,
    callbacks: Vec<Callback>,
    paused_reports: Vec<Report>,
}

#[derive(Debug)]
struct State {
    config: Config,
    faults: Arc<Faults<Fault>>,
    tasks: Tasks,
    client: reqwest::Client,
    book: Observed<Book>,
}

/// A running stand-in for Africa's Talking. Dropping it ends it.
#[derive(Debug)]
pub struct StandIn {
    state: Arc<State>,
    server: Server,
}

impl StandIn {
    /// Starts one.
    ///
    /// # Errors
    /// When a port is taken.
    #[expect(
        clippy::unused_async,
        reason = "it needs the runtime it is called in, and says so"
    )]
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let binding = Binding::new(config.port, config.control_port)
            .context("Africa's Talking's stand-in")?;
        let book = Book {
            incoming_callback: config.incoming_callback.clone(),
            reports_callback: config.reports_callback.clone(),
            balance_ten_thousandths: config.balance_ten_thousandths,
            ..Book::default()
        };
        let state = Arc::new(State {
            faults: Arc::new(Faults::new(binding.door())),
            tasks: binding.tasks(),
            client: crate::http::client(config.callback_time_limit)?,
            book: Observed::new(book),
            config,
        });
        let server = binding.serve(wire::routes(state.clone()), control::routes(state.clone()));
        Ok(Self { state, server })
    }

    /// Its address, without a slash at the end: what replaces `https://api.africastalking.com`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The address at which the controls answer also while [`Self::url`] refuses.
    #[must_use]
    pub fn control_url(&self) -> String {
        self.server.control_url()
    }

    /// From now on callbacks are posted there, keys included.
    pub fn set_callbacks(&self, incoming: impl Into<String>, reports: impl Into<String>) {
        self.state.book.change(|book| {
            book.incoming_callback = Some(incoming.into());
            book.reports_callback = Some(reports.into());
        });
    }

    /// Sends an SMS from a phone. Returns when its callback was answered or the attempts are used
    /// up. The sender may be alphanumeric.
    ///
    /// # Errors
    /// When no callback for incoming messages is set.
    pub async fn sms_from_phone(&self, from: &str, text: &str) -> anyhow::Result<SentSms> {
        post_incoming(&self.state, from, text).await
    }

    /// Posts an incoming message with fields just as they are given, `id` included if there is to
    /// be one.
    ///
    /// # Errors
    /// When no callback for incoming messages is set.
    pub async fn incoming_form(&self, form: &[(&str, &str)]) -> anyhow::Result<SentSms> {
        let form: Vec<(String, String)> = form
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let id = form
            .iter()
            .find(|(key, _)| key == "id")
            .map(|(_, value)| value.clone())
            .unwrap_or_default();
        post_incoming_form(&self.state, &id, &form).await
    }

    /// Posts one more report about an SMS. Returns when it was answered or the attempts are used
    /// up.
    pub async fn report(&self, id: &str, status: &str, failure_reason: Option<&str>) {
        let report = Report {
            id: id.to_owned(),
            number: controls::number_of(&self.state, id),
            status: status.to_owned(),
            failure_reason: failure_reason.map(str::to_owned),
        };
        post_reports(&self.state, vec![report]).await;
    }

    /// Posts the reports that [`Fault::ReportsLate`] held, and returns how many there were.
    pub async fn release_reports(&self) -> usize {
        controls::release_reports(&self.state).await
    }

    /// How many reports are held.
    #[must_use]
    pub fn paused_reports(&self) -> usize {
        self.state.book.read(|book| book.paused_reports.len())
    }

    /// Every SMS that a phone sent, in order, with what has become of it so far.
    #[must_use]
    pub fn from_phones(&self) -> Vec<PhoneSms> {
        self.state.book.read(|book| book.from_phones.clone())
    }

    /// What a phone received, in order.
    #[must_use]
    pub fn phone(&self, number: &str) -> Vec<Sms> {
        controls::phone(&self.state, number)
    }

    /// Every SMS that was accepted, in order, also those that no phone received.
    #[must_use]
    pub fn accepted(&self) -> Vec<Sms> {
        self.state.book.read(|book| book.accepted.clone())
    }

    /// Every request to send, in the order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.state.book.read(|book| book.requests.clone())
    }

    /// Every attempt to post a callback, in the order of its end.
    #[must_use]
    pub fn callbacks(&self) -> Vec<Callback> {
        self.state.book.read(|book| book.callbacks.clone())
    }

    /// Switches a fault on. A scope that matches names a phone number.
    pub async fn fault(&self, fault: Fault, scope: Scope) {
        self.state.faults.set(fault, scope).await;
    }

    /// Switches one fault off.
    pub async fn clear_fault(&self, fault: Fault) {
        self.state.faults.clear(fault).await;
    }

    /// Switches all faults off.
    pub async fn clear_faults(&self) {
        self.state.faults.clear_all().await;
    }

    /// The faults that are switched on.
    #[must_use]
    pub fn active_faults(&self) -> Vec<Active<Fault>> {
        self.state.faults.active()
    }

    pub(crate) fn faults(&self) -> &Faults<Fault> {
        &self.state.faults
    }

    /// What tells of everything that is written down, and of every change of the faults.
    pub(crate) fn changes(&self) -> [Changes; 2] {
        [self.state.book.changes(), self.state.faults.changes()]
    }

    /// Waits until `condition` holds. It is asked at once, and again after everything that is
    /// written down.
    pub async fn until(&self, condition: impl Fn(&Self) -> bool) {
        let mut changes = self.state.book.changes();
        while !condition(self) {
            changes.next().await;
        }
    }
}
