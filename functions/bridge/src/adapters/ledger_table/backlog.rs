//! What in the table waits for longer than it should.

use std::ops::Range;

use aws_sdk_dynamodb::types::{AttributeValue, Select};
use futures_util::FutureExt;

use super::super::aws::describe;
use super::LedgerTable;
use crate::ports::{Key, LedgerBacklog, LedgerError, LedgerStore, Surroundings};

/// The sparse index of messages of which nobody has heard the end.
const UNREPORTED_INDEX: &str = "unreported";

/// So many rows are looked at for the one that has waited longest.
const ROWS_LOOKED_AT: usize = 25;

impl<S: Surroundings> LedgerBacklog for LedgerTable<S> {
    async fn untold_since_ms(&self) -> Result<Option<i64>, LedgerError> {
        let candidates = self.untold(ROWS_LOOKED_AT).await?;
        if candidates.is_empty() {
            return Ok(None);
        }
        let keys: Vec<Key> = candidates.into_iter().map(Key::Message).collect();
        let rows = self.read_some(&keys).await?;
        // The index may not know yet what was told a moment ago.
        let untold = rows.iter().filter(|row| row.contains_key("untold"));
        Ok(untold
            .filter_map(|row| row.get("changed_at_ms")?.as_n().ok()?.parse().ok())
            .min())
    }

    async fn unreported(&self, offered_ms: Range<i64>) -> Result<u64, LedgerError> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(UNREPORTED_INDEX)
            .select(Select::Count)
            .key_condition_expression(
                "unreported = :yes AND first_offered_ms BETWEEN :first AND :last",
            )
            .expression_attribute_values(":yes", AttributeValue::S("yes".to_owned()))
            .expression_attribute_values(":first", number(offered_ms.start))
            .expression_attribute_values(":last", number(offered_ms.end.saturating_sub(1)));
        let mut messages: u64 = 0;
        loop {
            let page = pages.clone().send().boxed_local().await;
            let page = page.map_err(|error| LedgerError(describe(&error)))?;
            messages = messages.saturating_add(u64::try_from(page.count).unwrap_or_default());
            match page.last_evaluated_key {
                Some(next) => pages = pages.set_exclusive_start_key(Some(next)),
                None => return Ok(messages),
            }
        }
    }
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}
