//! What comes out of the queues and the ledger: events of SQS, bodies of the first version, rows.

use bridge::adapters::lambda::records;
use bridge::domain::circuit_breaker::AccountRow;
use bridge::domain::delivery::SmsRow;
use bridge::domain::exchange::ExchangeRow;
use bridge::domain::message::MessageRow;
use bridge::domain::recipient_limit::{RecipientLimits, RecipientRow};
use bridge::domain::time::Timestamp;
use bridge::wire::queue_messages::{
    DeadLetter, DeliveryReport, ExchangeMessage, OutboxMessage, decode, encode,
};
use proptest::prelude::*;
use proptest::sample::select;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::bending::{bent_json_bytes, json_of, text};
use crate::{at_once, cases, is_a_mixture};

/// One of each kind and version that was ever written to a queue.
const BODIES: [&str; 8] = [
    include_str!("../../../../functions/bridge/tests/golden/exchange-incoming-v1.json"),
    include_str!("../../../../functions/bridge/tests/golden/outbox-send-v1.json"),
    include_str!("../../../../functions/bridge/tests/golden/outbox-accepted-v1.json"),
    include_str!("../../../../functions/bridge/tests/golden/report-v1.json"),
    include_str!("../../../../functions/bridge/tests/golden/dead-letter-v1.json"),
    r#"{"v":1,"kind":"poll","id":"3f2b"}"#,
    r#"{"v":1,"kind":"continue"}"#,
    include_str!("../../../../functions/bridge/tests/golden/exchange-quarantined-v1.json"),
];

/// The ledger's other rows, as the first version has written them.
const SMS_ROW: &str = r#"{
    "id": "ATXid_00000000000000000000000000000001", "message": "9b2b3f6e-5f0a-4a51-9d0c-2f6d6f3c8f11",
    "reports": [{"status": "Failed", "failure_reason": "DeliveryFailure", "network_code": "63902",
        "received_at_ms": 1700000000000}], "number_hash": "98aca5c7"
}"#;
const RECIPIENT_ROW: &str = r#"{
    "number_hash": "98aca5c7", "hour": {"since_ms": 1700000000000, "count": 3},
    "texts": [{"text_hash": "ab12", "since_ms": 1700000000000, "count": 3}], "alarmed_at_ms": 1700000000000
}"#;
const ACCOUNT_ROW: &str = r#"{"open_circuit": {
    "cause": "insufficient_balance", "since_ms": 1700000000000, "probes": 2, "next_probe_ms": 1700000060000
}, "unanswered_calls": 3}"#;
const EXCHANGE_ROW: &str =
    include_str!("../../../../functions/bridge/tests/golden/exchange-row-v1.json");

