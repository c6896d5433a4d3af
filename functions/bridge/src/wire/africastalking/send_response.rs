//! What Africa's Talking's response to a send request means.
//!
//! An HTTP 201 also comes when nothing was sent, and Africa's Talking documents an HTTP 409 with the
//! usual body, so the recipient's `statusCode` decides where there is one, and neither the HTTP status
//! nor the sentence in `Message`.

use std::time::Duration;

use serde_json::Value;

use crate::domain::circuit_breaker::AccountFailure;
use crate::domain::cost::Cost;
use crate::domain::failure_reason::FailureReason;
use crate::domain::ids::AtMessageId;
use crate::domain::message::Acceptance;
use crate::domain::status::Status;
use crate::domain::text::trimmed;
use crate::wire::json::{field, parse_answer, text_of};

/// The outcome of a send request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Africa's Talking accepted the message.
    Accepted(Acceptance),
    /// It will never be sent to this recipient.
    Refused(FailureReason),
    /// The whole account fails. The message itself is fine.
    AccountFailure(AccountFailure),
    /// It surely was not sent, and may be retried.
    NotSent {
        /// Why.
        reason: FailureReason,
        /// The shortest wait before the retry.
        at_least: Duration,
    },
    /// It is unknown whether it was sent.
    Unknown(FailureReason),
}

/// A promotional sender was turned down in Nigeria, where such messages are let through between
/// 8 am and 8 pm: half an hour is short beside the night, and few tries.
const DO_NOT_DISTURB_WAIT: Duration = Duration::from_mins(30);

/// The wait after a rate limit.
const TOO_FAST_WAIT: Duration = Duration::from_secs(30);

impl Outcome {
    /// Reads the HTTP response.
    pub fn of_answer(http_status: u16, body: &[u8]) -> Self {
        match http_status {
            200..=299 => of_body(body),
            400..=499 if code_in(body).is_some() => match of_body(body) {
                // An acceptance with such an HTTP status contradicts itself.
                Outcome::Accepted(_) => Self::unknown(&format!("HTTP {http_status}")),
                refused => refused,
            },
            300..=399 | 404 | 405 => Self::AccountFailure(AccountFailure::WrongAddress),
            401 | 403 => Self::AccountFailure(AccountFailure::CredentialsRefused),
            429 => Self::not_sent("HTTP 429", TOO_FAST_WAIT),
            // A time-out of Africa's Talking, like every 5xx. The SMS may be on its way.
            408 => Self::unknown("HTTP 408"),
            400..=499 => Self::not_sent(&format!("HTTP {http_status}"), Duration::ZERO),
            _ => Self::unknown(&format!("HTTP {http_status}")),
        }
    }

    fn not_sent(reason: &str, at_least: Duration) -> Self {
        Self::NotSent {
            reason: FailureReason::new(reason),
            at_least,
        }
    }

    fn unknown(reason: &str) -> Self {
        Self::Unknown(FailureReason::new(reason))
    }
}

fn of_body(body: &[u8]) -> Outcome {
    let Ok(answer) = parse_answer(body) else {
        return Outcome::unknown("unreadable answer");
    };
    let Some(data) = field(&answer, "SMSMessageData") else {
        return Outcome::unknown("unreadable answer");
    };
    match first_recipient(data) {
        Some(recipient) => of_recipient(recipient),
        None => match code_of_name(&message(data)) {
            Some(code) => of_rejection(code, &message(data)),
            None => Outcome::unknown("no recipient in the answer"),
        },
    }
}

fn first_recipient(data: &Value) -> Option<&Value> {
    match field(data, "Recipients")? {
        Value::Array(recipients) => recipients.first(),
        one @ Value::Object(_) => Some(one),
        _ => None,
    }
}

fn message(data: &Value) -> String {
    text(data, "Message").unwrap_or_default()
}

/// The code that a body has for its one recipient, or for all of them when it names none.
pub(super) fn code_in(body: &[u8]) -> Option<u64> {
    let answer = parse_answer(body).ok()?;
    let data = field(&answer, "SMSMessageData")?;
    match first_recipient(data) {
        Some(recipient) => code_of(recipient),
        None => code_of_name(&message(data)),
    }
}

/// Old responses have no `statusCode`. Their `status` has its name.
fn code_of(recipient: &Value) -> Option<u64> {
    let by_name = || code_of_name(&text(recipient, "status")?);
    field(recipient, "statusCode")
        .and_then(number)
        .or_else(by_name)
}

