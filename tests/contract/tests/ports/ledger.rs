//! What the ledger promises.

use std::collections::BTreeMap;

use bridge::domain::circuit_breaker::AccountRow;
use bridge::domain::message::{MessageRow, Sending};
use bridge::domain::status::Status;
use bridge::domain::time::Timestamp;
use bridge::ledger::change;
use bridge::ports::{Key, LedgerError, LedgerStore, Row, Runtime, Version, Write, Written};
use futures_util::future::join_all;

use crate::for_both;
use crate::rows::{medic_id, message, of_every_kind, sms};

/// A ledger to be tried.
pub trait Bench {
    type Store: LedgerStore;
    type Around: Runtime;

    /// The ledger, as one more reader and writer gets it.
    fn store(&self) -> Self::Store;

    /// Time and chance, as they are for the ledger.
    fn runtime(&self) -> Self::Around;

    /// Lets a moment pass, for what is only eventually so.
    async fn wait(&self);
}

for_both! { on_a_ledger:
    rows_that_are_not_there_are_left_out
    a_row_of_every_kind_comes_back_as_it_was_written
    all_of_many_rows_are_read_and_each_once
    a_row_begins_only_where_there_is_none
    a_row_changes_only_from_the_version_that_was_read
    every_write_makes_another_version
    a_row_that_is_not_there_has_no_version
    rows_are_written_all_together
    a_conflict_in_any_row_leaves_every_row_as_it_was
    nothing_to_write_is_written
    one_row_is_not_written_twice_at_once
    whoever_reads_next_sees_what_was_written
    an_unreported_message_is_named_until_it_is_reported
    a_message_whose_status_is_set_aside_is_named_all_the_same
    those_offered_first_are_named_first_and_not_more_than_asked_for
    messages_of_one_moment_are_all_named
    a_call_of_unknown_outcome_is_named_by_its_number
    a_report_that_is_unmatched_is_named_by_its_number
    many_writers_at_once_lose_nothing
    many_transactions_at_once_lose_nothing
}

async fn read_one(store: &impl LedgerStore, key: Key) -> Option<(Row, Version)> {
    let mut rows = store.read(&[key]).await.unwrap();
    assert!(rows.len() <= 1);
    rows.pop()
}

async fn write_one(store: &impl LedgerStore, row: Row, expected: Option<Version>) -> Written {
    store.write(vec![Write { row, expected }]).await.unwrap()
}

/// Writes a row that must not be there yet, and gives its version.
async fn begin(store: &impl LedgerStore, row: Row) -> Version {
    let key = row.key();
    assert_eq!(write_one(store, row.clone(), None).await, Written::Done);
    let (read, version) = read_one(store, key).await.unwrap();
    assert!(read == row);
    version
}

/// Changes a row that is there.
async fn update(store: &impl LedgerStore, row: Row) {
    let (_, version) = read_one(store, row.key()).await.unwrap();
    assert_eq!(write_one(store, row, Some(version)).await, Written::Done);
}

fn attempts(id: &str, attempts: u32) -> Row {
    Row::Message(MessageRow {
        attempts,
        ..message(id)
    })
}

async fn attempts_of(store: &impl LedgerStore, id: &str) -> Option<u32> {
    match read_one(store, Key::Message(medic_id(id))).await? {
        (Row::Message(row), _) => Some(row.attempts),
        _ => panic!("a message"),
    }
}

async fn rows_that_are_not_there_are_left_out(bench: impl Bench) {
    let store = bench.store();
    begin(&store, attempts("there", 1)).await;
    let keys = ["absent", "there", "absent too"].map(|id| Key::Message(medic_id(id)));
    let rows = store.read(&keys).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert!(rows[0].0 == attempts("there", 1));
    assert!(
        store
            .read(&[Key::Account, Key::Recipient("x".to_owned())])
            .await
            .unwrap()
            .is_empty()
    );
    assert!(store.read(&[]).await.unwrap().is_empty());
}

async fn a_row_of_every_kind_comes_back_as_it_was_written(bench: impl Bench) {
    let store = bench.store();
    let mut expected = BTreeMap::new();
    for row in of_every_kind() {
        assert_eq!(
            write_one(&store, row.clone(), None).await,
            Written::Done,
            "{row:?}"
        );
        expected.insert(row.key(), row);
    }
    let keys: Vec<Key> = expected.keys().cloned().collect();
    let read: BTreeMap<Key, Row> = store
        .read(&keys)
        .await
        .unwrap()
        .into_iter()
        .map(|(row, _)| (row.key(), row))
        .collect();
    assert_eq!(read, expected);
}

