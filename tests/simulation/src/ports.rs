//! The ports of the bridge, in memory: each call takes a moment of virtual time, and may fail before
//! or after its effect, take long, or be the last thing that its invocation did.

use std::cell::Cell;
use std::rc::{Rc, Weak};
use std::time::Duration;

use bridge::digest::hmac_hex;
use bridge::domain::backoff::RandomSource;
use bridge::domain::ids::MedicMessageId;
use bridge::domain::message::MessageRow;
use bridge::domain::time::{Timestamp, millis};
use bridge::log::{EventLog, Invocation, LogEvent, Origin};
use bridge::ports::{
    AfricasTalking, AfricasTalkingAccount, Clock, CredentialsError, Key, KeyedHash, LedgerError,
    LedgerStore, Medic, NewMessage, Queue, QueueBacklog, QueueDepth, QueueError, Record, Response,
    Row, SecretError, SecretStore, Sms, Version, Write, Written,
};
use bridge::secrets::credentials::{
    AFRICASTALKING_API_KEY, MEDIC_PASSWORD, MEDIC_USERNAME, OutsideCredentials,
};

use crate::executor::{Slot, TaskId};
use crate::faults::{CallDisposition, Death, PortCall};
use crate::lambda::{self, Function};
use crate::plan::SECRET_KEY;
use crate::queue::BATCH;
use crate::world::{MINUTE_MS, QueueName, World};
use crate::{africas_talking, medic};

/// Who is calling.
pub struct Ctx {
    /// The world.
    pub world: Rc<World>,
    /// The function.
    pub function: Function,
    /// Its invocation.
    pub task: Cell<TaskId>,
    /// Whether its batch was received before.
    pub received_before: Cell<bool>,
    /// Whether SQS has confirmed in this invocation that records stay invisible.
    is_confirmed: Cell<bool>,
    /// The credentials for Medic and Africa's Talking, cached as on Lambda.
    pub credentials: OutsideCredentials<SimCredentials, SimCredentials>,
    skew_ms: Cell<i64>,
}

/// How long a client of AWS waits for an answer at most, its own repetitions included.
const CLIENT_WAITS_MS: i64 = 6_000;

/// A POST of an invocation whose batch may become visible while Medic works.
pub const POST_UNCONFIRMED: &str = "a POST of a batch that SQS did not confirm as invisible";

/// Longer than any function may live.
const STANDSTILL_MS: i64 = 20 * MINUTE_MS;

impl Ctx {
    /// An environment of a function, for an invocation.
    pub fn new(world: &Rc<World>, function: Function, task: TaskId) -> Rc<Self> {
        let ctx = Rc::new_cyclic(|ctx: &Weak<Self>| Self {
            world: Rc::clone(world),
            function,
            task: Cell::new(task),
            received_before: Cell::new(false),
            is_confirmed: Cell::new(false),
            credentials: OutsideCredentials::new(
                SimCredentials(Weak::clone(ctx)),
                SimCredentials(Weak::clone(ctx)),
            ),
            skew_ms: Cell::new(0),
        });
        ctx.begin(task);
        ctx
    }

    /// Another invocation in the same environment; its clock may have jumped meanwhile.
    pub fn begin(&self, task: TaskId) {
        self.task.set(task);
        self.is_confirmed.set(false);
        let chance = self.world.faults.rates.borrow().clock_wrong;
        let wrong = self.world.random.chance(chance);
        self.skew_ms.set(if wrong {
            self.world.count(|| "clock: wrong by seconds".to_owned());
            self.world.random.between(-5_000, 5_000)
        } else {
            0
        });
    }

    /// The time by this environment's clock.
    pub fn now_ms(&self) -> i64 {
        self.world.now_ms() + self.skew_ms.get()
    }

    /// A call. `None` when it fails.
    async fn call<T>(&self, call: PortCall, effect: impl FnOnce() -> T) -> Option<T> {
        let world = &self.world;
        let disposition = world.faults.disposition(self.function, call, &world.random);
        if disposition != CallDisposition::Fine {
            world.count(|| format!("{} {call:?}: {disposition:?}", self.function.name()));
            world.note(|| format!("#{} {call:?} {disposition:?}", self.task.get()));
        }
        // Whoever calls Medic or Africa's Talking has set a time to that, connecting included.
        let is_outside = matches!(call, PortCall::Post | PortCall::Sms | PortCall::User);
        self.pass(if is_outside { 4_000 } else { i64::MAX }).await;
        match disposition {
            CallDisposition::FailsBefore => return None,
            CallDisposition::DiesBefore => world.die(self.task.get()).await,
            CallDisposition::Slow(wait_ms) => world.sleep(wait_ms).await,
            _ => {}
        }
        let result = effect();
        if let CallDisposition::AnswersSlowly(wait_ms) = disposition {
            world.sleep(wait_ms).await;
        }
        if disposition == CallDisposition::DiesAfter {
            world.die(self.task.get()).await;
        }
        self.pass(i64::MAX).await;
        (disposition != CallDisposition::FailsAfter).then_some(result)
    }

