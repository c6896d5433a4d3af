//! An incoming SMS, from the callback's fields.

use super::Accepted;
use crate::digest::sha256_hex;
use crate::domain::ids::{IdError, IncomingId};
use crate::domain::phone_number::Sender;
use crate::log::{LogEvent, Redacted};
use crate::ports::{Fifo, NewMessage};
use crate::queue::dead_letter::MEDIC_GROUP;
use crate::wire::africastalking::date::date_ms;
use crate::wire::africastalking::form::BadField;
use crate::wire::africastalking::form::Fields;
use crate::wire::queue_messages::{ExchangeMessage, IncomingSms, encode};

/// Reads the callback. Only `id`, `from` and `text` matter to Medic.
pub fn read(fields: &Fields, now_ms: i64) -> Result<Accepted, BadField> {
    let id = read_id(fields)?;
    let from = fields.get("from").and_then(Sender::parse).ok_or(BadField {
        field: "from",
        problem: "is missing or empty",
    })?;
    // Medic answers 200 to a message without content and drops it. It stores one of a single space.
    let content = fields.get("text").unwrap_or(" ").to_owned();
    let sms = IncomingSms {
        id,
        from: from.as_str().to_owned(),
        content,
        sent_at_ms: fields.get("date").and_then(date_ms).unwrap_or(now_ms),
        received_at_ms: now_ms,
    };
    let event = LogEvent::IncomingQueued {
        id: Redacted::new(&sms.id),
    };
    Ok(Accepted {
        message: NewMessage {
            // The same for each repeat of a callback: the queue drops a repeat within five minutes,
            // and Medic recognises a later one by its id.
            fifo: Some(Fifo {
                group: MEDIC_GROUP.to_owned(),
                deduplication_id: sha256_hex(sms.id.as_str().as_bytes()),
            }),
            body: encode(&ExchangeMessage::Incoming(sms)),
        },
        event,
    })
}

fn read_id(fields: &Fields) -> Result<IncomingId, BadField> {
    IncomingId::new(fields.get("id").unwrap_or_default()).map_err(bad_id)
}

/// What is wrong with the field `id`.
pub fn bad_id(error: IdError) -> BadField {
    BadField {
        field: "id",
        problem: match error {
            IdError::Empty => "is missing or empty",
            IdError::TooLong => "is too long",
        },
    }
}
