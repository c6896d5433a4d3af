//! What the ledger promises.

mod indexes;
mod many_writers;
mod reading_and_writing;

use bridge::domain::message::MessageRow;
use bridge::ports::{Key, LedgerStore, Row, Runtime, Version, Write, Written};

use crate::rows::{medic_id, message};

/// A ledger to test.
pub trait LedgerBench {
    type Store: LedgerStore;
    type Around: Runtime;

    /// The ledger, for one more reader and writer.
    fn store(&self) -> Self::Store;

    /// The clock and the random numbers of the ledger.
    fn runtime(&self) -> Self::Around;

    /// Lets a moment pass, because the indexes are eventually consistent.
    async fn wait(&self);
}

pub async fn read_one(store: &impl LedgerStore, key: Key) -> Option<(Row, Version)> {
    let mut rows = store.read(&[key]).await.unwrap();
    assert!(rows.len() <= 1);
    rows.pop()
}

pub async fn write_one(store: &impl LedgerStore, row: Row, expected: Option<Version>) -> Written {
    store.write(Write { row, expected }).await.unwrap()
}

/// Writes a row that must not be there yet. Returns its version.
pub async fn begin(store: &impl LedgerStore, row: Row) -> Version {
    let key = row.key();
    let written = write_one(store, row.clone(), None).await;
    let (read, version) = read_one(store, key).await.unwrap();
    assert!(read == row);
    assert_eq!(written, Written::Done(version.clone()));
    version
}

/// Changes a row that is there.
pub async fn update(store: &impl LedgerStore, row: Row) {
    let (_, version) = read_one(store, row.key()).await.unwrap();
    assert!(write_one(store, row, Some(version)).await.is_done());
}

pub fn attempts(id: &str, attempts: u32) -> Row {
    Row::Message(MessageRow {
        attempts,
        ..message(id)
    })
}

pub async fn attempts_of(store: &impl LedgerStore, id: &str) -> Option<u32> {
    match read_one(store, Key::Message(medic_id(id))).await? {
        (Row::Message(row), _) => Some(row.attempts),
        _ => panic!("a message"),
    }
}
