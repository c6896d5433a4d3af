//! Why the work stops before its end, and how long what is undone waits then.

use std::time::Duration;

use super::batch::Batch;
use super::{IN_DOUBT_MARGIN, MedicExchange};
use crate::domain::backoff::Wait;
use crate::domain::time::Timestamp;
use crate::log::{LogEvent, Redacted};
use crate::ports::{CredentialsError, LedgerStore, Medic, Queue, Record, Runtime};
use crate::wire::medic::Refusal;

/// Why the work stops before its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stop {
    #[error("Medic may still be working on a POST: {0}")]
    InDoubt(String),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("Medic fails on an empty POST")]
    FailsOnNothing,
    #[error("Medic answers, and fails on messages that wait for their quarantine")]
    Kept,
    #[error("no time is left for another POST")]
    OutOfTime,
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
}

impl Stop {
    fn event(&self) -> LogEvent {
        match self {
            Self::Refused(refusal @ Refusal::Credentials(_)) => LogEvent::MedicRefusedCredentials {
                cause: Redacted::new(refusal),
            },
            Self::Credentials(error @ CredentialsError::Unusable(_)) => {
                LogEvent::MedicRefusedCredentials {
                    cause: Redacted::new(error),
                }
            }
            Self::Credentials(error) => LogEvent::CredentialsUnavailable {
                error: Redacted::new(error),
            },
            Self::Refused(Refusal::WrongAddress(_) | Refusal::Request(_))
            | Self::FailsOnNothing
            | Self::Kept => LogEvent::MedicNeedsAttention {
                cause: Redacted::new(self),
            },
            _ => LogEvent::MedicUnavailable {
                cause: Redacted::new(self),
            },
        }
    }

    /// How long what is undone waits. Medic locks a user name after ten wrong logins within ten seconds,
    /// so one attempt a minute is no danger also when it refuses the user.
    fn wait(&self, now: Timestamp, grace: Duration) -> Wait {
        match self {
            Self::InDoubt(_) => Wait::Until(now + grace + IN_DOUBT_MARGIN),
            Self::OutOfTime => Wait::Until(now),
            Self::Refused(_) | Self::FailsOnNothing | Self::Kept | Self::Credentials(_) => {
                Wait::Retry
            }
        }
    }
}

impl<L: LedgerStore, Q: Queue, M: Medic, S: Runtime> MedicExchange<L, Q, M, S> {
    /// What goes back, and how long it waits at least.
    pub(super) fn stopped<'a>(&self, stop: &Stop, batch: &Batch<'a>) -> Vec<(&'a Record, Wait)> {
        self.runtime.record(stop.event());
        let wait = stop.wait(self.runtime.now(), self.grace);
        let back = match stop {
            Stop::InDoubt(_) => batch.undone_or_youngest(),
            Stop::Kept => batch.waiting_messages(),
            _ => batch.undone(),
        };
        back.into_iter().map(|record| (record, wait)).collect()
    }
}
