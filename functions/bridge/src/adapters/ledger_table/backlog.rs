//! What in the table waits for longer than it should.

use std::ops::Range;

use super::wire::{Query, QueryAnswer};
use super::{AttributeValue, Item, LedgerTable, number, text};
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
            .filter_map(|row| match row.get("changed_at_ms")? {
                AttributeValue::N(changed_at_ms) => changed_at_ms.parse().ok(),
                _ => None,
            })
            .min())
    }

    async fn unreported(&self, offered_ms: Range<i64>) -> Result<u64, LedgerError> {
        let mut query = Query {
            table_name: &self.table,
            index_name: UNREPORTED_INDEX,
            select: Some("COUNT"),
            key_condition_expression: "unreported = :yes AND first_offered_ms BETWEEN :first AND :last",
            expression_attribute_values: Item::from([
                (":yes".to_owned(), text("yes")),
                (":first".to_owned(), number(offered_ms.start)),
                (":last".to_owned(), number(offered_ms.end.saturating_sub(1))),
            ]),
            ..Query::default()
        };
        let mut messages: u64 = 0;
        loop {
            let page: QueryAnswer = self.call("Query", &query).await?;
            messages = messages.saturating_add(page.count);
            query.exclusive_start_key = page.last_evaluated_key;
            if query.exclusive_start_key.is_none() {
                return Ok(messages);
            }
        }
    }
}
