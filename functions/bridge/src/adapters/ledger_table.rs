//! The ledger in a table of DynamoDB.
//!
//! A row is an item: its fields as attributes, and beside them
//!
//! | attribute | |
//! |---|---|
//! | `pk` | `message#…`, `sms#…`, `recipient#…`, `account` or `lane` |
//! | `version` | another after every write; what a write is conditioned upon |
//! | `changed_at_ms` | when it was last written, in milliseconds since 1970 |
//! | `untold` | only while Medic has not been told the message's status: the sparse index's key |
//! | `unsettled` | the keyed hash of the number, while the row waits to be matched by evidence: the other sparse index's key |
//! | `unreported` | only while Africa's Talking has the message and its end is not known: a third sparse index's key |
//! | `expires_at_s` | when DynamoDB may delete it, in seconds since 1970 |

mod backlog;
mod wire;

use std::collections::HashMap;

use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};
pub use serde_dynamo::AttributeValue;

use self::wire::{
    BatchGetItem, BatchGetItemAnswer, CancellationReason, ConditionalCheckFailed, Keys, Put, Query,
    QueryAnswer, TransactItem, TransactWriteItems, TransactionCanceled,
};
use super::aws::{CallError, Client};
use crate::domain::account::AccountRow;
use crate::domain::fuse::RecipientRow;
use crate::domain::ids::{AtMessageId, MedicMessageId};
use crate::domain::lane::LaneRow;
use crate::domain::message::MessageRow;
use crate::domain::sms::SmsRow;
use crate::journal::{Entry, Shown};
use crate::ports::{Key, LedgerError, LedgerStore, Row, Surroundings, Version, Write, Written};

/// A row as DynamoDB has it.
pub type Item = HashMap<String, AttributeValue>;

/// The sparse index.
const UNTOLD_INDEX: &str = "untold";

/// The other one.
const UNSETTLED_INDEX: &str = "unsettled";

/// So many rows in one read.
const KEYS_A_READ: usize = 100;

/// How often the part of a read is asked for again that was left out.
const READ_TRIES: u32 = 5;

/// Reports of SMS that are nobody's are kept for a week: those of another application, or left over
/// from Medic's own integration.
const UNMATCHED_RETENTION_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// What a recipient got is counted over a day.
const RECIPIENT_RETENTION_MS: i64 = 2 * 24 * 60 * 60 * 1000;

/// The table.
#[derive(Clone, Debug)]
pub struct LedgerTable<S> {
    client: Client,
    table: String,
    retention_ms: i64,
    surroundings: S,
}

impl<S: Surroundings> LedgerTable<S> {
    /// The table of this name, whose rows are kept so many milliseconds after their last
    /// change.
    pub fn new(client: Client, table: String, retention_ms: i64, surroundings: S) -> Self {
        Self {
            client,
            table,
            retention_ms,
            surroundings,
        }
    }

    async fn read_some(&self, keys: &[Key]) -> Result<Vec<Item>, LedgerError> {
        let mut found = Vec::new();
        let mut wanted = Keys {
            keys: keys.iter().map(primary_key).collect(),
            consistent_read: true,
        };
        for _ in 0..READ_TRIES {
            let input = BatchGetItem {
                request_items: HashMap::from([(self.table.as_str(), wanted)]),
            };
            let answer: BatchGetItemAnswer = self.call("BatchGetItem", &input).await?;
            let (mut responses, mut left_out) = (answer.responses, answer.unprocessed_keys);
            found.append(&mut responses.remove(&self.table).unwrap_or_default());
            match left_out.remove(&self.table) {
                Some(keys) if !keys.keys.is_empty() => {
                    wanted = Keys {
                        consistent_read: true,
                        ..keys
                    };
                }
                _ => return Ok(found),
            }
        }
        Err(LedgerError(
            "part of a read is left out again and again".to_owned(),
        ))
    }

    async fn call<O: DeserializeOwned>(
        &self,
        operation: &str,
        input: &impl Serialize,
    ) -> Result<O, LedgerError> {
        let answer = self.client.call(operation, input).await;
        answer.map_err(|error| failed(&error))
    }

