//! Holding and resuming: trouble that is the whole account's.

use super::OutboundSender;
use crate::domain::account::AccountTrouble;
use crate::journal::{Entry, Shown};
use crate::ledger;
use crate::ports::{
    AfricasTalking, Key, KeyedHash, LedgerError, LedgerStore, Queue, Row, Surroundings,
};

impl<L, Q, A, H, S> OutboundSender<L, Q, A, H, S>
where
    L: LedgerStore,
    Q: Queue,
    A: AfricasTalking,
    H: KeyedHash,
    S: Surroundings,
{
    /// Holds sending for the whole account; when the next probe is due.
    pub(super) async fn hold(&self, trouble: AccountTrouble) -> Result<i64, LedgerError> {
        let now_ms = self.surroundings.now_ms();
        let (first, until_ms) = ledger::change(&self.ledger, &[Key::Account], |rows| {
            let before = rows.account();
            let row = before.refused(trouble, now_ms);
            let until_ms = row.hold.as_ref().map_or(now_ms, |hold| hold.next_probe_ms);
            (vec![Row::Account(row)], (before.hold.is_none(), until_ms))
        })
        .await?;
        self.surroundings.record(match first {
            true => Entry::SendingHeld { trouble },
            false => Entry::SendingStillHeld { trouble },
        });
        Ok(until_ms)
    }

    /// The account's trouble is over. When this cannot be written, the next probe will do it.
    pub(super) async fn resume(&self) {
        let resumed = ledger::change(&self.ledger, &[Key::Account], |rows| {
            let before = rows.account();
            let held = before.hold.is_some();
            (vec![Row::Account(before.recovered())], held)
        })
        .await;
        match resumed {
            Ok(true) => self.surroundings.record(Entry::SendingResumed),
            Ok(false) => {}
            Err(error) => self.surroundings.record(Entry::LedgerTrouble {
                error: Shown::new(&error),
            }),
        }
    }
}
