//! The ledger in a table of DynamoDB.
//!
//! A row is an item: its fields as attributes, and beside them
//!
//! | attribute | |
//! |---|---|
//! | `pk` | `message#…`, `sms#…`, `recipient#…`, `account` or `exchange` |
//! | `version` | changes with every write; the condition of the next write |
//! | `changed_at_ms` | when it was last written, in milliseconds since 1970 |
//! | `unreported` | only while the message's status is unreported: the key of a sparse index |
//! | `unsettled` | the keyed hash of the number, while the row waits for a match: the key of a
//! second sparse index |
//! | `awaiting_final_report` | only while an accepted message has no final report: the key of a
//! third sparse index |
//! | `expires_at_s` | when DynamoDB may delete it, in seconds since 1970 |

mod backlog;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
pub use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::types::{
    CancellationReason, KeysAndAttributes, Put, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem,
};
use serde_dynamo::aws_sdk_dynamodb_1::{from_item, to_item};

use super::aws::describe;
use crate::domain::attempts::AttemptsRow;
use crate::domain::circuit_breaker::AccountRow;
use crate::domain::delivery::SmsRow;
use crate::domain::exchange::ExchangeRow;
use crate::domain::ids::{AtMessageId, MedicMessageId};
use crate::domain::message::MessageRow;
use crate::domain::recipient_limit::RecipientRow;
use crate::log::{LogEvent, Redacted};
use crate::ports::{Key, LedgerError, LedgerStore, Row, Runtime, Version, Write, Written};
use crate::retry::{UNPROCESSED_KEYS, retry};

/// A row as DynamoDB has it.
pub type Item = HashMap<String, AttributeValue>;

/// The sparse index of unreported statuses.
const UNREPORTED_INDEX: &str = "unreported";

/// The sparse index of unsettled rows.
const UNSETTLED_INDEX: &str = "unsettled";

/// The largest number of rows in one read.
const KEYS_A_READ: usize = 100;

/// Reports of SMS that are unmatched are kept for a week: those of another application, or left over
/// from Medic's own integration.
const UNMATCHED_RETENTION: Duration = Duration::from_hours(7 * 24);

/// The limits of a recipient count over a day at most.
const RECIPIENT_RETENTION: Duration = Duration::from_hours(2 * 24);

/// No record stays in its queue for longer.
const ATTEMPTS_RETENTION: Duration = Duration::from_hours(14 * 24);

/// The table.
#[derive(Clone, Debug)]
pub struct LedgerTable<S> {
    client: Client,
    table: String,
    retention: Duration,
    runtime: S,
}

impl<S: Runtime> LedgerTable<S> {
    /// The table of this name, whose rows are kept for this long after their last change.
    pub fn new(client: Client, table: String, retention: Duration, runtime: S) -> Self {
        Self {
            client,
            table,
            retention,
            runtime,
        }
    }

    /// Opens the connection by reading any row, while the function still has a whole CPU. The first
    /// call sees an error again.
    pub async fn warm(&self) {
        let _ = self.read_some(&[Key::Account]).await;
    }

