//! A deployed bridge with a stand-in at each end.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use sandbox::africastalking::{self, Request};
use sandbox::medic::{self, MessageState, Outgoing, Post, Stored};
use sandbox::stack::{self, Emulator, FUNCTIONS, Stack};
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

/// Everything secret or personal that a test makes up has this in it, so that it can be found where
/// it must not be.
pub const MARK: &str = "tumaini";

/// What all phone numbers of the tests have in common, with and without their `+`.
const NUMBERS: &str = "2547000000";

/// Numbers that begin so are sent to as [`CLINIC`].
pub const CLINIC_PREFIX: &str = "+25470000009";
/// The sender id of some numbers.
pub const CLINIC: &str = "CLINIC";
/// The sender id of all others.
pub const SHORT_CODE: &str = "20880";

/// How long a POST to Medic may take. Short, so that a doubt is not long in coming.
pub const MEDIC_TIMEOUT_S: u64 = 3;

/// How long anything may take that takes a second or two on an idle machine, or waits for the minute's
/// poll.
const SOON: Duration = Duration::from_secs(120);

/// How often Medic is polled while a test waits for a status; the schedule would do it every minute.
const POLL_EVERY: Duration = Duration::from_millis(1500);

/// Longer than any wait of the system, and than SQS's deduplication.
pub const LONGER_THAN_ANY_WAIT: Duration = Duration::from_secs(20 * 60);

/// Stand-ins and stacks outlive the test that has started them.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// Runs a test.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    RUNTIME.block_on(test)
}

/// Runs a test on the stack that many use at the same time. It must leave alone what is not its own:
/// no fault but for its own numbers and texts, no other keys, no waiting for empty queues.
pub fn on_the_shared_stack(
    test: impl AsyncFnOnce(&Bridge) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    static SHARED: OnceCell<Bridge> = OnceCell::const_new();
    run(async {
        let bridge = SHARED.get_or_try_init(Bridge::deploy).await?;
        test(bridge).await?;
        bridge.promises_are_kept().await
    })
}

/// Runs a test on a stack that nobody else uses meanwhile. Those who come later get it in working
/// order, but not empty: what is counted must be one's own.
pub fn on_a_stack_of_its_own(
    test: impl AsyncFnOnce(&Bridge) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    static FREE: Mutex<Vec<Bridge>> = Mutex::new(Vec::new());
    let free = || FREE.lock().unwrap_or_else(PoisonError::into_inner);
    run(async {
        let found = free().pop();
        let bridge = match found {
            Some(bridge) => bridge,
            None => Bridge::deploy().await?,
        };
        test(&bridge).await?;
        bridge.settle().await?;
        bridge.promises_are_kept().await?;
        free().push(bridge);
        Ok(())
    })
}

/// An id that no other test uses.
pub fn id() -> String {
    static USED: AtomicU32 = AtomicU32::new(0);
    let number = USED.fetch_add(1, Ordering::Relaxed);
    format!("{:08x}-0000-4000-8000-{number:012x}", std::process::id())
}

/// The fields as the body of a form.
pub fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}

/// Asks again and again until it is so.
pub async fn until(what: &str, is_so: impl Fn() -> bool) -> anyhow::Result<()> {
    stack::eventually(what, SOON, async || Ok(is_so().then_some(()))).await
}

/// Looks again and again until something is found.
pub async fn found<T>(
    what: &str,
    look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    stack::eventually(what, SOON, look).await
}

/// The answer to a callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its HTTP status.
    pub status: u16,
    /// What it says.
    pub body: String,
}

/// One of the two callbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callback {
    IncomingMessages,
    DeliveryReports,
}

impl Callback {
    pub const BOTH: [Self; 2] = [Self::IncomingMessages, Self::DeliveryReports];

    /// The function that serves it.
    pub fn function(self) -> &'static str {
        match self {
            Self::IncomingMessages => "incoming-messages",
            Self::DeliveryReports => "delivery-reports",
        }
    }
}

