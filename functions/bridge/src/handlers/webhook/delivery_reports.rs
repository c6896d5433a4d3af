//! A delivery report, from the callback's fields.

use super::Accepted;
use super::incoming_messages::bad_id;
use crate::digest::hmac_hex;
use crate::domain::ids::AtMessageId;
use crate::domain::message::FailureReason;
use crate::domain::phone_number::Sender;
use crate::log::{LogEvent, Redacted};
use crate::ports::NewMessage;
use crate::wire::africastalking::form::BadField;
use crate::wire::africastalking::form::Fields;
use crate::wire::queue_messages::{DeliveryReport, encode};

/// Status and reason are cut to this many characters, because they come from outside.
const MAX_WORD: usize = 64;

/// Reads the callback. The result holds a keyed hash of the phone number instead of the number.
pub fn read(fields: &Fields, number_hash_key: &str, now_ms: i64) -> Result<Accepted, BadField> {
    // Compared with the id in the answer to a send, where white space would make another of it.
    let id = AtMessageId::new(fields.get("id").unwrap_or_default().trim()).map_err(bad_id)?;
    let status = fields
        .get("status")
        .filter(|status| !status.trim().is_empty())
        .ok_or(BadField {
            field: "status",
            problem: "is missing or empty",
        })?;
    let word = |text: &str| text.trim().chars().take(MAX_WORD).collect::<String>();
    let report = DeliveryReport {
        id,
        status: word(status),
        failure_reason: fields.get("failureReason").map(FailureReason::new),
        network_code: fields.get("networkCode").map(word),
        number_hash: fields
            .get("phoneNumber")
            .and_then(Sender::parse)
            .map(|number| hmac_hex(number_hash_key.as_bytes(), number.as_str().as_bytes())),
        received_at_ms: now_ms,
    };
    let event = LogEvent::ReportQueued {
        at_id: Redacted::new(&report.id),
    };
    Ok(Accepted {
        message: NewMessage {
            body: encode(&report),
            fifo: None,
        },
        event,
    })
}
