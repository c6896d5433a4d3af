//! The responses, as they go over the wire.

use serde::Serialize;
use serde_json::json;

use super::faults::Instead;
use crate::http::{JSON, ServerOutcome, ServerResponse};

const PLAIN: &str = "text/plain; charset=UTF-8";
const XML: &str = "application/xml; charset=UTF-8";

/// A plain-text response outside 2xx.
pub(super) fn plain(status: u16, text: &str) -> ServerResponse {
    ServerResponse::new(status, PLAIN, text)
}

/// A recipient's line in the response.
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

/// The response to a send.
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

fn created(data: &MessageData, accepts_json: bool) -> ServerResponse {
    if accepts_json {
        ServerResponse::json(201, &json!({ "SMSMessageData": data }))
    } else {
        ServerResponse::new(201, XML, xml(data))
    }
}

/// The result of a send for its caller.
pub(super) fn outcome(
    data: &MessageData,
    instead: Option<&Instead>,
    accepts_json: bool,
) -> ServerOutcome {
    ServerOutcome::Response(match instead {
        None => created(data, accepts_json),
        Some(Instead::Silence) => return ServerOutcome::Silence,
        Some(Instead::Closed) => return ServerOutcome::Closed,
        Some(Instead::Text(status, text)) => plain(*status, text),
        Some(Instead::Page(page)) => {
            ServerResponse::new(201, "text/html; charset=UTF-8", page.as_str())
        }
        Some(Instead::Truncated) => created(data, true).truncated(),
        Some(Instead::Empty) => ServerResponse::new(201, JSON, ""),
        Some(Instead::NoRecipients(message)) => created(&no_recipients(message), accepts_json),
    })
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

/// The response about a balance.
pub(super) fn balance(field: &str, balance: &str, accepts_json: bool) -> ServerResponse {
    if accepts_json {
        return ServerResponse::json(200, &json!({ field: {"balance": balance} }));
    }
    let data = format!("<UserData><balance>{balance}</balance></UserData>");
    let xml =
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><UserResponse>{data}</UserResponse>");
    ServerResponse::new(200, XML, xml)
}
