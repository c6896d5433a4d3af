//! DynamoDB's model, with the bridge's rows as its items.

use bridge::domain::circuit_breaker::AccountRow;
use bridge::domain::ids::MedicMessageId;
use bridge::domain::message::MessageRow;
use bridge::ports::{Key, Row, Version, Write, Written};
use models::dynamodb::{Entry, IndexChange, Put, Table, TableItem, Units};

/// The index of what Medic was not told.
const UNREPORTED: &str = "unreported";

/// A row as it is stored.
#[derive(Clone, Debug)]
pub struct StoredRow {
    /// The row.
    pub row: Row,
    version: String,
}

impl TableItem for StoredRow {
    type Key = Key;

    fn key(&self) -> Key {
        self.row.key()
    }

    fn version(&self) -> &str {
        &self.version
    }

    /// The row of a usual message is meant to cost one unit.
    fn bytes(&self) -> usize {
        1
    }

    fn entries(&self) -> Vec<Entry> {
        let entry = |index, partition: &str, sort| Entry {
            index,
            partition: partition.to_owned(),
            sort,
        };
        let mut entries = Vec::new();
        if let Row::Message(row) = &self.row
            && row.is_unreported()
        {
            entries.push(entry(UNREPORTED, "", row.first_offered.as_millis()));
        }
        entries
    }
}

/// The table and its indexes.
#[derive(Default)]
pub struct LedgerModel {
    table: Table<StoredRow>,
    versions: u64,
}

impl LedgerModel {
    /// The rows at these keys, and the read units.
    pub fn read(&self, keys: &[Key]) -> (Vec<(Row, Version)>, f64) {
        let (found, units) = self.table.read(keys.iter().cloned());
        let versioned = |stored: &StoredRow| (stored.row.clone(), Version(stored.version.clone()));
        (found.into_iter().map(versioned).collect(), units)
    }

    fn next_version(&mut self) -> String {
        self.versions += 1;
        self.versions.to_string()
    }

    /// Writes a row; and says what it cost, and the write that the index has to learn of.
    pub fn write(&mut self, write: Write) -> (Written, Units, Option<IndexChange<StoredRow>>) {
        let version = self.next_version();
        let put = Put {
            item: StoredRow {
                row: write.row,
                version: version.clone(),
            },
            expected: write.expected.map(|Version(version)| version),
        };
        match self.table.write(put) {
            Ok(written) => (
                Written::Done(Version(version)),
                written.units,
                Some(written.change),
            ),
            Err(conflict) => (Written::Conflict, conflict.units, None),
        }
    }

    /// The indexes learn of a write, unless they know a later one.
    pub fn index(&mut self, change: &IndexChange<StoredRow>) {
        self.table.learn(change);
    }

    /// The index's messages that have not been reported to Medic, in the order in which they were offered,
    /// with the rows as they were when the index learned of them. And the read units.
    pub fn unreported(&self, limit: usize) -> (Vec<MessageRow>, f64) {
        let (named, units) = self.table.query(UNREPORTED, "", i64::MIN..=i64::MAX, limit);
        let rows = named.into_iter().filter_map(|stored| match &stored.row {
            Row::Message(row) => Some(row.clone()),
            _ => None,
        });
        (rows.collect(), units)
    }

    /// The row of a message.
    pub fn message(&self, id: &str) -> Option<&MessageRow> {
        let key = Key::Message(MedicMessageId::new(id).ok()?);
        match self.table.get(&key).map(|stored| &stored.row) {
            Some(Row::Message(row)) => Some(row),
            _ => None,
        }
    }

    /// The account's row.
    pub fn account(&self) -> AccountRow {
        match self.table.get(&Key::Account).map(|stored| &stored.row) {
            Some(Row::Account(row)) => row.clone(),
            _ => AccountRow::default(),
        }
    }

    /// The rows of all messages.
    pub fn messages(&self) -> impl Iterator<Item = &MessageRow> {
        self.rows().filter_map(|row| match row {
            Row::Message(row) => Some(row),
            _ => None,
        })
    }

    /// All rows.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.table.items().map(|stored| &stored.row)
    }

    /// Puts a row where it is, as an earlier run would have left it.
    pub fn put(&mut self, row: Row) {
        let version = self.next_version();
        self.table.place(StoredRow { row, version });
    }
}
