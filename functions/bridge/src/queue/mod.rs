//! What every consumer of a queue does: dead-letter with a reason, or return for retry.

pub mod consumer;
pub mod dead_letter;
pub mod retry_later;

use crate::log::{LogEvent, Redacted};
use crate::ports::{QueueError, Runtime};

/// Logs the first error, if there is one.
pub fn log_queue_errors(results: &[Result<(), QueueError>], runtime: &impl Runtime) {
    if let Some(error) = results.iter().find_map(|result| result.as_ref().err()) {
        runtime.record(LogEvent::QueueFailed {
            error: Redacted::new(error),
        });
    }
}
