//! What Africa's Talking's response to a send request means.
//!
//! An HTTP 201 also comes when nothing was sent, and Africa's Talking documents an HTTP 409 with the
//! usual body, so the recipient's `statusCode` decides where there is one, and neither the HTTP status
//! nor the sentence in `Message`.

use std::time::Duration;

use serde_json::Value;

use crate::domain::circuit_breaker::Cause;
use crate::domain::cost::Cost;
use crate::domain::failure_reason::FailureReason;
use crate::domain::ids::AtMessageId;
use crate::domain::message::Acceptance;
use crate::domain::status::Status;
use crate::domain::text::trimmed;
use crate::wire::africastalking::send_body::{
    code_in, code_of, code_of_name, first_recipient, message, number, text,
};
use crate::wire::json::{field, parse_answer};

/// The outcome of a send request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Africa's Talking accepted the message.
    Accepted(Acceptance),
    /// It will never be sent to this recipient.
    Refused(FailureReason),
    /// The account or the sender ID fails. The message itself is fine.
    CircuitFailure(Cause),
    /// No request reached Africa's Talking, for this reason.
    NotCalled(FailureReason),
    /// It surely was not sent, and may be retried.
    NotSent {
        /// Why.
        reason: FailureReason,
        /// The shortest wait before the retry.
        at_least: Duration,
    },
    /// It is unknown whether it was sent.
    Unknown(FailureReason),
}

/// A promotional sender was turned down in Nigeria, where such messages are let through between
/// 8 am and 8 pm: half an hour is short beside the night, and few tries.
const DO_NOT_DISTURB_WAIT: Duration = Duration::from_mins(30);

/// The wait after a rate limit.
const TOO_FAST_WAIT: Duration = Duration::from_secs(30);

impl Outcome {
    /// Reads the HTTP response.
    pub fn of_answer(http_status: u16, body: &[u8]) -> Self {
        match http_status {
            200..=299 => of_body(body),
            400..=499 if code_in(body).is_some() => match of_body(body) {
                // An acceptance with such an HTTP status contradicts itself.
                Outcome::Accepted(_) => Self::unknown(&format!("HTTP {http_status}")),
                refused => refused,
            },
            300..=399 | 404 | 405 => Self::CircuitFailure(Cause::WrongAddress),
            401 | 403 => Self::CircuitFailure(Cause::CredentialsRefused),
            429 => Self::not_sent("HTTP 429", TOO_FAST_WAIT),
            // A time-out of Africa's Talking, like every 5xx. The SMS may be on its way.
            408 => Self::unknown("HTTP 408"),
            400..=499 => Self::not_sent(&format!("HTTP {http_status}"), Duration::ZERO),
            _ => Self::unknown(&format!("HTTP {http_status}")),
        }
    }

    fn not_sent(reason: &str, at_least: Duration) -> Self {
        Self::NotSent {
            reason: FailureReason::new(reason),
            at_least,
        }
    }

    fn unknown(reason: &str) -> Self {
        Self::Unknown(FailureReason::new(reason))
    }
}

fn of_body(body: &[u8]) -> Outcome {
    let Ok(answer) = parse_answer(body) else {
        return Outcome::unknown("unreadable answer");
    };
    let Some(data) = field(&answer, "SMSMessageData") else {
        return Outcome::unknown("unreadable answer");
    };
    match first_recipient(data) {
        Some(recipient) => of_recipient(recipient),
        None => match code_of_name(&message(data)) {
            Some(code) => of_rejection(code, &message(data)),
            None => Outcome::unknown("no recipient in the answer"),
        },
    }
}

fn of_recipient(recipient: &Value) -> Outcome {
    let name = text(recipient, "status").unwrap_or_default();
    let at_id = text(recipient, "messageId")
        .map(|id| trimmed(&id).to_owned())
        .filter(|id| !id.eq_ignore_ascii_case("none"))
        .and_then(|id| AtMessageId::new(id).ok());
    let code = code_of(recipient);
    let accepted = |status| {
        Outcome::Accepted(Acceptance {
            at_id: at_id.clone(),
            status,
            cost: text(recipient, "cost").and_then(|cost| Cost::read(&cost)),
            parts: field(recipient, "messageParts")
                .and_then(number)
                .and_then(|parts| u32::try_from(parts).ok()),
        })
    };
    match code {
        Some(100) => accepted(Status::Pending),
        Some(101) => accepted(Status::Sent),
        Some(102) => accepted(Status::Unsent),
        Some(code) if is_rejection(code) => of_rejection(code, &name),
        // An undocumented code. With an id, Africa's Talking accepted the message, and delivery
        // reports will follow. Without an id, the outcome is unknown.
        _ if at_id.is_some() => accepted(Status::Unsent),
        // What old answers say of what they charge nothing for and give no id.
        None if is_one_of(&name, &["Could Not Send", "Failed"]) => {
            Outcome::not_sent(&name, Duration::ZERO)
        }
        Some(code) => Outcome::unknown(&format!("statusCode {code}")),
        None => Outcome::unknown("no statusCode in the answer"),
    }
}

fn is_one_of(name: &str, known: &[&str]) -> bool {
    let name = trimmed(name);
    known.iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn is_rejection(code: u64) -> bool {
    matches!(code, 401..=407 | 409 | 500..=502)
}

fn of_rejection(code: u64, name: &str) -> Outcome {
    let reason = match code {
        401 => "RiskHold",
        402 => return Outcome::CircuitFailure(Cause::InvalidSenderId),
        403 => "InvalidPhoneNumber",
        404 => "UnsupportedNumberType",
        405 => return Outcome::CircuitFailure(Cause::InsufficientBalance),
        406 => "UserInBlacklist",
        407 => "CouldNotRoute",
        409 => return Outcome::not_sent("DoNotDisturbRejection", DO_NOT_DISTURB_WAIT),
        501 => return Outcome::not_sent("GatewayError", Duration::ZERO),
        502 => return Outcome::not_sent("RejectedByGateway", Duration::ZERO),
        500 => return Outcome::unknown("InternalServerError"),
        _ => return Outcome::unknown(name),
    };
    Outcome::Refused(FailureReason::new(reason))
}

#[cfg(test)]
mod tests;
