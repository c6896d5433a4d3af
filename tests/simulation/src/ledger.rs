//! DynamoDB's model, with the bridge's rows as its items.

use bridge::domain::ids::MedicMessageId;
use bridge::domain::message::MessageRow;
use bridge::ports::{Key, LedgerError, Row, Version, Write, Written};
use models::dynamodb::{Entry, IndexChange, Put, Table, TableItem, Units, WriteError};

/// The index of what Medic was not told.
const UNREPORTED: &str = "unreported";

/// The index of what waits to be matched, by number.
const UNSETTLED: &str = "unsettled";

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
        let number_hash = match &self.row {
            Row::Message(row) if row.unsettled_calls().next().is_some() => &row.number_hash,
            Row::Sms(row) if row.message.is_none() => &row.number_hash,
            _ => &None,
        };
        if let Some(number_hash) = number_hash {
            entries.push(entry(UNSETTLED, number_hash, 0));
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

    /// Writes all or none; and says what it cost, and which writes the indexes have to learn of.
    ///
    /// # Errors
    /// When two writes are of one row.
    pub fn write(
        &mut self,
        writes: Vec<Write>,
    ) -> Result<(Written, Units, Vec<IndexChange<StoredRow>>), LedgerError> {
        let puts = writes
            .into_iter()
            .map(|write| Put {
                item: StoredRow {
                    row: write.row,
                    version: self.next_version(),
                },
                expected: write.expected.map(|Version(version)| version),
            })
            .collect();
        match self.table.write(puts) {
            Ok(written) => Ok((Written::Done, written.units, written.changes)),
            Err(WriteError::Conflict { units, .. }) => Ok((Written::Conflict, units, Vec::new())),
            Err(WriteError::Validation) => Err(LedgerError("ValidationException".to_owned())),
        }
    }

    /// The indexes learn of a write, unless they know a later one.
    pub fn index(&mut self, change: &IndexChange<StoredRow>) {
        self.table.learn(change);
    }

    /// The indexes know this of a row and are so late that they learn of no write of it any more.
    pub fn freeze_index(&mut self, row: Row) {
        let version = self.next_version();
        self.table.freeze(StoredRow { row, version });
    }

    /// What the index names that has not been reported to Medic, those offered first first; as the rows
    /// were when the index learned of them. And the read units.
    pub fn unreported(&self, limit: usize) -> (Vec<MessageRow>, f64) {
        let (named, units) = self.table.query(UNREPORTED, "", i64::MIN..=i64::MAX, limit);
        let rows = named.into_iter().filter_map(|stored| match &stored.row {
            Row::Message(row) => Some(row.clone()),
            _ => None,
        });
        (rows.collect(), units)
    }

    /// What the index names to this number that waits to be matched, and the read units.
    pub fn unsettled(&self, number_hash: &str, limit: usize) -> (Vec<Key>, f64) {
        let (named, units) = self.table.query(UNSETTLED, number_hash, 0..=0, limit);
        (named.into_iter().map(TableItem::key).collect(), units)
    }

    /// The row of a message.
    pub fn message(&self, id: &str) -> Option<&MessageRow> {
        let key = Key::Message(MedicMessageId::new(id).ok()?);
        match self.table.get(&key).map(|stored| &stored.row) {
            Some(Row::Message(row)) => Some(row),
            _ => None,
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
