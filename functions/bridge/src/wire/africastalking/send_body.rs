//! The body of an answer to a send request, field by field. What the fields mean is read in
//! [`super::send_response`].

use serde_json::Value;

use crate::domain::text::trimmed;
use crate::wire::json::{field, parse_answer, text_of};

/// The one recipient of a request, if the answer names it. `data` is `SMSMessageData`.
pub fn first_recipient(data: &Value) -> Option<&Value> {
    match field(data, "Recipients")? {
        Value::Array(recipients) => recipients.first(),
        one @ Value::Object(_) => Some(one),
        _ => None,
    }
}

/// The sentence for the whole request.
pub fn message(data: &Value) -> String {
    text(data, "Message").unwrap_or_default()
}

/// The code that a body has for its one recipient, or for all of them when it names none.
pub fn code_in(body: &[u8]) -> Option<u64> {
    let answer = parse_answer(body).ok()?;
    let data = field(&answer, "SMSMessageData")?;
    match first_recipient(data) {
        Some(recipient) => code_of(recipient),
        None => code_of_name(&message(data)),
    }
}

/// The code of a recipient. Old responses have no `statusCode`. Their `status` has its name.
pub fn code_of(recipient: &Value) -> Option<u64> {
    let by_name = || code_of_name(&text(recipient, "status")?);
    field(recipient, "statusCode")
        .and_then(number)
        .or_else(by_name)
}

/// The code of a documented name.
pub fn code_of_name(name: &str) -> Option<u64> {
    const NAMES: [(&str, u64); 17] = [
        ("Processed", 100),
        ("Sent", 101),
        ("Success", 101),
        ("Queued", 102),
        ("RiskHold", 401),
        ("InvalidSenderId", 402),
        ("InvalidPhoneNumber", 403),
        ("UnsupportedNumberType", 404),
        ("InsufficientBalance", 405),
        ("UserInBlacklist", 406),
        ("CouldNotRoute", 407),
        ("DoNotDisturbRejection", 409),
        ("InternalServerError", 500),
        ("GatewayError", 501),
        ("RejectedByGateway", 502),
        ("Invalid Phone Number", 403),
        ("User In Blacklist", 406),
    ];
    NAMES
        .into_iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(trimmed(name)))
        .map(|(_, code)| code)
}

/// A field as text.
pub fn text(object: &Value, name: &str) -> Option<String> {
    text_of(field(object, name)?)
}

/// A whole number, also as a text, and with decimals that are all zero.
pub fn number(value: &Value) -> Option<u64> {
    let text = text_of(value)?;
    let text = trimmed(&text);
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_whole = decimals.bytes().all(|digit| digit == b'0');
    is_whole.then(|| whole.parse().ok())?
}
