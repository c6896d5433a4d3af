//! Facts made up for tests.

use serde_json::Value;

use super::facts::{Facts, MessageInQueue};
use crate::africastalking::{PhoneSms, SmsToPhone};
use crate::medic::{MessageState, OutgoingMessage, StoredMessage};

pub(super) const PHONE: &str = "+254700000001";

pub(super) fn facts() -> Facts {
    Facts::default()
}

pub(super) fn phone_sms(id: &str, status: Option<u16>) -> PhoneSms {
    PhoneSms {
        id: id.to_owned(),
        from: PHONE.to_owned(),
        text: "hello".to_owned(),
        at_ms: 1_000,
        attempts: u32::from(status.is_some()),
        status,
        is_over: status.is_some(),
    }
}

pub(super) fn stored(id: &str) -> StoredMessage {
    StoredMessage {
        id: id.to_owned(),
        from: PHONE.to_owned(),
        content: "hello".to_owned(),
        at_ms: 3_000,
        post: 0,
    }
}

pub(super) fn outgoing(id: &str, to: &str, content: &str, state: MessageState) -> OutgoingMessage {
    OutgoingMessage {
        state,
        history: Vec::new(),
        ..OutgoingMessage::new(id, to, content, 0)
    }
}

pub(super) fn landed(id: &str, to: &str, text: &str) -> SmsToPhone {
    SmsToPhone {
        id: id.to_owned(),
        to: to.to_owned(),
        from: "20880".to_owned(),
        text: text.to_owned(),
        at_ms: 4_000,
        cost_ten_thousandths: 8_000,
        on_phone: true,
    }
}

pub(super) fn waiting(body: Value) -> MessageInQueue {
    MessageInQueue {
        body,
        reason: None,
        receives: 1,
        next_try_ms: 9_000,
    }
}
