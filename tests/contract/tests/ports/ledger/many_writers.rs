//! Writers at once lose nothing of each other.

use bridge::domain::message::MessageRow;
use bridge::ledger::change;
use bridge::ports::{Key, LedgerStore, Row, Runtime};
use futures_util::future::join_all;

use super::{LedgerBench, attempts_of};
use crate::for_both;
use crate::rows::{medic_id, message};

for_both! { on_a_ledger:
    many_writers_at_once_lose_nothing
    many_transactions_at_once_lose_nothing
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

async fn many_writers_at_once_lose_nothing(bench: impl LedgerBench) {
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

async fn many_transactions_at_once_lose_nothing(bench: impl LedgerBench) {
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
