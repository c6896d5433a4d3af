//! The time, as the emulator's queues see it.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Lets time pass for what waits in the queues, and for nothing else: a wait of a quarter of an hour
/// can be looked at, and then be over.
#[derive(Debug)]
pub struct QueueClock {
    file: PathBuf,
    ahead: Mutex<Duration>,
}

impl QueueClock {
    /// What tells the emulator where the file is.
    pub(super) const VARIABLE: &str = "QUEUES_ARE_AHEAD_FILE";

    pub(super) fn new(folder: &Path) -> Self {
        Self {
            file: folder.join("queues-are-ahead-by-s"),
            ahead: Mutex::default(),
        }
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Lets so much time pass.
    ///
    /// # Errors
    /// When the emulator cannot be told.
    pub fn pass(&self, time: Duration) -> anyhow::Result<()> {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        *ahead = ahead.saturating_add(time);
        let new = self.file.with_extension("new");
        std::fs::write(&new, ahead.as_secs_f64().to_string())?;
        std::fs::rename(new, &self.file)?;
        Ok(())
    }

    /// How much time was let pass.
    #[must_use]
    pub fn ahead(&self) -> Duration {
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn now_s(&self) -> u64 {
        let ahead = self.ahead();
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        since.saturating_add(ahead).as_secs()
    }
}