    /// The call is about this: whether or not the function survives that.
    async fn touches(&self, call: PortCall, about: impl FnOnce() -> String) {
        let world = &self.world;
        let Some(death) = world.faults.death(self.function, call, about) else {
            return;
        };
        world.count(|| format!("{} {call:?}: a record ends it", self.function.name()));
        world.note(|| format!("#{} {call:?} of a record that ends it", self.task.get()));
        match death {
            Death::Crash => world.die(self.task.get()).await,
            Death::TimeOut => world.sleep(STANDSTILL_MS).await,
        }
    }

    async fn pass(&self, longest_ms: i64) {
        let random = &self.world.random;
        let slow = self.world.faults.rates.borrow().slow;
        let wait_ms = if random.chance(slow) {
            self.world.count(|| "a port: slow".to_owned());
            // Seconds mostly, no more than a client waits; now and then the process stands still for
            // longer than any function may live.
            if random.chance(200_000) {
                STANDSTILL_MS
            } else {
                random.between(200, CLIENT_WAITS_MS)
            }
        } else {
            random.between(1, 30)
        };
        self.world.sleep(wait_ms.min(longest_ms)).await;
    }
}

/// A queue.
pub struct SimQueue {
    /// Who is calling.
    pub ctx: Rc<Ctx>,
    /// Which.
    pub name: QueueName,
}

impl Queue for SimQueue {
    async fn send(&self, messages: Vec<NewMessage>) -> Vec<Result<(), QueueError>> {
        let mut results = Vec::new();
        let mut rest = messages.into_iter().peekable();
        while rest.peek().is_some() {
            let batch: Vec<NewMessage> = rest.by_ref().take(BATCH).collect();
            let count = batch.len();
            self.ctx.world.uses_queue(self.ctx.function, self.name);
            let sent = self.ctx.call(PortCall::Send, || {
                batch
                    .into_iter()
                    .map(|message| self.send_one(message))
                    .collect::<Vec<_>>()
            });
            let failed = || vec![Err(QueueError::of_server("no answer")); count];
            results.extend(sent.await.unwrap_or_else(failed));
        }
        results
    }

    async fn change_visibility(&self, records: &[(&Record, i32)]) -> Vec<Result<(), QueueError>> {
        let mut results = Vec::new();
        for batch in records.chunks(BATCH) {
            let world = &self.ctx.world;
            world.uses_queue(self.ctx.function, self.name);
            let hidden = self.ctx.call(PortCall::ChangeVisibility, || {
                let mut queue = world.queue(self.name).borrow_mut();
                batch
                    .iter()
                    .map(|(record, seconds)| {
                        if self.entry_fails() {
                            return Err(QueueError::of_server("ServiceUnavailable"));
                        }
                        let receipt = &record.receipt_handle;
                        let changed = queue.change_visibility(receipt, *seconds, world.now_ms());
                        if changed.is_ok() && *seconds > 0 {
                            self.ctx.is_confirmed.set(true);
                        }
                        changed
                    })
                    .collect::<Vec<_>>()
            });
            let failed = || vec![Err(QueueError::of_server("no answer")); batch.len()];
            results.extend(hidden.await.unwrap_or_else(failed));
            lambda::check(world, self.name);
        }
        results
    }
}

impl QueueBacklog for SimQueue {
    async fn depth(&self) -> Result<QueueDepth, QueueError> {
        let world = &self.ctx.world;
        let depth = self.ctx.call(PortCall::Depth, || {
            let queue = world.queue(self.name).borrow();
            queue.depth(world.now_ms())
        });
        depth
            .await
            .ok_or_else(|| QueueError::of_server("no answer"))
    }
}

impl SimQueue {
    fn send_one(&self, message: NewMessage) -> Result<(), QueueError> {
        let world = &self.ctx.world;
        if self.entry_fails() {
            return Err(QueueError::of_server("ServiceUnavailable"));
        }
        if let Some(fifo) = &message.fifo {
            world.shown(&fifo.deduplication_id);
            world.shown(&fifo.group);
        }
        let sent = world
            .queue(self.name)
            .borrow_mut()
            .send(message, world.now_ms());
        lambda::check(world, self.name);
        sent
    }

    fn entry_fails(&self) -> bool {
        let world = &self.ctx.world;
        let fails = world.random.chance(world.faults.rates.borrow().entry_fails);
        if fails {
            world.count(|| "SQS: one entry of a batch fails".to_owned());
        }
        fails
    }
}

