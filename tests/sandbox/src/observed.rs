//! A value that several tasks share, and that they can wait for a change of.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// A value behind a lock. It notifies those who wait for a change.
#[derive(Debug)]
pub struct Observed<T> {
    value: Mutex<T>,
    changes: watch::Sender<u64>,
}

impl<T> Observed<T> {
    /// Shares `value`.
    pub fn new(value: T) -> Self {
        let (changes, _) = watch::channel(0);
        Self {
            value: Mutex::new(value),
            changes,
        }
    }

    /// Reads the value.
    pub fn read<R>(&self, observe: impl FnOnce(&T) -> R) -> R {
        observe(&self.lock())
    }

    /// Changes the value, and notifies those who wait for a change.
    pub fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.lock());
        self.changes
            .send_modify(|count| *count = count.wrapping_add(1));
        result
    }

    /// Notifies of each change that is made from now on.
    pub fn changes(&self) -> Changes {
        Changes(self.changes.subscribe())
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        // A panic elsewhere must not hide what was recorded before it.
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notifies of changes.
#[derive(Debug)]
pub struct Changes(watch::Receiver<u64>);

impl Changes {
    /// Waits for the next change. Waits for ever if the value was dropped.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
