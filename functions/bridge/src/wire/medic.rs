//! Medic's gateway API: the request to `/api/sms`, and what the response means.
//!
//! All of it was observed on the API of cht-core 5.2.0.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::Value;

use crate::domain::ids::MedicMessageId;
use crate::domain::message::FailureReason;
use crate::domain::status::Status;
use crate::ports::Response;
use crate::wire::json::{parse_answer, to_ascii};
use crate::wire::queue_messages::IncomingSms;

/// One status to report to Medic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// Medic's id of the message.
    pub id: MedicMessageId,
    /// Its status.
    pub status: Status,
    /// Why, when it failed.
    pub reason: Option<FailureReason>,
}

/// The content of one POST.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Payload {
    /// Incoming SMS.
    pub messages: Vec<IncomingSms>,
    /// Statuses of outgoing messages.
    pub updates: Vec<Update>,
}

impl Payload {
    /// The number of messages and statuses.
    pub fn len(&self) -> usize {
        self.messages.len() + self.updates.len()
    }

    /// Whether it is a mere question: what is to be sent, and do you answer at all?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Statuses alone.
    pub fn of_updates(updates: Vec<Update>) -> Self {
        Self {
            messages: Vec::new(),
            updates,
        }
    }

    /// The body of the POST. Both arrays are always there: Medic answers `null` with a 500. ASCII
    /// only, so that no character of a text is touched on the way.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Body<'a> {
            messages: Vec<Message<'a>>,
            updates: Vec<StatusUpdate<'a>>,
        }
        #[derive(Serialize)]
        struct Message<'a> {
            id: &'a str,
            from: &'a str,
            content: &'a str,
            sms_sent: i64,
            sms_received: i64,
        }
        #[derive(Serialize)]
        struct StatusUpdate<'a> {
            id: &'a str,
            status: &'a str,
            // Medic recognises a repeated update only when it has no reason.
            #[serde(skip_serializing_if = "Option::is_none")]
            reason: Option<&'a str>,
        }
        to_ascii(&Body {
            messages: self
                .messages
                .iter()
                .map(|sms| Message {
                    id: sms.id.as_str(),
                    from: &sms.from,
                    content: &sms.content,
                    sms_sent: sms.sent_at_ms,
                    sms_received: sms.received_at_ms,
                })
                .collect(),
            updates: self
                .updates
                .iter()
                .map(|update| StatusUpdate {
                    id: update.id.as_str(),
                    status: update.status.medic_name(),
                    reason: update
                        .reason
                        .as_ref()
                        .filter(|_| update.status == Status::Failed)
                        .map(FailureReason::as_str),
                })
                .collect(),
        })
    }
}

/// An outgoing message, as Medic offers it.
#[derive(Clone, PartialEq, Eq)]
pub struct Offer {
    /// Medic's id for it.
    pub id: MedicMessageId,
    /// The recipient: a normalised number, or any text that Medic could not normalise.
    pub to: String,
    /// The text.
    pub content: String,
}

/// What Medic's response to a POST means.
#[derive(Clone, PartialEq, Eq)]
pub enum Reply {
    /// Medic took everything, and offers these messages.
    Taken {
        /// The messages offered, each id once.
        offers: Vec<Offer>,
        /// How many offers had no usable id.
        unreadable: usize,
    },
    /// Medic's own error (500, or another with which its database failed), with its answer. It has ended
    /// its work. Of the messages those are stored that could be, or none of them, if it failed before it
    /// stored the first; what came after them was not done.
    Poison(String),
    /// Medic did nothing, and why.
    Refused(Refusal),
    /// Medic may still be processing it.
    InDoubt(String),
}

/// A refusal, after which nothing of the POST was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There was no connection.
    #[error("Medic cannot be reached")]
    Unreachable,
    /// HTTP 503 or 425: Medic starts or upgrades.
    #[error("Medic is not ready (HTTP {0})")]
    NotReady(u16),
    /// HTTP 401 or 403: user name, password or permission are wrong.
    #[error("Medic refuses the user (HTTP {0})")]
    Credentials(u16),
    /// HTTP 429: too many wrong logins in ten seconds, by this user or from this address; behind a
    /// proxy that is everybody's address.
    #[error("Medic lets nobody in for a moment (HTTP 429)")]
    TooMany,
    /// HTTP 404 or a redirect: this is not where the API is.
    #[error("there is no gateway API at this address (HTTP {0})")]
    WrongAddress(u16),
    /// HTTP 400, 413 and every other 4xx: the request itself was refused.
    #[error("Medic refuses the request (HTTP {0})")]
    Request(u16),
}

