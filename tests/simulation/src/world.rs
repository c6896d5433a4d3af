//! Everything there is in a run: time, functions, queues, ledger, Medic, Africa's Talking, and what
//! goes wrong.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use bridge::domain::circuit_breaker::AccountRow;
use bridge::domain::message::{Sending, SendingRules, UnknownOutcomePolicy};
use bridge::domain::recipient_limit::RecipientLimits;
use bridge::domain::sender_ids::SenderIds;
use bridge::ports::{Fifo, NewMessage};
use bridge::wire::queue_messages::MEDIC_GROUP;
use serde_json::{Value, json};

use crate::africas_talking::AfricasTalkingInWorld;
use crate::broken::Variant;
use crate::executor::{Executor, TaskId};
use crate::faults::{Death, SimFaults};
use crate::lambda::{self, Function, Lambda};
use crate::ledger::LedgerModel;
use crate::medic::MedicInWorld;
use crate::meter::{FunctionMeter, FunctionUsage};
use crate::plan::{SECRET_KEY, SECRET_NUMBERS, SECRET_TEXT};
use crate::queue::QueueInWorld;
use crate::random::Random;

/// When every run begins, in milliseconds since 1970.
pub const BEGIN_MS: i64 = 1_800_000_000_000;

/// The name of Medic's user.
pub const MEDIC_USER: &str = "gateway";

/// A minute, in milliseconds.
pub const MINUTE_MS: i64 = 60_000;

/// A queue of the deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueName {
    /// Messages to Medic.
    Exchange,
    /// Messages to phones.
    Outbox,
    /// Delivery reports.
    Reports,
    /// Put aside by `incoming-messages` and `medic-exchange`.
    ExchangeDeadLetter,
    /// Put aside by `outbound-sender`.
    OutboxDeadLetter,
    /// Put aside by `delivery-reports` and `report-recorder`.
    ReportsDeadLetter,
}

/// The configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Medic's time-out.
    pub post_timeout: Duration,
    /// For how long after that Medic may go on working.
    pub grace: Duration,
    /// Africa's Talking's time-out.
    pub call_timeout: Duration,
    /// The rules of sending.
    pub rules: SendingRules,
    /// How many SMS one recipient may get.
    pub recipient_limit: RecipientLimits,
    /// As whom to send.
    pub sender_ids: Rc<SenderIds>,
    /// An SMS that ends `medic-exchange` each time comes so many milliseconds after the beginning.
    pub killer: Option<(i64, Death)>,
    /// The part that is broken on purpose.
    pub variant: Option<Variant>,
    /// Whether every step is written down.
    pub traced: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            post_timeout: Duration::from_mins(1),
            grace: Duration::from_mins(1),
            call_timeout: Duration::from_secs(30),
            rules: SendingRules {
                unknown_outcome: UnknownOutcomePolicy::ResendOnce,
                resend_after: Duration::from_mins(2),
                max_age: Duration::from_hours(72),
                call_over_after: Duration::from_mins(2),
            },
            recipient_limit: RecipientLimits {
                messages_per_hour: 60,
                same_text_per_day: 20,
            },
            sender_ids: Rc::new(SenderIds::default()),
            killer: None,
            variant: None,
            traced: false,
        }
    }
}

/// The password of Medic's user, before anybody changes it.
pub const MEDIC_PASSWORD: &str = "password";

/// The API key of Africa's Talking, before anybody changes it.
pub const API_KEY: &str = "a-key-for-the-sandbox-only";

/// The secret with the credentials for both.
pub fn credentials(medic_password: &str, api_key: &str) -> String {
    let secret = json!({
        "medic_username": MEDIC_USER,
        "medic_password": medic_password,
        "africastalking_api_key": api_key,
    });
    secret.to_string()
}