/// The ledger.
pub struct SimLedger(pub Rc<Ctx>);

impl LedgerStore for SimLedger {
    async fn read(&self, keys: &[Key]) -> Result<Vec<(Row, Version)>, LedgerError> {
        let world = &self.0.world;
        self.0.touches(PortCall::Read, || format!("{keys:?}")).await;
        let rows = self.0.call(PortCall::Read, || {
            let (rows, units) = world.ledger.borrow().read(keys);
            self.reads(units);
            rows
        });
        rows.await
            .ok_or_else(|| LedgerError("no answer".to_owned()))
    }

    async fn write(&self, write: Write) -> Result<Written, LedgerError> {
        let world = &self.0.world;
        let about = || format!("{:?}", write.row.key());
        self.0.touches(PortCall::Write, about).await;
        let written = self.0.call(PortCall::Write, || {
            if world.random.chance(world.faults.rates.borrow().conflict) {
                world.count(|| "ledger: conflict with nobody".to_owned());
                return Written::Conflict;
            }
            let before = world.ledger.borrow().account();
            let (written, units, change) = world.ledger.borrow_mut().write(write);
            world.closes(&before);
            world.uses(self.0.function, |usage| usage.write_units += units.writes);
            if let Some(change) = change {
                if let Row::Message(row) = &change.item.row {
                    world.note(|| {
                        let (id, sending, reported) =
                            (row.id.as_str(), &row.sending, &row.reported);
                        let (task, status) = (self.0.task.get(), row.status);
                        format!("#{task} writes {id}: {sending:?} {status:?} told {reported:?}")
                    });
                }
                let lags = world.random.chance(world.faults.rates.borrow().index_lags);
                let lag_ms = world.random.between(1, if lags { 90_000 } else { 300 });
                world.after(lag_ms, move |world| {
                    world.ledger.borrow_mut().index(&change);
                });
            }
            written
        });
        let no_answer = || LedgerError("no answer".to_owned());
        written.await.ok_or_else(no_answer)
    }

    async fn unreported(&self, limit: usize) -> Result<Vec<MedicMessageId>, LedgerError> {
        let named = self.named(limit).await?;
        Ok(named.into_iter().map(|row| row.id).collect())
    }
}

impl SimLedger {
    fn reads(&self, units: f64) {
        self.0.world.uses(self.0.function, |usage| {
            usage.read_half_units += (units * 2.0) as u64;
        });
    }

    /// The index's messages, with the rows as it remembers them.
    pub async fn named(&self, limit: usize) -> Result<Vec<MessageRow>, LedgerError> {
        let world = &self.0.world;
        let named = self.0.call(PortCall::Unreported, || {
            let (named, units) = world.ledger.borrow().unreported(limit);
            self.reads(units);
            named
        });
        named
            .await
            .ok_or_else(|| LedgerError("no answer".to_owned()))
    }
}

/// Medic's API.
pub struct SimMedic(pub Rc<Ctx>);

impl Medic for SimMedic {
    async fn post(&self, body: String) -> Result<Response, CredentialsError> {
        let world = &self.0.world;
        credentials(world)?;
        let fields = [MEDIC_USERNAME, MEDIC_PASSWORD];
        let login = self.0.credentials.fields(fields).await?;
        let timeout_ms = millis(world.settings.post_timeout);
        self.0.touches(PortCall::Post, || body.clone()).await;
        let sent = self.0.call(PortCall::Post, || {
            world.note(|| format!("#{} posts {body}", self.0.task.get()));
            if !self.0.is_confirmed.get() {
                world.count(|| POST_UNCONFIRMED.to_owned());
            }
            medic::post(world, &login, &body, timeout_ms)
        });
        Ok(self.0.response(sent.await).await)
    }
}

/// Africa's Talking's API.
pub struct SimAfricasTalking(pub Rc<Ctx>);

impl AfricasTalking for SimAfricasTalking {
    async fn send(&self, sms: Sms<'_>) -> Result<Response, CredentialsError> {
        let world = &self.0.world;
        credentials(world)?;
        let [api_key] = self.0.credentials.fields([AFRICASTALKING_API_KEY]).await?;
        let task = self.0.task.get();
        self.0.touches(PortCall::Sms, || sms.text.to_owned()).await;
        let sent = self.0.call(PortCall::Sms, || {
            africas_talking::send(world, task, &api_key, &sms)
        });
        let response = self.0.response(sent.await).await;
        if !is_refused(&response) {
            return Ok(response);
        }
        // As the adapter does it.
        self.0.credentials.read_again().await;
        let [again] = self.0.credentials.fields([AFRICASTALKING_API_KEY]).await?;
        if again == api_key {
            return Ok(response);
        }
        let sent = self.0.call(PortCall::Sms, || {
            africas_talking::send(world, task, &again, &sms)
        });
        Ok(self.0.response(sent.await).await)
    }
}