async fn all_of_many_rows_are_read_and_each_once(bench: impl Bench) {
    let store = bench.store();
    let ids: Vec<String> = (0..230).map(|number| format!("m-{number:03}")).collect();
    for some in ids.chunks(25) {
        let writes = some.iter().map(|id| Write {
            row: attempts(id, 1),
            expected: None,
        });
        assert_eq!(store.write(writes.collect()).await, Ok(Written::Done));
    }
    let mut keys: Vec<Key> = ids.iter().map(|id| Key::Message(medic_id(id))).collect();
    // Some are asked for twice, near each other and far from each other.
    keys.extend(keys.clone().into_iter().step_by(7));
    keys.insert(1, keys[0].clone());
    let mut read: Vec<String> = store
        .read(&keys)
        .await
        .unwrap()
        .into_iter()
        .map(|(row, _)| match row {
            Row::Message(row) => row.id.as_str().to_owned(),
            _ => panic!("a message"),
        })
        .collect();
    read.sort();
    assert_eq!(read, ids);
}

async fn a_row_begins_only_where_there_is_none(bench: impl Bench) {
    let store = bench.store();
    begin(&store, attempts("m", 1)).await;
    assert_eq!(
        write_one(&store, attempts("m", 2), None).await,
        Written::Conflict
    );
    // Not even with what is there already.
    assert_eq!(
        write_one(&store, attempts("m", 1), None).await,
        Written::Conflict
    );
    assert_eq!(attempts_of(&store, "m").await, Some(1));
}

async fn a_row_changes_only_from_the_version_that_was_read(bench: impl Bench) {
    let (store, other) = (bench.store(), bench.store());
    let first = begin(&store, attempts("m", 1)).await;
    assert_eq!(
        write_one(&other, attempts("m", 2), Some(first.clone())).await,
        Written::Done
    );
    assert_eq!(
        write_one(&store, attempts("m", 3), Some(first)).await,
        Written::Conflict
    );
    assert_eq!(attempts_of(&store, "m").await, Some(2));
}

async fn every_write_makes_another_version(bench: impl Bench) {
    let store = bench.store();
    let mut versions = vec![begin(&store, attempts("m", 1)).await];
    for attempt in [1, 2, 1] {
        let last = versions.last().cloned();
        assert_eq!(
            write_one(&store, attempts("m", attempt), last).await,
            Written::Done
        );
        let (_, version) = read_one(&store, Key::Message(medic_id("m"))).await.unwrap();
        assert!(!versions.contains(&version), "{versions:?}");
        versions.push(version);
    }
}

async fn a_row_that_is_not_there_has_no_version(bench: impl Bench) {
    let store = bench.store();
    let version = begin(&store, attempts("m", 1)).await;
    assert_eq!(
        write_one(&store, attempts("absent", 1), Some(version)).await,
        Written::Conflict
    );
    assert_eq!(attempts_of(&store, "absent").await, None);
}

async fn rows_are_written_all_together(bench: impl Bench) {
    let store = bench.store();
    let version = begin(&store, attempts("m", 1)).await;
    let mine = sms("ATXid_1").belonging_to(&medic_id("m"));
    let account = Row::Account(AccountRow::default());
    let writes = vec![
        Write {
            row: attempts("m", 2),
            expected: Some(version),
        },
        Write {
            row: Row::Sms(mine.clone()),
            expected: None,
        },
        Write {
            row: account.clone(),
            expected: None,
        },
    ];
    assert_eq!(store.write(writes).await, Ok(Written::Done));
    assert_eq!(attempts_of(&store, "m").await, Some(2));
    let rows = store
        .read(&[Row::Sms(mine.clone()).key(), Key::Account])
        .await
        .unwrap();
    let rows: Vec<Row> = rows.into_iter().map(|(row, _)| row).collect();
    assert!(rows.len() == 2 && rows.contains(&Row::Sms(mine)) && rows.contains(&account));
}

async fn a_conflict_in_any_row_leaves_every_row_as_it_was(bench: impl Bench) {
    let store = bench.store();
    let stale = begin(&store, attempts("changed", 1)).await;
    update(&store, attempts("changed", 2)).await;
    let good = begin(&store, attempts("same", 1)).await;
    let conflicts = [
        Write {
            row: attempts("changed", 9),
            expected: Some(stale),
        },
        Write {
            row: attempts("changed", 9),
            expected: None,
        },
        Write {
            row: attempts("absent", 9),
            expected: Some(good.clone()),
        },
    ];
    for conflict in conflicts {
        let fine = [
            Write {
                row: attempts("same", 9),
                expected: Some(good.clone()),
            },
            Write {
                row: attempts("new", 9),
                expected: None,
            },
        ];
        for place in 0..=fine.len() {
            let mut writes = fine.to_vec();
            writes.insert(place, conflict.clone());
            assert_eq!(store.write(writes).await, Ok(Written::Conflict));
            assert_eq!(attempts_of(&store, "changed").await, Some(2));
            assert_eq!(attempts_of(&store, "same").await, Some(1));
            assert_eq!(attempts_of(&store, "new").await, None);
            assert_eq!(attempts_of(&store, "absent").await, None);
        }
    }
}

