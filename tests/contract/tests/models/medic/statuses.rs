//! What becomes of the statuses of a POST.

use models::medic::MessageState;
use serde_json::json;

use super::bench::{MedicBench, PHONE, update};
use crate::in_process_and_over_http;

in_process_and_over_http! { MedicBench:
    an_update_of_a_deleted_message_is_answered_200_and_lost
    each_status_has_its_state
    the_last_update_wins_whatever_it_is
    an_update_for_an_unknown_id_is_answered_200_and_lost
    a_repeated_update_with_a_reason_is_written_again_and_one_without_is_not
}

async fn an_update_of_a_deleted_message_is_answered_200_and_lost(bench: MedicBench) {
    bench.wants("a", PHONE, "x");
    assert_eq!(bench.offered(&[], &[]).await, ["a"]);
    bench.with(|medic| medic.delete("a"));
    assert!(bench.offered(&[], &[update("a", "SENT")]).await.is_empty());
    assert!(bench.with(|medic| medic.outgoing("a").is_none()));
}

async fn each_status_has_its_state(bench: MedicBench) {
    let states = [
        ("UNSENT", MessageState::ReceivedByGateway),
        ("PENDING", MessageState::ForwardedByGateway),
        ("SENT", MessageState::Sent),
        ("DELIVERED", MessageState::Delivered),
        ("FAILED", MessageState::Failed),
        ("Delivered", MessageState::Unrecognised),
        ("Teleported", MessageState::Unrecognised),
    ];
    for (status, state) in states {
        bench.wants(status, PHONE, status);
        assert!(
            bench
                .offered(&[], &[update(status, status)])
                .await
                .is_empty()
        );
        assert_eq!(bench.state(status), state);
    }
}

async fn the_last_update_wins_whatever_it_is(bench: MedicBench) {
    let out = bench.want(1);
    bench.post(&[], &[update(&out[0], "DELIVERED")]).await;
    bench.post(&[], &[update(&out[0], "SENT")]).await;
    assert_eq!(bench.state(&out[0]), MessageState::Sent);
    let both = [update(&out[0], "SENT"), update(&out[0], "DELIVERED")];
    bench.post(&[], &both).await;
    assert_eq!(bench.state(&out[0]), MessageState::Delivered);
}

async fn an_update_for_an_unknown_id_is_answered_200_and_lost(bench: MedicBench) {
    assert!(bench.offered(&[], &[update("x", "SENT")]).await.is_empty());
}

async fn a_repeated_update_with_a_reason_is_written_again_and_one_without_is_not(
    bench: MedicBench,
) {
    let out = bench.want(2);
    let failed = json!({"id": out[0], "status": "FAILED", "reason": "expired"});
    for _ in 0..2 {
        bench
            .post(&[], &[failed.clone(), update(&out[1], "SENT")])
            .await;
    }
    let rows = bench.with(|medic| [0, 1].map(|n: usize| medic.outgoing[n].history.len()));
    assert_eq!(rows, [3, 2]);
}
