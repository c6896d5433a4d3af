//! Which outgoing messages a POST is offered.

use models::medic::{MedicFault, MessageState, OutgoingMessage};
use serde_json::{Value, json};

use super::bench::{MedicBench, PHONE, get, message, post, update, without};
use crate::in_process_and_over_http;

in_process_and_over_http! { MedicBench:
    twenty_five_are_offered_oldest_first_and_again_until_an_update_comes
    unsent_acknowledges_and_brings_the_next_twenty_five
    offering_marks_a_message_over_what_was_reported_meanwhile
    two_pollers_get_the_same
    recipients_that_medic_could_not_normalise_are_offered_raw
    outgoing_is_empty_unless_the_service_is_exactly_medic_gateway
    two_messages_of_a_task_share_one_state
    the_sixth_equal_message_to_a_number_is_never_offered
    what_medic_keeps_to_itself_is_not_offered_until_it_is_pending
    a_state_that_medic_itself_sets_ends_an_offer_and_a_later_update_still_wins
    the_monitoring_counts_what_was_ever_due_and_what_waits_among_the_last_hundred
}

async fn twenty_five_are_offered_oldest_first_and_again_until_an_update_comes(bench: MedicBench) {
    let out = bench.want(30);
    for _ in 0..3 {
        assert_eq!(bench.offered(&[], &[]).await, out[..25]);
    }
    assert_eq!(bench.state(&out[24]), MessageState::ForwardedToGateway);
    assert_eq!(bench.state(&out[25]), MessageState::Pending);
    let offered = bench.offered(&[], &[update(&out[3], "UNSENT")]).await;
    assert_eq!(offered[..3], out[..3]);
    assert_eq!(offered[3..], out[4..26]);
}

async fn unsent_acknowledges_and_brings_the_next_twenty_five(bench: MedicBench) {
    bench.want(500);
    let (mut posts, mut drained) = (0, 0);
    let mut updates: Vec<Value> = Vec::new();
    loop {
        let offered = bench.offered(&[], &updates).await;
        posts += 1;
        drained += offered.len();
        if offered.is_empty() {
            break;
        }
        updates = offered.iter().map(|id| update(id, "UNSENT")).collect();
    }
    assert_eq!((posts, drained), (21, 500));
}

async fn offering_marks_a_message_over_what_was_reported_meanwhile(bench: MedicBench) {
    let out = bench.want(25);
    bench.offered(&[], &[]).await;
    let held = bench
        .pause(
            MedicFault::PauseBeforeMarking,
            post(&[message("a", "x")], &[]),
        )
        .await;
    let updates: Vec<Value> = out.iter().map(|id| update(id, "SENT")).collect();
    assert!(bench.offered(&[], &updates).await.is_empty());
    assert_eq!(bench.state(&out[0]), MessageState::Sent);
    bench.release(vec![held]).await;
    assert_eq!(bench.state(&out[0]), MessageState::ForwardedToGateway);
    assert_eq!(bench.offered(&[], &[]).await, out);
}

async fn two_pollers_get_the_same(bench: MedicBench) {
    bench.want(25);
    let first = bench
        .pause(MedicFault::PauseBeforeMarking, post(&[], &[]))
        .await;
    let second = bench
        .pause(MedicFault::PauseBeforeMarking, post(&[], &[]))
        .await;
    bench.release(vec![first, second]).await;
    let offered = bench.with(|medic| [0, 1].map(|n: usize| medic.posts[n].offered.clone()));
    assert_eq!(offered[0].len(), 25);
    assert_eq!(offered[0], offered[1]);
}

async fn recipients_that_medic_could_not_normalise_are_offered_raw(bench: MedicBench) {
    let raw = [
        "Safaricom",
        "20880",
        "0711000001",
        "00254700000001",
        "+1234",
    ];
    for to in raw {
        bench.wants(to, to, "x");
    }
    let body = bench.post(&[], &[]).await.json();
    let offered = body["messages"].as_array().unwrap();
    let to: Vec<&str> = offered
        .iter()
        .map(|one| one["to"].as_str().unwrap())
        .collect();
    assert_eq!(to, raw);
}

