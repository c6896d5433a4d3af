//! DynamoDB: a table with conditional writes, transactions, strongly consistent reads, and sparse
//! indexes that learn of a write later.

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

    /// What a later write can make its condition.
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

/// What a call costs, in request units.
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
    /// What it cost.
    pub units: Units,
    /// What the indexes have to learn.
    pub changes: Vec<IndexChange<I>>,
}

/// A write that an index has to learn of.
#[derive(Clone, Debug)]
pub struct IndexChange<I> {
    sequence: u64,
    /// The item as it was written.
    pub item: I,
}

/// Why nothing was written.
#[derive(Clone, Debug)]
pub enum WriteError<I> {
    /// Two writes of one item in a transaction.
    Validation,
    /// A condition did not hold. Of each write: whether its own did, and else what is there.
    Conflict {
        /// What the attempt cost.
        units: Units,
        /// In the order of the writes; nothing where the condition held.
        refused: Vec<Option<Found<I>>>,
    },
}

/// What is there instead of what a write expected, if anything.
pub type Found<I> = Option<I>;

type IndexPlace<I> = (Entry, <I as TableItem>::Key);

/// A table and its indexes.
#[derive(Debug)]
pub struct Table<I: TableItem> {
    items: BTreeMap<I::Key, I>,
    /// What the indexes know, with the items as they were when they learned of them.
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

    /// Writes all or none. Several writes are a transaction, which costs twice.
    ///
    /// # Errors
    /// When a condition does not hold, or two writes are of one item.
    pub fn write(&mut self, puts: Vec<Put<I>>) -> Result<CompletedWrite<I>, WriteError<I>> {
        let is_transaction = puts.len() > 1;
        self.write_as(puts, is_transaction)
    }

    /// The same, as a transaction also of one.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn transact(&mut self, puts: Vec<Put<I>>) -> Result<CompletedWrite<I>, WriteError<I>> {
        self.write_as(puts, true)
    }

    fn write_as(
        &mut self,
        puts: Vec<Put<I>>,
        is_transaction: bool,
    ) -> Result<CompletedWrite<I>, WriteError<I>> {
        let keys: BTreeSet<I::Key> = puts.iter().map(|put| put.item.key()).collect();
        if keys.len() < puts.len() {
            return Err(WriteError::Validation);
        }
        let mut units = Units::default();
        let mut refused = Vec::new();
        for put in &puts {
            let before = self.items.get(&put.item.key());
            let bytes = put.item.bytes().max(before.map_or(0, I::bytes));
            units.writes += write_units(bytes) * if is_transaction { 2 } else { 1 };
            let holds = before.map(I::version) == put.expected.as_deref();
            refused.push((!holds).then(|| before.cloned()));
        }
        if refused.iter().any(Option::is_some) {
            return Err(WriteError::Conflict { units, refused });
        }
        let mut changes = Vec::new();
        for put in puts {
            let before = self.items.get(&put.item.key()).map(I::entries);
            units.index_writes += changed(&before.unwrap_or_default(), &put.item.entries());
            self.sequence += 1;
            changes.push(IndexChange {
                sequence: self.sequence,
                item: put.item.clone(),
            });
            self.items.insert(put.item.key(), put.item);
        }
        Ok(CompletedWrite { units, changes })
    }

    /// Puts an item where it is, as an earlier run would have left it; no index learns of it.
    pub fn place(&mut self, item: I) {
        self.items.insert(item.key(), item);
    }

    /// The indexes learn of a write, unless they know a later one of the same item.
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

    /// The indexes know this of an item and are so late that they learn of no write of it any more.
    pub fn freeze(&mut self, item: I) {
        self.learn(&IndexChange {
            sequence: u64::MAX,
            item,
        });
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
        let written = table.write(vec![put("a", "1", None)]).unwrap();
        assert_eq!((written.units.writes, written.units.index_writes), (1, 1));
        let Err(WriteError::Conflict { units, refused }) = table.write(vec![put("a", "2", None)])
        else {
            panic!("it was written")
        };
        assert_eq!((units.writes, units.index_writes), (1, 0));
        assert_eq!(refused[0].as_ref().unwrap().as_ref().unwrap().version, "1");
        let both = vec![put("a", "2", Some("1")), put("b", "1", Some("1"))];
        assert!(table.write(both).is_err());
        assert_eq!(table.get(&"a").unwrap().version, "1");
        let both = vec![put("a", "2", Some("1")), put("b", "1", None)];
        assert_eq!(table.write(both).unwrap().units.writes, 4);
        let twice = vec![put("c", "1", None), put("c", "1", None)];
        assert!(matches!(table.write(twice), Err(WriteError::Validation)));
    }

    #[test]
    fn an_index_learns_late_and_never_falls_back() {
        let mut table = Table::default();
        let mut first = table.write(vec![put("a", "1", None)]).unwrap().changes;
        let named = |table: &Table<Row>| table.query("pending", "yes", 0..=9, 10).0.len();
        assert_eq!(named(&table), 0);
        let mut second = table.write(vec![put("a", "2", Some("1"))]).unwrap().changes;
        table.learn(&second.remove(0));
        table.learn(&first.remove(0));
        assert_eq!(named(&table), 0);
    }

    #[test]
    fn reads_are_counted_by_what_is_there() {
        let mut table = Table::default();
        let mut large = put("a", "1", None);
        large.item.bytes = 4_097;
        table.write(vec![large]).unwrap();
        let (found, units) = table.read(["a", "b"]);
        assert_eq!((found.len(), units), (1, 3.0));
    }
}
