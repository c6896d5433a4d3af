//! Africa's Talking's model behind HTTP, which posts its callbacks: [`models::africastalking`] says
//! what it does, this says when and to whom.
//!
//! Nobody outside Africa's Talking knows when it tries a callback again: here it is tried a few times
//! at once.

mod callbacks;
mod control;
#[cfg(test)]
mod tests;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
pub use models::africastalking::{AfricasTalkingFault, SendRequest, SmsToPhone};
use models::africastalking::{AfricasTalkingModel, Application, ReportToPost};
use models::faults::Faults;

pub use self::callbacks::{CallbackAttempt, CallbackKind, PhoneSms, SentSms};
use self::callbacks::{post_incoming, post_incoming_form, post_opt_out, post_reports};
use crate::faults::{Active, Faulty, Scope, Switches};
use crate::ids;
use crate::observed::{Changes, Observed};
use crate::server::{Binding, Server, Tasks};

/// How the stand-in is set up.
#[derive(Clone, Debug)]
pub struct AfricasTalkingConfig {
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
    /// How long to wait before a callback is retried.
    pub callback_pause: Duration,
    /// How long to wait for the answer to a callback.
    pub callback_time_limit: Duration,
    /// How often every report comes under [`AfricasTalkingFault::ReportsRepeated`].
    pub report_repeats: u32,
    /// The `networkCode` in callbacks.
    pub network_code: String,
    /// The currency of prices and of the balance.
    pub currency: String,
    /// The price of a part of an SMS, in ten-thousandths of the currency.
    pub price_ten_thousandths: i64,
    /// The balance at the start, in ten-thousandths of the currency.
    pub balance_ten_thousandths: i64,
    /// How long a send waits for its answer, for tests under load.
    pub answer_delay: Duration,
}

impl Default for AfricasTalkingConfig {
    fn default() -> Self {
        let application = Application::default();
        Self {
            port: 0,
            control_port: 0,
            username: application.username,
            api_key: application.api_key,
            short_code: application.short_code,
            sender_ids: application.sender_ids,
            incoming_callback: None,
            reports_callback: None,
            callback_attempts: 3,
            callback_pause: Duration::ZERO,
            callback_time_limit: Duration::from_secs(30),
            report_repeats: application.report_repeats,
            network_code: application.network_code,
            currency: application.currency,
            price_ten_thousandths: application.price_ten_thousandths,
            balance_ten_thousandths: application.balance_ten_thousandths,
            answer_delay: Duration::ZERO,
        }
    }
}

impl AfricasTalkingConfig {
    fn application(&self) -> Application {
        Application {
            username: self.username.clone(),
            api_key: self.api_key.clone(),
            short_code: self.short_code.clone(),
            sender_ids: self.sender_ids.clone(),
            currency: self.currency.clone(),
            price_ten_thousandths: self.price_ten_thousandths,
            balance_ten_thousandths: self.balance_ten_thousandths,
            network_code: self.network_code.clone(),
            report_repeats: self.report_repeats,
        }
    }
}

/// The model, and what its callbacks came to.
#[derive(Debug)]
pub(crate) struct AfricasTalkingBook {
    model: AfricasTalkingModel,
    incoming_callback: Option<String>,
    reports_callback: Option<String>,
    opt_outs_callback: Option<String>,
    from_phones: Vec<PhoneSms>,
    callbacks: Vec<CallbackAttempt>,
}

impl Faulty for AfricasTalkingBook {
    type Fault = AfricasTalkingFault;

    fn faults(&self) -> &Faults<AfricasTalkingFault> {
        &self.model.faults
    }

    fn faults_mut(&mut self) -> &mut Faults<AfricasTalkingFault> {
        &mut self.model.faults
    }
}

#[derive(Debug)]
struct AfricasTalkingState {
    config: AfricasTalkingConfig,
    switches: Switches<AfricasTalkingBook>,
    tasks: Tasks,
    client: reqwest::Client,
    book: Arc<Observed<AfricasTalkingBook>>,
}

impl AfricasTalkingState {
    /// Posts the reports that are held, and returns their number when all are posted.
    async fn release_reports(&self) -> usize {
        let paused = self
            .book
            .change(|book| std::mem::take(&mut book.model.paused_reports));
        let count = paused.len();
        post_reports(self, paused).await;
        count
    }

    /// Posts one more report about an SMS.
    async fn report(&self, id: &str, status: &str, failure_reason: Option<String>) {
        let number = self
            .book
            .read(|book| book.model.number_of(id).map(str::to_owned));
        let report = ReportToPost {
            id: id.to_owned(),
            number: number.unwrap_or_default(),
            status: status.to_owned(),
            failure_reason,
        };
        post_reports(self, vec![report]).await;
    }
}

