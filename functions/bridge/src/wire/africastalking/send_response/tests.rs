//! What real and hostile answers to a send request mean.

use super::*;
use proptest::prelude::*;

fn answer(recipient: &str) -> Outcome {
    let body =
        format!(r#"{{"SMSMessageData":{{"Message":"Sent to 1/1","Recipients":[{recipient}]}}}}"#);
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
        include_bytes!("../../../../tests/payloads/send-processed-100.json"),
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
        include_bytes!("../../../../tests/payloads/send-queued-102.json"),
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
            include_bytes!("../../../../tests/payloads/send-user-in-blacklist-406.json")
        ),
        Outcome::Refused(FailureReason::new("UserInBlacklist"))
    );
    assert_eq!(
        Outcome::of_answer(
            401,
            include_bytes!("../../../../tests/payloads/send-invalid-key-401.txt")
        ),
        Outcome::CircuitFailure(Cause::CredentialsRefused)
    );
}

#[test]
fn what_surrounds_an_acceptance_does_not_make_it_unknown() {
    let body = include_str!("../../../../tests/payloads/send-processed-100.json");
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
    assert_eq!(coded(402), Outcome::CircuitFailure(Cause::InvalidSenderId));
    assert_eq!(
        coded(405),
        Outcome::CircuitFailure(Cause::InsufficientBalance)
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
        Outcome::CircuitFailure(Cause::InvalidSenderId)
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
            matches!(Outcome::of_answer(status, b""), Outcome::CircuitFailure(_)),
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