impl Refusal {
    /// What it means when a POST with the same user was taken a moment before: then user and address
    /// are right, and something between here and Medic dislikes what was posted.
    #[must_use]
    pub fn after_success(self) -> Self {
        match self {
            Self::Credentials(status @ 403) | Self::WrongAddress(status) => Self::Request(status),
            other => other,
        }
    }
}

impl Reply {
    /// Reads the response to a POST. Only a 200 with JSON that has an array `messages` is believed:
    /// a Medic that is starting may answer 200 with a page of HTML, and has stored nothing.
    pub fn of(response: Response) -> Self {
        let (status, body) = match response {
            Response::NotConnected => return Self::Refused(Refusal::Unreachable),
            Response::NoAnswer => return Self::InDoubt("no answer".to_owned()),
            Response::Answer { status, body } => (status, body),
        };
        let json = parse_answer(&body).ok();
        match (status, json) {
            (200, Some(answer)) => match answer.get("messages").and_then(Value::as_array) {
                Some(offered) => offers(offered),
                None => Self::InDoubt("HTTP 200 without messages".to_owned()),
            },
            (200, None) => Self::InDoubt("HTTP 200 that is no JSON".to_owned()),
            (401 | 403, _) => Self::Refused(Refusal::Credentials(status)),
            (429, _) => Self::Refused(Refusal::TooMany),
            (425 | 503, _) => Self::Refused(Refusal::NotReady(status)),
            (413, _) => Self::Refused(Refusal::Request(status)),
            // Medic passes errors of its database on with their own status: its work has ended, and
            // part of it is done, as with its 500.
            (400..=500, Some(answer)) if is_medics_own(&answer, status) => {
                Self::Poison(String::from_utf8_lossy(&body).chars().take(500).collect())
            }
            (300..=399 | 404, _) => Self::Refused(Refusal::WrongAddress(status)),
            // 408 is a time-out. Medic may still be processing the request.
            (400..=407 | 409..=499, _) => Self::Refused(Refusal::Request(status)),
            _ => Self::InDoubt(format!("HTTP {status}")),
        }
    }
}

/// Whether Medic itself answers, and not a server in front of it.
fn is_medics_own(answer: &Value, status: u16) -> bool {
    answer.get("code").and_then(Value::as_u64) == Some(u64::from(status))
}

