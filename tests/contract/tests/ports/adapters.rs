//! What only the adapters can get wrong: answers of AWS that get lost, attributes that no port knows,
//! errors of AWS.

use std::collections::BTreeMap;

use bridge::adapters::secrets_manager::ManagedSecret;
use bridge::adapters::sqs_queue::SqsQueue;
use bridge::domain::attempts::AttemptsRow;
use bridge::domain::circuit_breaker::AccountRow;
use bridge::domain::message::MessageRow;
use bridge::domain::recipient_limit::RecipientRow;
use bridge::ports::{
    Fifo, Key, LedgerStore as _, NewMessage, Queue as _, Row, SecretStore as _, Version, Write,
    Written,
};
use serde_json::{Map, Value, json};

use crate::aws::{
    RETENTION, aws, block_on, create_binary_secret, create_queue, create_secret, emulator,
    ledger_table, queues_turn, receive, table,
};
use crate::lossy_proxy::LossyProxy;
use crate::rows::{medic_id, message, sms};

const WEEK_S: i64 = 7 * 24 * 60 * 60;

fn new(row: Row) -> Write {
    Write {
        row,
        expected: None,
    }
}

#[test]
fn a_write_whose_answer_was_lost_is_done_when_it_is_repeated() {
    block_on(async {
        let (emulator, table) = (emulator().await, table().await);
        let proxy = LossyProxy::to(emulator.url(), 1);
        let store = ledger_table(&proxy.url, &table);
        let written = store.write(new(Row::Message(message("m")))).await;
        assert_eq!((written.unwrap().is_done(), proxy.calls()), (true, 2));
        // And a change of a row that is there.
        let version = store.read(&[Key::Message(medic_id("m"))]).await.unwrap()[0]
            .1
            .clone();
        let proxy = LossyProxy::to(emulator.url(), 1);
        let store = ledger_table(&proxy.url, &table);
        let write = Write {
            row: Row::Message(message("m")),
            expected: Some(version),
        };
        assert!(store.write(write.clone()).await.unwrap().is_done());
        assert_eq!(proxy.calls(), 2);
        // But a repeat by another call is a conflict.
        assert_eq!(store.write(write).await, Ok(Written::Conflict));
    });
}

#[test]
fn a_ledger_that_does_not_answer_is_an_error_that_shows_nothing() {
    block_on(async {
        let store = ledger_table("http://127.0.0.1:9", "a-table");
        let id = medic_id("254700000001");
        let errors = [
            store.read(&[Key::Message(id.clone())]).await.err().unwrap(),
            store
                .write(new(Row::Message(message("254700000001"))))
                .await
                .err()
                .unwrap(),
            store.unreported(10).await.err().unwrap(),
        ];
        for error in errors {
            assert!(error.to_string().ends_with("no connection"), "{error}");
        }
        let store = ledger_table(emulator().await.url(), "no-such-table");
        let error = store.read(&[Key::Message(id)]).await.err().unwrap();
        assert!(
            error.to_string().ends_with("ResourceNotFoundException"),
            "{error}"
        );
    });
}

#[test]
fn rows_expire_when_nobody_needs_them_any_more() {
    block_on(async {
        let (emulator, table) = (emulator().await, table().await);
        let store = ledger_table(emulator.url(), &table);
        let rows = [
            Row::Message(message("m")),
            Row::Sms(sms("matched").pointing_to(&medic_id("m"))),
            Row::Sms(sms("unmatched")),
            Row::Recipient(RecipientRow::new("hash".to_owned())),
            Row::Account(AccountRow::default()),
            Row::Attempts(AttemptsRow::new("record".to_owned())),
        ];
        let now_s = || {
            let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            i64::try_from(since.unwrap().as_secs()).unwrap()
        };
        let before_s = now_s();
        for row in rows {
            assert!(store.write(new(row)).await.unwrap().is_done());
        }
        let after_s = now_s();
        let rows = emulator.aws().rows(&table).await.unwrap();
        let expiry: BTreeMap<&str, Option<i64>> = rows
            .iter()
            .map(|row| {
                let expires = row.get("expires_at_s").and_then(Value::as_i64);
                (row["pk"].as_str().unwrap(), expires)
            })
            .collect();
        let kept_for = |pk: &str, seconds: i64| {
            let expires = expiry[pk].unwrap();
            assert!(
                (before_s + seconds..=after_s + seconds).contains(&expires),
                "{pk}: {expires}"
            );
        };
        kept_for("message#m", RETENTION.as_secs().cast_signed());
        kept_for("sms#matched", RETENTION.as_secs().cast_signed());
        kept_for("sms#unmatched", WEEK_S);
        // The recipient limit counts over a day, and reports are matched with calls for two.
        kept_for("recipient#hash", 3 * 24 * 60 * 60);
        // No queue keeps a record for longer.
        kept_for("attempts#record", 2 * WEEK_S);
        assert_eq!(expiry["account"], None);
    });
}

