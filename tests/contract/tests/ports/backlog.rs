//! What waits for longer than it should, as the adapter for AWS finds it in the table.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bridge::adapters::dynamodb_ledger::LedgerTable;
use bridge::adapters::system::System;
use bridge::domain::message::{MessageRow, Sending};
use bridge::domain::status::Status;
use bridge::domain::time::{Timestamp, millis};
use bridge::ports::{Key, LedgerBacklog as _, LedgerStore as _, Row, Write, Written};

use crate::aws::{block_on, emulator, ledger_table, table};
use crate::rows::{medic_id, message};

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
    assert_eq!(store.write(vec![write]).await, Ok(Written::Done));
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(millis(since))
}

/// The index follows the table after a moment.
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
fn only_what_was_accepted_and_has_no_end_is_unreported_and_only_in_its_time() {
    block_on(async {
        let store = store().await;
        let at = |id: &str, first_offered, sending, status| MessageRow {
            sending,
            ..MessageRow::new(medic_id(id), Timestamp::from_millis(first_offered))
                .raised(status, None)
        };
        let rows = [
            at("early", 999, Sending::Accepted, Status::Sent),
            at("one", 1_000, Sending::Accepted, Status::Unsent),
            at("two", 1_500, Sending::Accepted, Status::Sent),
            at("late", 2_000, Sending::Accepted, Status::Pending),
            at("queued", 1_500, Sending::Queued, Status::Unsent),
            at("delivered", 1_500, Sending::Accepted, Status::Delivered),
            at("failed", 1_500, Sending::Accepted, Status::Failed),
        ];
        for row in rows {
            write(&store, row).await;
        }
        let range = Timestamp::from_millis(1_000)..Timestamp::from_millis(2_000);
        let awaiting_final_report =
            async || store.awaiting_final_report(range.clone()).await.unwrap();
        becomes(awaiting_final_report, 2).await;
        write(
            &store,
            at("two", 1_500, Sending::Accepted, Status::Delivered),
        )
        .await;
        becomes(awaiting_final_report, 1).await;
        assert_eq!(
            store
                .awaiting_final_report(Timestamp::from_millis(5_000)..Timestamp::from_millis(6_000))
                .await,
            Ok(0)
        );
    });
}

#[test]
fn a_ledger_that_does_not_answer_is_an_error_that_shows_nothing() {
    block_on(async {
        let store = ledger_table("http://127.0.0.1:9", "a-table");
        let errors = [
            store.unreported_since().await.err().unwrap(),
            store
                .awaiting_final_report(Timestamp::from_millis(0)..Timestamp::from_millis(1))
                .await
                .err()
                .unwrap(),
        ];
        for error in errors {
            assert!(error.to_string().ends_with("no connection"), "{error}");
        }
    });
}
