//! The index names the right rows after a while.

use bridge::domain::circuit_breaker::AccountRow;
use bridge::domain::message::MessageRow;
use bridge::domain::quarantine::MedicFailure;
use bridge::domain::status::Status;
use bridge::domain::time::Timestamp;
use bridge::ports::{LedgerError, LedgerStore as _, Row};

use super::{LedgerBench, begin, update};
use crate::for_both;
use crate::rows::{medic_id, message, sms};

for_both! { on_a_ledger:
    an_unreported_message_is_named_until_it_is_reported
    a_message_whose_status_is_set_aside_is_named_all_the_same
    those_offered_first_are_named_first_and_not_more_than_asked_for
    messages_of_one_moment_are_all_named
}

/// Reads an index until it names the expected rows.
async fn eventually_named<B: LedgerBench, T: PartialEq + std::fmt::Debug>(
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

async fn unreported(bench: &impl LedgerBench, expected: &[&str]) {
    let store = bench.store();
    let expected = expected.iter().map(|id| medic_id(id)).collect();
    eventually_named(bench, async || store.unreported(100).await, expected).await;
}

async fn an_unreported_message_is_named_until_it_is_reported(bench: impl LedgerBench) {
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
    // A lower status was reported than the present one.
    update(
        &store,
        Row::Message(row.clone().after_reporting(Status::Sent)),
    )
    .await;
    unreported(&bench, &["m"]).await;
    update(&store, Row::Message(row.after_reporting(Status::Delivered))).await;
    unreported(&bench, &[]).await;
}

async fn a_message_whose_status_is_set_aside_is_named_all_the_same(bench: impl LedgerBench) {
    let store = bench.store();
    let row = message("m");
    begin(&store, Row::Message(row.clone())).await;
    unreported(&bench, &["m"]).await;
    let aside = row.after_refusal(&MedicFailure::NoAnswer, Timestamp::from_millis(7), 0);
    update(&store, Row::Message(aside.clone())).await;
    unreported(&bench, &["m"]).await;
    update(&store, Row::Message(aside.after_reporting(Status::Unsent))).await;
    unreported(&bench, &[]).await;
}

async fn those_offered_first_are_named_first_and_not_more_than_asked_for(bench: impl LedgerBench) {
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

async fn messages_of_one_moment_are_all_named(bench: impl LedgerBench) {
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
