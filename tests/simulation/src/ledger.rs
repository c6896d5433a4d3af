//! The ledger as DynamoDB keeps its contract: conditional writes, transactions, reads that are
//! strongly consistent, and an index that is not.

use std::collections::{BTreeMap, BTreeSet};

use bridge::domain::ids::MedicMessageId;
use bridge::domain::message::MessageRow;
use bridge::ports::{Key, Row, Version, Write, Written};

/// What an index knows of a row: what it was some time ago.
struct IndexEntry {
    version: u64,
    row: Row,
}

/// The table and its indexes.
#[derive(Default)]
pub struct LedgerModel {
    rows: BTreeMap<Key, (Row, u64)>,
    index: BTreeMap<Key, IndexEntry>,
    versions: u64,
}

impl LedgerModel {
    /// The rows at these keys.
    pub fn read(&self, keys: &[Key]) -> Vec<(Row, Version)> {
        let keys: BTreeSet<&Key> = keys.iter().collect();
        keys.into_iter()
            .filter_map(|key| self.rows.get(key))
            .map(|(row, version)| (row.clone(), Version(version.to_string())))
            .collect()
    }

    /// Writes all or none; and says which rows the indexes have to learn of.
    pub fn write(&mut self, writes: Vec<Write>) -> (Written, Vec<(u64, Row)>) {
        let holds = |write: &Write| {
            let now = self.rows.get(&write.row.key());
            let now = now.map(|(_, version)| Version(version.to_string()));
            now == write.expected
        };
        if !writes.iter().all(holds) {
            return (Written::Conflict, Vec::new());
        }
        let mut changed = Vec::new();
        for write in writes {
            self.versions += 1;
            changed.push((self.versions, write.row.clone()));
            self.rows
                .insert(write.row.key(), (write.row, self.versions));
        }
        (Written::Done, changed)
    }

    /// The indexes learn of a row, unless they know a later one.
    pub fn index(&mut self, version: u64, row: Row) {
        let key = row.key();
        let before = self.index.get(&key);
        if before.is_none_or(|entry| entry.version < version) {
            self.index.insert(key, IndexEntry { version, row });
        }
    }

    /// What the index names that has not been reported to Medic, those offered first first; as the rows
    /// were when the index learned of them.
    pub fn unreported(&self, limit: usize) -> Vec<MessageRow> {
        let mut named: Vec<&MessageRow> = self
            .index
            .values()
            .filter_map(|entry| match &entry.row {
                Row::Message(row) if row.is_unreported() => Some(row),
                _ => None,
            })
            .collect();
        named.sort_by(|a, b| (a.first_offered_ms, &a.id).cmp(&(b.first_offered_ms, &b.id)));
        named.truncate(limit);
        named.into_iter().cloned().collect()
    }

    /// What the index names to this number that waits to be matched.
    pub fn unsettled(&self, number_hash: &str, limit: usize) -> Vec<Key> {
        let number = |row: &Row| match row {
            Row::Message(row) if row.unsettled_calls().next().is_some() => row.number_hash.clone(),
            Row::Sms(row) if row.message.is_none() => row.number_hash.clone(),
            _ => None,
        };
        let named = self
            .index
            .values()
            .filter(|entry| number(&entry.row).as_deref() == Some(number_hash));
        named.map(|entry| entry.row.key()).take(limit).collect()
    }

    /// The row of a message.
    pub fn message(&self, id: &str) -> Option<&MessageRow> {
        let key = Key::Message(MedicMessageId::new(id).ok()?);
        match self.rows.get(&key) {
            Some((Row::Message(row), _)) => Some(row),
            _ => None,
        }
    }

    /// The rows of all messages.
    pub fn messages(&self) -> impl Iterator<Item = &MessageRow> {
        self.rows.values().filter_map(|(row, _)| match row {
            Row::Message(row) => Some(row),
            _ => None,
        })
    }

    /// All rows.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values().map(|(row, _)| row)
    }

    /// Puts a row where it is, as an earlier run would have left it.
    pub fn put(&mut self, row: Row) {
        self.versions += 1;
        self.rows.insert(row.key(), (row, self.versions));
    }
}
