//! Concurrent writers lose no write.

use bridge::domain::message::MessageRow;
use bridge::ledger::change;
use bridge::ports::{Key, LedgerStore, Row, Runtime};
use futures_util::future::join_all;

use super::{LedgerBench, attempts_of};
use crate::for_both;
use crate::rows::{medic_id, message};

for_both! { on_a_ledger:
    many_writers_at_once_lose_nothing
}

/// Adds one attempt to a message. If others are faster too often, it begins
/// again, as after a retry by the queue.
async fn add_one(store: &impl LedgerStore, runtime: &impl Runtime, id: &str) {
    let keys = [Key::Message(medic_id(id))];
    for _ in 0..50 {
        let changed = change(store, runtime, &keys, |rows| {
            let row = rows
                .message(&medic_id(id))
                .cloned()
                .unwrap_or_else(|| message(id));
            let attempts = row.attempts + 1;
            (vec![Row::Message(MessageRow { attempts, ..row })], ())
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
                add_one(&store, &around, "m").await;
            }
        }
    });
    join_all(writers).await;
    assert_eq!(
        attempts_of(&bench.store(), "m").await,
        Some(WRITERS * CHANGES)
    );
}