async fn outgoing_is_empty_unless_the_service_is_exactly_medic_gateway(bench: MedicBench) {
    bench.want(1);
    let services = [
        (Some("medic-gateway"), 1),
        (Some("Medic-Gateway"), 0),
        (Some("africas-talking"), 0),
        // `sms: {}`.
        (Some(""), 0),
        // No `sms` object at all.
        (None, 1),
    ];
    for (service, count) in services {
        bench.with(|medic| medic.outgoing_service = service.map(str::to_owned));
        assert_eq!(bench.offered(&[], &[]).await.len(), count, "{service:?}");
    }
}

async fn two_messages_of_a_task_share_one_state(bench: MedicBench) {
    bench.wants("a", PHONE, "x");
    bench.with(|medic| medic.send_with("a", OutgoingMessage::new("b", PHONE, "y", 0)));
    assert_eq!(bench.offered(&[], &[]).await, ["a", "b"]);
    assert!(bench.offered(&[], &[update("b", "SENT")]).await.is_empty());
    assert_eq!(bench.state("a"), MessageState::Sent);
}

async fn the_sixth_equal_message_to_a_number_is_never_offered(bench: MedicBench) {
    bench.with(|medic| medic.equal_messages_at_most = Some(5));
    for n in 0..6 {
        bench.wants(&n.to_string(), PHONE, "the same");
    }
    bench.wants("other", PHONE, "another");
    let offered = bench.offered(&[], &[]).await;
    assert_eq!(offered, ["0", "1", "2", "3", "4", "other"]);
    assert_eq!(bench.state("5"), MessageState::Duplicate);
}

const KEPT_BY_MEDIC: [MessageState; 5] = [
    MessageState::Scheduled,
    MessageState::Duplicate,
    MessageState::Muted,
    MessageState::Cleared,
    MessageState::Denied,
];

async fn what_medic_keeps_to_itself_is_not_offered_until_it_is_pending(bench: MedicBench) {
    for state in KEPT_BY_MEDIC {
        let id = bench.want(1).remove(0);
        bench.with(|medic| medic.move_to(&id, state, 5));
        assert!(bench.offered(&[], &[]).await.is_empty(), "{state:?}");
        assert_eq!(bench.state(&id), state);
    }
    let scheduled = bench.want(1).remove(0);
    bench.with(|medic| medic.move_to(&scheduled, MessageState::Scheduled, 5));
    bench.with(|medic| medic.move_to(&scheduled, MessageState::Pending, 6));
    assert_eq!(bench.offered(&[], &[]).await, [scheduled]);
}

async fn a_state_that_medic_itself_sets_ends_an_offer_and_a_later_update_still_wins(
    bench: MedicBench,
) {
    for state in KEPT_BY_MEDIC {
        let id = bench.want(1).remove(0);
        assert_eq!(bench.offered(&[], &[]).await, [id.as_str()]);
        bench.with(|medic| medic.move_to(&id, state, 5));
        assert!(bench.offered(&[], &[]).await.is_empty(), "{state:?}");
        bench.post(&[], &[update(&id, "SENT")]).await;
        assert_eq!(bench.state(&id), MessageState::Sent);
    }
}

async fn the_monitoring_counts_what_was_ever_due_and_what_waits_among_the_last_hundred(
    bench: MedicBench,
) {
    let out = bench.want(30);
    let updates = [update(&out[0], "UNSENT"), update(&out[1], "DELIVERED")];
    bench.offered(&[], &updates).await;
    let request = without(get("/api/v2/monitoring"), "Authorization");
    let body = bench.call(request).await.json();
    let outgoing = &body["messaging"]["outgoing"];
    assert_eq!(outgoing["total"]["due"], 30);
    assert_eq!(
        outgoing["last_hundred"]["pending"],
        json!({
            "pending": 3, "forwarded-to-gateway": 25,
            "received-by-gateway": 1, "forwarded-by-gateway": 0,
        })
    );
}
