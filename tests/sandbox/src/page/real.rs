//! The facts about real ends. They have no controls and no record for us: the messages of Medic are known
//! from its answers, which queues and ledger keep, and those of a phone from delivery reports.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::SandboxSystem;
use super::facts::{Facts, Inside, Phones, StackQueue};
use crate::africastalking::{CallbackKind, PhoneSms, SmsToPhone};
use crate::ends::medic::MedicBacklog;
use crate::ends::{RealAfricasTalking, RealEnds};
use crate::ids;
use crate::medic::{MessageState, OutgoingMessage, StateChange};

/// Between two questions to Medic's monitoring, while a page is open.
const MONITORING_INTERVAL: Duration = Duration::from_secs(30);

/// Recipient and text of a message.
type RecipientAndText = (String, String);

/// The observations of real ends so far.
#[derive(Debug, Default)]
pub(super) struct RealView {
    /// The ledger has neither numbers nor texts, a queue has them for a moment.
    contents: HashMap<String, RecipientAndText>,
    asked: Option<(Instant, Option<MedicBacklog>)>,
}

/// The SMS that phones have sent, as a real Africa's Talking has brought them.
pub(super) fn phones(account: &RealAfricasTalking) -> Phones {
    let (incoming, reports) = account
        .gate
        .callbacks()
        .into_iter()
        .partition(|callback| callback.kind == CallbackKind::Incoming);
    let incoming: Vec<crate::africastalking::CallbackAttempt> = incoming;
    let sent = incoming.into_iter().map(|callback| PhoneSms {
        from: callback.field("from").unwrap_or_default().to_owned(),
        text: callback.field("text").unwrap_or_default().to_owned(),
        at_ms: callback.at_ms,
        attempts: callback.attempt,
        status: callback.status,
        is_over: true,
        id: callback.id,
    });
    Phones {
        sent: one_of_each(sent),
        reports,
    }
}

/// Africa's Talking tries a callback again until it is accepted: one SMS, with its last answer.
fn one_of_each(attempts: impl Iterator<Item = PhoneSms>) -> Vec<PhoneSms> {
    let mut sent: Vec<PhoneSms> = Vec::new();
    for attempt in attempts {
        match sent.iter_mut().find(|sms| sms.id == attempt.id) {
            Some(sms) => {
                sms.attempts += 1;
                if !sms.is_accepted() {
                    sms.status = attempt.status;
                }
            }
            None => sent.push(attempt),
        }
    }
    sent
}

impl RealView {
    /// Adds to the facts what is known of real ends.
    pub(super) async fn complete(&mut self, system: &SandboxSystem, facts: &mut Facts) {
        let real = &system.real;
        facts.ends.medic_is_real = real.medic.is_some();
        facts.ends.phones_are_real = real.africastalking.is_some();
        if real.medic.is_some() {
            self.remember(&facts.inside, &facts.ends.landed);
            facts.ends.outgoing = self.outgoing(&facts.inside);
        }
        if real.africastalking.is_some() {
            facts.ends.landed = landed(&facts.inside, &facts.ends.outgoing);
        }
        facts.ends.real_medic = self.medic(real).await;
        facts.ends.real_africastalking = real.africastalking.as_deref().map(seen_of_account);
    }

    fn remember(&mut self, inside: &Inside, landed: &[SmsToPhone]) {
        for message in inside.queue(StackQueue::Outbox) {
            if let (Some(id), Some(to), Some(content)) = (
                message.text("id"),
                message.text("to"),
                message.text("content"),
            ) {
                let content = (to.to_owned(), content.to_owned());
                self.contents.insert(id.to_owned(), content);
            }
        }
        for (id, row) in inside.message_rows() {
            let at_ids: Vec<&str> = texts(row, "at_ids");
            if let Some(sms) = landed.iter().find(|sms| at_ids.contains(&sms.id.as_str())) {
                let content = (sms.to.clone(), sms.text.clone());
                self.contents.entry(id.to_owned()).or_insert(content);
            }
        }
    }

    /// The messages that Medic has offered: each has a row in the ledger or is in the queue to the phones.
    fn outgoing(&self, inside: &Inside) -> Vec<OutgoingMessage> {
        let rows = inside.message_rows();
        let queued = inside.queue(StackQueue::Outbox).iter();
        let queued = queued.filter(|message| message.is("send"));
        let ids: BTreeSet<&str> = queued
            .filter_map(|message| message.text("id"))
            .chain(rows.keys().copied())
            .collect();
        let offered = ids.into_iter().map(|id| {
            let row = rows.get(id).copied();
            let at_ms = row.and_then(|row| row.get("first_offered_ms")?.as_i64());
            let at_ms = at_ms.unwrap_or_else(ids::now_ms);
            let (to, content) = self.contents.get(id).cloned().unwrap_or_default();
            let state = reported(row.and_then(|row| row.get("reported")?.as_str()));
            OutgoingMessage {
                state,
                history: vec![StateChange {
                    state,
                    at_ms,
                    details: None,
                }],
                ..OutgoingMessage::new(id, &to, &content, at_ms)
            }
        });
        offered.collect()
    }

