//! Why the work stops before its end, and how long what is undone waits then.

use std::time::Duration;

use super::batch::Batch;
use super::{IN_DOUBT_MARGIN, MedicExchange};
use crate::domain::backoff::{BRIEF_WAIT, Wait};
use crate::log::{LogEvent, Redacted};
use crate::ports::{CredentialsError, LedgerStore, Medic, Queue, Record, Runtime};
use crate::wire::medic::Refusal;

/// Ten refused logins lock everybody out for a moment, so that a refused user waits for minutes.
const CREDENTIALS_WAIT: Duration = Duration::from_mins(5);

/// Medic lets somebody in again ten seconds after the last wrong login.
const TOO_MANY_WAIT: Duration = Duration::from_secs(15);

/// A wrong address, a refused request, missing credentials: somebody has to fix something.
const FIXING_WAIT: Duration = Duration::from_mins(1);

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

    fn wait(&self, grace: Duration) -> Wait {
        let at_least = match self {
            Self::InDoubt(_) => grace.saturating_add(IN_DOUBT_MARGIN),
            Self::Refused(Refusal::Credentials(_)) => CREDENTIALS_WAIT,
            Self::Refused(Refusal::TooMany) => TOO_MANY_WAIT,
            Self::Refused(Refusal::WrongAddress(_) | Refusal::Request(_))
            | Self::Credentials(_) => FIXING_WAIT,
            Self::Kept => BRIEF_WAIT,
            Self::Refused(Refusal::Unreachable | Refusal::NotReady(_))
            | Self::FailsOnNothing
            | Self::OutOfTime => Duration::ZERO,
        };
        match self {
            // Medic is well but for what was brought: nobody waits long behind it.
            Self::Kept => Wait::Brief { at_least },
            _ => Wait::Growing { at_least },
        }
    }
}

impl<L: LedgerStore, Q: Queue, M: Medic, S: Runtime> MedicExchange<L, Q, M, S> {
    /// What goes back, and how long it waits at least.
    pub(super) fn stopped<'a>(&self, stop: &Stop, batch: &Batch<'a>) -> Vec<(&'a Record, Wait)> {
        self.runtime.record(stop.event());
        let wait = stop.wait(self.grace);
        let back = match stop {
            Stop::InDoubt(_) => batch.undone_or_youngest(),
            Stop::Kept => batch.waiting_messages(),
            _ => batch.undone(),
        };
        back.into_iter().map(|record| (record, wait)).collect()
    }
}
