//! Why the work stops before its end, and how long what is undone waits then.

use super::batch::Batch;
use super::{IN_DOUBT_MARGIN_MS, MedicExchange};
use crate::domain::backoff::{BRIEF_WAIT_MS, Wait};
use crate::log::{LogEvent, Redacted};
use crate::ports::{CredentialsError, LedgerStore, Medic, Queue, Record, Runtime};
use crate::wire::medic::Refusal;

/// Ten refused logins lock everybody out for a moment, so that a refused user waits for minutes.
const CREDENTIALS_WAIT_MS: i64 = 5 * 60 * 1000;

/// Medic lets somebody in again ten seconds after the last wrong login.
const TOO_MANY_WAIT_MS: i64 = 15_000;

/// A wrong address, a refused request, missing credentials: somebody has to fix something.
const FIXING_WAIT_MS: i64 = 60_000;

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

    fn wait(&self, grace_ms: i64) -> Wait {
        let at_least_ms = match self {
            Self::InDoubt(_) => grace_ms.saturating_add(IN_DOUBT_MARGIN_MS),
            Self::Refused(Refusal::Credentials(_)) => CREDENTIALS_WAIT_MS,
            Self::Refused(Refusal::TooMany) => TOO_MANY_WAIT_MS,
            Self::Refused(Refusal::WrongAddress(_) | Refusal::Request(_))
            | Self::Credentials(_) => FIXING_WAIT_MS,
            Self::Kept => BRIEF_WAIT_MS,
            Self::Refused(Refusal::Unreachable | Refusal::NotReady(_))
            | Self::FailsOnNothing
            | Self::OutOfTime => 0,
        };
        match self {
            // Medic is well but for what was brought: nobody waits long behind it.
            Self::Kept => Wait::Brief { at_least_ms },
            _ => Wait::Growing { at_least_ms },
        }
    }
}

impl<L: LedgerStore, Q: Queue, M: Medic, S: Runtime> MedicExchange<L, Q, M, S> {
    /// What goes back, and how long it waits at least.
    pub(super) fn stopped<'a>(&self, stop: &Stop, batch: &Batch<'a>) -> Vec<(&'a Record, Wait)> {
        self.runtime.record(stop.event());
        let wait = stop.wait(self.grace_ms);
        let back = match stop {
            Stop::InDoubt(_) => batch.undone_or_youngest(),
            Stop::Kept => batch.waiting_messages(),
            _ => batch.undone(),
        };
        back.into_iter().map(|record| (record, wait)).collect()
    }
}
