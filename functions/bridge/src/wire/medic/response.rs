//! What Medic's response to a POST means.

use std::collections::HashSet;

use serde_json::Value;

use crate::domain::ids::MedicMessageId;
use crate::wire::http_response::Response;
use crate::wire::json::parse_answer;

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
            // Its start page, or somebody else's: nothing was stored.
            (200, None) if is_page(&body) => Self::Refused(Refusal::NotReady(status)),
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

/// Whether a body is a page of HTML, and not JSON of which a part got lost.
fn is_page(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'<')
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
    use proptest::prelude::*;

    fn answer(status: u16, body: &str) -> Reply {
        Reply::of(Response::Answer {
            status,
            body: body.as_bytes().to_vec(),
        })
    }

    #[test]
    fn only_a_200_with_an_array_of_messages_is_believed() {
        assert!(matches!(
            answer(200, r#"{"messages":[]}"#),
            Reply::Taken { .. }
        ));
        for page in ["<html></html>", "\r\n<!DOCTYPE html>"] {
            let reply = answer(200, page);
            assert!(
                matches!(reply, Reply::Refused(Refusal::NotReady(200))),
                "{page}"
            );
        }
        for body in [
            "",
            r#"{"messages":[{"id":"<"#,
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
