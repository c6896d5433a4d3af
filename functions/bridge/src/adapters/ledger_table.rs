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

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, KeysAndAttributes, Put,
    ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};

use futures_util::FutureExt;

use super::aws::describe;
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
        let mut wanted: Vec<Item> = keys.iter().map(primary_key).collect();
        for _ in 0..READ_TRIES {
            let request = KeysAndAttributes::builder()
                .set_keys(Some(wanted))
                .consistent_read(true)
                .build()
                .map_err(|error| LedgerError(error.to_string()))?;
            let answer = self
                .client
                .batch_get_item()
                .request_items(&self.table, request)
                .send()
                .boxed_local()
                .await
                .map_err(|error| LedgerError(describe(&error)))?;
            let mut responses = answer.responses.unwrap_or_default();
            found.append(&mut responses.remove(&self.table).unwrap_or_default());
            let mut left_out = answer.unprocessed_keys.unwrap_or_default();
            wanted = left_out
                .remove(&self.table)
                .map(|keys| keys.keys)
                .unwrap_or_default();
            if wanted.is_empty() {
                return Ok(found);
            }
        }
        Err(LedgerError(
            "part of a read is left out again and again".to_owned(),
        ))
    }

    fn item(&self, row: &Row, version: &str) -> Result<Item, LedgerError> {
        let unwritable =
            |error: serde_dynamo::Error| LedgerError(format!("a row cannot be written: {error}"));
        let mut retention_ms = self.retention_ms;
        let mut item: Item = match row {
            Row::Message(message) => {
                let mut item: Item = serde_dynamo::to_item(message).map_err(unwritable)?;
                if message.is_untold() {
                    item.insert("untold".to_owned(), AttributeValue::S("yes".to_owned()));
                }
                if message.is_unreported() {
                    let yes = AttributeValue::S("yes".to_owned());
                    item.insert("unreported".to_owned(), yes);
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
            item.insert(
                "unsettled".to_owned(),
                AttributeValue::S(number_hash.clone()),
            );
        }
        item.extend(primary_key(&row.key()));
        item.insert("version".to_owned(), AttributeValue::S(version.to_owned()));
        let now_ms = self.surroundings.now_ms();
        item.insert(
            "changed_at_ms".to_owned(),
            AttributeValue::N(now_ms.to_string()),
        );
        if !matches!(row, Row::Account(_) | Row::Lane(_)) {
            let expires_at_s = now_ms.saturating_add(retention_ms) / 1000;
            item.insert(
                "expires_at_s".to_owned(),
                AttributeValue::N(expires_at_s.to_string()),
            );
        }
        Ok(item)
    }

    async fn put(
        &self,
        item: Item,
        expected: Option<Version>,
        version: &str,
    ) -> Result<Written, LedgerError> {
        let (condition, values) = condition(expected);
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression(condition)
            .set_expression_attribute_values(values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .boxed_local()
            .await;
        let Err(error) = put else {
            return Ok(Written::Done);
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                // A repeat inside the call: the first one took effect, and its answer was lost.
                Ok(done_if(
                    failed.item().is_some_and(|now| has_version(now, version)),
                ))
            }
            Some(PutItemError::TransactionConflictException(_)) => Ok(Written::Conflict),
            _ => Err(LedgerError(describe(&error))),
        }
    }

    async fn put_all(
        &self,
        puts: Vec<(Item, Option<Version>)>,
        version: &str,
    ) -> Result<Written, LedgerError> {
        let mut items = Vec::new();
        for (item, expected) in puts {
            let (condition, values) = condition(expected);
            let put = Put::builder()
                .table_name(&self.table)
                .set_item(Some(item))
                .condition_expression(condition)
                .set_expression_attribute_values(values)
                .return_values_on_condition_check_failure(
                    ReturnValuesOnConditionCheckFailure::AllOld,
                )
                .build()
                .map_err(|error| LedgerError(error.to_string()))?;
            items.push(TransactWriteItem::builder().put(put).build());
        }
        let transaction = self
            .client
            .transact_write_items()
            .client_request_token(version)
            .set_transact_items(Some(items))
            .send()
            .boxed_local()
            .await;
        let Err(error) = transaction else {
            return Ok(Written::Done);
        };
        match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                after_cancellation(cancelled.cancellation_reasons(), version)
                    .ok_or_else(|| LedgerError(describe(&error)))
            }
            Some(TransactWriteItemsError::TransactionInProgressException(_)) => {
                Ok(Written::Conflict)
            }
            _ => Err(LedgerError(describe(&error))),
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
            .map(|write| Ok((self.item(&write.row, &version)?, write.expected)))
            .collect::<Result<Vec<_>, LedgerError>>()?;
        match (puts.pop(), puts.is_empty()) {
            (None, _) => Ok(Written::Done),
            (Some((item, expected)), true) => self.put(item, expected, &version).await,
            (Some(last), false) => {
                puts.push(last);
                self.put_all(puts, &version).await
            }
        }
    }

    async fn untold(&self, limit: usize) -> Result<Vec<MedicMessageId>, LedgerError> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(UNTOLD_INDEX)
            .key_condition_expression("untold = :yes")
            .expression_attribute_values(":yes", AttributeValue::S("yes".to_owned()))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .boxed_local()
            .await
            .map_err(|error| LedgerError(describe(&error)))?;
        let ids = answer.items().iter().filter_map(|item| {
            let pk = item.get("pk")?.as_s().ok()?;
            MedicMessageId::new(pk.strip_prefix("message#")?).ok()
        });
        Ok(ids.collect())
    }

    async fn unsettled(&self, number_hash: &str, limit: usize) -> Result<Vec<Key>, LedgerError> {
        let answer = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(UNSETTLED_INDEX)
            .key_condition_expression("unsettled = :number")
            .expression_attribute_values(":number", AttributeValue::S(number_hash.to_owned()))
            .limit(i32::try_from(limit).unwrap_or(i32::MAX))
            .send()
            .boxed_local()
            .await
            .map_err(|error| LedgerError(describe(&error)))?;
        let keys = answer.items().iter().filter_map(|item| {
            let pk = item.get("pk")?.as_s().ok()?;
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
    HashMap::from([("pk".to_owned(), AttributeValue::S(pk))])
}

/// The row that an item is.
///
/// # Errors
/// When this version cannot read it. Carries nothing of it.
pub fn row(item: Item) -> Result<(Row, Version), LedgerError> {
    let text = |name: &str| {
        item.get(name)
            .and_then(|value| value.as_s().ok())
            .cloned()
            .unwrap_or_default()
    };
    let version = Version(text("version"));
    let pk = text("pk");
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

fn condition(expected: Option<Version>) -> (&'static str, Option<Item>) {
    match expected {
        None => ("attribute_not_exists(pk)", None),
        Some(Version(version)) => (
            "version = :expected",
            Some(HashMap::from([(
                ":expected".to_owned(),
                AttributeValue::S(version),
            )])),
        ),
    }
}

fn has_version(item: &Item, version: &str) -> bool {
    item.get("version")
        .and_then(|value| value.as_s().ok())
        .is_some_and(|now| now == version)
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
            .filter_map(CancellationReason::code)
            .filter(|code| *code != "None")
    };
    if codes().any(|code| !matches!(code, "ConditionalCheckFailed" | "TransactionConflict")) {
        return None;
    }
    let ours = !reasons.is_empty()
        && reasons
            .iter()
            .all(|reason| reason.item().is_some_and(|now| has_version(now, version)));
    Some(done_if(ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(code: &str, version: Option<&str>) -> CancellationReason {
        CancellationReason::builder()
            .code(code)
            .set_item(version.map(|version| {
                HashMap::from([("version".to_owned(), AttributeValue::S(version.to_owned()))])
            }))
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
            let mut item: Item = serde_dynamo::to_item(&message).unwrap();
            item.extend(primary_key(&Key::Message(message.id.clone())));
            item.insert("version".to_owned(), AttributeValue::S("v".to_owned()));
            let read = row(item).unwrap();
            assert!(read == (Row::Message(message), Version("v".to_owned())));
        }
    }
}
