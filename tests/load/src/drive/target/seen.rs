//! What Medic and Africa's Talking have of the SMS of a run.

use std::collections::HashMap;

use ends::medic::REPLY;
use sandbox::africastalking::SmsToPhone;
use sandbox::medic::{MessageState, OutgoingMessage, StoredMessage};

use super::CAMPAIGN;
use crate::drive::result::RunResult;

/// When things with an id came about.
type Times<'a> = HashMap<&'a str, Vec<u64>>;

/// Writes down what both ends have of each SMS.
pub fn fill(
    result: &mut RunResult,
    stored: &[StoredMessage],
    accepted: &[SmsToPhone],
    outgoing: &[OutgoingMessage],
) {
    let stored = times(stored.iter().map(|sms| (sms.id.as_str(), sms.at_ms)));
    let accepted = |beginning: &'static str| {
        let sent = accepted.iter();
        times(sent.filter_map(move |sms| Some((sms.text.strip_prefix(beginning)?, sms.at_ms))))
    };
    let (replied, sent) = (accepted(REPLY), accepted(CAMPAIGN));
    let reported: HashMap<&str, u64> = outgoing
        .iter()
        .filter_map(|sms| Some((sms.content.strip_prefix(REPLY)?, delivered_ms(sms)?)))
        .collect();
    let outgoing: HashMap<&str, &OutgoingMessage> =
        outgoing.iter().map(|sms| (sms.id.as_str(), sms)).collect();
    let times_of = |times: &Times<'_>, id: &str| times.get(id).cloned().unwrap_or_default();
    for sms in &mut result.messages {
        sms.stored_ms = times_of(&stored, &sms.id);
        sms.replied_ms = times_of(&replied, &sms.id);
        sms.reported_ms = reported.get(sms.id.as_str()).copied();
    }
    for sms in &mut result.outgoing {
        sms.sent_ms = times_of(&sent, &sms.id);
        if let Some(message) = outgoing.get(sms.id.as_str()) {
            sms.offered = message.offers > 0;
            sms.state = message.state;
            let last = message.history.last();
            sms.state_ms = last.map_or(sms.queued_ms, |change| change.at_ms.unsigned_abs());
        }
    }
}

fn delivered_ms(sms: &OutgoingMessage) -> Option<u64> {
    let delivered = sms
        .history
        .iter()
        .find(|change| change.state == MessageState::Delivered);
    delivered.map(|change| change.at_ms.unsigned_abs())
}

fn times<'a>(seen: impl Iterator<Item = (&'a str, i64)>) -> Times<'a> {
    let mut times = Times::new();
    for (id, at_ms) in seen {
        times.entry(id).or_default().push(at_ms.unsigned_abs());
    }
    times
}
