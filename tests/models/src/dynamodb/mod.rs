//! DynamoDB: a table with conditional writes, strongly consistent reads, and sparse
//! indexes that get a write later.

pub mod units;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use units::{read_units, write_units};

/// About the size of an entry in an index that holds keys alone, in bytes.
const ENTRY_BYTES: usize = 80;

/// An item of a table.
pub trait TableItem: Clone {
    /// Its primary key.
    type Key: Ord + Clone;

    /// Its primary key.
    fn key(&self) -> Self::Key;

    /// The version that a later write can have as its condition.
    fn version(&self) -> &str;

    /// Its size in bytes.
    fn bytes(&self) -> usize;

    /// Its entries in the sparse indexes.
    fn entries(&self) -> Vec<Entry>;
}

/// The place of an item in an index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Which index.
    pub index: &'static str,
    /// Its partition key there.
    pub partition: String,
    /// Its sort key there; 0 in an index without one.
    pub sort: i64,
}

/// A write of a whole item.
#[derive(Clone, Debug)]
pub struct Put<I> {
    /// The item.
    pub item: I,
    /// The version that the item must have, or nothing if it must not be there.
    pub expected: Option<String>,
}

/// The price of a call, in request units.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Units {
    /// Of the table.
    pub writes: u64,
    /// Of its indexes.
    pub index_writes: u64,
    /// Read units.
    pub reads: f64,
}

/// A write that was done.
#[derive(Clone, Debug)]
pub struct CompletedWrite<I> {
    /// The units of the call.
    pub units: Units,
    /// The change that the indexes still have to get.
    pub change: IndexChange<I>,
}

/// A write that an index still has to get.
#[derive(Clone, Debug)]
pub struct IndexChange<I> {
    sequence: u64,
    /// The item as it was written.
    pub item: I,
}

/// Nothing was written, because the condition did not hold.
#[derive(Clone, Debug)]
pub struct WriteConflict<I> {
    /// The units of the attempt.
    pub units: Units,
    /// The item that is there instead of the expected one, if any.
    pub found: Option<I>,
}

type IndexPlace<I> = (Entry, <I as TableItem>::Key);

/// A table and its indexes.
#[derive(Debug)]
pub struct Table<I: TableItem> {
    items: BTreeMap<I::Key, I>,
    /// The entries of the indexes, with the items as they were when the indexes learned of them.
    index: BTreeMap<IndexPlace<I>, I>,
    /// Up to which write they know of an item, and where it is in them.
    indexed: BTreeMap<I::Key, (u64, Vec<Entry>)>,
    sequence: u64,
}

impl<I: TableItem> Default for Table<I> {
    fn default() -> Self {
        Self {
            items: BTreeMap::new(),
            index: BTreeMap::new(),
            indexed: BTreeMap::new(),
            sequence: 0,
        }
    }
}

impl<I: TableItem> Table<I> {
    /// An item.
    pub fn get(&self, key: &I::Key) -> Option<&I> {
        self.items.get(key)
    }

    /// All items.
    pub fn items(&self) -> impl Iterator<Item = &I> {
        self.items.values()
    }

    /// Reads these items, strongly consistent; and the read units. An item that is not there costs
    /// one.
    pub fn read(&self, keys: impl IntoIterator<Item = I::Key>) -> (Vec<&I>, f64) {
        let keys: BTreeSet<I::Key> = keys.into_iter().collect();
        let mut found = Vec::new();
        let mut units = 0.0;
        for key in keys {
            let item = self.items.get(&key);
            units += count(read_units(item.map_or(0, I::bytes)));
            found.extend(item);
        }
        (found, units)
    }

    /// Writes an item.
    ///
    /// # Errors
    /// When its condition does not hold.
    pub fn write(&mut self, put: Put<I>) -> Result<CompletedWrite<I>, WriteConflict<I>> {
        let before = self.items.get(&put.item.key());
        let bytes = put.item.bytes().max(before.map_or(0, I::bytes));
        let mut units = Units {
            writes: write_units(bytes),
            ..Units::default()
        };
        if before.map(I::version) != put.expected.as_deref() {
            let found = before.cloned();
            return Err(WriteConflict { units, found });
        }
        let before = before.map(I::entries).unwrap_or_default();
        units.index_writes = changed(&before, &put.item.entries());
        self.sequence += 1;
        let change = IndexChange {
            sequence: self.sequence,
            item: put.item.clone(),
        };
        self.items.insert(put.item.key(), put.item);
        Ok(CompletedWrite { units, change })
    }