/// A running stand-in for Africa's Talking. Dropping it ends it.
#[derive(Debug)]
pub struct AfricasTalkingStandIn {
    state: Arc<AfricasTalkingState>,
    server: Server,
}

impl AfricasTalkingStandIn {
    /// Starts one.
    ///
    /// # Errors
    /// When a port is taken.
    #[expect(
        clippy::unused_async,
        reason = "it needs the runtime it is called in, and says so"
    )]
    pub async fn start(config: AfricasTalkingConfig) -> anyhow::Result<Self> {
        let binding = Binding::new(config.port, config.control_port)
            .context("Africa's Talking's stand-in")?;
        // An id that was given before is worse than none, and there is none without randomness.
        let new_id = || match ids::thirty_two_hex_digits() {
            Ok(digits) => format!("ATXid_{digits}"),
            Err(_) => "None".to_owned(),
        };
        let book = Arc::new(Observed::new(AfricasTalkingBook {
            model: AfricasTalkingModel::new(config.application(), new_id),
            incoming_callback: config.incoming_callback.clone(),
            reports_callback: config.reports_callback.clone(),
            opt_outs_callback: None,
            from_phones: Vec::new(),
            callbacks: Vec::new(),
        }));
        let state = Arc::new(AfricasTalkingState {
            switches: Switches::new(book.clone(), binding.door()),
            tasks: binding.tasks(),
            client: crate::http::client(config.callback_time_limit)?,
            book,
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

    /// From now on opt-outs are posted there, the key included.
    pub fn set_opt_outs_callback(&self, url: impl Into<String>) {
        let url = Some(url.into());
        self.state.book.change(|book| book.opt_outs_callback = url);
    }

    /// Opts a phone out. Answers the status that the callback got.
    ///
    /// # Errors
    /// When no callback for opt-outs is set, or it does not answer.
    pub async fn opt_out(&self, number: &str) -> anyhow::Result<u16> {
        post_opt_out(&self.state, number).await
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
        let reason = failure_reason.map(str::to_owned);
        self.state.report(id, status, reason).await;
    }

    /// Posts the reports that [`AfricasTalkingFault::ReportsLate`] held, and returns how many there were.
    pub async fn release_reports(&self) -> usize {
        self.state.release_reports().await
    }

    /// How many reports are held.
    #[must_use]
    pub fn paused_reports(&self) -> usize {
        self.state.book.read(|book| book.model.paused_reports.len())
    }

    /// Every SMS that a phone sent, in order, with what has become of it so far.
    #[must_use]
    pub fn from_phones(&self) -> Vec<PhoneSms> {
        self.state.book.read(|book| book.from_phones.clone())
    }

    /// The SMS that a phone received, in order.
    #[must_use]
    pub fn phone(&self, number: &str) -> Vec<SmsToPhone> {
        self.state.book.read(|book| book.model.phone(number))
    }

    /// Every SMS that was accepted, in order, also those that no phone received.
    #[must_use]
    pub fn accepted(&self) -> Vec<SmsToPhone> {
        self.state.book.read(|book| book.model.accepted.clone())
    }

    /// Every request to send, in the order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<SendRequest> {
        self.state.book.read(|book| book.model.requests.clone())
    }

    /// Every attempt to post a callback, in the order of its end.
    #[must_use]
    pub fn callbacks(&self) -> Vec<CallbackAttempt> {
        self.state.book.read(|book| book.callbacks.clone())
    }

    /// Switches a fault on. A scope that matches names a phone number.
    pub async fn fault(&self, fault: AfricasTalkingFault, scope: Scope) {
        self.state.switches.set(fault, scope).await;
    }

    /// Switches one fault off.
    pub async fn clear_fault(&self, fault: AfricasTalkingFault) {
        self.state.switches.clear(fault).await;
    }

    /// Switches all faults off.
    pub async fn clear_faults(&self) {
        self.state.switches.clear_all().await;
    }

    /// The faults that are switched on.
    #[must_use]
    pub fn active_faults(&self) -> Vec<Active<AfricasTalkingFault>> {
        self.state.switches.active()
    }

    pub(crate) fn switches(&self) -> &Switches<AfricasTalkingBook> {
        &self.state.switches
    }

    /// The signal of everything that is written down, and of every change of the faults.
    pub(crate) fn changes(&self) -> Changes {
        self.state.book.changes()
    }

    /// Changes the model by hand, or looks at it, where no control does.
    pub fn with_model<R>(&self, change: impl FnOnce(&mut AfricasTalkingModel) -> R) -> R {
        self.state.book.change(|book| change(&mut book.model))
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