/// A deployed bridge with a stand-in at each end.
#[derive(Debug)]
pub struct Bridge {
    pub emulator: Emulator,
    pub stack: Stack,
    pub africastalking: africastalking::StandIn,
    pub medic: medic::StandIn,
    http: reqwest::Client,
    numbers_used: AtomicU32,
    /// The key that was generated when the stack was deployed.
    pub generated_key: String,
}

impl Bridge {
    async fn deploy() -> anyhow::Result<Self> {
        let emulator = Emulator::start().await?;
        let phones = africastalking::Config {
            api_key: format!("{MARK}-api-key"),
            short_code: SHORT_CODE.to_owned(),
            sender_ids: vec![CLINIC.to_owned()],
            ..africastalking::Config::default()
        };
        let server = medic::Config {
            password: format!("{MARK}-password"),
            ..medic::Config::default()
        };
        let api_key = phones.api_key.clone();
        let username = phones.username.clone();
        let (user, password) = (server.user.clone(), server.password.clone());
        let africastalking = africastalking::StandIn::start(phones).await?;
        let medic = medic::StandIn::start(server).await?;
        let parameters = [
            ("MedicUrl", medic.url()),
            ("MedicTimeoutSeconds", MEDIC_TIMEOUT_S.to_string()),
            ("AfricasTalkingUsername", username),
            ("AfricasTalkingBaseUrl", africastalking.url()),
            (
                "SenderIds",
                format!("{SHORT_CODE},{CLINIC_PREFIX}={CLINIC}"),
            ),
        ];
        let parameters = parameters
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let stack = Stack::deploy(&emulator, &parameters).await?;
        stack.set_credentials(&api_key, &user, &password).await?;
        let (incoming, reports) = stack.callback_urls().await?;
        africastalking.set_callbacks(incoming, reports);
        let secret = &stack.outputs().incoming_key_secret_arn;
        let secret = stack.aws().secret(secret).await?;
        let generated_key = secret["key"].as_str().context("no key")?.to_owned();
        Ok(Self {
            http: sandbox::http::client(SOON)?,
            numbers_used: AtomicU32::new(0),
            emulator,
            stack,
            africastalking,
            medic,
            generated_key,
        })
    }

    /// A phone number that no other test uses on this stack.
    pub fn number(&self) -> String {
        // The real payloads have the first ones.
        let number = 10 + self.numbers_used.fetch_add(1, Ordering::Relaxed);
        assert!(number < 90, "the invented numbers are used up");
        format!("+{NUMBERS}{number:02}")
    }

    /// A callback's address without a key.
    pub fn url(&self, callback: Callback) -> String {
        let outputs = self.stack.outputs();
        let url = match callback {
            Callback::IncomingMessages => &outputs.incoming_messages_callback_url,
            Callback::DeliveryReports => &outputs.delivery_reports_callback_url,
        };
        url.trim_end_matches("?key=").to_owned()
    }

    /// A callback's address with this key.
    pub fn url_with(&self, callback: Callback, key: &str) -> String {
        format!("{}?{}", self.url(callback), form(&[("key", key)]))
    }

    /// A request to a callback, with the right key and nothing else.
    pub fn request(&self, callback: Callback) -> reqwest::RequestBuilder {
        self.request_to(&self.url_with(callback, &self.generated_key))
    }

    /// A request to any address.
    pub fn request_to(&self, url: &str) -> reqwest::RequestBuilder {
        self.http.post(url)
    }

    /// A request by any method.
    pub fn request_by(&self, method: reqwest::Method, url: &str) -> reqwest::RequestBuilder {
        self.http.request(method, url)
    }

    /// Posts a form to a callback, with the right key.
    pub async fn post(
        &self,
        callback: Callback,
        fields: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let request = self.request(callback).header("content-type", FORM);
        answer(request.body(form(fields))).await
    }

    /// Posts a form to a callback with any key.
    pub async fn post_with_key(
        &self,
        callback: Callback,
        key: &str,
        fields: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let request = self.request_to(&self.url_with(callback, key));
        answer(request.header("content-type", FORM).body(form(fields))).await
    }

