//! Stages the trouble of a row in a world, ends it at a known moment, and looks what goes through
//! after that.

use std::rc::Rc;
use std::time::Duration;

use bridge::domain::sender_ids::SenderIds;
use bridge::domain::time::{Timestamp, millis};

use super::traffic::{Traffic, TrafficItem, between, now};
use super::{MeasuredRecovery, RecoveryRow, Trouble};
use crate::africas_talking::{self, Account, SendDecision, text_for};
use crate::faults::{CallDisposition, PortCall};
use crate::lambda::{self, Function};
use crate::medic::{Mode, PostDisposition, REPLY};
use crate::plan::{SECRET_NUMBERS, SECRET_TEXT};
use crate::world::{API_KEY, MEDIC_PASSWORD, Settings, World, credentials};

/// Before the trouble: enough for two messages to be sent.
const BEFORE: Duration = Duration::from_secs(3 * 60);

/// Nobody looks for longer than this.
const PATIENCE: Duration = Duration::from_secs(3 * 60 * 60);

/// How often somebody looks.
const CHECK: Duration = Duration::from_secs(1);

/// So many incoming messages wait, from a third as many senders.
const WAITING_IN: u32 = 21;

/// So many outgoing messages wait for Medic or AWS, …
const WAITING_OUT: u32 = 5;

/// … and so many for Africa's Talking.
const CAMPAIGN: u32 = 300;

/// The sender ID that is not registered, and the one that is.
const SENDER_IDS: &str = "MYORG,+254=20880";
const UNREGISTERED: &str = "MYORG";

/// Sent before the trouble; their delivery reports come later.
const BEFORE_IDS: [&str; 2] = ["before-0", "before-1"];

const WORKERS: [Function; 3] = [
    Function::MedicExchange,
    Function::OutboundSender,
    Function::ReportRecorder,
];

/// Runs a row with a seed.
pub(super) fn run(row: &RecoveryRow, seed: u64) -> MeasuredRecovery {
    let stage = RecoveryStage::new(row, seed);
    let measured = stage.run();
    stage.world.dissolve();
    measured
}

struct RecoveryStage<'a> {
    row: &'a RecoveryRow,
    world: Rc<World>,
}

/// A Kenyan phone; or a Nigerian one, whose messages have the unregistered sender ID.
fn phone(trouble: Trouble, number: u32) -> String {
    match trouble {
        Trouble::UnregisteredSenderId => format!("+23480{}{number:04}", &SECRET_NUMBERS[0][..4]),
        _ => format!("+{}{number:04}", SECRET_NUMBERS[0]),
    }
}

impl<'a> RecoveryStage<'a> {
    fn new(row: &'a RecoveryRow, seed: u64) -> Self {
        let mut settings = Settings::default();
        if matches!(
            row.trouble,
            Trouble::UnregisteredSenderId | Trouble::OtherSenderIdMeanwhile
        ) {
            let sender_ids = SenderIds::parse(SENDER_IDS).expect("a list");
            settings.sender_ids = Rc::new(sender_ids);
        }
        let world = World::new(seed, settings);
        world.africas_talking.borrow_mut().reporting = false;
        Self { row, world }
    }

    fn run(&self) -> MeasuredRecovery {
        let world = &self.world;
        for id in BEFORE_IDS {
            self.wants(id, &phone(self.row.trouble, 1));
        }
        self.pass(BEFORE + self.up_to(120_000));
        let mut waiting = Traffic::default();
        self.accepted_before(&mut waiting);
        let lasts = self.row.lasts + self.up_to(120_000);
        self.begin(lasts);
        self.comes_meanwhile(&mut waiting);
        let end = self.over(lasts);
        waiting.check(world);
        let mut new = Traffic::default();
        self.pass(self.up_to(1_000));
        self.comes_afterwards(&mut new);
        while !(waiting.is_through() && new.is_through()) && now(world).since(end) < PATIENCE {
            self.pass(CHECK);
            waiting.check(world);
            new.check(world);
        }
        if self.row.trouble == Trouble::OtherSenderIdMeanwhile {
            return self.others(&waiting);
        }
        MeasuredRecovery {
            first: waiting.first_after(end),
            new: new.last_after(end),
            all: waiting.last_after(end),
        }
    }

