//! Reading and changing rows of the ledger.

pub mod attempts;
pub mod matching;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::domain::attempts::AttemptsRow;
use crate::domain::circuit_breaker::AccountRow;
use crate::domain::delivery::SmsRow;
use crate::domain::exchange::ExchangeRow;
use crate::domain::ids::{AtMessageId, MedicMessageId};
use crate::domain::message::MessageRow;
use crate::domain::recipient_limit::RecipientRow;
use crate::domain::time::Timestamp;
use crate::ports::{Key, LedgerError, LedgerStore, Row, Runtime, Version, Write, Written};
use crate::retry::{CONFLICTING_WRITES, retry};

/// Rows as they were read or written last, with their versions. `None`: there was none.
#[derive(Clone, Debug, Default)]
pub struct Rows(BTreeMap<Key, Option<(Row, Version)>>);

impl Rows {
    /// Takes over what another knows of this row.
    pub fn take_over(&mut self, key: Key, others: &Self) {
        if let Some(row) = others.0.get(&key) {
            self.0.insert(key, row.clone());
        }
    }

    /// With what another knows.
    #[must_use]
    pub fn with(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// What is known of the rows at these keys.
    fn at(&self, keys: &[Key]) -> Self {
        let mut rows = Self::default();
        for key in keys {
            rows.take_over(key.clone(), self);
        }
        rows
    }

    fn row(&self, key: &Key) -> Option<&Row> {
        let (row, _) = self.0.get(key)?.as_ref()?;
        Some(row)
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.0.values().flatten().map(|(row, _)| row)
    }

    /// The row of this message.
    pub fn message(&self, id: &MedicMessageId) -> Option<&MessageRow> {
        match self.row(&Key::Message(id.clone())) {
            Some(Row::Message(row)) => Some(row),
            _ => None,
        }
    }

    /// The row of this SMS.
    pub fn sms(&self, id: &AtMessageId) -> Option<&SmsRow> {
        match self.row(&Key::Sms(id.clone())) {
            Some(Row::Sms(row)) => Some(row),
            _ => None,
        }
    }

    /// The row of this recipient.
    pub fn recipient(&self, number_hash: &str) -> Option<&RecipientRow> {
        match self.row(&Key::Recipient(number_hash.to_owned())) {
            Some(Row::Recipient(row)) => Some(row),
            _ => None,
        }
    }

    /// The rows of messages.
    pub fn messages(&self) -> impl Iterator<Item = &MessageRow> {
        self.rows().filter_map(|row| match row {
            Row::Message(row) => Some(row),
            _ => None,
        })
    }

    /// The messages that have unsettled calls, and the SMS that are unmatched.
    pub fn unsettled(&self) -> (Vec<MessageRow>, Vec<SmsRow>) {
        let mut messages = Vec::new();
        let mut unclaimed = Vec::new();
        for row in self.rows() {
            match row {
                Row::Message(row) if row.unsettled_calls().next().is_some() => {
                    messages.push(row.clone());
                }
                Row::Sms(row) if row.message.is_none() => unclaimed.push(row.clone()),
                _ => {}
            }
        }
        (messages, unclaimed)
    }

    /// The write of this row, or `None` if it has not changed.
    fn write(&self, row: Row, now: Timestamp) -> Option<Write> {
        let read = self.0.get(&row.key()).and_then(Option::as_ref);
        if read.is_some_and(|(before, _)| *before == row) {
            return None;
        }
        Some(Write {
            row: remembering(row, read.map(|(before, _)| before), now),
            expected: read.map(|(_, version)| version.clone()),
        })
    }

    /// The row of the attempts at this record.
    pub fn attempts(&self, record: &str) -> Option<&AttemptsRow> {
        match self.row(&Key::Attempts(record.to_owned())) {
            Some(Row::Attempts(row)) => Some(row),
            _ => None,
        }
    }

    /// The exchange's row.
    pub fn exchange(&self) -> ExchangeRow {
        match self.row(&Key::Exchange) {
            Some(Row::Exchange(row)) => row.clone(),
            _ => ExchangeRow::default(),
        }
    }

    /// The account's row.
    pub fn account(&self) -> AccountRow {
        match self.row(&Key::Account) {
            Some(Row::Account(row)) => row.clone(),
            _ => AccountRow::default(),
        }
    }
}

/// Reads rows, strongly consistent.
///
/// # Errors
/// When the ledger does not answer.
pub async fn read(store: &impl LedgerStore, keys: &[Key]) -> Result<Rows, LedgerError> {
    if keys.is_empty() {
        return Ok(Rows::default());
    }
    let mut rows = Rows(keys.iter().map(|key| (key.clone(), None)).collect());
    for (row, version) in store.read(keys).await? {
        rows.0.insert(row.key(), Some((row, version)));
    }
    Ok(rows)
}

/// Changes rows, one after the other.
///
/// `step` gets the rows at `keys` and returns the new rows, in the order in which they are written, and a
/// result. It must be pure, because it is called again whenever another writer was faster, also after
/// some of its rows were written; and whoever calls this may end between two writes. Unchanged rows are
/// not written. A message row that is written gets the change into its history.
///
/// # Errors
/// When the ledger does not answer, or when others change the rows again and again. The change may
/// have taken effect.
pub async fn change<T>(
    store: &impl LedgerStore,
    runtime: &impl Runtime,
    keys: &[Key],
    step: impl FnMut(&Rows) -> (Vec<Row>, T),
) -> Result<T, LedgerError> {
    let (result, _) = change_known(store, runtime, &Rows::default(), keys, step).await?;
    Ok(result)
}

/// The same, without reading what is `known` from a moment ago: who has changed that meanwhile makes the
/// write fail, and then everything is read. Returns the rows at `keys` as they are now, too.
///
/// # Errors
/// As for [`change`].
pub async fn change_known<T>(
    store: &impl LedgerStore,
    runtime: &impl Runtime,
    known: &Rows,
    keys: &[Key],
    mut step: impl FnMut(&Rows) -> (Vec<Row>, T),
) -> Result<(T, Rows), LedgerError> {
    let mut rows = known.at(keys);
    retry(CONFLICTING_WRITES, runtime, async || {
        let known = std::mem::take(&mut rows);
        let unknown: Vec<Key> = keys
            .iter()
            .filter(|key| !known.0.contains_key(key))
            .cloned()
            .collect();
        rows = match read(store, &unknown).await {
            Ok(read) => read,
            Err(error) => return ControlFlow::Break(Err(error)),
        };
        rows = std::mem::take(&mut rows).with(known);
        let (changed, result) = step(&rows);
        let writes: Vec<Write> = changed
            .into_iter()
            .filter_map(|row| rows.write(row, runtime.now()))
            .collect();
        for write in writes {
            let row = write.row.clone();
            match store.write(write).await {
                Ok(Written::Done(version)) => {
                    rows.0.insert(row.key(), Some((row, version)));
                }
                Ok(Written::Conflict) => {
                    rows = Rows::default();
                    return ControlFlow::Continue(LedgerError(
                        "a row is changed by others again and again".to_owned(),
                    ));
                }
                Err(error) => return ControlFlow::Break(Err(error)),
            }
        }
        ControlFlow::Break(Ok((result, std::mem::take(&mut rows))))
    })
    .await
}

fn remembering(row: Row, before: Option<&Row>, now: Timestamp) -> Row {
    match (row, before) {
        (Row::Message(row), Some(Row::Message(before))) => {
            Row::Message(row.remembering(Some(before), now))
        }
        (Row::Message(row), _) => Row::Message(row.remembering(None, now)),
        (other, _) => other,
    }
}
