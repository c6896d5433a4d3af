//! What the functions log and count. Every line is one of the log events in [`event`].

mod event;
pub mod final_status;
mod level;
mod line;
mod measures;
mod messages;
pub mod metrics;

pub use crate::domain::callback::Callback;
pub use crate::domain::redacted::Redacted;
pub use event::{LogEvent, WorkQueue};
pub use level::Level;
pub use line::{Invocation, Origin};

/// Where log events go.
pub trait EventLog {
    /// Writes the log event. Does not fail: no work is left undone because a line cannot be written.
    fn record(&self, event: LogEvent);
}