impl Ctx {
    /// The response, as the adapters of both APIs take it: credentials that are refused are read
    /// again.
    async fn response(&self, sent: Option<Rc<Slot<Response>>>) -> Response {
        let response = match sent {
            Some(slot) => slot.wait().await,
            None => Response::NotConnected,
        };
        if is_refused(&response) {
            self.credentials.forget();
        }
        response
    }
}

impl AfricasTalkingAccount for SimAfricasTalking {
    async fn user(&self) -> Result<Response, CredentialsError> {
        let world = &self.0.world;
        credentials(world)?;
        self.0.credentials.read_again().await;
        let [api_key] = self.0.credentials.fields([AFRICASTALKING_API_KEY]).await?;
        let asked = self
            .0
            .call(PortCall::User, || africas_talking::user(world, &api_key));
        match asked.await {
            Some((answer, after_ms)) => {
                world.sleep(after_ms).await;
                Ok(answer)
            }
            None => Ok(Response::NotConnected),
        }
    }
}

fn is_refused(response: &Response) -> bool {
    matches!(response, Response::Answer { status, .. } if matches!(status, 401 | 403))
}

fn credentials(world: &World) -> Result<(), CredentialsError> {
    if world
        .random
        .chance(world.faults.rates.borrow().no_credentials)
    {
        world.count(|| "credentials: out of reach".to_owned());
        return Err(CredentialsError::OutOfReach("no answer".to_owned()));
    }
    Ok(())
}

/// The incoming key's secret.
pub struct SimSecret(pub Rc<Ctx>);

impl SecretStore for SimSecret {
    async fn fetch(&self) -> Result<String, SecretError> {
        let world = &self.0.world;
        let secret = self.0.call(PortCall::Secret, || {
            world.count(|| "the secret is read".to_owned());
            world.secret.borrow().clone()
        });
        secret
            .await
            .ok_or_else(|| SecretError("no answer".to_owned()))
    }
}

/// The secret with the credentials for Medic and Africa's Talking, and the clock that it ages by.
pub struct SimCredentials(Weak<Ctx>);

impl SecretStore for SimCredentials {
    async fn fetch(&self) -> Result<String, SecretError> {
        let gone = || SecretError("its environment is gone".to_owned());
        let ctx = self.0.upgrade().ok_or_else(gone)?;
        let secret = ctx.call(PortCall::Credentials, || {
            ctx.world.credentials.borrow().clone()
        });
        let no_answer = || SecretError("no answer".to_owned());
        secret.await.ok_or_else(no_answer)
    }
}

impl Clock for SimCredentials {
    fn now(&self) -> Timestamp {
        let ctx = self.0.upgrade();
        Timestamp::from_millis(ctx.map_or(0, |ctx| ctx.now_ms()))
    }

    async fn pause(&self, _: Duration) {}
}

/// Hashes under the key that the callbacks hash with.
pub struct SimHash(pub Rc<Ctx>);

impl KeyedHash for SimHash {
    async fn hash(&self, text: &str) -> Result<String, SecretError> {
        let key = format!("{SECRET_KEY}-1");
        self.0.touches(PortCall::Secret, || text.to_owned()).await;
        let hash = self.0.call(PortCall::Secret, || {
            hmac_hex(key.as_bytes(), text.as_bytes())
        });
        hash.await
            .ok_or_else(|| SecretError("no answer".to_owned()))
    }
}

/// Time, chance and the log.
pub struct SimRuntime(pub Rc<Ctx>);

impl Clock for SimRuntime {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.now_ms())
    }

    async fn pause(&self, span: Duration) {
        self.0.world.sleep(millis(span)).await;
    }
}

impl RandomSource for SimRuntime {
    fn up_to(&self, limit: u64) -> u64 {
        let number = self.0.world.random.next();
        limit.checked_add(1).map_or(number, |width| number % width)
    }
}

impl EventLog for SimRuntime {
    fn record(&self, event: LogEvent) {
        let origin = Origin {
            stack: "simulation".to_owned(),
            function: self.0.function.name(),
            // As long as Lambda's, so that the bytes are counted right.
            invocation: Some(Invocation {
                request_id: format!("00000000-0000-4000-8000-{:012}", self.0.task.get()),
                cold_start: false,
            }),
        };
        let line = event.to_line(&origin, Timestamp::from_millis(self.0.now_ms()));
        if matches!(event, LogEvent::ReportMatched { .. }) {
            self.0.world.matching_report_came(&line);
        }
        self.0.world.uses(self.0.function, |usage| {
            usage.log_bytes += line.len() as u64;
        });
        self.0.world.log(self.0.task.get(), &line);
    }
}
