//! The queries of the monitors.

use std::ops::Range;
use std::time::Duration;

use aws_sdk_dynamodb::types::Select;

use super::{AttributeValue, LedgerTable, failed, number};
use crate::domain::time::Timestamp;
use crate::ports::{Key, LedgerBacklog, LedgerError, LedgerStore, Runtime};

/// The sparse index of messages without a final report.
const AWAITING_FINAL_REPORT_INDEX: &str = "awaiting_final_report";

/// The number of rows that are read to find the oldest one.
const ROWS_CHECKED: usize = 25;

impl<S: Runtime> LedgerBacklog for LedgerTable<S> {
    async fn unreported_since(&self) -> Result<Option<Timestamp>, LedgerError> {
        let candidates = self.unreported(ROWS_CHECKED).await?;
        if candidates.is_empty() {
            return Ok(None);
        }
        let keys: Vec<Key> = candidates.into_iter().map(Key::Message).collect();
        let rows = self.read_some(&keys).await?;
        // The index may lag behind a status that was just reported.
        let unreported = rows.iter().filter(|row| row.contains_key("unreported"));
        Ok(unreported
            .filter_map(|row| match row.get("changed_at_ms")? {
                AttributeValue::N(changed_at) => {
                    changed_at.parse().ok().map(Timestamp::from_millis)
                }
                _ => None,
            })
            .min())
    }

    async fn awaiting_final_report(&self, offered: Range<Timestamp>) -> Result<u64, LedgerError> {
        let question = self
            .ask_index(AWAITING_FINAL_REPORT_INDEX, "yes")
            .select(Select::Count)
            .key_condition_expression(
                "awaiting_final_report = :value AND first_offered_ms BETWEEN :first AND :last",
            )
            .expression_attribute_values(":first", number(offered.start.as_millis()))
            .expression_attribute_values(
                ":last",
                number((offered.end - Duration::from_millis(1)).as_millis()),
            );
        let mut begin = None;
        let mut messages: u64 = 0;
        loop {
            let page = question.clone().set_exclusive_start_key(begin).send().await;
            let page = page.map_err(|error| failed(&error))?;
            messages = messages.saturating_add(u64::try_from(page.count).unwrap_or_default());
            begin = page.last_evaluated_key;
            if begin.is_none() {
                return Ok(messages);
            }
        }
    }
}
