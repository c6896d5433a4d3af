//! A message in a dead-letter queue, as far as this version can read it.

use std::borrow::Cow;

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use bridge::domain::callback::Callback;
use bridge::domain::failure_reason::without_number;
use bridge::domain::time::Timestamp;
use bridge::wire::africastalking::callback::CallbackContent;
use bridge::wire::queue_messages::{
    DeadCallback, DeadLetter, DeliveryReport, ExchangeMessage, IncomingSms, KeptCallback,
    OutboxMessage, QuarantinedSms, decode, encode,
};
use serde_json::{Value, json};

use super::source_queue::SourceQueue;
use crate::terminal::masked;

/// A dead-lettered message that was received. Nobody else receives it until its visibility timeout ends.
#[derive(Clone)]
pub struct DeadLetterItem {
    /// Where it is.
    pub queue: SourceQueue,
    /// SQS's id for it.
    pub message_id: String,
    /// When it was put there.
    pub dead_lettered_at: Timestamp,
    /// Whether it can be put back. A callback can be if this version can read it.
    pub retryable: bool,
    /// Whether SQS itself moved it here. All such messages are in one message group, and SQS returns only
    /// the first ten of a group.
    pub by_sqs: bool,
    /// The body that it had in the work queue.
    pub body: String,
    /// The callback that it is, if it is one that was not taken.
    callback: Option<DeadCallback>,
    /// The text with which an opt-out goes to Medic: the parameter `OptOutText`.
    opt_out_text: Option<String>,
    /// Why it was dead-lettered, with the unredacted answer of Medic or Africa's Talking.
    reason: String,
    pub(super) receipt_handle: String,
}

/// The content of a message, as far as it can be read.
enum Content {
    Incoming {
        id: String,
        from: String,
        text: String,
        received_at: Timestamp,
    },
    Outgoing {
        id: String,
        to: String,
        text: String,
    },
    Accepted {
        id: String,
    },
    Report {
        id: String,
        status: String,
    },
    Wake,
    Unreadable,
}

impl Content {
    fn of_incoming(sms: IncomingSms) -> Self {
        Self::Incoming {
            id: sms.id.as_str().to_owned(),
            from: sms.from,
            text: sms.content,
            received_at: sms.received_at,
        }
    }

    fn of_report(report: DeliveryReport) -> Self {
        Self::Report {
            id: report.id.as_str().to_owned(),
            status: report.status,
        }
    }
}

/// A callback that a version kept without saying that it is one. Its queue shows its URL.
fn kept_by_an_earlier_version(queue: SourceQueue, letter: &DeadLetter) -> Option<DeadCallback> {
    let url = match queue {
        SourceQueue::Exchange => Callback::IncomingMessage,
        SourceQueue::Reports => Callback::DeliveryReport,
        SourceQueue::Outbox => return None,
    };
    (!letter.retryable).then(|| DeadCallback {
        dead_letter: letter.clone(),
        callback: KeptCallback {
            url: Some(url),
            content_type: None,
            content_encoding: None,
            bytes: None,
            is_cut: false,
        },
    })
}

/// Why a callback cannot be put back, if it cannot.
fn refusal_of(callback: &DeadCallback, opt_out_text: Option<&str>) -> Option<String> {
    match callback.read("") {
        Ok(CallbackContent::OptOut(_)) if opt_out_text.is_none() => Some(
            "it is an opt-out, of which Medic is not told while the parameter OptOutText is empty"
                .to_owned(),
        ),
        Ok(_) => None,
        Err(why) => Some(why),
    }
}

impl DeadLetterItem {
    #[cfg(test)]
    pub(crate) fn example(message_id: &str, body: &str, retryable: bool) -> Self {
        Self {
            queue: SourceQueue::Exchange,
            message_id: message_id.to_owned(),
            dead_lettered_at: Timestamp::from_millis(0),
            reason: String::new(),
            retryable,
            by_sqs: false,
            body: body.to_owned(),
            callback: None,
            opt_out_text: None,
            receipt_handle: String::new(),
        }
    }

