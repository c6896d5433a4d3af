//! The ledger.

use std::rc::Rc;

use bridge::domain::ids::MedicMessageId;
use bridge::domain::message::MessageRow;
use bridge::ports::{Key, LedgerError, LedgerStore, Row, Version, Write, Written};

use super::Ctx;
use crate::faults::PortCall;

/// The ledger.
pub struct SimLedger(pub Rc<Ctx>);

impl LedgerStore for SimLedger {
    async fn read(&self, keys: &[Key]) -> Result<Vec<(Row, Version)>, LedgerError> {
        let world = &self.0.world;
        self.0.touches(PortCall::Read, || format!("{keys:?}")).await;
        let rows = self.0.call(PortCall::Read, || {
            let (rows, units) = world.ledger.borrow().read(keys);
            self.reads(units);
            rows
        });
        rows.await
            .ok_or_else(|| LedgerError("no answer".to_owned()))
    }

    async fn write(&self, write: Write) -> Result<Written, LedgerError> {
        let world = &self.0.world;
        let about = || format!("{:?}", write.row.key());
        self.0.touches(PortCall::Write, about).await;
        let written = self.0.call(PortCall::Write, || {
            if world.random.chance(world.faults.rates.borrow().conflict) {
                world.count(|| "ledger: conflict with nobody".to_owned());
                return Written::Conflict;
            }
            let before = world.ledger.borrow().account();
            let (written, units, change) = world.ledger.borrow_mut().write(write);
            world.closes(&before);
            world.uses(self.0.function, |usage| usage.write_units += units.writes);
            if let Some(change) = change {
                if let Row::Message(row) = &change.item.row {
                    world.note(|| {
                        let (id, sending, reported) =
                            (row.id.as_str(), &row.sending, &row.reported);
                        let (task, status) = (self.0.task.get(), row.status);
                        format!("#{task} writes {id}: {sending:?} {status:?} told {reported:?}")
                    });
                }
                let lags = world.random.chance(world.faults.rates.borrow().index_lags);
                let lag_ms = world.random.between(1, if lags { 90_000 } else { 300 });
                world.after(lag_ms, move |world| {
                    world.ledger.borrow_mut().index(&change);
                });
            }
            written
        });
        let no_answer = || LedgerError("no answer".to_owned());
        written.await.ok_or_else(no_answer)
    }

    async fn unreported(&self, limit: usize) -> Result<Vec<MedicMessageId>, LedgerError> {
        let named = self.named(limit).await?;
        Ok(named.into_iter().map(|row| row.id).collect())
    }
}

impl SimLedger {
    fn reads(&self, units: f64) {
        self.0.world.uses(self.0.function, |usage| {
            usage.read_half_units += (units * 2.0) as u64;
        });
    }

    /// The index's messages, with the rows as it remembers them.
    pub async fn named(&self, limit: usize) -> Result<Vec<MessageRow>, LedgerError> {
        let world = &self.0.world;
        let named = self.0.call(PortCall::Unreported, || {
            let (named, units) = world.ledger.borrow().unreported(limit);
            self.reads(units);
            named
        });
        named
            .await
            .ok_or_else(|| LedgerError("no answer".to_owned()))
    }
}