async fn nothing_to_write_is_written(bench: impl Bench) {
    assert_eq!(bench.store().write(Vec::new()).await, Ok(Written::Done));
}

async fn one_row_is_not_written_twice_at_once(bench: impl Bench) {
    let store = bench.store();
    let writes = [1, 2].map(|attempt| Write {
        row: attempts("m", attempt),
        expected: None,
    });
    assert!(store.write(writes.to_vec()).await.is_err());
    assert_eq!(attempts_of(&store, "m").await, None);
}

async fn whoever_reads_next_sees_what_was_written(bench: impl Bench) {
    let (store, other) = (bench.store(), bench.store());
    begin(&store, attempts("m", 0)).await;
    for attempt in 1..20 {
        update(&store, attempts("m", attempt)).await;
        assert_eq!(attempts_of(&other, "m").await, Some(attempt));
    }
}

/// Looks until what an index names is what it should.
async fn eventually_named<B: Bench, T: PartialEq + std::fmt::Debug>(
    bench: &B,
    check: impl AsyncFn() -> Result<T, LedgerError>,
    expected: T,
) {
    let mut named = check().await.unwrap();
    for _ in 0..200 {
        if named == expected {
            return;
        }
        bench.wait().await;
        named = check().await.unwrap();
    }
    panic!("{expected:?} is expected, {named:?} is named");
}

async fn unreported(bench: &impl Bench, expected: &[&str]) {
    let store = bench.store();
    let expected = expected.iter().map(|id| medic_id(id)).collect();
    eventually_named(bench, async || store.unreported(100).await, expected).await;
}

async fn unsettled(bench: &impl Bench, number_hash: &str, expected: &[Key]) {
    let store = bench.store();
    let check = async || {
        let mut keys = store.unsettled(number_hash, 100).await?;
        keys.sort();
        Ok(keys)
    };
    eventually_named(bench, check, expected.to_vec()).await;
}

async fn an_unreported_message_is_named_until_it_is_reported(bench: impl Bench) {
    let store = bench.store();
    let row = message("m");
    begin(&store, Row::Message(row.clone())).await;
    begin(&store, Row::Sms(sms("ATXid_1"))).await;
    begin(&store, Row::Account(AccountRow::default())).await;
    unreported(&bench, &["m"]).await;
    let row = row.after_reporting(Status::Unsent);
    update(&store, Row::Message(row.clone())).await;
    unreported(&bench, &[]).await;
    let row = row.raised(Status::Delivered, None);
    update(&store, Row::Message(row.clone())).await;
    unreported(&bench, &["m"]).await;
    // Told too little.
    update(
        &store,
        Row::Message(row.clone().after_reporting(Status::Sent)),
    )
    .await;
    unreported(&bench, &["m"]).await;
    update(&store, Row::Message(row.after_reporting(Status::Delivered))).await;
    unreported(&bench, &[]).await;
}

async fn a_message_whose_status_is_set_aside_is_named_all_the_same(bench: impl Bench) {
    let store = bench.store();
    let row = message("m");
    begin(&store, Row::Message(row.clone())).await;
    unreported(&bench, &["m"]).await;
    let aside = row.after_refusal(Status::Unsent, "no", Timestamp::from_millis(7), 0);
    update(&store, Row::Message(aside.clone())).await;
    unreported(&bench, &["m"]).await;
    update(&store, Row::Message(aside.after_reporting(Status::Unsent))).await;
    unreported(&bench, &[]).await;
}

async fn those_offered_first_are_named_first_and_not_more_than_asked_for(bench: impl Bench) {
    let store = bench.store();
    let times: [(&str, i64); 6] = [
        ("e", 50),
        ("a", 10),
        ("f", 1_700_000_000_000),
        ("c", 30),
        ("zero", 0),
        ("d", 40),
    ];
    for (id, first_offered) in times {
        begin(
            &store,
            Row::Message(MessageRow {
                first_offered: Timestamp::from_millis(first_offered),
                ..message(id)
            }),
        )
        .await;
    }
    unreported(&bench, &["zero", "a", "c", "d", "e", "f"]).await;
    // What happens to a row later does not change its place.
    update(
        &store,
        Row::Message(MessageRow {
            first_offered: Timestamp::from_millis(30),
            attempts: 3,
            ..message("c")
        }),
    )
    .await;
    for limit in 1..=6 {
        let named = store.unreported(limit).await.unwrap();
        let expected = ["zero", "a", "c", "d", "e", "f"].map(medic_id);
        assert_eq!(named, expected[..limit]);
    }
}

