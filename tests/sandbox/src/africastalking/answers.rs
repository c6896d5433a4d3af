//! The answers, as they go over the wire.

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use serde_json::json;

use super::faults::Instead;
use crate::answer;

const PLAIN: &str = "text/plain; charset=UTF-8";
const JSON: &str = "application/json; charset=utf-8";
const XML: &str = "application/xml; charset=UTF-8";

/// A plain-text answer outside 2xx.
pub(super) type Refusal = (StatusCode, String);

pub(super) fn plain((status, text): Refusal) -> Response {
    answer::with(status, PLAIN, text)
}

/// A recipient's line in the answer.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Recipient {
    pub cost: String,
    pub message_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_parts: Option<u32>,
    pub number: String,
    pub status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
}

/// The answer to a send.
#[derive(Serialize)]
pub(super) struct MessageData {
    #[serde(rename = "Message")]
    pub message: String,
    #[serde(rename = "Recipients")]
    pub recipients: Vec<Recipient>,
}

/// A price such as `KES 0.8000`.
pub(super) fn money(currency: &str, ten_thousandths: i64) -> String {
    let sign = if ten_thousandths < 0 { "-" } else { "" };
    let amount = ten_thousandths.unsigned_abs();
    format!(
        "{currency} {sign}{}.{:04}",
        amount / 10_000,
        amount % 10_000
    )
}

pub(super) fn no_recipients(message: &str) -> MessageData {
    MessageData {
        message: message.to_owned(),
        recipients: Vec::new(),
    }
}

pub(super) fn wants_json(headers: &HeaderMap) -> bool {
    answer::header(headers, header::ACCEPT)
        .is_some_and(|accept| accept.contains("application/json"))
}

pub(super) fn written(
    data: &MessageData,
    instead: Option<Instead>,
    wants_json: bool,
) -> Option<Response> {
    let created = |body: String| answer::with(StatusCode::CREATED, JSON, body);
    let json = |data: &MessageData| json!({ "SMSMessageData": data }).to_string();
    let full = |data: &MessageData| {
        if wants_json {
            created(json(data))
        } else {
            answer::with(StatusCode::CREATED, XML, xml(data))
        }
    };
    let response = match instead {
        None => full(data),
        Some(Instead::Nothing | Instead::HangUp) => return None,
        Some(Instead::Text(status, text)) => plain((status, text.to_owned())),
        Some(Instead::Html) => answer::with(
            StatusCode::CREATED,
            "text/html; charset=UTF-8",
            "<html><body>Africa's Talking</body></html>",
        ),
        Some(Instead::Truncated) => {
            let whole = json(data);
            let half: String = whole.chars().take(whole.chars().count() / 2).collect();
            created(half)
        }
        Some(Instead::Empty) => created(String::new()),
        Some(Instead::NoRecipients(message)) => full(&no_recipients(message)),
    };
    Some(response)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn xml(data: &MessageData) -> String {
    let mut recipients = String::new();
    for recipient in &data.recipients {
        let code = recipient
            .status_code
            .map(|code| format!("<statusCode>{code}</statusCode>"))
            .unwrap_or_default();
        recipients.push_str(&format!(
            "<Recipient><number>{}</number><cost>{}</cost><status>{}</status>{code}<messageId>{}</messageId></Recipient>",
            escaped(&recipient.number),
            recipient.cost,
            recipient.status,
            recipient.message_id,
        ));
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><AfricasTalkingResponse><SMSMessageData><Message>{}</Message>\
         <Recipients>{recipients}</Recipients></SMSMessageData></AfricasTalkingResponse>",
        escaped(&data.message)
    )
}

/// The answer about a balance.
pub(super) fn balance(balance: &str, wants_json: bool) -> Response {
    if wants_json {
        answer::json(StatusCode::OK, &json!({"UserData": {"balance": balance}}))
    } else {
        let data = format!("<UserData><balance>{balance}</balance></UserData>");
        let xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><UserResponse>{data}</UserResponse>"
        );
        answer::with(StatusCode::OK, XML, xml)
    }
}
