//! How urgent each log event is.

use serde::Serialize;

use super::event::LogEvent;

/// How urgent a log event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// A usual step in the life of a message.
    Info,
    /// A failure that ends without anybody's help.
    Warn,
    /// A person has to act.
    Error,
}

impl Level {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
    /// Whether a line leaves it out.
    pub fn is_usual(&self) -> bool {
        *self == Self::Info
    }
}

impl LogEvent {
    /// How urgent it is.
    pub fn level(&self) -> Level {
        match self {
            Self::KeyNotConfigured { .. }
            | Self::CallbackAtWrongUrl { .. }
            | Self::CircuitOpened { .. }
            | Self::RecipientLimitExceeded { .. }
            | Self::StatusRefused { .. }
            | Self::MedicNeedsAttention { .. }
            | Self::MedicRefusedCredentials { .. }
            | Self::RowUnreadable { .. }
            | Self::DeadLettered { .. }
            | Self::CredentialsUnavailable { .. }
            | Self::QueueStalled { .. }
            | Self::CannotRun { .. }
            | Self::Panicked { .. }
            | Self::AttemptNeverEnded { .. }
            | Self::AcceptanceNotKept { .. }
            | Self::BatchUnreadable => Level::Error,
            Self::KeyRefused { .. }
            | Self::KeyUnavailable { .. }
            | Self::CallbackRefused { .. }
            | Self::CallbackNotQueued { .. }
            | Self::UnknownReportStatus { .. }
            | Self::ReportMatchAmbiguous { .. }
            | Self::AtIdReassigned { .. }
            | Self::SendFailed { .. }
            | Self::SendPostponed { .. }
            | Self::SendOutcomeUnknown { .. }
            | Self::CircuitStillOpen { .. }
            | Self::AcceptanceQueued { .. }
            | Self::BalanceUnknown { .. }
            | Self::BalanceUnreadable { .. }
            | Self::StatusesUnreported { .. }
            | Self::StatusFailed { .. }
            | Self::StatusSetAside { .. }
            | Self::Quarantined { .. }
            | Self::InQuarantine { .. }
            | Self::ReturnedForRetry { .. }
            | Self::OfferUnreadable
            | Self::MedicUnavailable { .. }
            | Self::LedgerFailed { .. }
            | Self::QueueFailed { .. } => Level::Warn,
            Self::IncomingQueued { .. }
            | Self::ReportQueued { .. }
            | Self::OptOutReceived { .. }
            | Self::ReportRecorded { .. }
            | Self::ReportMatched { .. }
            | Self::FinalStatusRecorded { .. }
            | Self::SendAnswered { .. }
            | Self::SendAccepted { .. }
            | Self::BalanceRead { .. }
            | Self::CircuitClosed { .. }
            | Self::Posted { .. }
            | Self::MessageStored { .. }
            | Self::MessagesOffered { .. } => Level::Info,
        }
    }
}