    fn pass(&self, span: Duration) {
        let until = now(&self.world) + span;
        self.world.run_until(until.as_millis());
    }

    fn up_to(&self, milliseconds: i64) -> Duration {
        let by_chance = self.world.random.between(0, milliseconds);
        Duration::from_millis(by_chance.unsigned_abs())
    }

    /// Medic wants this sent.
    fn wants(&self, id: &str, to: &str) {
        self.world.medic.borrow_mut().wants(id, to, &text_for(id));
    }

    /// Incoming messages that were accepted just before the trouble, where none is accepted in it.
    fn accepted_before(&self, waiting: &mut Traffic) {
        match self.row.trouble {
            Trouble::SecretsAway => {
                let mut lambda = self.world.lambda.borrow_mut();
                lambda.off.push(Function::MedicExchange);
                drop(lambda);
                self.phones_send(waiting);
                self.pass(Duration::from_secs(5));
            }
            Trouble::SqsAway | Trouble::SqsTakesNothing => {
                self.phones_send(waiting);
                self.pass(Duration::from_millis(50) + self.up_to(150));
                let at = self.world.africas_talking.borrow();
                let is_accepted = |id: &str| at.incoming[id].answers.contains(&200);
                waiting.retain(is_accepted);
            }
            _ => {}
        }
    }

    fn begin(&self, lasts: Duration) {
        let world = &self.world;
        match self.row.trouble {
            Trouble::MedicUnreachable => world.medic.borrow_mut().mode = Mode::Down,
            Trouble::MedicAnswers(status) => {
                world.medic.borrow_mut().mode = Mode::Answers(status);
            }
            Trouble::MedicAnswersHtml(status) => {
                world.medic.borrow_mut().mode = Mode::Page(status);
            }
            Trouble::WrongAddress => world.medic.borrow_mut().mode = Mode::Page(404),
            Trouble::FullDisk => world.medic.borrow_mut().disk_full = true,
            Trouble::MedicHangs => {
                let until = now(world) + lasts;
                world.medic.borrow_mut().hangs_until_ms = until.as_millis();
            }
            Trouble::PostInDoubt => {
                let works_for = millis(world.settings.post_timeout) + 15_000;
                let slow = PostDisposition::Slow(works_for);
                world.medic.borrow_mut().script.push_back(slow);
            }
            Trouble::WrongPassword => {
                "another".clone_into(&mut world.medic.borrow_mut().logins.password);
            }
            Trouble::NoPermission => world.medic.borrow_mut().logins.permitted = false,
            Trouble::AfricasTalkingUnreachable => self.sends_end(SendDecision::NotConnected),
            Trouble::AfricasTalkingSilent => self.sends_end(SendDecision::NoAnswer(false)),
            Trouble::NoCredit => {
                self.sends_end(SendDecision::Rejected(405));
                let mut at = world.africas_talking.borrow_mut();
                at.model.application.balance_ten_thousandths = 0;
            }
            Trouble::WrongApiKey => {
                let mut at = world.africas_talking.borrow_mut();
                "another".clone_into(&mut at.model.application.api_key);
            }
            Trouble::UnregisteredSenderId | Trouble::OtherSenderIdMeanwhile => {
                let mut at = world.africas_talking.borrow_mut();
                let unknown = Some(UNREGISTERED.to_owned());
                let refused = SendDecision::NoRecipient("InvalidSenderId");
                at.unknown_sender_ids.insert(unknown, refused);
            }
            Trouble::LedgerAway => world.faults.ledger_out.set(true),
            Trouble::SecretsAway => {
                world.faults.secrets_out.set(true);
                let mut lambda = world.lambda.borrow_mut();
                lambda.forget();
                lambda.off.clear();
                drop(lambda);
                self.wake();
            }
            Trouble::SqsAway => world.faults.sqs_away.set(true),
            Trouble::SqsTakesNothing => world.faults.queues_out.set(true),
            Trouble::Killed(function) => {
                let call = match function {
                    Function::MedicExchange => PortCall::Post,
                    _ => PortCall::Write,
                };
                world
                    .faults
                    .script(function, call, 0, CallDisposition::DiesBefore, 1);
            }
        }
    }