    async fn read_some(&self, keys: &[Key]) -> Result<Vec<Item>, LedgerError> {
        let mut found = Vec::new();
        let keys = keys.iter().map(primary_key).collect();
        let wanted = KeysAndAttributes::builder().set_keys(Some(keys));
        let mut wanted = wanted.consistent_read(true).build().map_err(unsendable)?;
        retry(UNPROCESSED_KEYS, &self.runtime, async || {
            let call = self.client.batch_get_item();
            let answer = call.request_items(&self.table, wanted.clone()).send().await;
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) => return ControlFlow::Break(Err(failed(&error))),
            };
            let mut rows = answer.responses.unwrap_or_default();
            found.append(&mut rows.remove(&self.table).unwrap_or_default());
            let mut left_out = answer.unprocessed_keys.unwrap_or_default();
            match left_out.remove(&self.table) {
                Some(keys) if !keys.keys.is_empty() => wanted = keys,
                _ => return ControlFlow::Break(Ok(())),
            }
            ControlFlow::Continue(LedgerError(
                "part of a read is left out again and again".to_owned(),
            ))
        })
        .await?;
        Ok(found)
    }

    /// A query of an index, for the rows with this value of its key.
    fn ask_index(&self, index: &str, value: &str) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table)
            .index_name(index)
            .expression_attribute_values(":value", text(value))
    }

    /// The rows with this value of an index's key, the ones that it was made for first.
    async fn query(
        &self,
        index: &str,
        value: &str,
        limit: usize,
    ) -> Result<Vec<Item>, LedgerError> {
        let question = self
            .ask_index(index, value)
            .key_condition_expression(format!("{index} = :value"))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let answer = question.send().await.map_err(|error| failed(&error))?;
        Ok(answer.items.unwrap_or_default())
    }

    fn item(&self, row: &Row, version: &str) -> Result<Item, LedgerError> {
        let unwritable =
            |error: serde_dynamo::Error| LedgerError(format!("a row cannot be written: {error}"));
        let mut retention = self.retention;
        let mut item: Item = match row {
            Row::Message(message) => {
                let mut item: Item = to_item(message).map_err(unwritable)?;
                if message.is_unreported() {
                    item.insert("unreported".to_owned(), text("yes"));
                }
                if message.awaits_final_report() {
                    item.insert("awaiting_final_report".to_owned(), text("yes"));
                }
                item
            }
            Row::Sms(sms) => {
                if sms.message.is_none() {
                    retention = UNMATCHED_RETENTION;
                }
                to_item(sms).map_err(unwritable)?
            }
            Row::Account(account) => to_item(account).map_err(unwritable)?,
            Row::Exchange(exchange) => to_item(exchange).map_err(unwritable)?,
            Row::Attempts(attempts) => {
                retention = ATTEMPTS_RETENTION;
                to_item(attempts).map_err(unwritable)?
            }
            Row::Recipient(recipient) => {
                retention = RECIPIENT_RETENTION;
                to_item(recipient).map_err(unwritable)?
            }
        };
        if let Some(number_hash) = unsettled_number(row) {
            item.insert("unsettled".to_owned(), text(number_hash));
        }
        item.extend(primary_key(&row.key()));
        item.insert("version".to_owned(), text(version));
        let now = self.runtime.now();
        item.insert("changed_at_ms".to_owned(), number(now.as_millis()));
        if !matches!(row, Row::Account(_) | Row::Exchange(_)) {
            let expires_at_s = (now + retention).as_millis() / 1000;
            item.insert("expires_at_s".to_owned(), number(expires_at_s));
        }
        Ok(item)
    }

    async fn write_one(&self, put: ConditionalPut, version: &str) -> Result<Written, LedgerError> {
        let written = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(put.item))
            .condition_expression(put.condition)
            .set_expression_attribute_values(put.values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = written else {
            return Ok(Written::Done);
        };
        match error.as_service_error() {
            // A repeat inside the call: the first one took effect, and its answer was lost.
            Some(PutItemError::ConditionalCheckFailedException(refused)) => {
                let now = refused.item();
                Ok(done_if(now.is_some_and(|now| has_version(now, version))))
            }
            Some(PutItemError::TransactionConflictException(_)) => Ok(Written::Conflict),
            _ => Err(failed(&error)),
        }
    }

    async fn write_all(
        &self,
        puts: Vec<ConditionalPut>,
        version: &str,
    ) -> Result<Written, LedgerError> {
        let items = puts.into_iter().map(|put| {
            let put = Put::builder()
                .table_name(&self.table)
                .set_item(Some(put.item))
                .condition_expression(put.condition)
                .set_expression_attribute_values(put.values)
                .return_values_on_condition_check_failure(
                    ReturnValuesOnConditionCheckFailure::AllOld,
                )
                .build()?;
            Ok(TransactWriteItem::builder().put(put).build())
        });
        let items = items.collect::<Result<_, _>>().map_err(unsendable)?;
        let written = self
            .client
            .transact_write_items()
            .client_request_token(version)
            .set_transact_items(Some(items))
            .send()
            .await;
        let Err(error) = written else {
            return Ok(Written::Done);
        };
        match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                after_cancellation(cancelled.cancellation_reasons(), version)
                    .ok_or_else(|| failed(&error))
            }
            Some(TransactWriteItemsError::TransactionInProgressException(_)) => {
                Ok(Written::Conflict)
            }
            _ => Err(failed(&error)),
        }
    }
}

