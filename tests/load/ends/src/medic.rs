//! Medic: its model, and the calls that its state follows from.

use std::time::Duration;

use models::http::{ServerOutcome, ServerResponse};
use models::medic::{
    AutoReply, MedicModel, NewReply, OutgoingMessage, PostProgress, Reaction, StoredMessage,
};
use serde::{Deserialize, Serialize};

use crate::call::{RecordedRequest, now_ms, random};
use crate::table::{CallTable, CallTableError};

/// The calls of Medic in the table.
const END: &str = "medic";

/// A text that ends so gets a reply.
pub const WITH_REPLY: &str = "reply";

/// The beginning of a reply; the id of the message that it replies to follows.
pub const REPLY: &str = "Received: ";

/// Before the place of every call: a place is not empty.
const BEFORE_ALL: &str = "-";

/// A step of a POST's work more than this is none of its steps.
const STEPS_AT_MOST: usize = 100_000;

/// A call, or what else changes Medic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MedicCall {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// No two calls have the same.
    pub token: String,
    /// What.
    pub what: MedicChange,
}

/// What changes Medic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MedicChange {
    /// A request comes. Of a POST, Medic sees which messages are there already.
    Request(RecordedRequest),
    /// Medic has done all work for the POST with this number. Between the two there may be others: Medic
    /// checks first and writes later.
    Work(usize),
    /// Medic wants these sent.
    Campaign(Vec<CampaignMessage>),
}

/// A message that Medic wants sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CampaignMessage {
    /// Medic's id of it.
    pub id: String,
    /// The recipient.
    pub to: String,
    /// The text.
    pub content: String,
}

/// What becomes of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Applied {
    /// It has come to its end.
    Done(ServerOutcome),
    /// Medic works on the POST with this number, which brought so many messages.
    Works { post: usize, messages: usize },
}

/// Medic, as far as its calls are read.
#[derive(Debug)]
pub struct MedicEnd {
    table: CallTable,
    replay: MedicReplay,
    calls: u64,
}

/// The state that follows from calls, the same for whoever reads them.
#[derive(Debug)]
struct MedicReplay {
    model: MedicModel,
}

impl MedicEnd {
    /// Medic with these credentials of its gateway's user, no call read yet.
    #[must_use]
    pub fn new(table: CallTable, user: &str, password: &str) -> Self {
        Self {
            table,
            replay: MedicReplay::new(user, password),
            calls: 0,
        }
    }

    /// The model, after all calls that were read.
    #[must_use]
    pub fn model(&self) -> &MedicModel {
        &self.replay.model
    }

    /// Reads the calls that have come meanwhile.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn catch_up(&mut self) -> Result<(), CallTableError> {
        let last = self.calls.checked_sub(1).map(place);
        let last = last.unwrap_or_else(|| BEFORE_ALL.to_owned());
        for (_, call) in self.table.after(END, &last).await? {
            // A call that cannot be read has its place, and no effect.
            if let Ok(call) = serde_json::from_str(&call) {
                self.replay.apply(&call);
            }
            self.calls += 1;
        }
        Ok(())
    }

    /// Answers a request, after so much work for each message that it brings.
    ///
    /// # Errors
    /// When the table cannot be used.
    pub async fn answer(
        &mut self,
        request: RecordedRequest,
        work_per_message: Duration,
    ) -> Result<ServerOutcome, CallTableError> {
        match self.record(MedicChange::Request(request)).await? {
            Applied::Done(outcome) => Ok(outcome),
            Applied::Works { post, messages } => {
                let messages = u32::try_from(messages).unwrap_or(u32::MAX);
                tokio::time::sleep(work_per_message.saturating_mul(messages)).await;
                match self.record(MedicChange::Work(post)).await? {
                    Applied::Done(outcome) => Ok(outcome),
                    Applied::Works { .. } => Ok(ServerOutcome::Closed),
                }
            }
        }
    }

    /// Has messages sent.
    ///
    /// # Errors
    /// When the table cannot be used.
    pub async fn send(&mut self, messages: Vec<CampaignMessage>) -> Result<(), CallTableError> {
        self.record(MedicChange::Campaign(messages)).await?;
        Ok(())
    }

    /// Records a change behind all that were recorded before, and applies it.
    async fn record(&mut self, what: MedicChange) -> Result<Applied, CallTableError> {
        let token = format!("{:032x}", random());
        let mut call = MedicCall {
            at_ms: now_ms(),
            token,
            what,
        };
        loop {
            // A change always has a JSON text.
            let text = serde_json::to_string(&call).unwrap_or_default();
            if self.table.record(END, &place(self.calls), &text).await? {
                self.calls += 1;
                return Ok(self.replay.apply(&call));
            }
            self.catch_up().await?;
            call.at_ms = now_ms();
        }
    }
}

impl MedicReplay {
    fn new(user: &str, password: &str) -> Self {
        let mut model = MedicModel::new(user, password);
        model.reply = AutoReply::with(reply);
        Self { model }
    }

