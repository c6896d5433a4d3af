//! What is done and answered when something fails.

use models::faults::Scope;
use models::medic::{MedicFault, MessageState, PostProgress};
use sandbox::medic::MedicStandIn;
use serde_json::{Value, json};

use super::bench::{MedicBench, SERVER_ERROR, message, post, update, without};
use crate::in_process_and_over_http;

in_process_and_over_http! { MedicBench:
    while_medic_starts_a_page_with_200_hides_that_nothing_is_stored
    a_failing_message_leaves_the_others_stored_and_nothing_else_done
    a_failing_update_leaves_the_messages_stored_and_nothing_offered
    a_sick_database_is_a_hang
    what_a_proxy_answers_says_nothing_of_the_work
    a_full_disk_fails_what_must_be_written_and_nothing_else
}

async fn while_medic_starts_a_page_with_200_hides_that_nothing_is_stored(bench: MedicBench) {
    bench.set(MedicFault::Starting, Scope::UntilCleared);
    let request = post(&[message("a", "x")], &[]);
    assert_eq!(bench.call(request.clone()).await.status, 503);
    let got = bench.call(without(request, "Accept")).await;
    assert_eq!(got.status, 200);
    assert!(got.body.starts_with("<html>"), "{}", got.body);
    assert!(bench.stored().is_empty());
}

async fn a_failing_message_leaves_the_others_stored_and_nothing_else_done(bench: MedicBench) {
    let out = bench.want(1);
    let poison = Scope::Matching("poison".to_owned());
    bench.set(MedicFault::PoisonMessage, poison);
    let mut messages: Vec<Value> = (0..9).map(|n| message(&n.to_string(), "x")).collect();
    messages.insert(4, message("bad", "poison"));
    let got = bench.post(&messages, &[update(&out[0], "SENT")]).await;
    assert_eq!((got.status, got.body.as_str()), (500, SERVER_ERROR));
    assert_eq!(bench.stored().len(), 9);
    assert_eq!(bench.state(&out[0]), MessageState::Pending);
}

async fn a_failing_update_leaves_the_messages_stored_and_nothing_offered(bench: MedicBench) {
    let out = bench.want(3);
    bench.set(MedicFault::PoisonUpdate, Scope::Matching(out[0].clone()));
    let updates = [update(&out[0], "SENT"), update(&out[1], "SENT")];
    let got = bench.post(&[message("a", "x")], &updates).await;
    assert_eq!((got.status, got.body.as_str()), (500, SERVER_ERROR));
    assert_eq!(bench.stored(), ["a"]);
    let states = [0, 1, 2].map(|n: usize| bench.state(&out[n]));
    // The others of a bulk write are written.
    assert_eq!(
        states,
        [
            MessageState::Pending,
            MessageState::Sent,
            MessageState::Pending
        ]
    );
}

async fn a_sick_database_is_a_hang(bench: MedicBench) {
    let MedicBench::InProcess(medic, now_ms) = &bench else {
        // Over HTTP a caller cannot tell it from this, and its own time-out is all that ends it.
        bench.set(MedicFault::Hang, Scope::Next(1));
        let hung = bench.try_call(post(&[], &[]));
        let is_in_flight = |stand_in: &MedicStandIn| stand_in.in_flight() == 1;
        let MedicBench::OverHttp(stand_in) = &bench else {
            panic!("one or the other")
        };
        tokio::select! {
            got = hung => panic!("{got:?}"),
            () = stand_in.until(is_in_flight) => {}
        }
        return;
    };
    let until_ms = now_ms.get() + 60_000;
    let mut medic = medic.borrow_mut();
    medic.hangs_until_ms = until_ms;
    let hung = medic.receive(&post(&[message("a", "x")], &[]), now_ms.get());
    let hung = hung.post.unwrap();
    assert_eq!(
        medic.step(hung, now_ms.get()),
        PostProgress::Hangs { until_ms }
    );
    // What comes after the hang is answered after what hung before it.
    let empty = medic.receive(&post(&[], &[]), until_ms).post.unwrap();
    let done = |progress: &PostProgress| matches!(progress, PostProgress::Done { .. });
    assert!(done(&medic.step(empty, until_ms)) && done(&medic.step(empty, until_ms)));
    assert_eq!(medic.step(empty, until_ms), PostProgress::Behind);
    while done(&medic.step(hung, until_ms)) {}
    assert_eq!(medic.stored.len(), 1);
    assert!(done(&medic.step(empty, until_ms)));
}

async fn what_a_proxy_answers_says_nothing_of_the_work(bench: MedicBench) {
    let faults = [
        (MedicFault::Proxy502, 502, 0),
        (MedicFault::Proxy504Html, 504, 0),
        (MedicFault::CommittedProxy502Html, 502, 1),
        (MedicFault::CommittedProxy504, 504, 2),
    ];
    for (n, (fault, status, stored)) in faults.into_iter().enumerate() {
        bench.set(fault, Scope::Next(1));
        let got = bench.post(&[message(&n.to_string(), "x")], &[]).await;
        assert_eq!(got.status, status);
        assert!(!got.body.contains("messages"));
        assert_eq!(bench.stored().len(), stored);
    }
}

async fn a_full_disk_fails_what_must_be_written_and_nothing_else(bench: MedicBench) {
    let out = bench.want(2);
    bench
        .offered(&[message("known", "x")], &[update(&out[0], "SENT")])
        .await;
    bench.with(|medic| medic.disk_full = true);
    let known = [message("known", "x")];
    let reported = [update(&out[0], "SENT"), update("unknown", "SENT")];
    assert_eq!(bench.offered(&known, &reported).await, [out[1].as_str()]);
    let with_reason = json!({"id": out[0], "status": "SENT", "reason": "again"});
    for (messages, updates) in [
        (vec![message("new", "x")], vec![]),
        (vec![], vec![update(&out[1], "SENT")]),
        (vec![], vec![with_reason]),
    ] {
        assert_eq!(bench.post(&messages, &updates).await.status, 500);
    }
    assert_eq!(bench.stored(), ["known"]);
    bench.with(|medic| medic.disk_full = false);
    assert_eq!(bench.post(&[message("new", "x")], &[]).await.status, 200);
}