/// A row to be written, if a condition holds.
struct ConditionalPut {
    item: Item,
    condition: &'static str,
    values: Option<Item>,
}

impl ConditionalPut {
    fn new(item: Item, expected: Option<Version>) -> Self {
        let (condition, values) = match expected {
            None => ("attribute_not_exists(pk)", None),
            Some(Version(version)) => (
                "version = :expected",
                Some(Item::from([(":expected".to_owned(), text(version))])),
            ),
        };
        Self {
            item,
            condition,
            values,
        }
    }
}

impl<S: Runtime> LedgerStore for LedgerTable<S> {
    async fn read(&self, keys: &[Key]) -> Result<Vec<(Row, Version)>, LedgerError> {
        // DynamoDB refuses a read that names a key twice.
        let mut keys = keys.to_vec();
        keys.sort_unstable();
        keys.dedup();
        let mut rows = Vec::with_capacity(keys.len());
        for some in keys.chunks(KEYS_A_READ) {
            for item in self.read_some(some).await? {
                match row(item) {
                    Ok(row) => rows.push(row),
                    Err(error) => self.runtime.record(LogEvent::RowUnreadable {
                        error: Redacted::new(&error),
                    }),
                }
            }
        }
        Ok(rows)
    }

    async fn write(&self, writes: Vec<Write>) -> Result<Written, LedgerError> {
        let version = format!("{:016x}", self.runtime.up_to(u64::MAX));
        let mut puts = writes
            .into_iter()
            .map(|write| {
                let item = self.item(&write.row, &version)?;
                Ok(ConditionalPut::new(item, write.expected))
            })
            .collect::<Result<Vec<_>, LedgerError>>()?;
        match (puts.pop(), puts.is_empty()) {
            (None, _) => Ok(Written::Done),
            (Some(put), true) => self.write_one(put, &version).await,
            (Some(last), false) => {
                puts.push(last);
                self.write_all(puts, &version).await
            }
        }
    }

    async fn unreported(&self, limit: usize) -> Result<Vec<MedicMessageId>, LedgerError> {
        let items = self.query(UNREPORTED_INDEX, "yes", limit).await?;
        let ids = items
            .iter()
            .filter_map(|item| MedicMessageId::new(pk(item)?.strip_prefix("message#")?).ok());
        Ok(ids.collect())
    }

    async fn unsettled(&self, number_hash: &str, limit: usize) -> Result<Vec<Key>, LedgerError> {
        let items = self.query(UNSETTLED_INDEX, number_hash, limit).await?;
        let keys = items.iter().filter_map(|item| {
            let pk = pk(item)?;
            let message = pk
                .strip_prefix("message#")
                .and_then(|id| MedicMessageId::new(id).ok());
            let sms = pk
                .strip_prefix("sms#")
                .and_then(|id| AtMessageId::new(id).ok());
            message.map(Key::Message).or(sms.map(Key::Sms))
        });
        Ok(keys.collect())
    }
}

/// The number of a row that waits to be matched.
fn unsettled_number(row: &Row) -> Option<&String> {
    match row {
        Row::Message(message) if message.unsettled_calls().next().is_some() => {
            message.number_hash.as_ref()
        }
        Row::Sms(sms) if sms.message.is_none() => sms.number_hash.as_ref(),
        _ => None,
    }
}

fn primary_key(key: &Key) -> Item {
    let pk = match key {
        Key::Message(id) => format!("message#{}", id.as_str()),
        Key::Sms(id) => format!("sms#{}", id.as_str()),
        Key::Account => "account".to_owned(),
        Key::Exchange => "exchange".to_owned(),
        Key::Attempts(record) => format!("attempts#{record}"),
        Key::Recipient(number_hash) => format!("recipient#{number_hash}"),
    };
    Item::from([("pk".to_owned(), text(pk))])
}

