//! A world for a scenario: no faults by chance, and words for what happens in it.

use std::cell::Cell;
use std::ops::Deref;
use std::rc::Rc;

use bridge::domain::message::MessageRow;
use bridge::domain::status::Status;
use bridge::domain::time::Timestamp;
use bridge::handlers::webhook::Request;
use bridge::ports::NewMessage;
use bridge::wire::queue_messages::MEDIC_GROUP;
use bridge::wire::queue_messages::{ExchangeMessage, OutboxMessage, OutgoingSms, encode};

use crate::africas_talking::{self, SendDecision, text_for};
use crate::faults::{Death, Killer, PortCall};
use crate::lambda::{self, Function};
use crate::medic::{Logged, PostDisposition, status_of};
use crate::promises;
use crate::world::{MINUTE_MS, QueueName, Settings, World};

/// A phone.
pub const PHONE: &str = "+254700000001";
/// Another.
pub const OTHER_PHONE: &str = "+254700000002";
/// A third.
pub const THIRD_PHONE: &str = "+254700000003";

/// A scenario's world.
pub struct Scenario(pub Rc<World>);

impl Deref for Scenario {
    type Target = Rc<World>;
    fn deref(&self) -> &Rc<World> {
        &self.0
    }
}

impl Default for Scenario {
    fn default() -> Self {
        Self::new(Settings::default())
    }
}

impl Scenario {
    /// A world without faults, in which the network reports on nothing by itself.
    pub fn new(settings: Settings) -> Self {
        let settings = Settings {
            traced: true,
            ..settings
        };
        let world = World::new(1, settings);
        world.africas_talking.borrow_mut().reporting = false;
        Self(world)
    }

    /// A world in which nobody polls.
    pub fn without_polls() -> Self {
        let scenario = Self::default();
        scenario.polling.set(false);
        scenario
    }

    /// Lets so many seconds pass.
    pub fn seconds(&self, seconds: i64) {
        self.run_until(self.now_ms() + seconds * 1000);
    }

    /// Lets so many minutes pass.
    pub fn minutes(&self, minutes: i64) {
        self.run_until(self.now_ms() + minutes * MINUTE_MS);
    }

    /// Lets time pass until there is nothing left to do; at most so many hours. How many minutes it
    /// took.
    pub fn rest(&self, hours: i64) -> i64 {
        let began_ms = self.now_ms();
        loop {
            self.seconds(10);
            let took = (self.now_ms() - began_ms) / MINUTE_MS;
            match promises::at_rest(self) {
                Ok(()) => return took,
                Err(waits) => assert!(took < hours * 60, "still not at rest: {waits:?}"),
            }
        }
    }

    /// Every promise is kept.
    pub fn keeps_its_promises(&self) {
        let breaches = promises::breaches(self);
        assert!(breaches.is_empty(), "{breaches:?}");
    }

    /// A phone sends an SMS.
    pub fn phone_sends(&self, id: &str, from: &str, text: &str) {
        africas_talking::phone_sends(self, id, from, text);
    }

    /// These wait in `exchange` together before `medic-exchange` is switched on.
    pub fn batch(&self, messages: &[(&str, &str, &str)]) {
        self.switch_off(Function::MedicExchange);
        for (id, from, text) in messages {
            self.phone_sends(id, from, text);
            self.seconds(1);
        }
        self.switch_on(Function::MedicExchange);
    }

    /// A function is not woken any more.
    pub fn switch_off(&self, function: Function) {
        self.lambda.borrow_mut().off.push(function);
    }

    /// A function is woken again.
    pub fn switch_on(&self, function: Function) {
        self.lambda.borrow_mut().off.retain(|off| *off != function);
        lambda::check(self, function.queue());
    }

    /// A callback; what it is answered.
    pub fn call(&self, function: Function, request: Request) -> u16 {
        let status = Rc::new(Cell::new(0));
        let served = Rc::clone(&status);
        lambda::serve(self, function, request, move |_, answer| served.set(answer));
        self.seconds(16);
        status.get()
    }

    /// A good callback of an incoming message; what it is answered.
    pub fn call_with(&self, function: Function, body: &str) -> u16 {
        let key = self.africas_talking.borrow().key.clone();
        self.call(function, africas_talking::request(function, &key, body))
    }

    /// Medic wants a message sent.
    pub fn wants(&self, id: &str) {
        self.wants_to(id, PHONE);
    }

    /// Medic wants a message sent to somebody.
    pub fn wants_to(&self, id: &str, to: &str) {
        self.medic.borrow_mut().wants(id, to, &text_for(id));
    }

    /// Sets the outcomes of the next requests to send.
    pub fn verdicts(&self, verdicts: &[SendDecision]) {
        self.africas_talking.borrow_mut().script.extend(verdicts);
    }

