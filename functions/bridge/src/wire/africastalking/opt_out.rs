//! An opt-out, from the callback's fields: a recipient wants no more SMS from a sender ID.

use std::time::Duration;

use super::form::{BadField, Fields};
use crate::digest::hmac_hex;
use crate::domain::ids::IncomingId;
use crate::domain::phone_number::Sender;
use crate::domain::time::Timestamp;
use crate::wire::queue_messages::IncomingSms;

const DAY: Duration = Duration::from_hours(24);

/// Days are counted from here.
const EPOCH: Timestamp = Timestamp::from_millis(0);

/// How much of the hash is in an id, in hexadecimal digits.
const HASH_DIGITS: usize = 32;

/// Somebody has opted out.
#[derive(Clone, PartialEq, Eq)]
pub struct OptOut {
    /// An id of our own, because the callback has none. It is the same for each repeat on one day (UTC).
    pub id: IncomingId,
    /// The number, as Medic gets it.
    from: String,
    received_at: Timestamp,
}

impl OptOut {
    /// The SMS that tells Medic of it.
    #[must_use]
    pub fn into_sms(self, text: &str) -> IncomingSms {
        IncomingSms {
            id: self.id,
            from: self.from,
            content: text.to_owned(),
            sent_at: self.received_at,
            received_at: self.received_at,
        }
    }
}

impl std::fmt::Debug for OptOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OptOut")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Reads the callback.
///
/// # Errors
/// When the number or the sender ID is missing.
pub fn read(fields: &Fields, number_hash_key: &str, now: Timestamp) -> Result<OptOut, BadField> {
    let missing = |field| BadField {
        field,
        problem: "is missing or empty",
    };
    let number = fields.get("phoneNumber").and_then(Sender::parse);
    let number = number.ok_or(missing("phoneNumber"))?;
    let sender_id = fields.bare("senderId").ok_or(missing("senderId"))?;
    let day = now.since(EPOCH).as_secs() / DAY.as_secs();
    let number = number.as_str();
    let what = format!("opt-out {day} {} {number} {sender_id}", number.len());
    let hash = hmac_hex(number_hash_key.as_bytes(), what.as_bytes());
    let hash: String = hash.chars().take(HASH_DIGITS).collect();
    Ok(OptOut {
        id: IncomingId::new(format!("opt-out-{hash}")).map_err(BadField::id)?,
        from: number.to_owned(),
        received_at: now,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: Option<&[u8]> = Some(b"application/x-www-form-urlencoded");
    const NOON: Duration = Duration::from_hours(12);

    fn opt_out(body: &str, key: &str, at: Duration) -> Result<OptOut, BadField> {
        let fields = Fields::read(FORM, body.as_bytes()).unwrap();
        read(&fields, key, EPOCH + at)
    }

    fn id(body: &str, key: &str, at: Duration) -> String {
        let id = opt_out(body, key, at).unwrap().id;
        assert_eq!(id.to_string(), id.as_str(), "an id that logs can show");
        id.as_str().to_owned()
    }

    #[test]
    fn a_repeat_on_the_same_day_has_the_same_id_and_everything_else_another() {
        let body = "senderId=20880&phoneNumber=%2B254700000001";
        let first = id(body, "key", NOON);
        assert_eq!(
            id(
                "phoneNumber=+254700000001&senderId=+20880+",
                "key",
                NOON * 2 - Duration::from_millis(1)
            ),
            first
        );
        assert!(!first.contains("254700000001"));
        for other in [
            id(body, "key", DAY),
            id(body, "another key", NOON),
            id("senderId=20881&phoneNumber=%2B254700000001", "key", NOON),
            id("senderId=20880&phoneNumber=%2B254700000002", "key", NOON),
            id("senderId=20880&phoneNumber=x", "key", NOON),
            id("senderId=x+20880&phoneNumber=x", "key", NOON),
        ] {
            assert_ne!(other, first);
        }
        let shown = format!("{:?}", opt_out(body, "key", NOON).unwrap());
        assert!(!shown.contains("2547"), "{shown}");
    }

    #[test]
    fn it_becomes_an_sms_with_the_text_of_the_parameter_from_that_number() {
        let sms = opt_out("senderId=20880&phoneNumber=%2B254700000001", "key", NOON);
        let sms = sms.unwrap().into_sms("STOP");
        assert_eq!(
            (sms.from.as_str(), sms.content.as_str()),
            ("+254700000001", "STOP")
        );
        assert_eq!(sms.received_at, EPOCH + NOON);
    }

    #[test]
    fn without_a_number_or_a_sender_id_nobody_has_opted_out() {
        for (body, field) in [
            ("senderId=20880", "phoneNumber"),
            ("senderId=20880&phoneNumber=", "phoneNumber"),
            ("phoneNumber=%2B254700000001", "senderId"),
        ] {
            assert_eq!(opt_out(body, "key", NOON).unwrap_err().field, field);
        }
    }
}
