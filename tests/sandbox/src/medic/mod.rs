//! A stand-in for Medic, the server of the Community Health Toolkit, as an SMS gateway sees it.
//!
//! It does what was observed on CHT 5.2.0, and is not kinder: it checks for duplicates first and
//! writes later, it goes on working when the caller has hung up, it marks what it offers over
//! whatever was told a moment before, and it takes the last update for the truth.
//!
//! Where nothing was observed it guesses: the login is checked before the body; a caller who does
//! not accept JSON gets errors in plain text; updates that are `null` fail when their turn comes,
//! after the messages were stored; of a bad update's fellows all are written; a full disk still
//! offers, without marking. What the faults put into the bodies of their answers is invented except
//! where it names Medic's own JSON or the proxy's `{"type":"ERROR"}`.

mod body;
mod control;
mod faults;
mod login;
mod store;
#[cfg(test)]
mod tests;
mod wire;
mod work;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;
use tokio::sync::watch;

pub use self::body::Update;
pub use self::faults::Fault;
use self::login::Logins;
use self::store::Store;
pub use self::store::{Change, MessageState, OFFERED_AT_MOST, Outgoing, Stored};
use crate::faults::{Active, Faults, Scope};
use crate::ids;
use crate::observed::{Changes, Observed};
use crate::server::{Binding, Server, Tasks};

/// The only `sms.outgoing_service` with which anything is offered.
const GATEWAY: &str = "medic-gateway";

/// How the stand-in is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// The port for the controls alone, which answers also while the other refuses; 0 takes a free
    /// one.
    pub control_port: u16,
    /// The name of the gateway's user.
    pub user: String,
    /// The password of the gateway's user.
    pub password: String,
    /// Medic's setting `sms.outgoing_service`.
    pub outgoing_service: String,
    /// How long Medic works on each new message. The real one takes about 100 ms.
    pub work_per_message: Duration,
    /// How long Medic works on every POST before it looks into it.
    pub work_per_post: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 0,
            control_port: 0,
            user: "gateway".to_owned(),
            password: "a-password-for-the-sandbox-only".to_owned(),
            outgoing_service: GATEWAY.to_owned(),
            work_per_message: Duration::ZERO,
            work_per_post: Duration::ZERO,
        }
    }
}

/// A POST of a gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Post {
    /// Its place in the order of arrival, from 0.
    pub number: usize,
    /// When it had arrived, in milliseconds since 1970.
    pub at_ms: u64,
    /// How many messages it had, also those that are dropped.
    pub messages: usize,
    /// The ids of its messages that have all they need.
    pub message_ids: Vec<String>,
    /// Its updates, in order.
    pub updates: Vec<Update>,
    /// How many POSTs were in flight when it arrived, itself included. One whose caller has hung
    /// up is in flight until its work is done.
    pub in_flight: usize,
    /// The ids of the outgoing messages that it was offered, whether the answer arrived or not.
    pub offered: Vec<String>,
    /// Whether its work came to an end, good or bad.
    pub worked: bool,
    /// Whether it is not in flight any more.
    pub ended: bool,
    /// The HTTP status it was answered with, if it was.
    pub status: Option<u16>,
    /// The fault that struck it, before or after its work.
    pub fault: Option<Fault>,
}

/// What Medic replies to an incoming message, if anything.
#[derive(Clone)]
struct AutoReply(Arc<Reply>);

type Reply = dyn Fn(&Stored) -> Option<String> + Send + Sync;

impl AutoReply {
    fn with(text: String) -> Self {
        Self(Arc::new(move |_| Some(text.clone())))
    }
}

impl fmt::Debug for AutoReply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AutoReply")
    }
}

/// All that is written down.
#[derive(Debug)]
struct Book {
    store: Store,
    logins: Logins,
    outgoing_service: String,
    auto_reply: Option<AutoReply>,
    posts: Vec<Post>,
    in_flight: usize,
    max_in_flight: usize,
    paused: usize,
}

#[derive(Debug)]
struct State {
    config: Config,
    faults: Arc<Faults<Fault>>,
    tasks: Tasks,
    releases: watch::Sender<u64>,
    book: Observed<Book>,
}

impl State {
    fn queue(&self, to: &str, content: &str, reference: Option<&str>) -> anyhow::Result<String> {
        let id = ids::uuid()?;
        self.book.change(|book| {
            book.store.queue(
                id.clone(),
                to.to_owned(),
                content.to_owned(),
                reference.map(str::to_owned),
            );
        });
        Ok(id)
    }

    /// Waits for a release if this fault is switched on for this POST.
    async fn pause(&self, fault: Fault, post: usize, names: &[String]) {
        let concerns = |text: &str| names.iter().any(|name| name.contains(text));
        if self.faults.meet(|other| other == fault, concerns).is_none() {
            return;
        }
        let mut releases = self.releases.subscribe();
        self.book.change(|book| {
            book.paused += 1;
            if let Some(post) = book.posts.get_mut(post) {
                post.fault = Some(fault);
            }
        });
        // An error means that the stand-in has ended.
        let _ = releases.changed().await;
        self.book.change(|book| book.paused -= 1);
    }

    fn release_paused(&self) -> usize {
        let paused = self.book.read(|book| book.paused);
        self.releases
            .send_modify(|count| *count = count.wrapping_add(1));
        paused
    }
}