fn body() -> impl Strategy<Value = String> {
    select(BODIES.as_slice())
        .prop_flat_map(|body| bent_json_bytes(json_of(body)))
        .prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn event() -> impl Strategy<Value = Vec<u8>> {
    let record = |number: usize| {
        json!({
            "messageId": format!("059f36b4-87a3-44ab-83d2-66197597513{number}"),
            "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
            "body": BODIES[number % BODIES.len()],
            "attributes": {
                "ApproximateReceiveCount": "3", "SentTimestamp": "1700000000000",
                "MessageGroupId": "medic", "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            },
            "messageAttributes": {},
            "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
            "eventSource": "aws:sqs",
        })
    };
    let batch: Vec<Value> = (0..4).map(record).collect();
    bent_json_bytes(json!({ "Records": batch }))
}

/// What is read can be written, is then fit for SQS, and is the same when it is read again.
fn survives<T: DeserializeOwned + Serialize + PartialEq>(body: &str) -> bool {
    match at_once(|| decode::<T>(body)) {
        Err(error) => shows_nothing(&error.to_string()),
        Ok(message) => {
            let written = encode(&message);
            let is_printable = written.bytes().all(|byte| (0x20..0x7f).contains(&byte));
            is_printable
                && written.len() <= 6 * body.len() + 200
                && decode::<T>(&written) == Ok(message)
        }
    }
}

/// A row that is read is the same when it was written and is read again. Whether it was read.
fn row_survives<T: DeserializeOwned + Serialize + PartialEq>(row: &[u8]) -> bool {
    let Ok(row) = at_once(|| serde_json::from_slice::<T>(row)) else {
        return false;
    };
    let written = serde_json::to_string(&row).unwrap();
    assert!(serde_json::from_str::<T>(&written).unwrap() == row);
    true
}

/// The golden files have one number and one text.
fn shows_nothing(error: &str) -> bool {
    error.len() < 200 && !error.contains("2547000") && !error.contains("clinic")
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_body_is_refused_or_survives_whatever_is_in_it(body in body()) {
        prop_assert!(survives::<ExchangeMessage>(&body));
        prop_assert!(survives::<OutboxMessage>(&body));
        prop_assert!(survives::<DeliveryReport>(&body));
        prop_assert!(survives::<DeadLetter>(&body));
    }

    #[test]
    fn a_row_of_the_ledger_is_refused_or_survives_whatever_is_in_it(
        first in bent_json_bytes(json_of(include_str!(
            "../../../../functions/bridge/tests/golden/message-row-v1.json"
        ))),
        with_history in bent_json_bytes(json_of(include_str!(
            "../../../../functions/bridge/tests/golden/message-row-with-history-v1.json"
        ))),
        with_log in bent_json_bytes(json_of(include_str!(
            "../../../../functions/bridge/tests/golden/message-row-with-log-v1.json"
        ))),
    ) {
        row_survives::<MessageRow>(&first);
        row_survives::<MessageRow>(&with_history);
        row_survives::<MessageRow>(&with_log);
    }

    #[test]
    fn every_other_row_is_refused_or_survives_and_can_still_be_used(
        sms in bent_json_bytes(json_of(SMS_ROW)),
        recipient in bent_json_bytes(json_of(RECIPIENT_ROW)),
        account in bent_json_bytes(json_of(ACCOUNT_ROW)),
        exchange in bent_json_bytes(json_of(EXCHANGE_ROW)),
        now in any::<i64>().prop_map(Timestamp::from_millis),
        in_doubt in any::<bool>(),
    ) {
        row_survives::<SmsRow>(&sms);
        row_survives::<ExchangeRow>(&exchange);
        row_survives::<AccountRow>(&account);
        if let Ok(account) = serde_json::from_slice::<AccountRow>(&account) {
            at_once(|| account.permission(now, in_doubt));
        }
        row_survives::<RecipientRow>(&recipient);
        if let Ok(recipient) = serde_json::from_slice::<RecipientRow>(&recipient) {
            let limits = RecipientLimits { messages_per_hour: 60, same_text_per_day: 20 };
            at_once(|| recipient.count("ab12", &limits, now));
        }
    }

    #[test]
    fn every_record_of_a_batch_can_be_answered_for_or_none_is_read(event in event()) {
        let text = String::from_utf8_lossy(&event);
        if let Some(records) = at_once(|| records(&text)) {
            prop_assert!(records.len() <= text.len());
            for record in &records {
                prop_assert!(!record.message_id.is_empty() && !record.receipt_handle.is_empty());
                let bytes = record.message_id.len() + record.receipt_handle.len() + record.body.len();
                prop_assert!(bytes <= 3 * text.len());
            }
        }
    }

    #[test]
    fn a_batch_of_sqs_comes_out_as_it_is(bodies in proptest::collection::vec(text(), 1..10)) {
        let batch: Vec<Value> = bodies
            .iter()
            .map(|body| json!({ "messageId": "m", "receiptHandle": "r", "body": body }))
            .collect();
        let event = json!({ "Records": batch }).to_string();
        let read: Vec<String> = records(&event).unwrap().into_iter().map(|record| record.body).collect();
        prop_assert_eq!(read, bodies);
    }
}

#[test]
fn every_body_of_the_first_version_is_still_read() {
    let reads = [
        decode::<ExchangeMessage>(BODIES[0]).is_ok(),
        decode::<OutboxMessage>(BODIES[1]).is_ok(),
        decode::<OutboxMessage>(BODIES[2]).is_ok(),
        decode::<DeliveryReport>(BODIES[3]).is_ok(),
        decode::<DeadLetter>(BODIES[4]).is_ok(),
        decode::<ExchangeMessage>(BODIES[5]).is_ok(),
        decode::<ExchangeMessage>(BODIES[6]).is_ok(),
        decode::<ExchangeMessage>(BODIES[7]).is_ok(),
    ];
    assert_eq!(reads, [true; 8]);
}

#[test]
fn every_row_of_the_first_version_is_still_read() {
    assert!(row_survives::<SmsRow>(SMS_ROW.as_bytes()));
    assert!(row_survives::<RecipientRow>(RECIPIENT_ROW.as_bytes()));
    assert!(row_survives::<AccountRow>(ACCOUNT_ROW.as_bytes()));
    assert!(row_survives::<ExchangeRow>(EXCHANGE_ROW.as_bytes()));
    let exchange: ExchangeRow = serde_json::from_str(EXCHANGE_ROW).unwrap();
    assert_ne!(exchange, ExchangeRow::default());
}

#[test]
fn what_is_tried_is_a_mixture_of_good_and_bad() {
    is_a_mixture("bodies", body(), |body| {
        decode::<ExchangeMessage>(&body).is_ok()
            || decode::<OutboxMessage>(&body).is_ok()
            || decode::<DeliveryReport>(&body).is_ok()
            || decode::<DeadLetter>(&body).is_ok()
    });
    is_a_mixture("events", event(), |event| {
        records(&String::from_utf8_lossy(&event)).is_some()
    });
}