    /// Stores an item as an earlier run would have left it. No index gets it.
    pub fn place(&mut self, item: I) {
        self.items.insert(item.key(), item);
    }

    /// The indexes get a write, unless they have a later one of the same item.
    pub fn learn(&mut self, change: &IndexChange<I>) {
        let key = change.item.key();
        let known = self.indexed.get(&key);
        if known.is_some_and(|(sequence, _)| *sequence >= change.sequence) {
            return;
        }
        let entries = change.item.entries();
        let known = (change.sequence, entries.clone());
        let before = self.indexed.insert(key.clone(), known);
        for entry in before.into_iter().flat_map(|(_, entries)| entries) {
            self.index.remove(&(entry, key.clone()));
        }
        for entry in entries {
            self.index.insert((entry, key.clone()), change.item.clone());
        }
    }

    /// What an index names in a partition, by its sort key and then by primary key, as the items
    /// were when it learned of them; and the read units. Eventually consistent, which costs half.
    pub fn query(
        &self,
        index: &str,
        partition: &str,
        sort: RangeInclusive<i64>,
        limit: usize,
    ) -> (Vec<&I>, f64) {
        let is_in = |entry: &Entry| {
            entry.index == index && entry.partition == partition && sort.contains(&entry.sort)
        };
        let named = self.index.iter().filter(|((entry, _), _)| is_in(entry));
        let named: Vec<&I> = named.map(|(_, item)| item).take(limit).collect();
        let units = count(read_units(named.len() * ENTRY_BYTES)) / 2.0;
        (named, units)
    }
}

/// How many entries of an index of keys come or go.
fn changed(before: &[Entry], after: &[Entry]) -> u64 {
    let gone = before.iter().filter(|entry| !after.contains(entry)).count();
    let come = after.iter().filter(|entry| !before.contains(entry)).count();
    u64::try_from(gone + come).unwrap_or(u64::MAX)
}

fn count(units: u64) -> f64 {
    f64::from(u32::try_from(units).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, PartialEq)]
    struct Row {
        key: &'static str,
        version: &'static str,
        pending: bool,
        bytes: usize,
    }

    impl TableItem for Row {
        type Key = &'static str;

        fn key(&self) -> &'static str {
            self.key
        }

        fn version(&self) -> &str {
            self.version
        }

        fn bytes(&self) -> usize {
            self.bytes
        }

        fn entries(&self) -> Vec<Entry> {
            let entry = Entry {
                index: "pending",
                partition: "yes".to_owned(),
                sort: 5,
            };
            self.pending.then_some(entry).into_iter().collect()
        }
    }

    fn put(key: &'static str, version: &'static str, expected: Option<&str>) -> Put<Row> {
        let item = Row {
            key,
            version,
            pending: version == "1",
            bytes: 100,
        };
        Put {
            item,
            expected: expected.map(str::to_owned),
        }
    }

    #[test]
    fn a_write_is_done_on_its_condition_only_and_costs_all_the_same() {
        let mut table = Table::default();
        let written = table.write(put("a", "1", None)).unwrap();
        assert_eq!((written.units.writes, written.units.index_writes), (1, 1));
        let conflict = table.write(put("a", "2", None)).unwrap_err();
        let units = conflict.units;
        assert_eq!((units.writes, units.index_writes), (1, 0));
        assert_eq!(conflict.found.unwrap().version, "1");
        assert!(table.write(put("b", "1", Some("1"))).is_err());
        let written = table.write(put("a", "2", Some("1"))).unwrap();
        assert_eq!((written.units.writes, written.units.index_writes), (1, 1));
    }

    #[test]
    fn an_index_learns_late_and_never_falls_back() {
        let mut table = Table::default();
        let first = table.write(put("a", "1", None)).unwrap().change;
        let named = |table: &Table<Row>| table.query("pending", "yes", 0..=9, 10).0.len();
        assert_eq!(named(&table), 0);
        let second = table.write(put("a", "2", Some("1"))).unwrap().change;
        table.learn(&second);
        table.learn(&first);
        assert_eq!(named(&table), 0);
    }

    #[test]
    fn reads_are_counted_by_what_is_there() {
        let mut table = Table::default();
        let mut large = put("a", "1", None);
        large.item.bytes = 4_097;
        table.write(large).unwrap();
        let (found, units) = table.read(["a", "b"]);
        assert_eq!((found.len(), units), (1, 3.0));
    }
}