    fn apply(&mut self, call: &MedicCall) -> Applied {
        match &call.what {
            MedicChange::Request(request) => self.receive(request, call.at_ms),
            MedicChange::Work(post) => Applied::Done(self.work(*post, call.at_ms)),
            MedicChange::Campaign(messages) => {
                for CampaignMessage { id, to, content } in messages {
                    let message = OutgoingMessage::new(id, to, content, call.at_ms);
                    self.model.send(message);
                }
                Applied::Done(ServerOutcome::Closed)
            }
        }
    }

    fn receive(&mut self, request: &RecordedRequest, at_ms: i64) -> Applied {
        let arrived = self.model.receive(&request.to_model(), at_ms);
        match (arrived.reaction, arrived.post) {
            (Reaction::Works, Some(post)) => {
                self.model.step(post, at_ms);
                let messages = self.model.posts.get(post).map_or(0, |post| post.messages);
                Applied::Works { post, messages }
            }
            (Reaction::Works, None) => Applied::Done(ServerOutcome::Closed),
            (Reaction::Done(outcome), None) => Applied::Done(outcome),
            (Reaction::Done(outcome), Some(post)) => Applied::Done(self.end(post, outcome)),
        }
    }

    fn work(&mut self, post: usize, at_ms: i64) -> ServerOutcome {
        for _ in 0..STEPS_AT_MOST {
            match self.model.step(post, at_ms) {
                PostProgress::Done { .. } => {}
                PostProgress::Ended(outcome) => return self.end(post, outcome),
                // Only faults come to these, and this Medic has none.
                PostProgress::Hangs { .. }
                | PostProgress::Behind
                | PostProgress::Crashed(_)
                | PostProgress::Gone => break,
            }
        }
        ServerOutcome::Closed
    }

    fn end(&mut self, post: usize, outcome: ServerOutcome) -> ServerOutcome {
        if let ServerOutcome::Response(ServerResponse { status, .. }) = &outcome {
            self.model.answered(post, *status);
        }
        self.model.end(post);
        outcome
    }
}

/// The place of the call with this number in the table.
fn place(number: u64) -> String {
    format!("{number:012}")
}

/// The same id for the same message, whoever reads the calls.
fn reply(stored: &StoredMessage, copies: usize) -> Option<NewReply> {
    stored.content.ends_with(WITH_REPLY).then(|| NewReply {
        id: format!("reply-{copies}-{}", stored.id),
        content: format!("{REPLY}{}", stored.id),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use models::medic::MessageState;

    /// `gateway:secret`.
    const BASIC: &str = "Basic Z2F0ZXdheTpzZWNyZXQ=";

    const SMS: &str =
        r#"{"messages":[{"id":"a","from":"+254700000001","content":"a reply"}],"updates":[]}"#;

    fn replay() -> MedicReplay {
        MedicReplay::new("gateway", "secret")
    }

    fn call(at_ms: i64, what: MedicChange) -> MedicCall {
        let token = at_ms.to_string();
        MedicCall { at_ms, token, what }
    }

    fn post(at_ms: i64, body: &str) -> MedicCall {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let request = RecordedRequest {
            method: "POST".to_owned(),
            path: "/api/sms".to_owned(),
            query: String::new(),
            headers: vec![
                header("content-type", "application/json"),
                header("accept", "application/json"),
                header("authorization", BASIC),
            ],
            body: body.to_owned(),
        };
        call(at_ms, MedicChange::Request(request))
    }

    #[test]
    fn two_posts_at_once_store_an_sms_twice_and_one_after_the_other_once() {
        let work = |post| call(9, MedicChange::Work(post));
        let mut at_once = replay();
        for call in [post(1, SMS), post(2, SMS), work(0), work(1)] {
            at_once.apply(&call);
        }
        assert_eq!(at_once.model.stored.len(), 2);
        assert_eq!(at_once.model.max_in_flight, 2);
        let mut in_turn = replay();
        for call in [post(1, SMS), work(0), post(2, SMS), work(1)] {
            in_turn.apply(&call);
        }
        assert_eq!(in_turn.model.stored.len(), 1);
        assert_eq!(in_turn.model.max_in_flight, 1);
    }

    #[test]
    fn whoever_reads_the_calls_has_the_same_medic() {
        let campaign = vec![CampaignMessage {
            id: "m".to_owned(),
            to: "+254700000002".to_owned(),
            content: "Appointment m".to_owned(),
        }];
        let delivered = r#"{"messages":[],"updates":[{"id":"m","status":"DELIVERED"}]}"#;
        let calls = [
            call(1, MedicChange::Campaign(campaign)),
            post(2, SMS),
            call(3, MedicChange::Work(0)),
            post(4, delivered),
            call(5, MedicChange::Work(1)),
        ];
        let read = || {
            let mut replay = replay();
            for call in &calls {
                let text = serde_json::to_string(call).unwrap();
                replay.apply(&serde_json::from_str(&text).unwrap());
            }
            replay.model
        };
        let (one, other) = (read(), read());
        assert_eq!(one.outgoing, other.outgoing);
        assert_eq!(one.stored, other.stored);
        let state = |id: &str| one.outgoing(id).map(|sms| sms.state);
        assert_eq!(state("m"), Some(MessageState::Delivered));
        assert_eq!(state("reply-0-a"), Some(MessageState::ForwardedToGateway));
    }
}
