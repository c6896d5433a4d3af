//! Medic's model behind HTTP: [`models::medic`] says what it does, this says when and to whom.

mod control;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use models::faults::Faults;
use models::medic::{AutoReply, GATEWAY, MedicModel, NewReply};
pub use models::medic::{
    MedicFault, MessageState, OFFERED_AT_MOST, OutgoingMessage, Post, ReportedStatus, StateChange,
    StoredMessage,
};
use tokio::sync::watch;

use crate::faults::{Active, Faulty, Scope, Switches};
use crate::ids;
use crate::observed::{Changes, Observed};
use crate::server::{Binding, Server, Tasks};

/// How the stand-in is set up.
#[derive(Clone, Debug)]
pub struct MedicConfig {
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

impl Default for MedicConfig {
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

/// The model, and how many POSTs a fault holds.
#[derive(Debug)]
pub(crate) struct MedicBook {
    medic: MedicModel,
    paused: usize,
}

impl Faulty for MedicBook {
    type Fault = MedicFault;

    fn faults(&self) -> &Faults<MedicFault> {
        &self.medic.faults
    }

    fn faults_mut(&mut self) -> &mut Faults<MedicFault> {
        &mut self.medic.faults
    }
}

#[derive(Debug)]
struct MedicState {
    config: MedicConfig,
    switches: Switches<MedicBook>,
    tasks: Tasks,
    releases: watch::Sender<u64>,
    book: Arc<Observed<MedicBook>>,
}

/// A workflow that replies with the text that `reply` decides on.
fn replying(reply: impl Fn(&StoredMessage) -> Option<String> + Send + Sync + 'static) -> AutoReply {
    AutoReply::with(move |stored, _| {
        Some(NewReply {
            content: reply(stored)?,
            id: ids::uuid().ok()?,
        })
    })
}

impl MedicState {
    fn change<R>(&self, change: impl FnOnce(&mut MedicModel) -> R) -> R {
        self.book.change(|book| change(&mut book.medic))
    }

    fn read<R>(&self, observe: impl FnOnce(&MedicModel) -> R) -> R {
        self.book.read(|book| observe(&book.medic))
    }

    fn queue(&self, to: &str, content: &str, reference: Option<&str>) -> anyhow::Result<String> {
        let id = ids::uuid()?;
        let message = OutgoingMessage {
            reference: reference.map(str::to_owned),
            ..OutgoingMessage::new(&id, to, content, ids::now_ms())
        };
        self.change(|medic| medic.send(message));
        Ok(id)
    }

    fn set_reply(&self, reply: AutoReply) {
        self.change(|medic| medic.reply = reply);
    }