#[test]
fn every_change_lets_a_row_live_longer_and_a_match_longer_still() {
    block_on(async {
        let (emulator, table) = (emulator().await, table().await);
        let store = ledger_table(emulator.url(), &table);
        let row = sms("ATXid_1");
        let expires = async || {
            let rows = emulator.aws().rows(&table).await.unwrap();
            rows[0]["expires_at_s"].as_i64().unwrap()
        };
        let written = store.write(new(Row::Sms(row.clone()))).await;
        assert!(written.unwrap().is_done());
        let unmatched = expires().await;
        let version = store
            .read(&[Row::Sms(row.clone()).key()])
            .await
            .unwrap()
            .remove(0)
            .1;
        let matched = Row::Sms(row.pointing_to(&medic_id("m")));
        let write = Write {
            row: matched,
            expected: Some(version),
        };
        assert!(store.write(write).await.unwrap().is_done());
        assert!(expires().await > unmatched + WEEK_S);
    });
}

/// A value as DynamoDB's JSON has it.
fn attribute(value: &Value) -> Value {
    match value {
        Value::Null => json!({ "NULL": true }),
        Value::Bool(value) => json!({ "BOOL": value }),
        Value::Number(number) => json!({ "N": number.to_string() }),
        Value::String(text) => json!({ "S": text }),
        Value::Array(values) => {
            json!({ "L": values.iter().map(attribute).collect::<Vec<_>>() })
        }
        Value::Object(fields) => json!({ "M": attributes(fields) }),
    }
}

fn attributes(fields: &Map<String, Value>) -> Map<String, Value> {
    let attributes = fields.iter();
    attributes
        .map(|(name, value)| (name.clone(), attribute(value)))
        .collect()
}

#[test]
fn a_row_of_an_earlier_version_is_read_and_then_written_as_this_one_does() {
    block_on(async {
        let (emulator, table) = (emulator().await, table().await);
        let store = ledger_table(emulator.url(), &table);
        for golden in [
            include_str!("../../../../functions/bridge/tests/golden/message-row-v1.json"),
            include_str!(
                "../../../../functions/bridge/tests/golden/message-row-with-history-v1.json"
            ),
            include_str!("../../../../functions/bridge/tests/golden/message-row-with-log-v1.json"),
        ] {
            let row: MessageRow = serde_json::from_str(golden).unwrap();
            let mut item = attributes(&serde_json::from_str(golden).unwrap());
            item.insert("version".to_owned(), json!({ "S": "earlier" }));
            let pk = format!("message#{}", row.id.as_str());
            item.insert("pk".to_owned(), json!({ "S": pk }));
            let put = json!({ "TableName": table, "Item": item });
            let put = emulator
                .aws()
                .call("dynamodb", "DynamoDB_20120810.PutItem", &put);
            put.await.unwrap();
            let key = Key::Message(row.id.clone());
            let read = store.read(std::slice::from_ref(&key)).await.unwrap();
            let earlier = Version("earlier".to_owned());
            assert!(read == [(Row::Message(row.clone()), earlier.clone())]);

            let write = Write {
                row: Row::Message(row.clone()),
                expected: Some(earlier),
            };
            assert!(store.write(write).await.unwrap().is_done());
            let read = store.read(&[key]).await.unwrap();
            assert!(read[0].0 == Row::Message(row));
            let rows = emulator.aws().rows(&table).await.unwrap();
            assert_eq!(rows[0].get("history"), None);
        }
    });
}

fn numbered(number: usize, fifo: bool) -> NewMessage {
    NewMessage {
        body: number.to_string(),
        fifo: fifo.then(|| Fifo {
            group: "medic".to_owned(),
            deduplication_id: number.to_string(),
        }),
    }
}

