//! The messages in the queues: versioned JSON in ASCII.
//!
//! A later version of the functions reads what an earlier one wrote (`tests/golden` holds a message
//! of each kind and version): during an upgrade both are in the queues.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::domain::callback::Callback;
use crate::domain::failure_reason::FailureReason;
use crate::domain::ids::{AnyId, AtMessageId, IncomingId, MedicMessageId};
use crate::domain::message::Acceptance;
use crate::domain::quarantine::Quarantine;
use crate::domain::redacted::Redacted;
use crate::domain::time::Timestamp;
use crate::wire::json::to_ascii;

/// The main message group of the `exchange` queue. A record of it whose visibility was extended is
/// the right to POST to Medic. The other groups are those of quarantined messages.
pub const MEDIC_GROUP: &str = "medic";

/// The version that is written.
const VERSION: u32 = 1;

/// A message of the `exchange` queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum ExchangeMessage {
    /// An SMS for Medic.
    Incoming(IncomingSms),
    /// The minute's poll.
    Poll,
    /// A wake-up for work that did not fit into one invocation.
    Continue,
    /// An SMS on which Medic fails, in quarantine or back from it.
    Quarantined(QuarantinedSms),
}

/// An SMS on which Medic fails.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuarantinedSms {
    /// The SMS.
    #[serde(flatten)]
    pub sms: IncomingSms,
    /// How often it failed, and why.
    pub quarantine: Quarantine,
}

/// An incoming SMS, normalised.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncomingSms {
    /// Africa's Talking's id for it, unchanged.
    pub id: IncomingId,
    /// The number or name of the sender, as Medic gets it.
    pub from: String,
    /// The text, as Medic gets it; never empty.
    pub content: String,
    /// When it was sent, by Africa's Talking's `date`. If that cannot be read, when the callback
    /// came.
    #[serde(rename = "sent_at_ms")]
    pub sent_at: Timestamp,
    /// When the callback came.
    #[serde(rename = "received_at_ms")]
    pub received_at: Timestamp,
}

/// A message of the `outbox` queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum OutboxMessage {
    /// An SMS to send.
    Send(OutgoingSms),
    /// An acceptance that could not be recorded at once.
    Accepted(AcceptedSms),
}

/// An outgoing message, as Medic offered it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutgoingSms {
    /// Medic's id for it.
    pub id: MedicMessageId,
    /// The recipient, as Medic wrote it. It may be no phone number.
    pub to: String,
    /// The text.
    pub content: String,
    /// When Medic first offered it.
    #[serde(rename = "first_offered_ms")]
    pub first_offered: Timestamp,
}

/// Africa's Talking's acceptance of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedSms {
    /// Medic's id for the message.
    pub id: MedicMessageId,
    /// When Medic first offered it.
    #[serde(rename = "first_offered_ms")]
    pub first_offered: Timestamp,
    /// When the accepted send request began.
    #[serde(rename = "called_at_ms")]
    pub called_at: Timestamp,
    /// Its number of segments by our own count.
    pub segments: u32,
    /// The answer.
    pub acceptance: Acceptance,
}

/// A message of the `reports` queue: a delivery report.
///
/// It holds a keyed hash instead of the phone number, because the number is only compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryReport {
    /// Africa's Talking's id of the SMS that it is about.
    pub id: AtMessageId,
    /// Africa's Talking's name of the status, also if this version does not know it.
    pub status: String,
    /// Africa's Talking's reason of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<FailureReason>,
    /// The operator's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_code: Option<String>,
    /// The keyed hash of the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number_hash: Option<String>,
    /// When the callback came.
    #[serde(rename = "received_at_ms")]
    pub received_at: Timestamp,
}

/// A dead-lettered message, with the reason.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Why it cannot be processed, with the response of the other side if there was one.
    pub reason: String,
    /// Whether the body can be put back as it is. That of a callback cannot: it is read again first.
    pub retryable: bool,
    /// When it was dead-lettered.
    #[serde(rename = "dead_lettered_at_ms")]
    pub dead_lettered_at: Timestamp,
    /// The body as it came.
    pub body: String,
}

/// A dead-lettered callback, with what is needed to read it again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadCallback {
    /// The body as text, for people, and the reason.
    #[serde(flatten)]
    pub dead_letter: DeadLetter,
    /// The callback.
    pub callback: KeptCallback,
}

/// A callback that was kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptCallback {
    /// Whose URL it came to. `None`: its path was no callback's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Callback>,
    /// Its header `content-type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Its header `content-encoding`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// Its body in base64, if it is not the same as its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<String>,
    /// Whether only the first part of the body was kept.
    #[serde(default)]
    pub is_cut: bool,
}

/// `Debug` of these types shows no personal data.
macro_rules! redact {
    ($($name:ident: $shown:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    .field(stringify!($shown), &self.$shown)
                    .finish_non_exhaustive()
            }
        }
    )*};
}
redact!(
    IncomingSms: id,
    QuarantinedSms: quarantine,
    OutgoingSms: id,
    DeadLetter: retryable,
    DeadCallback: dead_letter,
    KeptCallback: url
);

