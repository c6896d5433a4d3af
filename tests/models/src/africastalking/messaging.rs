//! A request to send, and what comes of it.

use serde::Serialize;

use super::callbacks::ReportToPost;
use super::faults::{AfricasTalkingFault, Instead, Ruling};
use super::field;
use crate::http::ServerOutcome;

/// An SMS that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SmsToPhone {
    /// Its `messageId`.
    pub id: String,
    /// The phone it was sent to.
    pub to: String,
    /// The sender that the phone shows.
    pub from: String,
    /// The text.
    pub text: String,
    /// When it was accepted, in milliseconds since 1970.
    pub at_ms: i64,
    /// Its price, in ten-thousandths of the currency.
    pub cost_ten_thousandths: i64,
    /// Whether the phone received it.
    pub on_phone: bool,
}

/// A request to send.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SendRequest {
    /// When it had arrived, in milliseconds since 1970.
    pub at_ms: i64,
    /// Its fields, in order.
    pub form: Vec<(String, String)>,
    /// The HTTP status it was answered with, if it was.
    pub status: Option<u16>,
    /// The `messageId`s of what was accepted of it.
    pub accepted_ids: Vec<String>,
    /// The fault that changed its response.
    pub fault: Option<AfricasTalkingFault>,
}

impl SendRequest {
    /// The value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.form, name)
    }
}

/// A send request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// To whom.
    pub to: Vec<String>,
    /// As whom.
    pub from: Option<String>,
    /// The text.
    pub message: String,
    /// Whether the response may come before the SMS is sent.
    pub enqueue: bool,
    /// Whether the caller accepts JSON.
    pub accepts_json: bool,
}

/// What Africa's Talking does with a submission, other than usual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conduct {
    /// Whether it looks at the submission at all, and accepts it or not by its rules.
    pub accepts: bool,
    /// The fault that replaces the response.
    pub instead: Option<Instead>,
    /// The fate of the SMS to one recipient, or to all of them.
    pub ruling: Option<(Ruling, Option<String>)>,
}

impl Default for Conduct {
    fn default() -> Self {
        Self {
            accepts: true,
            instead: None,
            ruling: None,
        }
    }
}

/// The outcome of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The result for the caller.
    pub outcome: ServerOutcome,
    /// The accepted SMS, on no phone yet.
    pub accepted: Vec<SmsToPhone>,
}

/// The callbacks and replies that follow from an accepted SMS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consequences {
    /// The reports that are due before the response.
    pub early: Vec<ReportToPost>,
    /// The reports that are due after it.
    pub after: Vec<ReportToPost>,
    /// The phones that received an SMS.
    pub phones: Vec<String>,
}

/// The outcome of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessedRequest {
    /// For a send request, its number in [`AfricasTalkingModel::requests`].
    pub request: Option<usize>,
    /// The result for the caller.
    pub outcome: ServerOutcome,
    /// What follows.
    pub consequences: Consequences,
}
