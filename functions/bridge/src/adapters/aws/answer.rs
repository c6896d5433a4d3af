//! What a service of AWS has answered, and what its refusals mean.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Refusals that say: later.
const LATER: [&str; 14] = [
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "TransactionInProgressException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "SlowDown",
    "PriorRequestNotComplete",
    "RequestTimeout",
    "RequestTimeoutException",
];

/// Why a call has brought nothing. Shows nothing of what was sent.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Something in it cannot be written down as a request. Nothing was sent.
    #[error("a request that could not be built")]
    Unsendable,
    /// Nothing was sent.
    #[error("no connection")]
    NoConnection,
    /// Nobody knows whether it took effect.
    #[error("no answer in time")]
    NoAnswer,
    /// It took effect, and what came back is not what should.
    #[error("an unreadable answer")]
    Unreadable,
    /// The service refused it.
    #[error("{}", .0.code)]
    Refused(Refused),
}

/// A service's refusal.
#[derive(Debug)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// AWS's code for it.
    pub code: String,
    /// The whole answer.
    pub body: Vec<u8>,
}

/// A service's answer.
#[derive(Debug, Default)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// When the server answered, by its own clock and in its own words.
    pub date: Option<String>,
    /// AWS's code for a refusal, of a service that puts it into a header.
    pub error_type: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// What a service that speaks JSON has refused. The code can stand in a header and in two places of
    /// the body, with a namespace before it and an address behind it.
    pub(super) fn refused_in_json(self) -> CallError {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let in_body = ["__type", "code"]
            .iter()
            .find_map(|field| body.get(field)?.as_str());
        let named = self.error_type.as_deref().or(in_body).unwrap_or_default();
        let code = named.rsplit('#').next().unwrap_or_default();
        let code = code.split(':').next().unwrap_or_default();
        CallError::Refused(Refused {
            status: self.status,
            code: if code.is_empty() {
                format!("HTTP {}", self.status)
            } else {
                code.to_owned()
            },
            body: self.body,
        })
    }
}

impl Refused {
    /// What the answer says beside the code, if it can be read.
    pub fn details<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }
}

impl CallError {
    pub(super) fn of(error: &reqwest::Error) -> Self {
        if error.is_connect() {
            Self::NoConnection
        } else if error.is_builder() {
            Self::Unsendable
        } else {
            Self::NoAnswer
        }
    }

    /// Whether another attempt can end in another way.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::NoConnection | Self::NoAnswer => true,
            Self::Unsendable | Self::Unreadable => false,
            Self::Refused(refused) => {
                matches!(refused.status, 500 | 502 | 503 | 504)
                    || LATER.contains(&refused.code.as_str())
            }
        }
    }
}

/// Reads a field of an answer that may be left out, and may also be `null`.
///
/// # Errors
/// When it is something else.
pub fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(status: u16, error_type: Option<&str>, body: &str) -> CallError {
        Answer {
            status,
            date: None,
            error_type: error_type.map(str::to_owned),
            body: body.into(),
        }
        .refused_in_json()
    }

    #[test]
    fn a_refusal_has_its_code_wherever_the_service_puts_it() {
        for (header, body, code) in [
            (
                None,
                r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"x"}"#,
                "QueueDoesNotExist",
            ),
            (None, r#"{"code":"SlowDown"}"#, "SlowDown"),
            (None, r#"{"code":"x","__type":"a#SlowDown"}"#, "SlowDown"),
            (
                Some("AccessDenied:http://internal.amazon.com/coral/"),
                "",
                "AccessDenied",
            ),
            (None, "<html>", "HTTP 400"),
            (None, r#"{"__type":7}"#, "HTTP 400"),
        ] {
            assert_eq!(refused(400, header, body).to_string(), code);
        }
    }

    #[test]
    fn what_passes_is_tried_again_and_nothing_else() {
        let throttled = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException"}"#;
        assert!(refused(400, None, throttled).is_passing());
        assert!(refused(503, None, "").is_passing());
        assert!(CallError::NoAnswer.is_passing());
        let wrong =
            r#"{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException"}"#;
        assert!(!refused(400, None, wrong).is_passing());
        assert!(!CallError::Unreadable.is_passing());
    }

    proptest! {
        #[test]
        fn no_refusal_makes_it_panic(status in 100_u16..700, header in ".{0,30}", body in ".{0,200}") {
            let _ = refused(status, Some(&header), &body).to_string();
            let _ = refused(status, None, &body).to_string();
        }
    }
}
