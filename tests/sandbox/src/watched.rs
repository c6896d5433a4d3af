//! A value that several tasks share, and whose changes can be waited for.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// A value behind a lock that tells whoever waits for it when it was changed.
#[derive(Debug)]
pub struct Watched<T> {
    value: Mutex<T>,
    changes: watch::Sender<u64>,
}

impl<T> Watched<T> {
    /// Shares `value`.
    pub fn new(value: T) -> Self {
        let (changes, _) = watch::channel(0);
        Self {
            value: Mutex::new(value),
            changes,
        }
    }

    /// Looks at the value.
    pub fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.lock())
    }

    /// Changes the value, and wakes those who wait for a change.
    pub fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.lock());
        self.changes
            .send_modify(|count| *count = count.wrapping_add(1));
        result
    }

    /// Waits until `look` finds something. Looks at once, and again after every change.
    pub async fn until<R>(&self, mut look: impl FnMut(&T) -> Option<R>) -> R {
        let mut changes = self.changes.subscribe();
        loop {
            if let Some(found) = self.read(&mut look) {
                return found;
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, T> {
        // A panic elsewhere must not hide what was recorded before it.
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
