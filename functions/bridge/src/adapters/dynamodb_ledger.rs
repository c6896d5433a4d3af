//! The ledger in a table of DynamoDB.
//!
//! [`item`] says what a row is there.

mod backlog;
mod conditional_put;
mod errors;
mod item;

use std::ops::ControlFlow;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::KeysAndAttributes;

use crate::domain::ids::MedicMessageId;
use crate::log::{LogEvent, Redacted};
use crate::ports::{Key, LedgerError, LedgerStore, Row, Runtime, Version, Write, Written};
use crate::retry::{UNPROCESSED_KEYS, retry};
use conditional_put::ConditionalPut;
use errors::{failed, unsendable};
use item::{pk, primary_key, text};

pub use item::{AttributeValue, Item, row};

/// The sparse index of unreported statuses.
const UNREPORTED_INDEX: &str = "unreported";

/// The largest number of rows in one read.
const KEYS_A_READ: usize = 100;

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

    async fn write(&self, write: Write) -> Result<Written, LedgerError> {
        let version = format!("{:016x}", self.runtime.up_to(u64::MAX));
        let now = self.runtime.now();
        let item = item::of_row(&write.row, &version, self.retention, now)?;
        let put = ConditionalPut::new(item, write.expected);
        put.write(&self.client, &self.table, &version).await
    }

    async fn unreported(&self, limit: usize) -> Result<Vec<MedicMessageId>, LedgerError> {
        let items = self.query(UNREPORTED_INDEX, "yes", limit).await?;
        let ids = items
            .iter()
            .filter_map(|item| MedicMessageId::new(pk(item)?.strip_prefix("message#")?).ok());
        Ok(ids.collect())
    }
}

#[cfg(test)]
mod tests;
