#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use crate::page::testing::{PHONE, facts, landed, outgoing, phone_sms, stored, waiting};

fn thing(things: &[(String, Value)], key: &str) -> Value {
    let found = things.iter().find(|(other, _)| other == key);
    found.unwrap_or_else(|| panic!("no {key}")).1.clone()
}

fn places(thing: &Value) -> Vec<&str> {
    let trail = thing["trail"].as_array().unwrap();
    trail
        .iter()
        .map(|step| step["place"].as_str().unwrap())
        .collect()
}

#[test]
fn an_sms_from_a_phone_leaves_a_trail() {
    let mut world = Trails::default();
    let mut facts = facts();
    facts.phones.sent.push(phone_sms("a", None));
    let _ = world.see(&facts, 1_100);
    facts.phones.sent = vec![phone_sms("a", Some(200))];
    let wait = waiting(json!({ "kind": "incoming", "id": "a" }));
    facts.inside.queues.insert(StackQueue::Exchange, vec![wait]);
    let things = world.see(&facts, 2_000);
    let sms = thing(&things, "incoming/a");
    assert_eq!(sms["wait"]["next_try_ms"], 9_000);
    assert_eq!(thing(&things, "queue/exchange")["messages"], 1);
    facts.ends.at_medic.insert("a".to_owned());
    let _ = world.see(&facts, 2_500);
    facts.inside.queues.clear();
    facts.ends.at_medic.clear();
    facts.ends.stored.push(stored("a"));
    let sms = thing(&world.see(&facts, 3_500), "incoming/a");
    let expected = [
        "phone",
        "africas-talking",
        "exchange",
        "medic-exchange",
        "medic",
    ];
    assert_eq!(places(&sms), expected);
    assert_eq!(sms["trail"][4]["at_ms"], 3_000);
}

#[test]
fn an_accepted_sms_that_is_nowhere_is_shown_as_lost() {
    let mut facts = facts();
    facts.phones.sent.push(phone_sms("a", Some(200)));
    let things = Trails::default().see(&facts, 2_000);
    assert_eq!(thing(&things, "incoming/a")["place"], "nowhere");
    assert_eq!(thing(&things, "account/from-phones")["lost"], 1);
}

#[test]
fn what_a_real_medic_has_answered_for_is_with_it() {
    let mut facts = facts();
    facts.ends.medic_is_real = true;
    facts.ends.real_medic = Some(json!({ "url": "https://medic.example.org" }));
    facts.phones.sent.push(phone_sms("a", Some(200)));
    facts.phones.sent.push(phone_sms("refused", Some(401)));
    let things = Trails::default().see(&facts, 2_000);
    assert_eq!(thing(&things, "incoming/a")["place"], "medic");
    assert_eq!(
        thing(&things, "incoming/refused")["place"],
        "africas-talking"
    );
    assert_eq!(
        thing(&things, "end/medic")["real"]["url"],
        "https://medic.example.org"
    );
    assert_eq!(thing(&things, "end/africastalking")["real"], Value::Null);
}

#[test]
fn a_poll_is_no_sms() {
    let mut facts = facts();
    let poll = waiting(json!({ "kind": "poll" }));
    facts.inside.queues.insert(StackQueue::Exchange, vec![poll]);
    let queue = thing(&Trails::default().see(&facts, 1), "queue/exchange");
    assert_eq!(
        (&queue["messages"], &queue["others"]),
        (&json!(0), &json!(1))
    );
}

#[test]
fn an_sms_to_a_phone_is_where_the_ledger_the_queue_and_the_phone_say() {
    let mut facts = facts();
    let state = MessageState::ReceivedByGateway;
    facts
        .ends
        .outgoing
        .push(outgoing("m", PHONE, "hello", state));
    let mut place = |row: Option<Value>, queue: Option<StackQueue>, on_phone: bool| {
        facts.inside.rows = row
            .map(|sending| {
                let at_ids = if on_phone {
                    vec!["ATXid_1"]
                } else {
                    Vec::new()
                };
                json!({ "pk": "message#m", "sending": sending, "at_ids": at_ids })
            })
            .into_iter()
            .collect();
        facts.inside.queues.clear();
        if let Some(queue) = queue {
            let copy = waiting(json!({ "kind": "send", "id": "m" }));
            facts.inside.queues.insert(queue, vec![copy]);
        }
        facts.ends.landed = match on_phone {
            true => vec![landed("ATXid_1", PHONE, "hello")],
            false => Vec::new(),
        };
        thing(&Trails::default().see(&facts, 1), "outgoing/m")["place"].clone()
    };
    assert_eq!(place(None, None, false), "medic");
    assert_eq!(place(None, Some(StackQueue::Outbox), false), "outbox");
    let calling = json!({ "is": "calling" });
    assert_eq!(
        place(Some(calling), Some(StackQueue::Outbox), false),
        "outbound-sender"
    );
    let paused = json!({ "is": "waiting", "reason": "circuit breaker open" });
    assert_eq!(
        place(Some(paused), Some(StackQueue::Outbox), false),
        "outbox"
    );
    assert_eq!(
        place(None, Some(StackQueue::OutboxDeadLetter), false),
        "outbox-dead-letter"
    );
    let failed = json!({ "is": "failed" });
    assert_eq!(place(Some(failed), None, false), "failed");
    let accepted = json!({ "is": "accepted" });
    assert_eq!(place(Some(accepted), None, true), "phone");
}
