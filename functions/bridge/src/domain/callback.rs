//! The callbacks of Africa's Talking.

use serde::{Deserialize, Serialize};

/// Which callback of Africa's Talking. Each has a URL of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Callback {
    /// An SMS that came in.
    IncomingMessage,
    /// A delivery report.
    DeliveryReport,
    /// A recipient has opted out.
    OptOut,
}

impl Callback {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::IncomingMessage, Self::DeliveryReport, Self::OptOut];
}