async fn messages_of_one_moment_are_all_named(bench: impl Bench) {
    let store = bench.store();
    let ids: Vec<String> = (0..30).map(|number| format!("m-{number:02}")).collect();
    for id in &ids {
        begin(&store, Row::Message(message(id))).await;
    }
    let check = async || {
        let mut named = store.unreported(100).await?;
        named.sort();
        Ok(named)
    };
    eventually_named(&bench, check, ids.iter().map(|id| medic_id(id)).collect()).await;
    assert_eq!(store.unreported(7).await.unwrap().len(), 7);
}

async fn a_call_of_unknown_outcome_is_named_by_its_number(bench: impl Bench) {
    let store = bench.store();
    let with = |id: &str, number_hash: &str, open_calls: Vec<i64>, sending: Sending| {
        Row::Message(MessageRow {
            number_hash: Some(number_hash.to_owned()),
            open_calls: open_calls.into_iter().map(Timestamp::from_millis).collect(),
            sending,
            ..message(id)
        })
    };
    let unknown = Sending::Unknown {
        since: Timestamp::from_millis(5),
    };
    begin(&store, with("m", "hash", vec![1], unknown.clone())).await;
    begin(&store, with("n", "hash", vec![2], unknown.clone())).await;
    begin(&store, with("other", "other hash", vec![3], unknown)).await;
    begin(
        &store,
        with("settled", "hash", Vec::new(), Sending::Accepted),
    )
    .await;
    let keys = ["m", "n"].map(|id| Key::Message(medic_id(id)));
    unsettled(&bench, "hash", &keys).await;
    unsettled(&bench, "no such hash", &[]).await;
    assert_eq!(store.unsettled("hash", 1).await.unwrap().len(), 1);
    update(&store, with("m", "hash", Vec::new(), Sending::Accepted)).await;
    unsettled(&bench, "hash", &keys[1..]).await;
}

async fn a_report_that_is_unmatched_is_named_by_its_number(bench: impl Bench) {
    let store = bench.store();
    let mut row = sms("ATXid_1");
    row.number_hash = Some("hash".to_owned());
    begin(&store, Row::Sms(row.clone())).await;
    begin(&store, Row::Sms(sms("ATXid_without_a_number"))).await;
    unsettled(&bench, "hash", &[Row::Sms(row.clone()).key()]).await;
    update(&store, Row::Sms(row.belonging_to(&medic_id("m")))).await;
    unsettled(&bench, "hash", &[]).await;
}

/// Adds one attempt to each of these messages, together. Others may be faster too often: then it is
/// begun again, as by a queue.
async fn add_one(store: &impl LedgerStore, runtime: &impl Runtime, ids: &[&str]) {
    let keys: Vec<Key> = ids.iter().map(|id| Key::Message(medic_id(id))).collect();
    for _ in 0..50 {
        let changed = change(store, runtime, &keys, |rows| {
            let one_more = |id: &&str| {
                let row = rows
                    .message(&medic_id(id))
                    .cloned()
                    .unwrap_or_else(|| message(id));
                Row::Message(MessageRow {
                    attempts: row.attempts + 1,
                    ..row
                })
            };
            (ids.iter().map(one_more).collect(), ())
        });
        if changed.await.is_ok() {
            return;
        }
    }
    panic!("others are faster for ever");
}

const WRITERS: u32 = 8;
const CHANGES: u32 = 5;

async fn many_writers_at_once_lose_nothing(bench: impl Bench) {
    let writers = (0..WRITERS).map(|_| {
        let (store, around) = (bench.store(), bench.runtime());
        async move {
            for _ in 0..CHANGES {
                add_one(&store, &around, &["m"]).await;
            }
        }
    });
    join_all(writers).await;
    assert_eq!(
        attempts_of(&bench.store(), "m").await,
        Some(WRITERS * CHANGES)
    );
}

async fn many_transactions_at_once_lose_nothing(bench: impl Bench) {
    let writers = (0..WRITERS).map(|number| {
        let (store, around) = (bench.store(), bench.runtime());
        async move {
            for _ in 0..CHANGES {
                // In either order, and some of them with only one of the two rows.
                match number % 3 {
                    0 => add_one(&store, &around, &["a", "b"]).await,
                    1 => add_one(&store, &around, &["b", "a"]).await,
                    _ => {
                        add_one(&store, &around, &["a"]).await;
                        add_one(&store, &around, &["b"]).await;
                    }
                }
            }
        }
    });
    join_all(writers).await;
    for id in ["a", "b"] {
        assert_eq!(
            attempts_of(&bench.store(), id).await,
            Some(WRITERS * CHANGES)
        );
    }
}