    /// Sets the outcomes of the next POSTs.
    pub fn dispositions(&self, dispositions: &[PostDisposition]) {
        self.medic.borrow_mut().script.extend(dispositions);
    }

    /// From now on, this call of a function ends it when it is about this.
    pub fn kills(&self, function: Function, call: PortCall, marker: &str, death: Death) {
        let killer = Killer {
            function,
            call,
            marker: marker.to_owned(),
            death,
        };
        self.faults.killers.borrow_mut().push(killer);
    }

    /// How often a function died.
    pub fn deaths(&self, function: Function) -> u64 {
        let counts = self.counts.borrow();
        let deaths = format!("deaths of {}", function.name());
        counts.get(&deaths).copied().unwrap_or(0)
    }

    /// The minute's poll, out of turn.
    pub fn poll(&self) {
        let body = encode(&ExchangeMessage::Poll);
        self.put_into_exchange(body, format!("poll-{}", self.next_number()));
    }

    /// A copy of a message goes into `outbox`.
    pub fn copy_into_outbox(&self, id: &str) {
        let sms = OutgoingSms {
            id: bridge::domain::ids::MedicMessageId::new(id).expect("an id"),
            to: PHONE.to_owned(),
            content: text_for(id),
            first_offered: Timestamp::from_millis(self.now_ms()),
        };
        let message = NewMessage {
            body: encode(&OutboxMessage::Send(sms)),
            fifo: None,
        };
        let now_ms = self.now_ms();
        let sent = self
            .queue(QueueName::Outbox)
            .borrow_mut()
            .send(message, now_ms);
        sent.expect("a message for outbox");
        lambda::check(self, QueueName::Outbox);
    }

    /// The network reports on the SMS of a message.
    pub fn report(&self, message: &str, word: &str) {
        let at = self.africas_talking.borrow();
        let call = at
            .calls_for(message)
            .into_iter()
            .rfind(|call| call.at_id.is_some());
        let call = call.expect("it was sent").clone();
        drop(at);
        let at_id = call.at_id.expect("it was taken");
        africas_talking::report(self, &at_id, &call.sms.0, word);
    }

    /// The last status of a message that was reported to Medic, if any.
    pub fn reported(&self, id: &str) -> Option<Status> {
        status_of(self.medic.borrow().outgoing(id)?.state)
    }

    /// The reason that was reported to Medic with it.
    pub fn reason(&self, id: &str) -> Option<String> {
        let medic = self.medic.borrow();
        medic.outgoing(id)?.details().map(str::to_owned)
    }

    /// The row of a message.
    pub fn row(&self, id: &str) -> Option<MessageRow> {
        self.ledger.borrow().message(id).cloned()
    }

    /// How often Africa's Talking was asked to send a message.
    pub fn calls(&self, id: &str) -> usize {
        self.africas_talking.borrow().calls_for(id).len()
    }

    /// The POSTs that Medic worked on.
    pub fn posts(&self) -> Vec<Logged> {
        self.medic.borrow().log.clone()
    }

    /// The ids of what Medic stored, in order.
    pub fn stored(&self) -> Vec<String> {
        let medic = self.medic.borrow();
        medic
            .stored
            .iter()
            .map(|message| message.id.clone())
            .collect()
    }

    /// The ids of the SMS that wait in `exchange`, in order.
    pub fn waiting(&self) -> Vec<String> {
        let queue = self.queue(QueueName::Exchange).borrow();
        let ids = queue
            .messages()
            .filter_map(|message| promises::sms_in(&message.body))
            .map(|sms| sms.id.as_str().to_owned());
        ids.collect()
    }

    /// The ids of the SMS that wait in quarantine.
    pub fn quarantined(&self) -> Vec<String> {
        let queue = self.queue(QueueName::Exchange).borrow();
        let ids = queue
            .messages()
            .filter(|message| message.group != MEDIC_GROUP)
            .filter_map(|message| promises::sms_in(&message.body))
            .map(|sms| sms.id.as_str().to_owned());
        ids.collect()
    }

    /// How many messages a queue holds.
    pub fn length(&self, queue: QueueName) -> usize {
        self.queue(queue).borrow().messages().count()
    }

    /// How often the log has this event.
    pub fn events(&self, event: &str) -> u64 {
        let counts = self.counts.borrow();
        counts.get(&format!("log: {event}")).copied().unwrap_or(0)
    }

    /// Whether any step or line of the log has this in it.
    pub fn was_written(&self, text: &str) -> bool {
        self.trace.borrow().iter().any(|line| line.contains(text))
    }
}

impl Drop for Scenario {
    fn drop(&mut self) {
        self.0.dissolve();
    }
}