    /// Sends an SMS from a phone. Gives its id.
    pub async fn sms(&self, from: &str, text: &str) -> anyhow::Result<String> {
        let sent = self.africastalking.sms_from_phone(from, text).await?;
        ensure!(sent.status == Some(200), "the callback got {sent:?}");
        ensure!(sent.attempts == 1, "the callback got {sent:?}");
        Ok(sent.id)
    }

    /// The messages with this id that Medic has stored; one, if all is well.
    pub fn copies_in_medic(&self, id: &str) -> Vec<Stored> {
        let mut stored = self.medic.stored();
        stored.retain(|stored| stored.id == id);
        stored
    }

    /// Waits until Medic has stored an incoming message.
    pub async fn stored(&self, id: &str) -> anyhow::Result<Stored> {
        found("the message in Medic", async || {
            Ok(self.copies_in_medic(id).pop())
        })
        .await
    }

    /// Has Medic send a message, and asks Medic for it. Gives its id.
    pub async fn send(&self, to: &str, text: &str) -> anyhow::Result<String> {
        let id = self.medic.queue(to, text)?;
        self.stack.poll().await?;
        Ok(id)
    }

    /// Waits until Medic shows an outgoing message in this state; polls meanwhile, as the schedule
    /// does.
    pub async fn until_medic_shows(
        &self,
        id: &str,
        state: MessageState,
    ) -> anyhow::Result<Outgoing> {
        let what = format!("a message that is {state:?} in Medic");
        self.polling(&what, || {
            let message = self.medic.outgoing(id);
            message.filter(|message| message.state == state)
        })
        .await
        .with_context(|| format!("it is {:?}", self.medic.outgoing(id)))
    }

    /// Looks for something, and polls meanwhile, as the schedule does.
    pub async fn polling<T>(&self, what: &str, look: impl Fn() -> Option<T>) -> anyhow::Result<T> {
        let last_poll = Mutex::new(None::<Instant>);
        found(what, async || {
            if let Some(found) = look() {
                return Ok(Some(found));
            }
            let is_time = |last: &mut Option<Instant>| {
                let is_time = last.is_none_or(|last| last.elapsed() >= POLL_EVERY);
                if is_time {
                    *last = Some(Instant::now());
                }
                is_time
            };
            if is_time(&mut last_poll.lock().unwrap()) {
                self.stack.poll().await?;
            }
            Ok(None)
        })
        .await
    }

    /// The requests to send to this number that Africa's Talking has got.
    pub fn sends_to(&self, number: &str) -> Vec<Request> {
        let mut requests = self.africastalking.requests();
        requests.retain(|request| request.field("to") == Some(number));
        requests
    }

    /// Medic's POSTs from this one on.
    pub fn posts_since(&self, count: usize) -> Vec<Post> {
        self.medic.posts().split_off(count)
    }

    /// The ledger's row of a message of Medic, an SMS of Africa's Talking or the account.
    pub async fn row(&self, key: &str) -> anyhow::Result<Option<Value>> {
        let rows = self.stack.ledger().await?;
        Ok(rows.into_iter().find(|row| row["pk"] == key))
    }

    /// Waits until a message of Medic is in this state of sending in the ledger. Gives its row.
    pub async fn until_sending_is(&self, id: &str, state: &str) -> anyhow::Result<Value> {
        let key = format!("message#{id}");
        found(&format!("a row that is {state}"), async || {
            let row = self.row(&key).await?;
            Ok(row.filter(|row| row["sending"]["is"] == state))
        })
        .await
    }

    /// Waits until something was parked in this queue with this in its body. Gives it.
    pub async fn parked(&self, queue: &str, text: &str) -> anyhow::Result<Value> {
        found("something parked", async || {
            let parked = self.stack.aws().look_into(queue).await?;
            let mut parked = parked
                .iter()
                .filter_map(|message| serde_json::from_str::<Value>(&message.body).ok());
            Ok(parked.find(|parked| {
                let body = parked["body"].as_str();
                body.is_some_and(|body| body.contains(text))
            }))
        })
        .await
    }