    #[cfg(test)]
    pub(crate) fn example_of(queue: SourceQueue, message_id: &str, body: String) -> Self {
        let message = Message::builder().message_id(message_id).body(body).build();
        Self::of(queue, message, None)
    }

    pub(super) fn of(queue: SourceQueue, message: Message, opt_out_text: Option<&str>) -> Self {
        let attributes = message.attributes.unwrap_or_default();
        let attribute = |name| attributes.get(&name)?.parse::<i64>().ok();
        let sent = attribute(MessageSystemAttributeName::SentTimestamp).unwrap_or(0);
        let sent = Timestamp::from_millis(sent);
        let receives = attribute(MessageSystemAttributeName::ApproximateReceiveCount).unwrap_or(0);
        let body = message.body.unwrap_or_default();
        let wrapped = decode::<DeadLetter>(&body).ok();
        let callback = decode::<DeadCallback>(&body).ok();
        let callback = callback.or_else(|| kept_by_an_earlier_version(queue, wrapped.as_ref()?));
        let by_sqs = || format!("SQS itself moved it here after {receives} receives");
        Self {
            queue,
            message_id: message.message_id.unwrap_or_default(),
            receipt_handle: message.receipt_handle.unwrap_or_default(),
            dead_lettered_at: wrapped
                .as_ref()
                .map_or(sent, |dead_letter| dead_letter.dead_lettered_at),
            reason: wrapped
                .as_ref()
                .map_or_else(by_sqs, |dead_letter| dead_letter.reason.clone()),
            retryable: match &callback {
                Some(callback) => refusal_of(callback, opt_out_text).is_none(),
                None => wrapped
                    .as_ref()
                    .is_none_or(|dead_letter| dead_letter.retryable),
            },
            callback,
            opt_out_text: opt_out_text.map(str::to_owned),
            by_sqs: wrapped.is_none(),
            body: wrapped.map_or(body, |dead_letter| dead_letter.body),
        }
    }

    /// Why it cannot be put back, if it cannot.
    pub fn refusal(&self) -> Option<String> {
        refusal_of(self.callback.as_ref()?, self.opt_out_text.as_deref())
    }

    /// Whether it is a callback that came to another URL than its own.
    pub fn came_to_the_wrong_url(&self) -> bool {
        let callback = self.callback.as_ref();
        callback.is_some_and(|callback| {
            let content = callback.read("");
            content.is_ok_and(|content| Some(content.kind()) != callback.callback.url)
        })
    }

    /// Whether its content depends on the key under which phone numbers are hashed.
    pub fn needs_key(&self) -> bool {
        self.callback.is_some() && self.retryable
    }

    /// The queue that it goes to, and its message there. A callback is read again, and goes to the queue
    /// of what it is, whichever URL it came to.
    pub fn put_back_as(&self, number_hash_key: &str) -> (SourceQueue, Cow<'_, str>) {
        let callback = self.callback.as_ref();
        match callback.map(|callback| callback.read(number_hash_key)) {
            Some(Ok(CallbackContent::Incoming(sms))) => {
                let message = encode(&ExchangeMessage::Incoming(sms));
                (SourceQueue::Exchange, message.into())
            }
            Some(Ok(CallbackContent::Report(report))) => {
                (SourceQueue::Reports, encode(&report).into())
            }
            Some(Ok(CallbackContent::OptOut(opt_out))) => {
                let text = self.opt_out_text.as_deref().unwrap_or_default();
                let message = encode(&ExchangeMessage::Incoming(opt_out.into_sms(text)));
                (SourceQueue::Exchange, message.into())
            }
            Some(Err(_)) | None => (self.queue, self.body.as_str().into()),
        }
    }