    /// Asks an index for the rows with this value of its key, the ones that it was made for first.
    async fn query(
        &self,
        index: &str,
        value: &str,
        limit: usize,
    ) -> Result<Vec<Item>, LedgerError> {
        let input = Query {
            table_name: &self.table,
            index_name: index,
            key_condition_expression: &format!("{index} = :value"),
            expression_attribute_values: Item::from([(":value".to_owned(), text(value))]),
            limit: Some(limit),
            ..Query::default()
        };
        let answer: QueryAnswer = self.call("Query", &input).await?;
        Ok(answer.items)
    }

    fn item(&self, row: &Row, version: &str) -> Result<Item, LedgerError> {
        let unwritable =
            |error: serde_dynamo::Error| LedgerError(format!("a row cannot be written: {error}"));
        let mut retention_ms = self.retention_ms;
        let mut item: Item = match row {
            Row::Message(message) => {
                let mut item: Item = serde_dynamo::to_item(message).map_err(unwritable)?;
                if message.is_untold() {
                    item.insert("untold".to_owned(), text("yes"));
                }
                if message.is_unreported() {
                    item.insert("unreported".to_owned(), text("yes"));
                }
                item
            }
            Row::Sms(sms) => {
                if sms.message.is_none() {
                    retention_ms = UNMATCHED_RETENTION_MS;
                }
                serde_dynamo::to_item(sms).map_err(unwritable)?
            }
            Row::Account(account) => serde_dynamo::to_item(account).map_err(unwritable)?,
            Row::Lane(lane) => serde_dynamo::to_item(lane).map_err(unwritable)?,
            Row::Recipient(recipient) => {
                retention_ms = RECIPIENT_RETENTION_MS;
                serde_dynamo::to_item(recipient).map_err(unwritable)?
            }
        };
        if let Some(number_hash) = unsettled_number(row) {
            item.insert("unsettled".to_owned(), text(number_hash));
        }
        item.extend(primary_key(&row.key()));
        item.insert("version".to_owned(), text(version));
        let now_ms = self.surroundings.now_ms();
        item.insert("changed_at_ms".to_owned(), number(now_ms));
        if !matches!(row, Row::Account(_) | Row::Lane(_)) {
            let expires_at_s = now_ms.saturating_add(retention_ms) / 1000;
            item.insert("expires_at_s".to_owned(), number(expires_at_s));
        }
        Ok(item)
    }

    fn put(&self, item: Item, expected: Option<Version>) -> Put<'_> {
        let (condition_expression, expression_attribute_values) = match expected {
            None => ("attribute_not_exists(pk)", None),
            Some(Version(version)) => (
                "version = :expected",
                Some(Item::from([(":expected".to_owned(), text(version))])),
            ),
        };
        Put {
            table_name: &self.table,
            item,
            condition_expression,
            expression_attribute_values,
            return_values_on_condition_check_failure: "ALL_OLD",
        }
    }

    async fn write_one(&self, put: Put<'_>, version: &str) -> Result<Written, LedgerError> {
        let written: Result<IgnoredAny, CallError> = self.client.call("PutItem", &put).await;
        match written {
            Ok(_) => Ok(Written::Done),
            Err(CallError::Refused(refused)) => match refused.code.as_str() {
                "ConditionalCheckFailedException" => {
                    // A repeat inside the call: the first one took effect, and its answer was lost.
                    let failed: Option<ConditionalCheckFailed> = refused.details();
                    let now = failed.and_then(|failed| failed.item);
                    Ok(done_if(now.is_some_and(|now| has_version(&now, version))))
                }
                "TransactionConflictException" => Ok(Written::Conflict),
                code => Err(LedgerError(code.to_owned())),
            },
            Err(error) => Err(failed(&error)),
        }
    }

    async fn write_all(&self, puts: Vec<Put<'_>>, version: &str) -> Result<Written, LedgerError> {
        let input = TransactWriteItems {
            client_request_token: version,
            transact_items: puts.into_iter().map(|put| TransactItem { put }).collect(),
        };
        let written: Result<IgnoredAny, CallError> =
            self.client.call("TransactWriteItems", &input).await;
        match written {
            Ok(_) => Ok(Written::Done),
            Err(CallError::Refused(refused)) => match refused.code.as_str() {
                "TransactionCanceledException" => {
                    let cancelled: Option<TransactionCanceled> = refused.details();
                    let reasons = cancelled.map(|cancelled| cancelled.cancellation_reasons);
                    after_cancellation(&reasons.unwrap_or_default(), version)
                        .ok_or(LedgerError(refused.code))
                }
                "TransactionInProgressException" => Ok(Written::Conflict),
                code => Err(LedgerError(code.to_owned())),
            },
            Err(error) => Err(failed(&error)),
        }
    }
}