    /// Waits for a release if this fault is switched on for this POST.
    async fn pause(&self, fault: MedicFault, post: usize) {
        let mut releases = self.releases.subscribe();
        let paused = self.book.change(|book| {
            let paused = book.medic.meet(fault, post, None);
            book.paused += usize::from(paused);
            paused
        });
        if paused {
            // An error means that the stand-in has ended.
            let _ = releases.changed().await;
            self.book.change(|book| book.paused -= 1);
        }
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
pub struct MedicStandIn {
    state: Arc<MedicState>,
    server: Server,
}

impl MedicStandIn {
    /// Starts one.
    ///
    /// # Errors
    /// When a port is taken.
    #[expect(
        clippy::unused_async,
        reason = "it needs the runtime it is called in, and says so"
    )]
    pub async fn start(config: MedicConfig) -> anyhow::Result<Self> {
        let binding = Binding::new(config.port, config.control_port).context("Medic's stand-in")?;
        let mut medic = MedicModel::new(&config.user, &config.password);
        medic.outgoing_service = Some(config.outgoing_service.clone());
        let book = Arc::new(Observed::new(MedicBook { medic, paused: 0 }));
        let (releases, _) = watch::channel(0);
        let state = Arc::new(MedicState {
            switches: Switches::new(book.clone(), binding.door()),
            tasks: binding.tasks(),
            releases,
            book,
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
    pub fn stored(&self) -> Vec<StoredMessage> {
        self.state.read(|medic| medic.stored.clone())
    }

    /// How many incoming messages were stored.
    #[must_use]
    pub fn stored_count(&self) -> usize {
        self.state.read(|medic| medic.stored.len())
    }

    /// The ids that were stored more than once, and how often.
    #[must_use]
    pub fn duplicates(&self) -> BTreeMap<String, usize> {
        self.state.read(MedicModel::duplicates)
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
    pub fn outgoing(&self, id: &str) -> Option<OutgoingMessage> {
        self.state.read(|medic| medic.outgoing(id).cloned())
    }

    /// The state of one outgoing message.
    #[must_use]
    pub fn state_of(&self, id: &str) -> Option<MessageState> {
        self.state
            .read(|medic| medic.outgoing(id).map(|message| message.state))
    }

    /// Every outgoing message, oldest first.
    #[must_use]
    pub fn all_outgoing(&self) -> Vec<OutgoingMessage> {
        self.state.read(|medic| medic.outgoing.clone())
    }

    /// From now on every message that is stored is replied to with this text, or with nothing.
    pub fn set_auto_reply(&self, text: Option<&str>) {
        self.state.set_reply(match text.map(str::to_owned) {
            Some(text) => replying(move |_| Some(text.clone())),
            None => AutoReply::nothing(),
        });
    }

    /// From now on every message that is stored is replied to as `reply` decides. It must not call
    /// this stand-in.
    pub fn set_auto_reply_with(
        &self,
        reply: impl Fn(&StoredMessage) -> Option<String> + Send + Sync + 'static,
    ) {
        self.state.set_reply(replying(reply));
    }

    /// Whether messages are replied to.
    #[must_use]
    pub fn replies(&self) -> bool {
        self.state.read(|medic| medic.reply.is_set())
    }

    /// Sets `sms.outgoing_service`.
    pub fn set_outgoing_service(&self, service: &str) {
        self.state
            .change(|medic| medic.outgoing_service = Some(service.to_owned()));
    }

    /// Sets name and password of the gateway's user.
    pub fn set_credentials(&self, user: &str, password: &str) {
        self.state.change(|medic| {
            user.clone_into(&mut medic.logins.user);
            password.clone_into(&mut medic.logins.password);
        });
    }

    /// Gives or takes the gateway's user the permission `can_access_gateway_api`.
    pub fn set_permitted(&self, permitted: bool) {
        self.state
            .change(|medic| medic.logins.permitted = permitted);
    }

    /// Lets so much time pass for the locks of user names.
    pub fn pass_time(&self, time: Duration) {
        let milliseconds = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        self.state
            .change(|medic| medic.logins.pass_time(milliseconds));
    }

    /// Every POST, in the order of arrival.
    #[must_use]
    pub fn posts(&self) -> Vec<Post> {
        self.state.read(|medic| medic.posts.clone())
    }

    /// How many POSTs are in flight now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.state.read(|medic| medic.in_flight)
    }

    /// How many POSTs were in flight at the same time at most.
    #[must_use]
    pub fn max_in_flight(&self) -> usize {
        self.state.read(|medic| medic.max_in_flight)
    }

    /// How many POSTs [`MedicFault::PauseBeforeWriting`] and [`MedicFault::PauseBeforeMarking`] hold now.
    #[must_use]
    pub fn paused(&self) -> usize {
        self.state.book.read(|book| book.paused)
    }

    /// Lets them go on, and returns how many there were.
    pub fn release_paused(&self) -> usize {
        self.state.release_paused()
    }

    /// Switches a fault on. A scope that matches names a part of a content, an id or a sender; for
    /// [`MedicFault::PoisonMessage`] a part of the content, for [`MedicFault::PoisonUpdate`] the id.
    pub async fn fault(&self, fault: MedicFault, scope: Scope) {
        self.state.switches.set(fault, scope).await;
    }

    /// Switches one fault off.
    pub async fn clear_fault(&self, fault: MedicFault) {
        self.state.switches.clear(fault).await;
    }

    /// Switches all faults off. What is held stays held until it is released.
    pub async fn clear_faults(&self) {
        self.state.switches.clear_all().await;
    }

    /// The faults that are switched on.
    #[must_use]
    pub fn active_faults(&self) -> Vec<Active<MedicFault>> {
        self.state.switches.active()
    }

    pub(crate) fn switches(&self) -> &Switches<MedicBook> {
        &self.state.switches
    }

    /// The signal of everything that is written down, and of every change of the faults.
    pub(crate) fn changes(&self) -> Changes {
        self.state.book.changes()
    }

    /// Changes the model by hand, or looks at it, where no control does.
    pub fn with_model<R>(&self, change: impl FnOnce(&mut MedicModel) -> R) -> R {
        self.state.change(change)
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
