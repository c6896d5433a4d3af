//! The body of an answer to a send request, field by field. What the fields mean is read in
//! [`super::send_response`].

use serde_json::Value;

use crate::wire::json::parse_answer;

/// The one recipient of a request, if the answer names it. `data` is `SMSMessageData`.
pub fn first_recipient(data: &Value) -> Option<&Value> {
    data.get("Recipients")?.as_array()?.first()
}

/// The sentence for the whole request.
pub fn message(data: &Value) -> String {
    text(data, "Message").unwrap_or_default()
}

/// The code that a body has for its one recipient, or for all of them when it names none.
pub fn code_in(body: &[u8]) -> Option<u64> {
    let answer = parse_answer(body).ok()?;
    let data = answer.get("SMSMessageData")?;
    match first_recipient(data) {
        Some(recipient) => code_of(recipient),
        None => code_of_name(&message(data)),
    }
}

/// The code of a recipient. Old responses have no `statusCode`. Their `status` has its name.
pub fn code_of(recipient: &Value) -> Option<u64> {
    let by_name = || code_of_name(&text(recipient, "status")?);
    recipient
        .get("statusCode")
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
        .find(|(known, _)| known.eq_ignore_ascii_case(name.trim()))
        .map(|(_, code)| code)
}

/// A field as text.
pub fn text(object: &Value, field: &str) -> Option<String> {
    match object.get(field)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A number, or a text with a number in it.
pub fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}