impl<S: Surroundings> LedgerStore for LedgerTable<S> {
    fn now_ms(&self) -> i64 {
        self.surroundings.now_ms()
    }

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
                    Err(error) => self.surroundings.record(Entry::RowUnreadable {
                        error: Shown::new(&error),
                    }),
                }
            }
        }
        Ok(rows)
    }

    async fn write(&self, writes: Vec<Write>) -> Result<Written, LedgerError> {
        let version = format!("{:016x}", self.surroundings.up_to(u64::MAX));
        let mut puts = writes
            .into_iter()
            .map(|write| Ok(self.put(self.item(&write.row, &version)?, write.expected)))
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

    async fn untold(&self, limit: usize) -> Result<Vec<MedicMessageId>, LedgerError> {
        let items = self.query(UNTOLD_INDEX, "yes", limit).await?;
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
        Key::Lane => "lane".to_owned(),
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
        Row::Message(serde_dynamo::from_item::<Item, MessageRow>(item).map_err(unreadable)?)
    } else if pk.starts_with("sms#") {
        Row::Sms(serde_dynamo::from_item::<Item, SmsRow>(item).map_err(unreadable)?)
    } else if pk.starts_with("recipient#") {
        Row::Recipient(serde_dynamo::from_item::<Item, RecipientRow>(item).map_err(unreadable)?)
    } else if pk == "lane" {
        Row::Lane(serde_dynamo::from_item::<Item, LaneRow>(item).map_err(unreadable)?)
    } else {
        Row::Account(serde_dynamo::from_item::<Item, AccountRow>(item).map_err(unreadable)?)
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

fn failed(error: &CallError) -> LedgerError {
    LedgerError(error.to_string())
}

fn done_if(done: bool) -> Written {
    if done {
        Written::Done
    } else {
        Written::Conflict
    }
}

/// What a cancelled transaction means; nothing known when it was cancelled for another reason than
/// somebody else's writes.
fn after_cancellation(reasons: &[CancellationReason], version: &str) -> Option<Written> {
    let codes = || {
        reasons
            .iter()
            .filter_map(|reason| reason.code.as_deref())
            .filter(|code| *code != "None")
    };
    if codes().any(|code| !matches!(code, "ConditionalCheckFailed" | "TransactionConflict")) {
        return None;
    }
    let ours = !reasons.is_empty()
        && reasons.iter().all(|reason| {
            let now = reason.item.as_ref();
            now.is_some_and(|now| has_version(now, version))
        });
    Some(done_if(ours))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reason(code: &str, version: Option<&str>) -> CancellationReason {
        CancellationReason {
            code: Some(code.to_owned()),
            item: version.map(|version| Item::from([("version".to_owned(), text(version))])),
        }
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
            let mut item: Item = serde_dynamo::to_item(&message).unwrap();
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
            let mut item: Item = serde_dynamo::to_item(&read).unwrap();
            item.extend(primary_key(key));
            item.insert("version".to_owned(), text("v"));
            assert!(row(item).unwrap() == (wrap(read), Version("v".to_owned())));
        }
        let golden = include_str!("../../tests/golden/account-row-v1.json");
        same::<AccountRow>(golden, &Key::Account, Row::Account);
        let golden = include_str!("../../tests/golden/lane-row-v1.json");
        same::<LaneRow>(golden, &Key::Lane, Row::Lane);
        let golden = include_str!("../../tests/golden/recipient-row-v1.json");
        let recipient = Key::Recipient("98aca5c7".to_owned());
        same::<RecipientRow>(golden, &recipient, Row::Recipient);
        let golden = include_str!("../../tests/golden/sms-row-v1.json");
        let sms = AtMessageId::new("ATXid_00000000000000000000000000000001").unwrap();
        same::<SmsRow>(golden, &Key::Sms(sms), Row::Sms);
    }

    #[test]
    fn trouble_of_a_later_version_still_holds() {
        let later = r#"{"hold":{"trouble":"a_new_one","since_ms":1,"probes":0,"next_probe_ms":2}}"#;
        let account: AccountRow = serde_json::from_str(later).unwrap();
        assert!(account.hold.is_some());
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