    fn sends_end(&self, verdict: SendDecision) {
        self.world.africas_talking.borrow_mut().account = Account::Failing(verdict);
    }

    /// Sends the messages that come during the trouble, and have to wait.
    fn comes_meanwhile(&self, waiting: &mut Traffic) {
        match self.row.trouble {
            Trouble::MedicUnreachable
            | Trouble::MedicAnswers(_)
            | Trouble::MedicAnswersHtml(_)
            | Trouble::FullDisk
            | Trouble::MedicHangs
            | Trouble::WrongPassword
            | Trouble::NoPermission
            | Trouble::WrongAddress => {
                self.phones_send(waiting);
                self.medic_wants(WAITING_OUT, waiting);
                self.delivered(BEFORE_IDS[0]);
                waiting.add(TrafficItem::Reported(BEFORE_IDS[0].to_owned()));
            }
            Trouble::PostInDoubt | Trouble::Killed(Function::MedicExchange) => {
                self.phone_sends("in-waiting", 1, "");
                waiting.add(TrafficItem::Stored("in-waiting".to_owned()));
            }
            Trouble::AfricasTalkingUnreachable
            | Trouble::AfricasTalkingSilent
            | Trouble::NoCredit
            | Trouble::WrongApiKey => self.medic_wants(CAMPAIGN, waiting),
            Trouble::UnregisteredSenderId
            | Trouble::Killed(Function::OutboundSender)
            | Trouble::SecretsAway
            | Trouble::SqsAway
            | Trouble::SqsTakesNothing => self.medic_wants(WAITING_OUT, waiting),
            Trouble::OtherSenderIdMeanwhile => {
                // Those with the unregistered one wait, and are not looked at.
                for number in 0..WAITING_OUT {
                    let to = phone(Trouble::UnregisteredSenderId, number);
                    self.wants(&format!("out-unregistered-{number}"), &to);
                }
                self.phones_get_replies(waiting);
            }
            Trouble::LedgerAway => {
                self.medic_wants(WAITING_OUT, waiting);
                self.delivered(BEFORE_IDS[0]);
                waiting.add(TrafficItem::Recorded(BEFORE_IDS[0].to_owned()));
            }
            Trouble::Killed(_) => {
                self.delivered(BEFORE_IDS[0]);
                waiting.add(TrafficItem::Recorded(BEFORE_IDS[0].to_owned()));
            }
        }
    }

    fn phone_sends(&self, id: &str, number: u32, word: &str) {
        let from = phone(self.row.trouble, number);
        let text = format!("{SECRET_TEXT} {word}");
        africas_talking::phone_sends(&self.world, id, &from, &text);
    }

    fn phones_send(&self, waiting: &mut Traffic) {
        for number in 0..WAITING_IN {
            let id = format!("in-waiting-{number}");
            self.phone_sends(&id, number % (WAITING_IN / 3), "");
            waiting.add(TrafficItem::Stored(id));
        }
    }

    fn medic_wants(&self, count: u32, waiting: &mut Traffic) {
        for number in 0..count {
            let id = format!("out-waiting-{number}");
            self.wants(&id, &phone(self.row.trouble, number));
            waiting.add(TrafficItem::Sent(id));
        }
    }