    async fn medic(&mut self, real: &RealEnds) -> Option<Value> {
        let medic = real.medic.as_ref()?;
        let is_due = |(at, _): &(Instant, _)| at.elapsed() >= MONITORING_INTERVAL;
        if self.asked.as_ref().is_none_or(is_due) {
            self.asked = Some((Instant::now(), medic.waiting().await));
        }
        let waiting = self.asked.and_then(|(_, waiting)| waiting);
        Some(json!({
            "url": medic.url(),
            "user": medic.user(),
            "waiting": waiting.map(MedicBacklog::count_in_words),
        }))
    }
}

fn seen_of_account(account: &RealAfricasTalking) -> Value {
    let callbacks = account.gate.callbacks();
    let refused = callbacks.iter().filter(|callback| !callback.is_accepted());
    json!({
        "username": account.username,
        "gate": account.gate.url(),
        "incoming_url": account.public_urls.as_ref().map(|urls| &urls.incoming),
        "reports_url": account.public_urls.as_ref().map(|urls| &urls.reports),
        "opt_outs_url": account.public_urls.as_ref().map(|urls| &urls.opt_outs),
        "callbacks": callbacks.len(),
        "refused": refused.count(),
        "last_ms": callbacks.last().map(|callback| callback.at_ms),
    })
}

/// The SMS that the account has accepted. Only a delivery report tells that a phone has one.
fn landed(inside: &Inside, outgoing: &[OutgoingMessage]) -> Vec<SmsToPhone> {
    let rows = inside.message_rows();
    let mut landed = Vec::new();
    for message in outgoing {
        let Some(row) = rows.get(message.id.as_str()) else {
            continue;
        };
        let status = row.get("status").and_then(Value::as_str);
        let from = row.get("sender_id").and_then(Value::as_str);
        // Of several attempts, one was delivered; nobody can say which.
        if let Some(id) = texts(row, "at_ids").last() {
            landed.push(SmsToPhone {
                id: (*id).to_owned(),
                to: message.to.clone(),
                from: from.unwrap_or("Africa's Talking").to_owned(),
                text: message.content.clone(),
                at_ms: row
                    .get("first_offered_ms")
                    .and_then(Value::as_i64)
                    .unwrap_or_default(),
                cost_ten_thousandths: 0,
                on_phone: status == Some("delivered"),
            });
        }
    }
    landed
}

fn texts<'a>(row: &'a Value, field: &str) -> Vec<&'a str> {
    let list = row.get(field).and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

/// Medic's state after it has heard this status, which is how Medic itself maps it.
fn reported(status: Option<&str>) -> MessageState {
    match status {
        Some("unsent") => MessageState::ReceivedByGateway,
        Some("pending") => MessageState::ForwardedByGateway,
        Some("sent") => MessageState::Sent,
        Some("delivered") => MessageState::Delivered,
        Some("failed") => MessageState::Failed,
        _ => MessageState::ForwardedToGateway,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::page::testing::{landed as on_phone, phone_sms, waiting};

    #[test]
    fn what_medic_offered_is_known_from_the_ledger_and_the_queue() {
        let row = json!({
            "pk": "message#1", "first_offered_ms": 5, "reported": "sent", "status": "delivered",
            "at_ids": ["ATXid_1"],
        });
        let mut inside = Inside {
            rows: vec![row],
            ..Inside::default()
        };
        let body = json!({ "kind": "send", "id": "2", "to": "+254700000001", "content": "hello" });
        inside
            .queues
            .insert(StackQueue::Outbox, vec![waiting(body)]);
        let mut view = RealView::default();
        view.remember(&inside, &[on_phone("ATXid_1", "+254700000002", "again")]);
        let offered = view.outgoing(&inside);
        let seen: Vec<_> = offered
            .iter()
            .map(|one| {
                (
                    one.id.as_str(),
                    one.to.as_str(),
                    one.content.as_str(),
                    one.state,
                )
            })
            .collect();
        let expected = [
            ("1", "+254700000002", "again", MessageState::Sent),
            (
                "2",
                "+254700000001",
                "hello",
                MessageState::ForwardedToGateway,
            ),
        ];
        assert_eq!(seen, expected);
        let landed = landed(&inside, &offered);
        assert_eq!(landed.len(), 1);
        let sms = landed.first().unwrap();
        assert!(sms.on_phone && sms.id == "ATXid_1" && sms.text == "again");
    }

    #[test]
    fn a_callback_that_was_tried_again_is_one_sms() {
        let attempts = [phone_sms("a", Some(503)), phone_sms("a", Some(200))];
        let sent = one_of_each(attempts.into_iter());
        assert_eq!(sent.len(), 1);
        let sms = sent.first().unwrap();
        assert!(sms.is_accepted() && sms.attempts == 2);
    }
}