    fn content(&self) -> Content {
        if let Some(callback) = &self.callback {
            return match callback.read("") {
                Ok(CallbackContent::Incoming(sms)) => Content::of_incoming(sms),
                Ok(CallbackContent::Report(report)) => Content::of_report(report),
                Ok(CallbackContent::OptOut(opt_out)) => {
                    let text = self.opt_out_text.as_deref().unwrap_or("(an opt-out)");
                    Content::of_incoming(opt_out.into_sms(text))
                }
                Err(_) => Content::Unreadable,
            };
        }
        match self.queue {
            SourceQueue::Exchange => match decode(&self.body) {
                Ok(
                    ExchangeMessage::Incoming(sms)
                    | ExchangeMessage::Quarantined(QuarantinedSms { sms, .. }),
                ) => Content::of_incoming(sms),
                Ok(ExchangeMessage::Poll | ExchangeMessage::Continue) => Content::Wake,
                Err(_) => Content::Unreadable,
            },
            SourceQueue::Outbox => match decode(&self.body) {
                Ok(OutboxMessage::Send(sms)) => Content::Outgoing {
                    id: sms.id.as_str().to_owned(),
                    to: sms.to,
                    text: sms.content,
                },
                Ok(OutboxMessage::Accepted(accepted)) => Content::Accepted {
                    id: accepted.id.as_str().to_owned(),
                },
                Err(_) => Content::Unreadable,
            },
            SourceQueue::Reports => match decode::<DeliveryReport>(&self.body) {
                Ok(report) => Content::of_report(report),
                Err(_) => Content::Unreadable,
            },
        }
    }

    /// Where it stood in the order in which things came.
    pub fn came_at(&self) -> Timestamp {
        match self.content() {
            Content::Incoming { received_at, .. } => received_at,
            _ => self.dead_lettered_at,
        }
    }

    /// The sender of an SMS. The order of one sender's SMS must be kept.
    pub fn sender(&self) -> Option<String> {
        match self.content() {
            Content::Incoming { from, .. } => Some(from),
            _ => None,
        }
    }

    /// Whether it contains this id or number.
    pub fn is_about(&self, word: &str) -> bool {
        match self.content() {
            Content::Incoming { id, from, .. } => id == word || from == word,
            Content::Outgoing { id, to, .. } => id == word || to == word,
            Content::Accepted { id } | Content::Report { id, .. } => id == word,
            Content::Wake | Content::Unreadable => false,
        }
    }

    /// Describes it in words.
    pub fn what(&self, reveal: bool) -> String {
        let number = |number: &str| {
            if reveal {
                number.to_owned()
            } else {
                masked(number)
            }
        };
        let text = |text: &str| {
            if reveal {
                format!(": {text}")
            } else {
                format!(" ({} characters)", text.chars().count())
            }
        };
        match self.content() {
            Content::Incoming {
                id,
                from,
                text: sms,
                ..
            } => {
                format!("SMS {id} from {}{}", number(&from), text(&sms))
            }
            Content::Outgoing { id, to, text: sms } => {
                format!("SMS {id} to {}{}", number(&to), text(&sms))
            }
            Content::Accepted { id } => format!("Africa's Talking's answer about SMS {id}"),
            Content::Report { id, status } => format!("delivery report of {id}: {status}"),
            Content::Wake => "a poll".to_owned(),
            Content::Unreadable if reveal => format!("not readable: {}", self.body),
            Content::Unreadable => format!("not readable ({} bytes)", self.body.len()),
        }
    }

