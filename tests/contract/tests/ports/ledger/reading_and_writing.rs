//! Rows are read as they were written, and written on their condition only.

use std::collections::BTreeMap;

use bridge::ports::{Key, LedgerStore as _, Row, Written};

use super::{LedgerBench, attempts, attempts_of, begin, read_one, update, write_one};
use crate::for_both;
use crate::rows::{medic_id, of_every_kind};

for_both! { on_a_ledger:
    rows_that_are_not_there_are_left_out
    a_row_of_every_kind_comes_back_as_it_was_written
    all_of_many_rows_are_read_and_each_once
    a_row_begins_only_where_there_is_none
    a_row_changes_only_from_the_version_that_was_read
    every_write_makes_another_version_and_names_it
    a_row_that_is_not_there_has_no_version
    whoever_reads_next_sees_what_was_written
}

async fn rows_that_are_not_there_are_left_out(bench: impl LedgerBench) {
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

async fn a_row_of_every_kind_comes_back_as_it_was_written(bench: impl LedgerBench) {
    let store = bench.store();
    let mut expected = BTreeMap::new();
    for row in of_every_kind() {
        let written = write_one(&store, row.clone(), None).await;
        assert!(written.is_done(), "{row:?}");
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

async fn all_of_many_rows_are_read_and_each_once(bench: impl LedgerBench) {
    let store = bench.store();
    let ids: Vec<String> = (0..230).map(|number| format!("m-{number:03}")).collect();
    for id in &ids {
        begin(&store, attempts(id, 1)).await;
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

async fn a_row_begins_only_where_there_is_none(bench: impl LedgerBench) {
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

async fn a_row_changes_only_from_the_version_that_was_read(bench: impl LedgerBench) {
    let (store, other) = (bench.store(), bench.store());
    let first = begin(&store, attempts("m", 1)).await;
    let written = write_one(&other, attempts("m", 2), Some(first.clone())).await;
    assert!(written.is_done());
    assert_eq!(
        write_one(&store, attempts("m", 3), Some(first)).await,
        Written::Conflict
    );
    assert_eq!(attempts_of(&store, "m").await, Some(2));
}

async fn every_write_makes_another_version_and_names_it(bench: impl LedgerBench) {
    let store = bench.store();
    let mut versions = vec![begin(&store, attempts("m", 1)).await];
    for attempt in [1, 2, 1] {
        let last = versions.last().cloned();
        let written = write_one(&store, attempts("m", attempt), last).await;
        let (_, version) = read_one(&store, Key::Message(medic_id("m"))).await.unwrap();
        assert_eq!(written, Written::Done(version.clone()));
        assert!(!versions.contains(&version), "{versions:?}");
        versions.push(version);
    }
}

async fn a_row_that_is_not_there_has_no_version(bench: impl LedgerBench) {
    let store = bench.store();
    let version = begin(&store, attempts("m", 1)).await;
    assert_eq!(
        write_one(&store, attempts("absent", 1), Some(version)).await,
        Written::Conflict
    );
    assert_eq!(attempts_of(&store, "absent").await, None);
}

async fn whoever_reads_next_sees_what_was_written(bench: impl LedgerBench) {
    let (store, other) = (bench.store(), bench.store());
    begin(&store, attempts("m", 0)).await;
    for attempt in 1..20 {
        update(&store, attempts("m", attempt)).await;
        assert_eq!(attempts_of(&other, "m").await, Some(attempt));
    }
}