/// The row that an item is.
///
/// # Errors
/// When this version cannot read it. Carries nothing of it.
pub fn row(item: Item) -> Result<(Row, Version), LedgerError> {
    let version = Version(string(&item, "version").unwrap_or_default().to_owned());
    let pk = pk(&item).unwrap_or_default().to_owned();
    // Says where it is and what kind of fault it has, and nothing of what is in it.
    let unreadable =
        |_: serde_dynamo::Error| LedgerError("a row cannot be read by this version".to_owned());
    let row = if pk.starts_with("message#") {
        Row::Message(from_item::<MessageRow>(item).map_err(unreadable)?)
    } else if pk.starts_with("sms#") {
        Row::Sms(from_item::<SmsRow>(item).map_err(unreadable)?)
    } else if pk.starts_with("recipient#") {
        Row::Recipient(from_item::<RecipientRow>(item).map_err(unreadable)?)
    } else if pk.starts_with("attempts#") {
        Row::Attempts(from_item::<AttemptsRow>(item).map_err(unreadable)?)
    } else if pk == "exchange" {
        Row::Exchange(from_item::<ExchangeRow>(item).map_err(unreadable)?)
    } else {
        Row::Account(from_item::<AccountRow>(item).map_err(unreadable)?)
    };
    Ok((row, version))
}

fn pk(item: &Item) -> Option<&str> {
    string(item, "pk")
}

fn has_version(item: &Item, version: &str) -> bool {
    string(item, "version") == Some(version)
}

/// An attribute that is a text.
fn string<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    match item.get(name)? {
        AttributeValue::S(text) => Some(text),
        _ => None,
    }
}

fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn failed<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> LedgerError {
    LedgerError(describe(error))
}

fn unsendable(_: BuildError) -> LedgerError {
    LedgerError("a request that could not be built".to_owned())
}

fn done_if(done: bool) -> Written {
    if done {
        Written::Done
    } else {
        Written::Conflict
    }
}