/// Everything there is.
pub struct World {
    /// The configuration.
    pub settings: Settings,
    /// Chance.
    pub random: Random,
    /// The faults.
    pub faults: SimFaults,
    /// Time and tasks.
    pub executor: Executor,
    /// Functions.
    pub lambda: RefCell<Lambda>,
    /// The ledger.
    pub ledger: RefCell<LedgerModel>,
    /// Medic.
    pub medic: RefCell<MedicInWorld>,
    /// Africa's Talking, and the phones behind it.
    pub africas_talking: RefCell<AfricasTalkingInWorld>,
    /// The incoming key's secret.
    pub secret: RefCell<String>,
    /// The secret with the credentials for Medic and Africa's Talking.
    pub credentials: RefCell<String>,
    /// Whether the schedule sends its polls.
    pub polling: Cell<bool>,
    /// Bodies that SQS dropped because they were too old.
    pub expired: RefCell<Vec<String>>,
    /// Secrets and personal data that were seen in the log or in a queue's attributes.
    pub leaks: RefCell<Vec<String>>,
    /// Every line of the log, if steps are written down.
    pub trace: RefCell<Vec<String>>,
    /// From when until when a circuit breaker was open, for those that are closed.
    pub closings: RefCell<Vec<Range<i64>>>,
    /// Since when a message is settled by evidence: nobody may send it after that.
    pub settled: RefCell<BTreeMap<String, i64>>,
    /// Messages whose acceptance neither ledger nor queue took, each with the invocation that had it.
    pub not_kept: RefCell<BTreeSet<(TaskId, String)>>,
    /// The usage that AWS would have counted.
    pub meter: RefCell<FunctionMeter>,
    /// How often what happened.
    pub counts: RefCell<BTreeMap<String, u64>>,
    queues: [RefCell<QueueInWorld>; 6],
}

impl World {
    /// A world without faults, in which nothing is to happen yet.
    pub fn new(seed: u64, settings: Settings) -> Rc<Self> {
        let mut exchange = QueueInWorld::fifo("exchange", 330_000);
        exchange.group_lock = settings.variant != Some(Variant::TwoPosts);
        let world = Rc::new(Self {
            settings,
            random: Random::new(seed),
            faults: SimFaults::default(),
            executor: Executor::new(BEGIN_MS),
            lambda: RefCell::default(),
            ledger: RefCell::default(),
            medic: RefCell::default(),
            africas_talking: RefCell::default(),
            secret: RefCell::new(format!("{{\"key\":\"{SECRET_KEY}-1\"}}")),
            credentials: RefCell::new(credentials(MEDIC_PASSWORD, API_KEY)),
            polling: Cell::new(true),
            expired: RefCell::default(),
            leaks: RefCell::default(),
            trace: RefCell::default(),
            closings: RefCell::default(),
            settled: RefCell::default(),
            not_kept: RefCell::default(),
            meter: RefCell::default(),
            counts: RefCell::default(),
            queues: [
                RefCell::new(exchange),
                RefCell::new(QueueInWorld::standard("outbox", 120_000)),
                RefCell::new(QueueInWorld::standard("reports", 60_000)),
                RefCell::new(QueueInWorld::fifo("exchange-dead-letter", 30_000)),
                RefCell::new(QueueInWorld::standard("outbox-dead-letter", 30_000)),
                RefCell::new(QueueInWorld::standard("reports-dead-letter", 30_000)),
            ],
        });
        world.after(1_000, poll);
        world
    }

    /// A queue.
    pub fn queue(&self, name: QueueName) -> &RefCell<QueueInWorld> {
        &self.queues[name as usize]
    }

    /// Puts a body into `exchange` by hand, as the schedule and the operator do.
    pub fn put_into_exchange(self: &Rc<Self>, body: String, deduplication_id: String) {
        let message = NewMessage {
            body,
            fifo: Some(Fifo {
                group: MEDIC_GROUP.to_owned(),
                deduplication_id,
            }),
        };
        let now_ms = self.now_ms();
        let sent = self
            .queue(QueueName::Exchange)
            .borrow_mut()
            .send(message, now_ms);
        sent.expect("what was in a queue can be in it again");
        lambda::check(self, QueueName::Exchange);
    }