fn of_recipient(recipient: &Value) -> Outcome {
    let name = text(recipient, "status").unwrap_or_default();
    let at_id = text(recipient, "messageId")
        .map(|id| trimmed(&id).to_owned())
        .filter(|id| !id.eq_ignore_ascii_case("none"))
        .and_then(|id| AtMessageId::new(id).ok());
    let code = code_of(recipient);
    let accepted = |status| {
        Outcome::Accepted(Acceptance {
            at_id: at_id.clone(),
            status,
            cost: text(recipient, "cost").and_then(|cost| Cost::read(&cost)),
            parts: field(recipient, "messageParts")
                .and_then(number)
                .and_then(|parts| u32::try_from(parts).ok()),
        })
    };
    match code {
        Some(100) => accepted(Status::Pending),
        Some(101) => accepted(Status::Sent),
        Some(102) => accepted(Status::Unsent),
        Some(code) if is_rejection(code) => of_rejection(code, &name),
        // An undocumented code. With an id, Africa's Talking accepted the message, and delivery
        // reports will follow. Without an id, the outcome is unknown.
        _ if at_id.is_some() => accepted(Status::Unsent),
        // What old answers say of what they charge nothing for and give no id.
        None if is_one_of(&name, &["Could Not Send", "Failed"]) => {
            Outcome::not_sent(&name, Duration::ZERO)
        }
        Some(code) => Outcome::unknown(&format!("statusCode {code}")),
        None => Outcome::unknown("no statusCode in the answer"),
    }
}

fn is_one_of(name: &str, known: &[&str]) -> bool {
    let name = trimmed(name);
    known.iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn is_rejection(code: u64) -> bool {
    matches!(code, 401..=407 | 409 | 500..=502)
}

fn of_rejection(code: u64, name: &str) -> Outcome {
    let reason = match code {
        401 => "RiskHold",
        402 => return Outcome::AccountFailure(AccountFailure::InvalidSenderId),
        403 => "InvalidPhoneNumber",
        404 => "UnsupportedNumberType",
        405 => return Outcome::AccountFailure(AccountFailure::InsufficientBalance),
        406 => "UserInBlacklist",
        407 => "CouldNotRoute",
        409 => return Outcome::not_sent("DoNotDisturbRejection", DO_NOT_DISTURB_WAIT),
        501 => return Outcome::not_sent("GatewayError", Duration::ZERO),
        502 => return Outcome::not_sent("RejectedByGateway", Duration::ZERO),
        500 => return Outcome::unknown("InternalServerError"),
        _ => return Outcome::unknown(name),
    };
    Outcome::Refused(FailureReason::new(reason))
}

/// The code of a documented name.
fn code_of_name(name: &str) -> Option<u64> {
    const NAMES: [(&str, u64); 17] = [
        ("Processed", 100),
        ("Sent", 101),
        ("Success", 101),
        ("Queued", 102),
        ("RiskHold", 401),
        ("InvalidSenderId", 402),
        ("InvalidPhoneNumber", 403),
        ("UnsupportedNumberType", 404),
        ("InsufficientBalance", 405),
        ("UserInBlacklist", 406),
        ("CouldNotRoute", 407),
        ("DoNotDisturbRejection", 409),
        ("InternalServerError", 500),
        ("GatewayError", 501),
        ("RejectedByGateway", 502),
        ("Invalid Phone Number", 403),
        ("User In Blacklist", 406),
    ];
    NAMES
        .into_iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(trimmed(name)))
        .map(|(_, code)| code)
}

fn text(object: &Value, name: &str) -> Option<String> {
    text_of(field(object, name)?)
}

