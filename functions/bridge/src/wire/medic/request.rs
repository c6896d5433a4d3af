//! What is posted to Medic.

use std::fmt;

use serde::Serialize;

use crate::domain::failure_reason::FailureReason;
use crate::domain::ids::MedicMessageId;
use crate::domain::status::Status;
use crate::wire::json::to_ascii;
use crate::wire::queue_messages::IncomingSms;

/// One status to report to Medic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// Medic's id of the message.
    pub id: MedicMessageId,
    /// Its status.
    pub status: Status,
    /// Why, when it failed.
    pub reason: Option<FailureReason>,
}

/// Without the reason.
impl fmt::Display for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.status.medic_name())
    }
}

/// The content of one POST.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Payload {
    /// Incoming SMS.
    pub messages: Vec<IncomingSms>,
    /// Statuses of outgoing messages.
    pub updates: Vec<Update>,
}

impl Payload {
    /// The number of messages and statuses.
    pub fn len(&self) -> usize {
        self.messages.len() + self.updates.len()
    }

    /// Whether it is a mere question: what is to be sent, and do you answer at all?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Statuses alone.
    pub fn of_updates(updates: Vec<Update>) -> Self {
        Self {
            messages: Vec::new(),
            updates,
        }
    }

    /// The body of the POST. Both arrays are always there: Medic answers `null` with a 500. ASCII
    /// only, so that no character of a text is touched on the way.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Body<'a> {
            messages: Vec<Message<'a>>,
            updates: Vec<StatusUpdate<'a>>,
        }
        #[derive(Serialize)]
        struct Message<'a> {
            id: &'a str,
            from: &'a str,
            content: &'a str,
            sms_sent: i64,
            sms_received: i64,
        }
        #[derive(Serialize)]
        struct StatusUpdate<'a> {
            id: &'a str,
            status: &'a str,
            // Medic recognises a repeated update only when it has no reason.
            #[serde(skip_serializing_if = "Option::is_none")]
            reason: Option<&'a str>,
        }
        to_ascii(&Body {
            messages: self
                .messages
                .iter()
                .map(|sms| Message {
                    id: sms.id.as_str(),
                    from: &sms.from,
                    content: &sms.content,
                    sms_sent: sms.sent_at.as_millis(),
                    sms_received: sms.received_at.as_millis(),
                })
                .collect(),
            updates: self
                .updates
                .iter()
                .map(|update| StatusUpdate {
                    id: update.id.as_str(),
                    status: update.status.medic_name(),
                    reason: update
                        .reason
                        .as_ref()
                        .filter(|_| update.status == Status::Failed)
                        .map(FailureReason::as_str),
                })
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::IncomingId;
    use crate::domain::time::Timestamp;

    fn sms(id: &str, content: &str) -> IncomingSms {
        IncomingSms {
            id: IncomingId::new(id).unwrap(),
            from: "+254700000001".to_owned(),
            content: content.to_owned(),
            sent_at: Timestamp::from_millis(1),
            received_at: Timestamp::from_millis(2),
        }
    }

    fn update(id: &str, status: Status, reason: Option<&str>) -> Update {
        Update {
            id: MedicMessageId::new(id).unwrap(),
            status,
            reason: reason.map(FailureReason::new),
        }
    }

    #[test]
    fn both_arrays_are_always_there() {
        assert_eq!(
            Payload::default().to_json(),
            r#"{"messages":[],"updates":[]}"#
        );
    }

    #[test]
    fn a_reason_goes_only_with_a_failure() {
        let payload = Payload {
            messages: vec![sms("a", "é")],
            updates: vec![
                update("u", Status::Failed, Some("Expired")),
                update("v", Status::Delivered, Some("x")),
            ],
        };
        assert_eq!(
            payload.to_json(),
            concat!(
                r#"{"messages":[{"id":"a","from":"+254700000001","content":"\u00e9","sms_sent":1,"sms_received":2}],"#,
                r#""updates":[{"id":"u","status":"FAILED","reason":"Expired"},{"id":"v","status":"DELIVERED"}]}"#
            )
        );
    }
}
