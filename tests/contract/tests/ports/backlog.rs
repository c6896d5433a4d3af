//! Statuses and reports that are late, as the adapter for AWS finds them in the table.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bridge::adapters::dynamodb_ledger::LedgerTable;
use bridge::adapters::system::System;
use bridge::domain::message::MessageRow;
use bridge::domain::status::Status;
use bridge::domain::time::{Timestamp, millis};
use bridge::ports::{Key, LedgerBacklog as _, LedgerStore as _, Row, Write};

use crate::aws::{block_on, emulator, ledger_table, table};
use crate::rows::message;

type Store = LedgerTable<&'static System>;

async fn store() -> Store {
    ledger_table(emulator().await.url(), &table().await)
}

async fn write(store: &Store, row: MessageRow) {
    let read = store.read(&[Key::Message(row.id.clone())]).await.unwrap();
    let write = Write {
        row: Row::Message(row),
        expected: read.into_iter().next().map(|(_, version)| version),
    };
    assert!(store.write(write).await.unwrap().is_done());
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(millis(since))
}

/// The index gets the writes of the table after a moment.
async fn becomes<T: PartialEq>(check: impl AsyncFn() -> T, expected: T) {
    let found =
        sandbox::stack::eventually("the index follows", Duration::from_secs(20), async || {
            Ok((check().await == expected).then_some(()))
        });
    found.await.unwrap();
}

#[test]
fn what_was_written_first_has_waited_longest_to_be_reported() {
    block_on(async {
        let store = store().await;
        assert_eq!(store.unreported_since().await, Ok(None));

        let before = now();
        write(&store, message("first")).await;
        let between = now();
        // The second is written in a later millisecond.
        while now() <= between {
            tokio::task::yield_now().await;
        }
        write(&store, message("second")).await;
        let since = async || store.unreported_since().await.unwrap();
        becomes(async || since().await.is_some(), true).await;
        let first = since().await.unwrap();
        assert!((before..=between).contains(&first));

        write(&store, message("first").after_reporting(Status::Unsent)).await;
        becomes(async || since().await.is_some_and(|at| at > between), true).await;
        write(&store, message("second").after_reporting(Status::Unsent)).await;
        becomes(since, None).await;
    });
}

#[test]
fn a_ledger_that_does_not_answer_is_an_error_that_shows_nothing() {
    block_on(async {
        let store = ledger_table("http://127.0.0.1:9", "a-table");
        let error = store.unreported_since().await.err().unwrap();
        assert!(error.to_string().ends_with("no connection"), "{error}");
    });
}
