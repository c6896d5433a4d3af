//! The queries of the monitors.

use super::LedgerTable;
use super::item::AttributeValue;
use crate::domain::time::Timestamp;
use crate::ports::{Key, LedgerBacklog, LedgerError, LedgerStore, Runtime};

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
}
