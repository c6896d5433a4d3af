//! Marks in the ledger what a function has in hand, so that a record that kills it each time is found.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::{Rows, change, read};
use crate::domain::attempts::AttemptsRow;
use crate::ports::{Key, LedgerError, LedgerStore, Row, Runtime};
use crate::retry::{LEDGER_ERRORS, retry};

/// How many attempts at each of these records have begun and not ended. Records without one are left out.
///
/// # Errors
/// When the ledger does not answer.
pub async fn unfinished(
    store: &impl LedgerStore,
    records: &[String],
) -> Result<BTreeMap<String, AttemptsRow>, LedgerError> {
    let keys: Vec<Key> = records.iter().cloned().map(Key::Attempts).collect();
    let rows = read(store, &keys).await?;
    let found = records.iter().filter_map(|record| {
        let row = rows.attempts(record).filter(|row| row.has_unfinished())?;
        Some((record.clone(), row.clone()))
    });
    Ok(found.collect())
}

/// An attempt begins. Nothing is done with the record before this is written.
///
/// # Errors
/// When the ledger does not answer.
pub async fn begin(
    store: &impl LedgerStore,
    runtime: &impl Runtime,
    record: &str,
) -> Result<(), LedgerError> {
    write(store, runtime, record, AttemptsRow::begun).await
}

/// An attempt ended, in whatever way.
///
/// # Errors
/// When the ledger does not answer. The attempt counts as one without an end then.
pub async fn end(
    store: &impl LedgerStore,
    runtime: &impl Runtime,
    record: &str,
) -> Result<(), LedgerError> {
    write(store, runtime, record, AttemptsRow::ended).await
}

async fn write(
    store: &impl LedgerStore,
    runtime: &impl Runtime,
    record: &str,
    step: impl Fn(AttemptsRow) -> AttemptsRow,
) -> Result<(), LedgerError> {
    let keys = [Key::Attempts(record.to_owned())];
    let next = |rows: &Rows| {
        let row = rows.attempts(record).cloned();
        step(row.unwrap_or_else(|| AttemptsRow::new(record.to_owned())))
    };
    retry(LEDGER_ERRORS, runtime, async || {
        let written = change(store, runtime, &keys, |rows| {
            (vec![Row::Attempts(next(rows))], ())
        });
        match written.await {
            Ok(()) => ControlFlow::Break(Ok(())),
            Err(error) => ControlFlow::Continue(error),
        }
    })
    .await
}
