//! A delivery report, from the callback's fields.

use super::form::{BadField, Fields};
use crate::digest::hmac_hex;
use crate::domain::failure_reason::FailureReason;
use crate::domain::ids::AtMessageId;
use crate::domain::phone_number::Sender;
use crate::domain::time::Timestamp;
use crate::wire::queue_messages::DeliveryReport;

/// Status and reason are cut to this many characters, because they come from outside.
const MAX_WORD: usize = 64;

/// Reads the callback. The result holds a keyed hash of the phone number instead of the number.
///
/// # Errors
/// When the id or the status is missing, or the id is too long.
pub fn read(
    fields: &Fields,
    number_hash_key: &str,
    now: Timestamp,
) -> Result<DeliveryReport, BadField> {
    // Compared with the id in the answer to a send, where a blank would make another of it.
    let id = AtMessageId::new(fields.bare("id").unwrap_or_default()).map_err(BadField::id)?;
    let status = fields.bare("status").ok_or(BadField {
        field: "status",
        problem: "is missing or empty",
    })?;
    let word = |text: &str| text.chars().take(MAX_WORD).collect::<String>();
    Ok(DeliveryReport {
        id,
        status: word(status),
        failure_reason: fields.bare("failureReason").map(FailureReason::new),
        network_code: fields.bare("networkCode").map(word),
        number_hash: fields
            .get("phoneNumber")
            .and_then(Sender::parse)
            .map(|number| hmac_hex(number_hash_key.as_bytes(), number.as_str().as_bytes())),
        received_at: now,
    })
}