    /// Waits until the first message of a queue with this in its body was given back and has still to
    /// wait for so many seconds.
    pub async fn until_waiting(
        &self,
        queue: &str,
        text: &str,
        seconds: RangeInclusive<u64>,
    ) -> anyhow::Result<()> {
        let what = format!("a message that waits for {seconds:?} s");
        found(&what, async || {
            let messages = self.stack.aws().look_into(queue).await?;
            let mut messages = messages.iter();
            let first = messages.find(|message| message.body.contains(text));
            let first = first.context("there is no such message")?;
            let now_s = self.emulator.queue_clock().now_s();
            let waits_s = first.visible_at_s.saturating_sub(now_s);
            ensure!(
                first.receives > 0 && seconds.contains(&waits_s),
                "it waits {waits_s} s, received {} times",
                first.receives
            );
            Ok(Some(()))
        })
        .await
    }

    /// How often a function has logged this event.
    pub async fn count_of(&self, function: &str, event: &str) -> anyhow::Result<usize> {
        let journal = self.journal(function).await?;
        Ok(journal
            .iter()
            .filter(|entry| entry["event"] == event)
            .count())
    }

    /// Waits until a function has logged this event so often. What an invocation logs can be seen
    /// when it has ended.
    pub async fn until_logged(
        &self,
        function: &str,
        event: &str,
        count: usize,
    ) -> anyhow::Result<()> {
        found(&format!("{event} in the log of {function}"), async || {
            Ok((self.count_of(function, event).await? >= count).then_some(()))
        })
        .await
    }

    /// What a function has logged, each line that is JSON.
    pub async fn journal(&self, function: &str) -> anyhow::Result<Vec<Value>> {
        let lines = self.stack.log_lines(function).await?;
        let entries = lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok());
        Ok(entries.collect())
    }

    /// Lets waits end that the system makes.
    pub fn pass_time(&self) -> anyhow::Result<()> {
        self.emulator.queue_clock().pass(LONGER_THAN_ANY_WAIT)
    }

    /// Puts everything in order for the next test.
    async fn settle(&self) -> anyhow::Result<()> {
        self.africastalking.clear_faults().await;
        self.africastalking.release_reports().await;
        self.medic.clear_faults().await;
        self.medic.set_auto_reply(None);
        self.pass_time()?;
        let outputs = self.stack.outputs();
        let queues = [
            &outputs.exchange_queue_url,
            &outputs.reports_queue_url,
            &outputs.outbox_queue_url,
        ];
        found("empty queues", async || {
            for queue in queues {
                if self.stack.aws().depth(queue).await?.total() > 0 {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
        .await
    }

    /// What is promised whatever a test does.
    async fn promises_are_kept(&self) -> anyhow::Result<()> {
        let duplicates = self.medic.duplicates();
        ensure!(duplicates.is_empty(), "stored twice: {duplicates:?}");
        let at_once = self.medic.max_in_flight();
        ensure!(at_once <= 1, "{at_once} POSTs to Medic at the same time");
        self.nothing_personal_is_logged().await
    }

    /// No number, text, password or key is in any function's log.
    async fn nothing_personal_is_logged(&self) -> anyhow::Result<()> {
        let encoded_key = form(&[("", &self.generated_key)]).split_off(1);
        let forbidden = [NUMBERS, MARK, self.generated_key.as_str(), &encoded_key];
        for function in FUNCTIONS {
            for line in self.stack.log_lines(function).await? {
                for word in forbidden {
                    ensure!(!line.contains(word), "{function} has logged {line}");
                }
                ensure!(!line.contains("panic"), "{function} has logged {line}");
            }
        }
        Ok(())
    }
}

/// The content type of callbacks.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// Sends a request and reads the answer.
pub async fn answer(request: reqwest::RequestBuilder) -> anyhow::Result<Answer> {
    let answer = request.send().await?;
    Ok(Answer {
        status: answer.status().as_u16(),
        body: answer.text().await?,
    })
}