#[test]
fn a_send_whose_answer_was_lost_is_in_a_fifo_queue_once_and_in_a_standard_one_at_least_once() {
    block_on(async {
        let _turn = queues_turn().await;
        let emulator = emulator().await;
        for (is_fifo, expected) in [(true, 1), (false, 2)] {
            let url = create_queue(is_fifo).await;
            let proxy = LossyProxy::to(emulator.url(), 1);
            let queue = SqsQueue::new(aws(&proxy.url).sqs(), url.clone());
            assert_eq!(queue.send(vec![numbered(1, is_fifo)]).await, [Ok(())]);
            assert_eq!(
                (proxy.calls(), receive(&url, 10).await.len()),
                (2, expected)
            );
        }
    });
}

#[test]
fn a_message_that_the_queue_refuses_is_the_senders_fault_alone_and_among_others() {
    block_on(async {
        let _turn = queues_turn().await;
        let queue = SqsQueue::new(aws(emulator().await.url()).sqs(), create_queue(false).await);
        let refused = NewMessage {
            body: "\u{1}".to_owned(),
            fifo: None,
        };
        for messages in [
            vec![refused.clone()],
            vec![numbered(1, false), refused.clone()],
        ] {
            let results = queue.send(messages).await;
            let (last, others) = results.split_last().unwrap();
            assert!(last.clone().unwrap_err().sender_fault, "{last:?}");
            assert!(others.iter().all(Result::is_ok));
        }
        // A queue that is missing is no fault of the message.
        let url = emulator().await.url();
        let missing = format!("{url}/000000000000/no-such-queue");
        let queue = SqsQueue::new(aws(url).sqs(), missing);
        let results = queue.send(vec![numbered(1, false)]).await;
        assert!(!results[0].clone().unwrap_err().sender_fault);
    });
}

#[test]
fn a_queue_that_does_not_answer_is_an_error_for_every_message_that_shows_nothing() {
    block_on(async {
        let messages: Vec<NewMessage> = (0..12).map(|number| numbered(number, false)).collect();
        let nobody = "http://127.0.0.1:9";
        let queue = SqsQueue::new(
            aws(nobody).sqs(),
            format!("{nobody}/000000000000/254700000001"),
        );
        let results = queue.send(messages.clone()).await;
        assert_eq!(results.len(), 12);
        for result in results {
            let error = result.unwrap_err().to_string();
            assert!(error.ends_with("no connection"), "{error}");
        }
        let url = emulator().await.url();
        let queue = SqsQueue::new(aws(url).sqs(), format!("{url}/000000000000/254700000001"));
        for result in queue.send(messages).await {
            let error = result.unwrap_err().to_string();
            assert!(
                error.ends_with("NonExistentQueue") && !error.contains("2547"),
                "{error}"
            );
        }
    });
}

#[test]
fn a_secret_of_bytes_is_text_too() {
    block_on(async {
        let emulator = emulator().await;
        let arn = create_binary_secret("{\"key\":\"é\"}".as_bytes()).await;
        let secret = ManagedSecret::new(aws(emulator.url()).secrets_manager(), arn);
        assert_eq!(secret.fetch().await.unwrap(), "{\"key\":\"é\"}");
        let arn = create_binary_secret(b"key\xff").await;
        let secret = ManagedSecret::new(aws(emulator.url()).secrets_manager(), arn);
        assert_eq!(secret.fetch().await.unwrap(), "key\u{fffd}");
    });
}

#[test]
fn a_secret_that_cannot_be_read_is_an_error_that_shows_nothing_of_it() {
    block_on(async {
        let emulator = emulator().await;
        let arn = create_secret("hushhush").await;
        let missing = format!("{arn}-missing");
        let secret = ManagedSecret::new(aws(emulator.url()).secrets_manager(), missing);
        let error = secret.fetch().await.unwrap_err().to_string();
        assert!(error.ends_with("ResourceNotFoundException"), "{error}");
        let secret = ManagedSecret::new(aws("http://127.0.0.1:9").secrets_manager(), arn);
        let error = secret.fetch().await.unwrap_err().to_string();
        assert!(error.ends_with("no connection"), "{error}");
    });
}