/// What a cancelled transaction means. `None` if it was cancelled for another reason than a
/// concurrent write.
fn after_cancellation(reasons: &[CancellationReason], version: &str) -> Option<Written> {
    let codes = || {
        reasons
            .iter()
            .filter_map(CancellationReason::code)
            .filter(|code| *code != "None")
    };
    if codes().any(|code| !matches!(code, "ConditionalCheckFailed" | "TransactionConflict")) {
        return None;
    }
    let ours = !reasons.is_empty()
        && reasons.iter().all(|reason| {
            let now = reason.item();
            now.is_some_and(|now| has_version(now, version))
        });
    Some(done_if(ours))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;
    use proptest::prelude::*;
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    fn reason(code: &str, version: Option<&str>) -> CancellationReason {
        let item = version.map(|version| Item::from([("version".to_owned(), text(version))]));
        CancellationReason::builder()
            .code(code)
            .set_item(item)
            .build()
    }

    #[test]
    fn a_cancelled_transaction_is_done_only_when_every_row_is_as_we_wrote_it() {
        let ours = || reason("ConditionalCheckFailed", Some("v"));
        assert_eq!(
            after_cancellation(&[ours(), ours()], "v"),
            Some(Written::Done)
        );
        assert_eq!(
            after_cancellation(&[ours(), reason("None", None)], "v"),
            Some(Written::Conflict)
        );
        assert_eq!(
            after_cancellation(
                &[reason("TransactionConflict", None), reason("None", None)],
                "v"
            ),
            Some(Written::Conflict)
        );
        assert_eq!(
            after_cancellation(&[reason("ThrottlingError", None)], "v"),
            None
        );
    }

    #[test]
    fn a_row_survives_being_an_item() {
        for golden in [
            include_str!("../../tests/golden/message-row-v1.json"),
            include_str!("../../tests/golden/message-row-with-history-v1.json"),
        ] {
            let message: MessageRow = serde_json::from_str(golden).unwrap();
            let mut item: Item = to_item(&message).unwrap();
            item.extend(primary_key(&Key::Message(message.id.clone())));
            item.insert("version".to_owned(), text("v"));
            let read = row(item).unwrap();
            assert!(read == (Row::Message(message), Version("v".to_owned())));
        }
    }

    #[test]
    fn every_row_of_version_one_is_read_and_written_as_it_was() {
        fn same<R: Serialize + DeserializeOwned>(golden: &str, key: &Key, wrap: fn(R) -> Row) {
            let read: R = serde_json::from_str(golden).unwrap();
            let written = serde_json::to_value(&read).unwrap();
            let golden: serde_json::Value = serde_json::from_str(golden).unwrap();
            assert_eq!(written, golden);
            let mut item: Item = to_item(&read).unwrap();
            item.extend(primary_key(key));
            item.insert("version".to_owned(), text("v"));
            assert!(row(item).unwrap() == (wrap(read), Version("v".to_owned())));
        }
        let golden = include_str!("../../tests/golden/account-row-v1.json");
        same::<AccountRow>(golden, &Key::Account, Row::Account);
        let golden = include_str!("../../tests/golden/exchange-row-v1.json");
        same::<ExchangeRow>(golden, &Key::Exchange, Row::Exchange);
        let golden = include_str!("../../tests/golden/recipient-row-v1.json");
        let recipient = Key::Recipient("98aca5c7".to_owned());
        same::<RecipientRow>(golden, &recipient, Row::Recipient);
        let golden = include_str!("../../tests/golden/sms-row-v1.json");
        let sms = AtMessageId::new("ATXid_00000000000000000000000000000001").unwrap();
        same::<SmsRow>(golden, &Key::Sms(sms), Row::Sms);
    }

    #[test]
    fn a_cause_of_a_later_version_keeps_the_circuit_open() {
        let later =
            r#"{"open_circuit":{"cause":"a_new_one","since_ms":1,"probes":0,"next_probe_ms":2}}"#;
        let account: AccountRow = serde_json::from_str(later).unwrap();
        assert!(account.open_circuit.is_some());
    }

    /// Time that passes when somebody waits, and chance that is always the same.
    #[derive(Default)]
    struct Waits(std::cell::RefCell<Vec<Duration>>);

    impl crate::ports::Clock for &Waits {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(0)
        }

        async fn pause(&self, span: Duration) {
            self.0.borrow_mut().push(span);
        }
    }

    impl crate::ports::RandomSource for &Waits {
        fn up_to(&self, limit: u64) -> u64 {
            limit
        }
    }

    impl crate::ports::EventLog for &Waits {
        fn record(&self, _: LogEvent) {}
    }

    /// Answers each call with the next of these bodies; gives what was asked.
    fn server(answers: &[String]) -> (String, std::thread::JoinHandle<Vec<String>>) {
        use std::io::{BufRead as _, BufReader, Read as _, Write as _};
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answers = answers.to_vec();
        let asked = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut asked = Vec::new();
            for answer in answers {
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    let line = line.trim().to_ascii_lowercase();
                    if let Some(value) = line.strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    if line.is_empty() {
                        break;
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                asked.push(String::from_utf8(body).unwrap());
                let length = answer.len();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
                stream.write_all((head + &answer).as_bytes()).unwrap();
            }
            asked
        });
        (url, asked)
    }

    #[tokio::test]
    async fn what_a_read_leaves_out_is_asked_for_after_a_wait_that_grows() {
        let row = r#"{"pk":{"S":"account"},"version":{"S":"v"}}"#;
        let left_out = r#"{"Responses":{"t":[]},"UnprocessedKeys":{"t":
            {"Keys":[{"pk":{"S":"account"}}],"ConsistentRead":true}}}"#;
        let whole = format!(r#"{{"Responses":{{"t":[{row}]}},"UnprocessedKeys":{{}}}}"#);
        let (url, asked) = server(&[left_out.to_owned(), left_out.to_owned(), whole]);
        let credentials = aws_credential_types::Credentials::new("id", "key", None, None, "test");
        let aws = super::super::aws::Aws::new("x".to_owned(), credentials, Some(url)).unwrap();
        let waits = Waits::default();
        let table = LedgerTable::new(aws.dynamodb(), "t".to_owned(), Duration::ZERO, &waits);
        let rows = table.read(&[Key::Account]).await.unwrap();
        assert_eq!(rows[0].1, Version("v".to_owned()));
        let first = UNPROCESSED_KEYS.first_wait;
        assert_eq!(*waits.0.borrow(), [first, first * 2]);
        let asked = asked.join().unwrap();
        assert_eq!(asked.len(), 3);
        for asked in asked {
            assert!(asked.contains(r#""ConsistentRead":true"#), "{asked}");
            assert!(asked.contains(r#"{"pk":{"S":"account"}}"#), "{asked}");
        }
    }

    proptest! {
        #[test]
        fn no_item_makes_it_panic(pk in ".{0,12}", name in "[a-z_]{1,12}", value in ".{0,20}") {
            let mut item = Item::from([("pk".to_owned(), text(pk))]);
            item.insert(name, text(value));
            let _ = row(item);
        }
    }
}