#[derive(Deserialize)]
struct MessageVersion {
    v: u32,
}

#[derive(Serialize)]
struct Versioned<'a, T> {
    v: u32,
    #[serde(flatten)]
    message: &'a T,
}

/// Why a body cannot be read. Holds nothing of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableMessage {
    /// No JSON, or without a version.
    #[error("the body is no versioned JSON")]
    NotJson,
    /// A version that this function does not know.
    #[error("version {0} of the message is not known to this version of the function")]
    Version(u32),
    /// A field is missing or wrong.
    #[error("the body is not what this queue carries (line {line}, column {column})")]
    Shape {
        /// Where in the body.
        line: usize,
        /// Where in the line.
        column: usize,
    },
}

/// The id of Africa's Talking or Medic in a body, redacted, if it can be read.
pub fn id_in(body: &str) -> Option<Redacted> {
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    let id = AnyId::new(body.get("id")?.as_str()?).ok()?;
    Some(Redacted::new(&id))
}

/// Writes a message for a queue.
pub fn encode(message: &impl Serialize) -> String {
    to_ascii(&Versioned {
        v: VERSION,
        message,
    })
}

/// Reads a message from a queue.
///
/// # Errors
/// When the body is not of this type. The caller dead-letters it and never drops it.
pub fn decode<T: DeserializeOwned>(body: &str) -> Result<T, UnreadableMessage> {
    let MessageVersion { v } =
        serde_json::from_str(body).map_err(|_| UnreadableMessage::NotJson)?;
    if v != VERSION {
        return Err(UnreadableMessage::Version(v));
    }
    serde_json::from_str(body).map_err(|error| UnreadableMessage::Shape {
        line: error.line(),
        column: error.column(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn golden<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(text: &str) -> T {
        let message: T = decode(text).unwrap();
        let again: serde_json::Value = serde_json::from_str(&encode(&message)).unwrap();
        assert_eq!(
            again,
            serde_json::from_str::<serde_json::Value>(text).unwrap()
        );
        message
    }

    #[test]
    fn messages_of_the_first_version_can_be_read() {
        let incoming = golden(include_str!("../../tests/golden/exchange-incoming-v1.json"));
        assert!(matches!(incoming, ExchangeMessage::Incoming(sms) if sms.content == "é\u{ffff}"));
        let quarantined = golden(include_str!(
            "../../tests/golden/exchange-quarantined-v1.json"
        ));
        assert!(
            matches!(quarantined, ExchangeMessage::Quarantined(one) if one.quarantine.failures == 2)
        );
        let send = golden(include_str!("../../tests/golden/outbox-send-v1.json"));
        assert!(matches!(send, OutboxMessage::Send(sms) if sms.to == "+254700000001"));
        let accepted = golden(include_str!("../../tests/golden/outbox-accepted-v1.json"));
        assert!(matches!(accepted, OutboxMessage::Accepted(_)));
        let report: DeliveryReport = golden(include_str!("../../tests/golden/report-v1.json"));
        assert_eq!(report.status, "Failed");
        let dead_letter: DeadLetter =
            golden(include_str!("../../tests/golden/dead-letter-v1.json"));
        assert!(!dead_letter.retryable);
        let callback: DeadCallback = golden(include_str!(
            "../../tests/golden/dead-letter-callback-v1.json"
        ));
        assert_eq!(callback.callback.url, Some(Callback::IncomingMessage));
    }

    #[test]
    fn a_poll_as_the_schedule_writes_it_can_be_read() {
        let poll: ExchangeMessage = decode(r#"{"v":1,"kind":"poll","id":"3f2b"}"#).unwrap();
        assert_eq!(poll, ExchangeMessage::Poll);
    }

    #[test]
    fn what_cannot_be_read_is_an_error_that_shows_nothing_of_it() {
        assert_eq!(
            decode::<ExchangeMessage>("hello"),
            Err(UnreadableMessage::NotJson)
        );
        assert_eq!(
            decode::<ExchangeMessage>(r#"{"v":2}"#),
            Err(UnreadableMessage::Version(2))
        );
        let error = decode::<ExchangeMessage>(r#"{"v":1,"kind":"+254700000001"}"#).unwrap_err();
        assert!(!error.to_string().contains("2547"), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_survives_a_queue(from in ".{1,20}", content in any::<String>()) {
            let message = ExchangeMessage::Incoming(IncomingSms {
                id: IncomingId::new("id-1").unwrap(),
                from,
                content,
                sent_at: Timestamp::from_millis(1),
                received_at: Timestamp::from_millis(2),
            });
            prop_assert_eq!(decode::<ExchangeMessage>(&encode(&message)), Ok(message));
        }

        #[test]
        fn no_body_makes_it_panic(body in ".{0,200}") {
            let _ = decode::<ExchangeMessage>(&body);
            let _ = decode::<OutboxMessage>(&body);
            let _ = decode::<DeliveryReport>(&body);
        }
    }
}
