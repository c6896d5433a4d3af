//! What Africa's Talking and Medic answer.

use std::time::Duration;

use bridge::domain::failure_reason::FailureReason;
use bridge::domain::message::Acceptance;
use bridge::domain::time::Timestamp;
use bridge::ports::Response;
use bridge::wire::africastalking::send_response::Outcome;
use bridge::wire::medic::{Offer, Reply};
use bridge::wire::queue_messages::{OutboxMessage, OutgoingSms, decode, encode};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::bending::{bent, bent_json_bytes, json_of};
use crate::{at_once, cases, in_time, is_a_mixture};

/// The longest reason, in characters.
const LONGEST_REASON: usize = 100;

/// A number has at least so many.
const DIGITS_OF_A_NUMBER: usize = 7;

/// What of an answer is kept when Medic calls something poison, in characters.
const LONGEST_POISON: usize = 500;

/// The largest input there can be, in a build without optimisation.
const A_MINUTE: Duration = Duration::from_secs(60);

/// As much of an answer as the client reads.
const LONGEST_ANSWER: usize = 8 * 1024 * 1024;

fn sent() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        bent_json_bytes(json_of(include_str!(
            "../../../../functions/bridge/tests/payloads/send-processed-100.json"
        ))),
        bent_json_bytes(json_of(include_str!(
            "../../../../functions/bridge/tests/payloads/send-queued-102.json"
        ))),
        bent_json_bytes(json_of(include_str!(
            "../../../../functions/bridge/tests/payloads/send-user-in-blacklist-406.json"
        ))),
        bent_json_bytes(json!({
            "SMSMessageData": { "Message": "InvalidSenderId", "Recipients": [] }
        })),
        bent(
            include_bytes!("../../../../functions/bridge/tests/payloads/send-invalid-key-401.txt")
                .to_vec()
        ),
    ]
}

fn http_status() -> impl Strategy<Value = u16> {
    prop_oneof![
        6 => Just(201),
        2 => Just(200),
        2 => select(vec![302_u16, 400, 401, 403, 404, 408, 425, 429, 500, 502, 503, 504]),
        1 => any::<u16>(),
    ]
}

fn offered() -> Value {
    json!({ "messages": [
        { "id": "9b2b3f6e-5f0a-4a51-9d0c-2f6d6f3c8f11", "to": "+254700000001", "content": "Come to the clinic" },
        { "id": "9b2b3f6e-5f0a-4a51-9d0c-2f6d6f3c8f12", "to": "+254700000002", "content": "é 😀 \u{ffff}" },
        { "id": "9b2b3f6e-5f0a-4a51-9d0c-2f6d6f3c8f13", "to": 20880, "content": "" },
    ]})
}

fn medic_answer() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => bent_json_bytes(offered()),
        1 => bent_json_bytes(json!({ "code": 500, "error": "Server error", "details": "x".repeat(900) })),
        1 => bent(b"<html><head><title>Medic</title></head></html>".to_vec()),
    ]
}

fn is_fit_to_be_shown(reason: &FailureReason) -> bool {
    let text = reason.as_str();
    text.chars().count() <= LONGEST_REASON
        && !text.contains(char::is_control)
        && text.chars().filter(char::is_ascii_digit).count() < DIGITS_OF_A_NUMBER
        && FailureReason::new(text) == *reason
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn an_answer_of_africas_talking_means_something_whatever_is_in_it(
        status in http_status(), body in sent(),
    ) {
        match at_once(|| Outcome::of_answer(status, &body)) {
            Outcome::Accepted(acceptance) => {
                prop_assert!((200..300).contains(&status));
                let written = serde_json::to_string(&acceptance).unwrap();
                prop_assert!(written.len() <= 4 * body.len() + 200);
                prop_assert_eq!(serde_json::from_str::<Acceptance>(&written).unwrap(), acceptance);
            }
            Outcome::Refused(reason) | Outcome::NotSent { reason, .. } | Outcome::Unknown(reason) => {
                prop_assert!(is_fit_to_be_shown(&reason), "{:?}", reason);
            }
            Outcome::AccountFailure(_) => {}
        }
    }

    #[test]
    fn an_answer_of_medic_means_something_whatever_is_in_it(
        status in http_status().prop_map(|status| if status == 201 { 200 } else { status }),
        body in medic_answer(),
    ) {
        let length = body.len();
        match at_once(|| Reply::of(Response::Answer { status, body })) {
            Reply::Taken { offers, unreadable } => {
                prop_assert_eq!(status, 200);
                prop_assert!(offers.len() + unreadable <= length);
                for (at, offer) in offers.iter().enumerate() {
                    prop_assert!(offers[..at].iter().all(|other| other.id != offer.id));
                }
                let bytes: usize = offers.iter().map(bytes_of).sum();
                // A byte that is no UTF-8 becomes three.
                prop_assert!(bytes <= 3 * length, "{} bytes of {}", bytes, length);
                for offer in offers {
                    prop_assert!(survives_the_outbox(offer));
                }
            }
            Reply::Poison(answer) => {
                prop_assert_eq!(status, 500);
                prop_assert!(answer.chars().count() <= LONGEST_POISON);
            }
            Reply::Refused(refusal) => prop_assert!(refusal.to_string().len() < 100),
            Reply::InDoubt(why) => prop_assert!(why.len() < 100),
        }
    }
}