    /// Writes down a step.
    pub fn note(&self, text: impl FnOnce() -> String) {
        if self.settings.traced {
            let at_ms = self.now_ms() - BEGIN_MS;
            let (seconds, milliseconds) = (at_ms / 1000, at_ms % 1000);
            let line = format!("{seconds:>6}.{milliseconds:03} {}", text());
            self.trace.borrow_mut().push(line);
        }
    }

    /// Meters what a function uses.
    pub fn uses(&self, function: Function, add: impl FnOnce(&mut FunctionUsage)) {
        add(self.meter.borrow_mut().add(function));
    }

    /// Meters a request to a queue.
    pub fn uses_queue(&self, function: Function, name: QueueName) {
        let is_fifo = self.queue(name).borrow().is_fifo;
        self.uses(function, |usage| match is_fifo {
            true => usage.sqs_fifo += 1,
            false => usage.sqs_standard += 1,
        });
    }

    /// Counts something.
    pub fn count(&self, what: impl FnOnce() -> String) {
        *self.counts.borrow_mut().entry(what()).or_default() += 1;
    }

    /// The circuits that were open in this row of the account and are not any more.
    pub fn closes(&self, before: &AccountRow) {
        let after = self.ledger.borrow().account();
        for open in &before.open_circuits {
            if after.open_circuit(&open.of).is_none() {
                let since_ms = open.since.as_millis();
                self.closings.borrow_mut().push(since_ms..self.now_ms());
            }
        }
    }

    /// A line of the log.
    pub fn log(&self, task: TaskId, line: &str) {
        self.shown(line);
        let field = |name: &str| {
            let rest = line.split(&format!("\"{name}\":\"")).nth(1)?;
            rest.split('"').next()
        };
        let event = field("event").unwrap_or("?");
        self.count(|| format!("log: {event}"));
        if event == "acceptance_not_kept" {
            let message = field("medic_id").unwrap_or_default().to_owned();
            self.not_kept.borrow_mut().insert((task, message));
        }
        self.note(|| format!("#{task} log {line}"));
    }

    /// A message matched an SMS by a matching report, as this line of the log says. If no other call is
    /// under way for it, nobody calls for it any more.
    pub fn matching_report_came(&self, line: &str) {
        let line: Value = serde_json::from_str(line).expect("a line is JSON");
        let shown = line["medic_id"].as_str().expect("it names the message");
        let ledger = self.ledger.borrow();
        let mut rows = ledger.messages();
        // Some ids are shown as their hash.
        let row = rows.find(|row| row.id.to_string() == shown);
        let row = row.expect("it matched the SMS");
        if row.sending == Sending::Accepted {
            self.count(|| "evidence: settled an unknown outcome".to_owned());
            let mut settled = self.settled.borrow_mut();
            settled
                .entry(row.id.as_str().to_owned())
                .or_insert(self.now_ms());
        }
    }

    /// Something that anybody may see: nothing planted may be in it.
    pub fn shown(&self, text: &str) {
        let planted = SECRET_NUMBERS.iter().chain([&SECRET_TEXT, &SECRET_KEY]);
        for secret in planted {
            // A number does not begin within another, such as a time.
            let is_digit = |sign: char| sign.is_ascii_digit();
            let is_within =
                |at: usize| secret.starts_with(is_digit) && text[..at].ends_with(is_digit);
            if text.match_indices(secret).any(|(at, _)| !is_within(at)) {
                self.leaks.borrow_mut().push(format!("{secret} in {text}"));
            }
        }
    }
}

/// The minute's poll.
fn poll(world: &Rc<World>) {
    if world.polling.get() && !world.faults.sqs_away.get() {
        let number = world.now_ms() / MINUTE_MS;
        let body = format!("{{\"v\":1,\"kind\":\"poll\",\"id\":\"{number}\"}}");
        world.put_into_exchange(body.clone(), body);
    }
    world.after(MINUTE_MS, poll);
}