/// A whole number, also as a text, and with decimals that are all zero.
fn number(value: &Value) -> Option<u64> {
    let text = text_of(value)?;
    let text = trimmed(&text);
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_whole = decimals.bytes().all(|digit| digit == b'0');
    is_whole.then(|| whole.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(recipient: &str) -> Outcome {
        let body = format!(
            r#"{{"SMSMessageData":{{"Message":"Sent to 1/1","Recipients":[{recipient}]}}}}"#
        );
        Outcome::of_answer(201, body.as_bytes())
    }

    fn coded(code: u32) -> Outcome {
        answer(&format!(
            r#"{{"statusCode":{code},"number":"+254700000001","status":"x","cost":"0","messageId":"None"}}"#
        ))
    }

    #[test]
    fn real_answers() {
        let processed = Outcome::of_answer(
            201,
            include_bytes!("../../../tests/payloads/send-processed-100.json"),
        );
        assert_eq!(
            processed,
            Outcome::Accepted(Acceptance {
                at_id: Some(AtMessageId::new("ATXid_081365ccc485678b5c0413e1795ab53e").unwrap()),
                status: Status::Pending,
                cost: Cost::parse("KES 0.8000"),
                parts: Some(1),
            })
        );
        let queued = Outcome::of_answer(
            201,
            include_bytes!("../../../tests/payloads/send-queued-102.json"),
        );
        assert!(matches!(
            queued,
            Outcome::Accepted(Acceptance {
                status: Status::Unsent,
                parts: None,
                ..
            })
        ));
        assert_eq!(
            Outcome::of_answer(
                201,
                include_bytes!("../../../tests/payloads/send-user-in-blacklist-406.json")
            ),
            Outcome::Refused(FailureReason::new("UserInBlacklist"))
        );
        assert_eq!(
            Outcome::of_answer(
                401,
                include_bytes!("../../../tests/payloads/send-invalid-key-401.txt")
            ),
            Outcome::AccountFailure(AccountFailure::CredentialsRefused)
        );
    }

    #[test]
    fn what_surrounds_an_acceptance_does_not_make_it_unknown() {
        let body = include_str!("../../../tests/payloads/send-processed-100.json");
        let plain = Outcome::of_answer(201, body.as_bytes());
        assert!(matches!(plain, Outcome::Accepted(_)));
        let utf_16: Vec<u8> = format!("\u{feff}{body}")
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let around = |from: &str, to: &str| {
            assert!(body.contains(from), "{from}");
            body.replace(from, to).into_bytes()
        };
        for dressed in [
            format!("\u{feff}{body}").into_bytes(),
            format!("\r\n{body}\0").into_bytes(),
            utf_16,
            around(":100", ":\" 100\\r\\n\""),
            around(":100", ":\"\u{feff}100\""),
            around(":100", ":100.0"),
            around(
                "ATXid_081365ccc485678b5c0413e1795ab53e",
                "\u{feff}ATXid_081365ccc485678b5c0413e1795ab53e\\r\\n",
            ),
            around("SMSMessageData", "smsMessageData"),
            around("Recipients", "recipients"),
            around("statusCode", "StatusCode"),
            around("messageId", "messageID"),
            around("messageParts", "MessageParts"),
        ] {
            let shown = String::from_utf8_lossy(&dressed);
            assert_eq!(Outcome::of_answer(201, &dressed), plain, "{shown}");
        }
        let one = body.replace(['[', ']'], "");
        assert_eq!(Outcome::of_answer(201, one.as_bytes()), plain);
        assert!(matches!(
            answer("{\"status\":\"\u{feff}Success \",\"messageId\":\"ATXid_1\"}"),
            Outcome::Accepted(_)
        ));
    }

    #[test]
    fn a_cost_is_read_in_whatever_form_it_comes_and_never_lost() {
        let cost = |cost: &str| {
            let recipient = format!(r#"{{"statusCode":101,"messageId":"ATXid_1","cost":{cost}}}"#);
            match answer(&recipient) {
                Outcome::Accepted(acceptance) => acceptance.cost,
                other => panic!("{other:?}"),
            }
        };
        for text in [
            r#""KES 0.8000""#,
            r#""0,8000 KSh""#,
            r#""\ufeffKES0.8\r\n""#,
        ] {
            assert_eq!(cost(text), Cost::parse("KES 0.8"), "{text}");
        }
        assert_eq!(cost("0.8"), Cost::parse("0.8"));
        assert_eq!(cost(r#""None""#), None);
        assert_eq!(cost("null"), None);
        let unreadable = cost(r#""free of charge""#).and_then(|cost| cost.unreadable);
        assert_eq!(unreadable.as_deref(), Some("free of charge"));
    }

    #[test]
    fn every_code_of_the_table() {
        for code in [401, 403, 404, 406, 407] {
            assert!(matches!(coded(code), Outcome::Refused(_)), "{code}");
        }
        assert_eq!(
            coded(402),
            Outcome::AccountFailure(AccountFailure::InvalidSenderId)
        );
        assert_eq!(
            coded(405),
            Outcome::AccountFailure(AccountFailure::InsufficientBalance)
        );
        for code in [409, 501, 502] {
            assert!(matches!(coded(code), Outcome::NotSent { .. }), "{code}");
        }
        assert!(matches!(coded(500), Outcome::Unknown(_)));
        for code in [100, 101, 102] {
            assert!(
                matches!(
                    coded(code),
                    Outcome::Accepted(Acceptance { at_id: None, .. })
                ),
                "{code}: accepted, though without an id to follow"
            );
        }
    }

    #[test]
    fn a_201_without_recipients_is_a_failure_of_the_account_only_when_it_says_so() {
        let empty = |message: &str| {
            let body = format!(r#"{{"SMSMessageData":{{"Message":"{message}","Recipients":[]}}}}"#);
            Outcome::of_answer(201, body.as_bytes())
        };
        assert_eq!(
            empty("InvalidSenderId"),
            Outcome::AccountFailure(AccountFailure::InvalidSenderId)
        );
        assert!(matches!(empty("Sent to 0/1"), Outcome::Unknown(_)));
    }

    #[test]
    fn an_unlisted_code_is_neither_a_crash_nor_a_reason_to_send_for_ever() {
        assert!(matches!(coded(499), Outcome::Unknown(_)));
        assert!(matches!(coded(200), Outcome::Unknown(_)));
        assert!(matches!(
            answer(r#"{"statusCode":199,"messageId":"ATXid_1"}"#),
            Outcome::Accepted(_)
        ));
    }

    #[test]
    fn an_old_answer_without_a_code_is_read_by_its_name() {
        assert!(matches!(
            answer(r#"{"status":"Success","messageId":"ATXid_1","cost":"KES 1"}"#),
            Outcome::Accepted(Acceptance {
                status: Status::Sent,
                ..
            })
        ));
        assert!(matches!(
            answer(r#"{"status":"Invalid Phone Number","messageId":"None"}"#),
            Outcome::Refused(_)
        ));
    }

    #[test]
    fn a_recipients_code_decides_whatever_the_http_status() {
        let body = |code| {
            format!(
                r#"{{"SMSMessageData":{{"Message":"Sent to 0/1 Total Cost: 0","Recipients":[{{"cost":"0",
                    "messageId":"None","number":"+254700000001","status":"x","statusCode":{code}}}]}}}}"#
            )
        };
        assert_eq!(
            Outcome::of_answer(409, body(409).as_bytes()),
            Outcome::not_sent("DoNotDisturbRejection", DO_NOT_DISTURB_WAIT)
        );
        assert_eq!(
            Outcome::of_answer(403, body(403).as_bytes()),
            Outcome::Refused(FailureReason::new("InvalidPhoneNumber"))
        );
        assert_eq!(
            Outcome::of_answer(409, b"{}"),
            Outcome::not_sent("HTTP 409", Duration::ZERO)
        );
        assert_eq!(
            Outcome::of_answer(400, body(101).as_bytes()),
            Outcome::unknown("HTTP 400")
        );
    }

    #[test]
    fn an_old_answer_that_nothing_was_sent_is_no_doubt_unless_it_has_an_id() {
        for name in ["Could Not Send", "Failed"] {
            let nothing = format!(r#"{{"status":"{name}","messageId":"None","cost":"0"}}"#);
            assert_eq!(answer(&nothing), Outcome::not_sent(name, Duration::ZERO));
            let something = format!(r#"{{"status":"{name}","messageId":"ATXid_1"}}"#);
            assert!(matches!(answer(&something), Outcome::Accepted(_)));
        }
    }

    #[test]
    fn http_statuses_by_the_table() {
        for status in [400, 429, 415] {
            assert!(
                matches!(Outcome::of_answer(status, b""), Outcome::NotSent { .. }),
                "{status}"
            );
        }
        for status in [408, 500, 502, 503, 504, 599] {
            assert!(
                matches!(Outcome::of_answer(status, b""), Outcome::Unknown(_)),
                "{status}"
            );
        }
        for status in [302, 401, 403, 404] {
            assert!(
                matches!(Outcome::of_answer(status, b""), Outcome::AccountFailure(_)),
                "{status}"
            );
        }
        for body in [
            &b""[..],
            b"<html>",
            b"{}",
            b"[]",
            b"{\"SMSMessageData\":3}",
            b"{\"SMSMessageData\":{\"Recipients\":[3]}}",
        ] {
            assert!(matches!(Outcome::of_answer(201, body), Outcome::Unknown(_)));
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(status in 100_u16..700, body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Outcome::of_answer(status, &body);
        }

        #[test]
        fn no_recipient_makes_it_panic(
            code in any::<i64>(), name in ".{0,20}", id in ".{0,20}", cost in ".{0,20}"
        ) {
            let recipient = serde_json::json!({"statusCode": code, "status": name, "messageId": id, "cost": cost});
            let _ = answer(&recipient.to_string());
        }
    }
}