fn bytes_of(offer: &Offer) -> usize {
    offer.id.as_str().len() + offer.to.len() + offer.content.len()
}

fn survives_the_outbox(offer: Offer) -> bool {
    let message = OutboxMessage::Send(OutgoingSms {
        id: offer.id,
        to: offer.to,
        content: offer.content,
        first_offered: Timestamp::from_millis(1),
    });
    decode::<OutboxMessage>(&encode(&message)) == Ok(message)
}

/// `begin`, then `item` with a running number in the place of `@` as often as it fits, then `end`.
fn as_long_as_can_be(begin: &str, item: &str, end: &str) -> Vec<u8> {
    let mut body = begin.to_owned();
    let mut number = 0;
    while body.len() + item.len() + end.len() + 10 < LONGEST_ANSWER {
        body.push_str(&item.replace('@', &number.to_string()));
        number += 1;
    }
    // Every item ends with what stands between two of them.
    body.pop();
    body.push_str(end);
    body.into_bytes()
}

/// Small things in an answer of Medic as long as can be: hundreds of megabytes, if they were kept.
#[test]
fn the_longest_answer_of_medic_is_given_up_at_once() {
    for item in [
        r#"{"id":"@"},"#,
        r#"{"id":"same"},"#,
        "0,",
        r#"{"":0},"#,
        "[],",
        r#""\ud800","#,
    ] {
        let body = as_long_as_can_be(r#"{"messages":["#, item, "]}");
        let reply = in_time(A_MINUTE, move || {
            Reply::of(Response::Answer { status: 200, body })
        });
        assert!(matches!(reply, Reply::InDoubt(_)), "{item}");
    }
}

#[test]
fn the_longest_text_of_medic_is_read_at_once() {
    for letters in ["x ", ", ", r"\n ", r"\ud800 ", "é "] {
        let begin = r#"{"messages":[{"id":"1","content":""#;
        let body = as_long_as_can_be(begin, letters, r#""}]}"#);
        let reply = in_time(A_MINUTE, move || {
            Reply::of(Response::Answer { status: 200, body })
        });
        let Reply::Taken { offers, .. } = reply else {
            panic!("it is taken")
        };
        assert!(offers[0].content.len() <= LONGEST_ANSWER);
    }
}

#[test]
fn the_longest_answer_of_africas_talking_is_given_up_at_once() {
    let begin = r#"{"SMSMessageData":{"Recipients":["#;
    for item in [
        r#"{"statusCode":101,"messageId":"ATXid_@"},"#,
        "0,",
        r#"{"":0},"#,
    ] {
        let body = as_long_as_can_be(begin, item, "]}}");
        let outcome = in_time(A_MINUTE, move || Outcome::of_answer(201, &body));
        assert!(matches!(outcome, Outcome::Unknown(_)), "{item}");
    }
}

#[test]
fn what_is_nested_without_end_is_no_json() {
    for body in [
        "[".repeat(LONGEST_ANSWER),
        r#"{"messages":"#.repeat(600_000),
    ] {
        let body = body.into_bytes();
        assert!(matches!(
            Outcome::of_answer(201, &body),
            Outcome::Unknown(_)
        ));
        let reply = Reply::of(Response::Answer { status: 200, body });
        assert!(matches!(reply, Reply::InDoubt(_)));
    }
}

#[test]
fn what_is_tried_is_a_mixture_of_good_and_bad() {
    is_a_mixture("sends", sent(), |body| {
        matches!(Outcome::of_answer(201, &body), Outcome::Accepted(_))
    });
    is_a_mixture("answers of Medic", medic_answer(), |body| {
        let reply = Reply::of(Response::Answer { status: 200, body });
        matches!(reply, Reply::Taken { offers, .. } if !offers.is_empty())
    });
}
