//! Why a command fails, and what the operator can do about it.

use std::error::Error;
use std::fmt::Display;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_cloudformation::error::{ProvideErrorMetadata, SdkError};

use crate::clock::AwsClock;

/// Ends a command. If it is known what to do next, the text says so.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Something is wrong with the deployed system, or the command could not do everything.
    #[error("{0}")]
    Problem(String),
    /// The arguments or the input are wrong.
    #[error("{0}")]
    Usage(String),
    /// AWS cannot be asked, or there is no such stack.
    #[error("{0}")]
    OutOfReach(String),
}

impl Failure {
    /// The exit status for scripts: 1 something is wrong, 2 wrong usage, 3 AWS could not be asked.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Problem(_) => 1,
            Self::Usage(_) => 2,
            Self::OutOfReach(_) => 3,
        }
    }

    /// AWS refused a call with this error code. `what` completes "cannot …".
    pub fn aws(what: &str, code: &impl Display) -> Self {
        let code = code.to_string();
        Self::OutOfReach(format!("cannot {what}: {}", explained(&code)))
    }

    /// There are no credentials for AWS.
    pub fn credentials(error: &CredentialsError) -> Self {
        Self::OutOfReach(explained(&without_credentials(error)))
    }

    /// A call to AWS failed. `what` completes "cannot …".
    pub fn call<E>(what: &str, error: &SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        Self::aws(what, &said(error))
    }

    /// As [`Self::call`], if AWS's time is known: a wrong clock explains why AWS refuses a signature.
    pub fn call_at<E>(what: &str, error: &SdkError<E>, clock: &AwsClock) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let code = said(error);
        match clock.wrong() {
            Some(wrong) if is_about_time(&code) => {
                Self::OutOfReach(format!("cannot {what}: {code}: {wrong}; set it"))
            }
            _ => Self::aws(what, &code),
        }
    }
}

/// Says in a few words why a call failed: AWS's error code, if AWS refused it. Shows nothing of what was
/// sent.
fn said<E>(error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if let Some(code) = error.code() {
        return code.to_owned();
    }
    if let Some(answer) = error.raw_response() {
        let status = answer.status();
        return if status.is_success() {
            "an unreadable answer".to_owned()
        } else {
            format!("HTTP {}", status.as_u16())
        };
    }
    let causes = || causes_of(error.source());
    if let Some(error) = causes().find_map(|cause| cause.downcast_ref()) {
        return without_credentials(error);
    }
    match error {
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            "no answer in time".to_owned()
        }
        SdkError::DispatchFailure(_) => {
            let cause = causes().last().map(ToString::to_string);
            format!("no connection ({})", cause.unwrap_or_default())
        }
        SdkError::TimeoutError(_) => "no answer in time".to_owned(),
        _ => "a request that could not be built".to_owned(),
    }
}

fn without_credentials(error: &CredentialsError) -> String {
    let none = || "nothing in the environment and the profile".to_owned();
    let why = error.source().map_or_else(none, chain);
    format!("no AWS credentials are found ({why})")
}

/// The error, its cause, the cause of that, and so on.
fn causes_of<'a>(
    error: Option<&'a (dyn Error + 'static)>,
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error, |&cause: &&'a (dyn Error + 'static)| cause.source())
}

/// An error and its causes, in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    for cause in causes_of(Some(error)) {
        let text = cause.to_string();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if !text.is_empty() && texts.iter().all(|said| !said.contains(&text)) {
            texts.push(text);
        }
    }
    texts.join(": ")
}

/// Whether AWS answers with this error code when the caller's clock is wrong.
fn is_about_time(code: &str) -> bool {
    [
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "InvalidSignature",
        "AuthFailure",
    ]
    .iter()
    .any(|part| code.contains(part))
}

/// Explains an error code of AWS to an operator.
fn explained(code: &str) -> String {
    let has = |parts: &[&str]| parts.iter().any(|part| code.contains(part));
    let advice = if code.starts_with("no AWS credentials") {
        "`aws configure`, `aws sso login`, `aws login` or AWS_PROFILE helps"
    } else if has(&["AccessDenied", "UnauthorizedOperation", "NotAuthorized"]) {
        "your AWS user or role is not allowed to; use a profile (--profile) that may operate the stack"
    } else if has(&[
        "Throttl",
        "TooManyRequests",
        "RequestLimitExceeded",
        "SlowDown",
    ]) {
        "AWS throttles the account's calls; try again in a minute"
    } else if has(&["ExpiredToken"]) {
        "the credentials are expired; log in again (`aws sso login`)"
    } else if has(&["RequestExpired", "RequestTimeTooSkewed"]) {
        "AWS's time is another than this machine's; look at its clock"
    } else if has(&["InvalidClientTokenId", "UnrecognizedClient"]) || is_about_time(code) {
        "AWS does not know these credentials; look at the profile and at this machine's clock"
    } else if has(&["peer certificate"]) {
        "AWS's certificate is not believed; look at this machine's clock, and at whom it trusts (SSL_CERT_FILE \
         names others)"
    } else if has(&["no connection", "no answer"]) {
        "AWS cannot be reached; look at the network, the proxy (HTTPS_PROXY) and the region"
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
