//! Why a command cannot do what it was asked to, and what the operator can do about it.

use std::fmt::Display;

/// What ends a command. The text says what to do next, where that is known.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Something is wrong with the deployed system, or not all could be done.
    #[error("{0}")]
    Trouble(String),
    /// The command was given something that it cannot use.
    #[error("{0}")]
    Usage(String),
    /// AWS cannot be asked, or the stack is not there.
    #[error("{0}")]
    OutOfReach(String),
}

impl Failure {
    /// The exit status for scripts: 1 something is wrong, 2 wrong usage, 3 nothing could be asked.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Trouble(_) => 1,
            Self::Usage(_) => 2,
            Self::OutOfReach(_) => 3,
        }
    }

    /// AWS refused something, by its code for it. `what` completes "cannot …".
    pub fn aws(what: &str, code: &impl Display) -> Self {
        let code = code.to_string();
        Self::OutOfReach(format!("cannot {what}: {}", explained(&code)))
    }
}

/// What a code of AWS means for an operator.
fn explained(code: &str) -> String {
    let has = |parts: &[&str]| parts.iter().any(|part| code.contains(part));
    let advice = if has(&["AccessDenied", "UnauthorizedOperation", "NotAuthorized"]) {
        "your AWS user or role is not allowed to; use a profile (--profile) that may operate the stack"
    } else if has(&[
        "Throttl",
        "TooManyRequests",
        "RequestLimitExceeded",
        "SlowDown",
    ]) {
        "AWS throttles the account's calls; try again in a minute"
    } else if has(&["ExpiredToken", "RequestExpired"]) {
        "the credentials are expired; log in again (`aws sso login`)"
    } else if has(&[
        "InvalidClientTokenId",
        "UnrecognizedClient",
        "SignatureDoesNotMatch",
        "InvalidSignature",
    ]) {
        "AWS does not know these credentials; look at the profile and at this machine's clock"
    } else if has(&["no connection", "no answer"]) {
        "AWS cannot be reached; look at the network and the region"
    } else if has(&["ResourceNotFound", "QueueDoesNotExist", "NonExistentQueue"]) {
        "it is not there; was it deleted by hand? Deploy the stack again"
    } else {
        return code.to_owned();
    };
    format!("{code}: {advice}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_aws_refuses_comes_with_what_to_do() {
        let failure = Failure::aws("read the ledger", &"AccessDeniedException");
        assert!(failure.to_string().contains("--profile"), "{failure}");
        assert_eq!(failure.exit_status(), 3);
        let failure = Failure::aws("read the ledger", &"ThrottlingException");
        assert!(failure.to_string().contains("try again"), "{failure}");
        let failure = Failure::aws("read the ledger", &"SomethingNew");
        assert_eq!(failure.to_string(), "cannot read the ledger: SomethingNew");
    }
}