/// A running stand-in for Medic. Dropping it ends it, with all work that is under way.
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
        let binding = Binding::new(config.port, config.control_port).context("Medic's stand-in")?;
        let book = Book {
            store: Store::default(),
            logins: Logins::new(config.user.clone(), config.password.clone()),
            outgoing_service: config.outgoing_service.clone(),
            auto_reply: None,
            posts: Vec::new(),
            in_flight: 0,
            max_in_flight: 0,
            paused: 0,
        };
        let (releases, _) = watch::channel(0);
        let state = Arc::new(State {
            faults: Arc::new(Faults::new(binding.door())),
            tasks: binding.tasks(),
            releases,
            book: Observed::new(book),
            config,
        });
        let server = binding.serve(wire::routes(state.clone()), control::routes(state.clone()));
        Ok(Self { state, server })
    }

    /// Its address, without a slash at the end; the API is at `/api/sms` under it.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The address at which the controls answer also while [`Self::url`] refuses.
    #[must_use]
    pub fn control_url(&self) -> String {
        self.server.control_url()
    }

    /// Every incoming message that was stored, in order; the same id as often as it was stored.
    #[must_use]
    pub fn stored(&self) -> Vec<Stored> {
        self.state.book.read(|book| book.store.stored().to_vec())
    }

    /// How many incoming messages were stored.
    #[must_use]
    pub fn stored_count(&self) -> usize {
        self.state.book.read(|book| book.store.stored().len())
    }

    /// The ids that were stored more than once, and how often.
    #[must_use]
    pub fn duplicates(&self) -> BTreeMap<String, usize> {
        self.state.book.read(|book| book.store.duplicates())
    }

    /// Has a message sent, and returns its id. The recipient is offered as it is given here.
    ///
    /// # Errors
    /// When the system has no randomness for an id.
    pub fn queue(&self, to: &str, content: &str) -> anyhow::Result<String> {
        self.state.queue(to, content, None)
    }

    /// Like [`Self::queue`], for a message that another gateway has already given an id of its own.
    ///
    /// # Errors
    /// When the system has no randomness for an id.
    pub fn queue_with_reference(
        &self,
        to: &str,
        content: &str,
        reference: &str,
    ) -> anyhow::Result<String> {
        self.state.queue(to, content, Some(reference))
    }

    /// One outgoing message.
    #[must_use]
    pub fn outgoing(&self, id: &str) -> Option<Outgoing> {
        self.state
            .book
            .read(|book| book.store.outgoing_with(id).cloned())
    }

    /// The state of one outgoing message.
    #[must_use]
    pub fn state_of(&self, id: &str) -> Option<MessageState> {
        self.state
            .book
            .read(|book| book.store.outgoing_with(id).map(|message| message.state))
    }

    /// Every outgoing message, oldest first.
    #[must_use]
    pub fn all_outgoing(&self) -> Vec<Outgoing> {
        self.state.book.read(|book| book.store.outgoing().to_vec())
    }

    /// From now on every message that is stored is replied to with this text, or with nothing.
    pub fn set_auto_reply(&self, text: Option<&str>) {
        let reply = text.map(|text| AutoReply::with(text.to_owned()));
        self.state.book.change(|book| book.auto_reply = reply);
    }

    /// From now on every message that is stored is replied to as `reply` decides. It must not call
    /// this stand-in.
    pub fn set_auto_reply_with(
        &self,
        reply: impl Fn(&Stored) -> Option<String> + Send + Sync + 'static,
    ) {
        self.state
            .book
            .change(|book| book.auto_reply = Some(AutoReply(Arc::new(reply))));
    }

    /// Whether messages are replied to.
    #[must_use]
    pub fn replies(&self) -> bool {
        self.state.book.read(|book| book.auto_reply.is_some())
    }

    /// Sets `sms.outgoing_service`.
    pub fn set_outgoing_service(&self, service: &str) {
        self.state
            .book
            .change(|book| service.clone_into(&mut book.outgoing_service));
    }

    /// Sets name and password of the gateway's user.
    pub fn set_credentials(&self, user: &str, password: &str) {
        self.state.book.change(|book| {
            user.clone_into(&mut book.logins.user);
            password.clone_into(&mut book.logins.password);
        });
    }

    /// Gives or takes the gateway's user the permission `can_access_gateway_api`.
    pub fn set_permitted(&self, permitted: bool) {
        self.state
            .book
            .change(|book| book.logins.permitted = permitted);
    }

    /// Lets so much time pass for the locks of user names.
    pub fn pass_time(&self, time: Duration) {
        self.state.book.change(|book| book.logins.pass_time(time));
    }

    /// Every POST, in the order of arrival.
    #[must_use]
    pub fn posts(&self) -> Vec<Post> {
        self.state.book.read(|book| book.posts.clone())
    }

    /// How many POSTs are in flight now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.state.book.read(|book| book.in_flight)
    }

    /// How many POSTs were in flight at the same time at most.
    #[must_use]
    pub fn max_in_flight(&self) -> usize {
        self.state.book.read(|book| book.max_in_flight)
    }

    /// How many POSTs [`Fault::PauseBeforeWriting`] and [`Fault::PauseBeforeMarking`] hold now.
    #[must_use]
    pub fn paused(&self) -> usize {
        self.state.book.read(|book| book.paused)
    }

    /// Lets them go on, and returns how many there were.
    pub fn release_paused(&self) -> usize {
        self.state.release_paused()
    }

    /// Switches a fault on. A scope that matches names a part of a content, an id or a sender; for
    /// [`Fault::PoisonMessage`] a part of the content, for [`Fault::PoisonUpdate`] the id.
    pub async fn fault(&self, fault: Fault, scope: Scope) {
        self.state.faults.set(fault, scope).await;
    }

    /// Switches one fault off.
    pub async fn clear_fault(&self, fault: Fault) {
        self.state.faults.clear(fault).await;
    }

    /// Switches all faults off. What is held stays held until it is released.
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
