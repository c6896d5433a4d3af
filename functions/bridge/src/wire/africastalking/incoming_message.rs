//! An incoming SMS, from the callback's fields.

use super::date::read_date;
use super::form::{BadField, Fields};
use crate::domain::ids::IncomingId;
use crate::domain::phone_number::Sender;
use crate::domain::time::Timestamp;
use crate::wire::queue_messages::IncomingSms;

/// Reads the callback. Only `id`, `from` and `text` matter to Medic.
///
/// # Errors
/// When the id or the sender is missing, or the id is too long.
pub fn read(fields: &Fields, now: Timestamp) -> Result<IncomingSms, BadField> {
    let id = IncomingId::new(fields.bare("id").unwrap_or_default()).map_err(BadField::id)?;
    let from = fields.get("from").and_then(Sender::parse).ok_or(BadField {
        field: "from",
        problem: "is missing or empty",
    })?;
    // Medic answers 200 to a message without content and drops it. It stores one of a single space.
    let content = fields.get("text").unwrap_or(" ").to_owned();
    Ok(IncomingSms {
        id,
        from: from.as_str().to_owned(),
        content,
        sent_at: fields.get("date").and_then(read_date).unwrap_or(now),
        received_at: now,
    })
}
