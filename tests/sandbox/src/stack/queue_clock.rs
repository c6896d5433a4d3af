//! The clock of the emulator's queues.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Moves time forward for the messages in the queues, and for nothing else. A test can check that a message
/// waits a quarter of an hour, and then end the wait.
#[derive(Debug)]
pub struct QueueClock {
    file: PathBuf,
    ahead: Mutex<Duration>,
}

impl QueueClock {
    /// The variable in which the emulator finds the path of the file.
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

    /// Moves the queues' time forward.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn pass(&self, time: Duration) -> anyhow::Result<()> {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        *ahead = ahead.saturating_add(time);
        let new = self.file.with_extension("new");
        std::fs::write(&new, ahead.as_secs_f64().to_string())?;
        std::fs::rename(new, &self.file)?;
        Ok(())
    }

    /// How far the queues' time is ahead.
    #[must_use]
    pub fn ahead(&self) -> Duration {
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The queues' time, in seconds since 1970.
    #[must_use]
    pub fn now_s(&self) -> u64 {
        let ahead = self.ahead();
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        since.saturating_add(ahead).as_secs()
    }
}