    /// Every two minutes a phone sends an SMS that is replied to.
    fn phones_get_replies(&self, waiting: &mut Traffic) {
        let minutes = self.row.lasts.as_secs() / 60;
        for number in (0..minutes).step_by(2) {
            let id = format!("in-{number}");
            waiting.add(TrafficItem::Sent(format!("reply-to-{id}")));
            waiting.add(TrafficItem::Stored(id.clone()));
            let from = phone(self.row.trouble, 2 + u32::try_from(number).unwrap_or(0));
            let at = now(&self.world) + Duration::from_secs(number * 60);
            self.world.at_time(at.as_millis(), move |world| {
                let text = format!("{SECRET_TEXT} {REPLY}");
                africas_talking::phone_sends(world, &id, &from, &text);
            });
        }
    }

    fn others(&self, waiting: &Traffic) -> MeasuredRecovery {
        let minutes = self.row.lasts.as_secs() / 60;
        let waits = (0..minutes).step_by(2).map(|number| {
            let stored = waiting.at(&TrafficItem::Stored(format!("in-{number}")));
            let sent = waiting.at(&TrafficItem::Sent(format!("reply-to-in-{number}")));
            between(stored, sent)
        });
        MeasuredRecovery {
            all: waits.max(),
            ..MeasuredRecovery::default()
        }
    }

    /// The network reports that a message was delivered.
    fn delivered(&self, id: &str) {
        let at = self.world.africas_talking.borrow();
        let calls = at.calls_for(id);
        let call = calls.iter().find(|call| call.at_id.is_some());
        let call = (*call.expect("it was sent before")).clone();
        drop(at);
        let at_id = call.at_id.expect("it was accepted");
        africas_talking::report(&self.world, &at_id, &call.sms.0, "Success");
    }

    /// Ends the trouble. When it was over.
    fn over(&self, lasts: Duration) -> Timestamp {
        let world = &self.world;
        let until = match self.row.trouble {
            Trouble::PostInDoubt => Some("Medic: no answer in time".to_owned()),
            Trouble::Killed(function) => Some(format!("deaths of {}", function.name())),
            _ => None,
        };
        match until {
            Some(event) => while !world.counts.borrow().contains_key(&event) && world.step() {},
            None => self.pass(lasts),
        }
        self.correct();
        self.wake();
        now(world)
    }

    fn correct(&self) {
        let world = &self.world;
        let mut medic = world.medic.borrow_mut();
        medic.mode = Mode::Up;
        medic.disk_full = false;
        medic.logins.permitted = true;
        drop(medic);
        world.faults.ledger_out.set(false);
        world.faults.queues_out.set(false);
        world.faults.secrets_out.set(false);
        world.faults.sqs_away.set(false);
        let mut at = world.africas_talking.borrow_mut();
        at.account = Account::Good;
        at.unknown_sender_ids.clear();
        at.model.application.balance_ten_thousandths = 100_000_000;
        drop(at);
        match self.row.trouble {
            // Somebody corrects the secret.
            Trouble::WrongPassword => {
                *world.credentials.borrow_mut() = credentials("another", API_KEY);
            }
            Trouble::WrongApiKey => {
                *world.credentials.borrow_mut() = credentials(MEDIC_PASSWORD, "another");
            }
            // Somebody deploys the stack with the right address.
            Trouble::WrongAddress => world.lambda.borrow_mut().forget(),
            _ => {}
        }
    }

    fn wake(&self) {
        for function in WORKERS {
            lambda::check(&self.world, function.queue());
        }
    }

    /// Sends the messages that come right after the end.
    fn comes_afterwards(&self, new: &mut Traffic) {
        if self.row.trouble == Trouble::Killed(Function::ReportRecorder) {
            self.delivered(BEFORE_IDS[1]);
            new.add(TrafficItem::Recorded(BEFORE_IDS[1].to_owned()));
            return;
        }
        self.phone_sends("in-new", 9_000, REPLY);
        new.add(TrafficItem::Stored("in-new".to_owned()));
        new.add(TrafficItem::Sent("reply-to-in-new".to_owned()));
    }
}