fn offers(offered: &[Value]) -> Reply {
    let text = |entry: &Value, field: &str| match entry.get(field) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let mut offers: Vec<Offer> = Vec::new();
    let mut seen = HashSet::new();
    let mut unreadable = 0;
    for entry in offered {
        match MedicMessageId::new(text(entry, "id")) {
            Ok(id) if seen.insert(id.clone()) => offers.push(Offer {
                id,
                to: text(entry, "to"),
                content: text(entry, "content"),
            }),
            Ok(_) => {}
            Err(_) => unreadable += 1,
        }
    }
    Reply::Taken { offers, unreadable }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::IncomingId;
    use proptest::prelude::*;

    fn answer(status: u16, body: &str) -> Reply {
        Reply::of(Response::Answer {
            status,
            body: body.as_bytes().to_vec(),
        })
    }

    fn sms(id: &str, content: &str) -> IncomingSms {
        IncomingSms {
            id: IncomingId::new(id).unwrap(),
            from: "+254700000001".to_owned(),
            content: content.to_owned(),
            sent_at_ms: 1,
            received_at_ms: 2,
        }
    }

    fn update(id: &str, status: Status, reason: Option<&str>) -> Update {
        Update {
            id: MedicMessageId::new(id).unwrap(),
            status,
            reason: reason.map(FailureReason::new),
        }
    }

    #[test]
    fn both_arrays_are_always_there() {
        assert_eq!(
            Payload::default().to_json(),
            r#"{"messages":[],"updates":[]}"#
        );
    }

    #[test]
    fn a_reason_goes_only_with_a_failure() {
        let payload = Payload {
            messages: vec![sms("a", "é")],
            updates: vec![
                update("u", Status::Failed, Some("Expired")),
                update("v", Status::Delivered, Some("x")),
            ],
        };
        assert_eq!(
            payload.to_json(),
            concat!(
                r#"{"messages":[{"id":"a","from":"+254700000001","content":"\u00e9","sms_sent":1,"sms_received":2}],"#,
                r#""updates":[{"id":"u","status":"FAILED","reason":"Expired"},{"id":"v","status":"DELIVERED"}]}"#
            )
        );
    }

    #[test]
    fn only_a_200_with_an_array_of_messages_is_believed() {
        assert!(matches!(
            answer(200, r#"{"messages":[]}"#),
            Reply::Taken { .. }
        ));
        for body in [
            "<html></html>",
            "",
            "{}",
            r#"{"messages":null}"#,
            r#"{"medic-gateway":true}"#,
        ] {
            assert!(matches!(answer(200, body), Reply::InDoubt(_)), "{body}");
        }
        assert!(matches!(
            answer(201, r#"{"messages":[]}"#),
            Reply::InDoubt(_)
        ));
    }

    #[test]
    fn a_500_is_poison_only_in_medics_own_json() {
        assert!(matches!(
            answer(500, r#"{"code":500,"error":"Server error"}"#),
            Reply::Poison(_)
        ));
        assert!(matches!(
            answer(409, r#"{"code":409,"error":"Document update conflict"}"#),
            Reply::Poison(_)
        ));
        assert!(matches!(answer(500, "<html>"), Reply::InDoubt(_)));
        assert!(matches!(
            answer(502, r#"{"type":"ERROR","error":"502 Bad Gateway"}"#),
            Reply::InDoubt(_)
        ));
        assert!(matches!(answer(504, "<html>"), Reply::InDoubt(_)));
    }

    #[test]
    fn refusals_are_distinguished_from_outcomes_in_doubt() {
        for (status, refusal) in [
            (401, Refusal::Credentials(401)),
            (403, Refusal::Credentials(403)),
            (429, Refusal::TooMany),
            (503, Refusal::NotReady(503)),
            (302, Refusal::WrongAddress(302)),
            (404, Refusal::WrongAddress(404)),
            (400, Refusal::Request(400)),
            (413, Refusal::Request(413)),
        ] {
            assert!(answer(status, "x") == Reply::Refused(refusal), "{status}");
        }
        assert!(matches!(answer(408, "x"), Reply::InDoubt(_)));
        assert!(Reply::of(Response::NotConnected) == Reply::Refused(Refusal::Unreachable));
        assert!(matches!(Reply::of(Response::NoAnswer), Reply::InDoubt(_)));
    }

    #[test]
    fn what_refuses_a_post_after_another_was_taken_dislikes_the_post() {
        for (refusal, after) in [
            (Refusal::Credentials(403), Refusal::Request(403)),
            (Refusal::WrongAddress(302), Refusal::Request(302)),
            (Refusal::Credentials(401), Refusal::Credentials(401)),
            (Refusal::TooMany, Refusal::TooMany),
            (Refusal::NotReady(503), Refusal::NotReady(503)),
        ] {
            assert_eq!(refusal.after_success(), after);
        }
    }

    #[test]
    fn offers_are_read_as_far_as_they_have_an_id() {
        let reply = answer(
            200,
            r#"{"messages":[{"id":"u1","to":"+254700000001","content":"hi \ud800"},{"id":"u1"},
                {"id":"u2","to":20880},{"to":"x"},{"id":""},7]}"#,
        );
        let Reply::Taken { offers, unreadable } = reply else {
            panic!("taken")
        };
        let read: Vec<_> = offers
            .iter()
            .map(|o| (o.id.as_str(), o.to.as_str(), o.content.as_str()))
            .collect();
        assert_eq!(
            read,
            [("u1", "+254700000001", "hi \u{fffd}"), ("u2", "20880", "")]
        );
        assert_eq!(unreadable, 3);
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(status in 100_u16..700, body in ".{0,200}") {
            let _ = answer(status, &body);
        }
    }
}