    /// Why it was dead-lettered. Redacted unless `reveal`, because an answer can contain a phone number.
    pub fn reason(&self, reveal: bool) -> Cow<'_, str> {
        if reveal {
            self.reason.as_str().into()
        } else {
            without_number(&self.reason)
        }
    }

    pub fn to_json(&self, reveal: bool) -> Value {
        json!({
            "id": self.message_id,
            "of": self.queue.name(),
            "what": self.what(reveal),
            "reason": self.reason(reveal),
            "retryable": self.retryable,
            "dead_lettered_at_ms": self.dead_lettered_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridge::wire::africastalking::callback::ReceivedCallback;

    const SMS: &str = "id=in-1&from=%2B254700000001&text=hello";
    const REPORT: &str = "id=ATXid_1&status=Success&phoneNumber=%2B254700000001";

    /// A callback in a dead-letter queue, as this version keeps it or as an earlier one did.
    fn kept(queue: SourceQueue, body: &str, as_before: bool) -> DeadLetterItem {
        let received = ReceivedCallback {
            url: match queue {
                SourceQueue::Reports => Some(Callback::DeliveryReport),
                _ => Some(Callback::IncomingMessage),
            },
            content_type: None,
            content_encoding: None,
            body: body.as_bytes(),
        };
        let now = Timestamp::from_millis(5);
        let kept = DeadCallback::new(&received, "why".to_owned(), now);
        let body = match as_before {
            true => encode(&kept.dead_letter),
            false => encode(&kept),
        };
        DeadLetterItem::example_of(queue, "m1", body)
    }

    #[test]
    fn a_callback_is_read_again_and_put_into_the_queue_of_what_it_is() {
        for as_before in [true, false] {
            for queue in [SourceQueue::Exchange, SourceQueue::Reports] {
                let item = kept(queue, SMS, as_before);
                assert!(item.retryable);
                assert_eq!(item.sender().as_deref(), Some("+254700000001"));
                assert!(item.is_about("in-1"));
                let (home, body) = item.put_back_as("key");
                assert_eq!(home, SourceQueue::Exchange);
                let message: ExchangeMessage = decode(&body).unwrap();
                assert!(
                    matches!(message, ExchangeMessage::Incoming(sms) if sms.content == "hello")
                );
                let item = kept(queue, REPORT, as_before);
                let (home, body) = item.put_back_as("key");
                assert_eq!(home, SourceQueue::Reports);
                let report: DeliveryReport = decode(&body).unwrap();
                let hash = report.number_hash.unwrap();
                assert_ne!(item.put_back_as("other").1, body, "{hash}");
            }
        }
    }

    #[test]
    fn an_opt_out_at_the_wrong_url_goes_to_medic_only_if_there_is_a_text_for_it() {
        let mut item = kept(
            SourceQueue::Reports,
            "senderId=20880&phoneNumber=%2B254700000001",
            false,
        );
        assert!(item.came_to_the_wrong_url() && !item.retryable);
        assert!(item.refusal().unwrap().contains("OptOutText"));
        item.opt_out_text = Some("STOP".to_owned());
        assert_eq!(item.refusal(), None);
        let (home, body) = item.put_back_as("key");
        assert_eq!(home, SourceQueue::Exchange);
        let message: ExchangeMessage = decode(&body).unwrap();
        assert!(matches!(message, ExchangeMessage::Incoming(sms) if sms.content == "STOP"));
    }

    #[test]
    fn a_callback_that_would_be_refused_again_stays_and_says_why() {
        let item = kept(SourceQueue::Reports, "status=Success", false);
        assert!(!item.retryable);
        let refusal = item.refusal();
        assert_eq!(refusal.as_deref(), Some("id is missing or empty"));
        assert_eq!(DeadLetterItem::example("m1", "x", true).refusal(), None);
    }

    #[test]
    fn a_reason_shows_a_phone_number_only_when_it_is_revealed() {
        let mut item = DeadLetterItem::example("m1", "x", true);
        for answer in [
            "refused: HTTP 500: {\"from\":\"+254700000001\"}",
            "refused: +254 700 000 001 is unknown",
        ] {
            item.reason = answer.to_owned();
            for shown in [
                item.reason(false).into_owned(),
                item.to_json(false).to_string(),
            ] {
                assert!(!shown.contains("00"), "{shown}");
                assert!(shown.contains("refused: "), "{shown}");
            }
            assert_eq!(item.reason(true), answer);
            assert_eq!(item.to_json(true)["reason"], answer);
        }
        item.reason = "refused: HTTP 500".to_owned();
        assert_eq!(item.to_json(false)["reason"], "refused: HTTP 500");
    }
}
