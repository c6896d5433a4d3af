//! Driving a deployed bridge, and looking at what comes of it.

use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use sandbox::africastalking::SendRequest;
use sandbox::medic::{MessageState, OutgoingMessage, Post, StoredMessage};
use sandbox::stack;
use serde_json::Value;

use crate::deployed::{Bridge, SOON};

/// How often Medic is polled while a test waits for a status; the schedule would do it every minute.
const POLL_EVERY: Duration = Duration::from_millis(1500);

/// The content type of callbacks.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// Sends a request and reads the answer.
pub async fn answer(request: reqwest::RequestBuilder) -> anyhow::Result<CallbackResponse> {
    let answer = request.send().await?;
    Ok(CallbackResponse {
        status: answer.status().as_u16(),
        body: answer.text().await?,
    })
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
    check: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    stack::eventually(what, SOON, check).await
}

/// The answer to a callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackResponse {
    /// Its HTTP status.
    pub status: u16,
    /// Its body.
    pub body: String,
}

/// One of the two callbacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallbackRoute {
    IncomingMessages,
    DeliveryReports,
}

impl CallbackRoute {
    pub const BOTH: [Self; 2] = [Self::IncomingMessages, Self::DeliveryReports];

    /// The function that serves it.
    pub fn function(self) -> &'static str {
        match self {
            Self::IncomingMessages => "incoming-messages",
            Self::DeliveryReports => "delivery-reports",
        }
    }
}

impl Bridge {
    /// A callback's address without a key.
    pub fn url(&self, callback: CallbackRoute) -> String {
        let outputs = self.stack.outputs();
        let url = match callback {
            CallbackRoute::IncomingMessages => &outputs.incoming_messages_callback_url,
            CallbackRoute::DeliveryReports => &outputs.delivery_reports_callback_url,
        };
        url.trim_end_matches("?key=").to_owned()
    }

    /// A callback's address with this key.
    pub fn url_with(&self, callback: CallbackRoute, key: &str) -> String {
        format!("{}?{}", self.url(callback), form(&[("key", key)]))
    }

    /// A request to a callback, with the right key and nothing else.
    pub fn request(&self, callback: CallbackRoute) -> reqwest::RequestBuilder {
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
        callback: CallbackRoute,
        fields: &[(&str, &str)],
    ) -> anyhow::Result<CallbackResponse> {
        let request = self.request(callback).header("content-type", FORM);
        answer(request.body(form(fields))).await
    }

    /// Posts a form to a callback with any key.
    pub async fn post_with_key(
        &self,
        callback: CallbackRoute,
        key: &str,
        fields: &[(&str, &str)],
    ) -> anyhow::Result<CallbackResponse> {
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
    pub fn copies_in_medic(&self, id: &str) -> Vec<StoredMessage> {
        let mut stored = self.medic.stored();
        stored.retain(|stored| stored.id == id);
        stored
    }

    /// Waits until Medic has stored an incoming message.
    pub async fn stored(&self, id: &str) -> anyhow::Result<StoredMessage> {
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
    ) -> anyhow::Result<OutgoingMessage> {
        let what = format!("a message that is {state:?} in Medic");
        self.polling(&what, || {
            let message = self.medic.outgoing(id);
            message.filter(|message| message.state == state)
        })
        .await
        .with_context(|| format!("it is {:?}", self.medic.outgoing(id)))
    }

    /// Looks for something, and polls meanwhile, as the schedule does.
    pub async fn polling<T>(&self, what: &str, check: impl Fn() -> Option<T>) -> anyhow::Result<T> {
        let last_poll = Mutex::new(None::<Instant>);
        found(what, async || {
            if let Some(found) = check() {
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

    /// The texts that a phone received.
    pub fn on_phone(&self, number: &str) -> Vec<String> {
        let received = self.africastalking.phone(number);
        received.into_iter().map(|sms| sms.text).collect()
    }

    /// The requests to send to this number that Africa's Talking has got.
    pub fn sends_to(&self, number: &str) -> Vec<SendRequest> {
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

    /// Waits until something was dead-lettered in this queue with this in its body. Gives it.
    pub async fn dead_letter(&self, queue: &str, text: &str) -> anyhow::Result<Value> {
        found("something dead-lettered", async || {
            let dead_letter = self.stack.aws().peek(queue).await?;
            let mut dead_letter = dead_letter
                .iter()
                .filter_map(|message| serde_json::from_str::<Value>(&message.body).ok());
            Ok(dead_letter.find(|dead_letter| {
                let body = dead_letter["body"].as_str();
                body.is_some_and(|body| body.contains(text))
            }))
        })
        .await
    }

    /// Waits until an incoming message is in quarantine. Gives it as it waits in the queue.
    pub async fn until_quarantined(&self, id: &str) -> anyhow::Result<Value> {
        found("the message in quarantine", async || {
            self.stack.quarantined(id).await
        })
        .await
    }

    /// Waits until the first message of a queue with this in its body was returned for retry and has still to
    /// wait for so many seconds.
    pub async fn until_waiting(
        &self,
        queue: &str,
        text: &str,
        seconds: RangeInclusive<u64>,
    ) -> anyhow::Result<()> {
        let what = format!("a message that waits for {seconds:?} s");
        found(&what, async || {
            let (receives, waits_s) = self.waiting(queue, text).await?;
            ensure!(
                receives > 0 && seconds.contains(&waits_s),
                "it waits {waits_s} s, received {receives} times",
            );
            Ok(Some(()))
        })
        .await
    }

    /// How often the first message of a queue with this in its body was received, and how many
    /// seconds it has still to wait: because it was returned for retry, or because somebody has it.
    pub async fn waiting(&self, queue: &str, text: &str) -> anyhow::Result<(u64, u64)> {
        let messages = self.stack.aws().peek(queue).await?;
        let mut messages = messages.iter();
        let first = messages.find(|message| message.body.contains(text));
        let first = first.context("there is no such message")?;
        let now_s = self.emulator.queue_clock().now_s();
        Ok((first.receives, first.visible_at_s.saturating_sub(now_s)))
    }

    /// How often a function has logged this event.
    pub async fn count_of(&self, function: &str, event: &str) -> anyhow::Result<usize> {
        let log = self.log(function).await?;
        Ok(log.iter().filter(|entry| entry["event"] == event).count())
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

    /// The log of a function, each line that is JSON.
    pub async fn log(&self, function: &str) -> anyhow::Result<Vec<Value>> {
        let lines = self.stack.log_lines(function).await?;
        let entries = lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok());
        Ok(entries.collect())
    }
}
