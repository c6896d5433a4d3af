//! What becomes of the messages of a POST.

use models::medic::{AutoReply, MedicFault, NewReply, OutgoingMessage};
use serde_json::{Value, json};

use super::bench::{MedicBench, PHONE, Paused, SERVER_ERROR, message, post, raw};
use crate::in_process_and_over_http;

in_process_and_over_http! { MedicBench:
    null_messages_and_malformed_json_are_a_500_and_null_updates_a_200
    a_lone_surrogate_is_a_500_every_time
    a_message_without_id_sender_or_content_is_dropped_with_200
    an_id_is_stored_once_in_two_posts_and_twice_in_one
    an_id_in_two_posts_at_once_is_stored_twice
    medic_goes_on_when_the_caller_has_hung_up
    incoming_ids_share_their_space_with_references_of_outgoing_messages
    a_message_is_dated_when_medic_processes_it
    numbers_and_objects_are_taken_for_texts
    an_automatic_reply_is_in_the_response_to_the_very_post
    content_arrives_unchanged
}

async fn null_messages_and_malformed_json_are_a_500_and_null_updates_a_200(bench: MedicBench) {
    for body in [r#"{"messages":null,"updates":[]}"#, "{"] {
        let got = bench.call(raw(body)).await;
        assert_eq!((got.status, got.body.as_str()), (500, SERVER_ERROR));
    }
    let null_updates = json!({"messages": [message("a", "x")], "updates": null});
    let got = bench.call(raw(null_updates.to_string())).await;
    assert_eq!(got.status, 200);
    assert_eq!(bench.stored(), ["a"]);
}

async fn a_lone_surrogate_is_a_500_every_time(bench: MedicBench) {
    let body = r#"{"messages":[{"id":"a","from":"b","content":"x \ud83d"}],"updates":[]}"#;
    for _ in 0..3 {
        assert_eq!(bench.call(raw(body)).await.status, 500);
    }
    assert!(bench.stored().is_empty());
}

async fn a_message_without_id_sender_or_content_is_dropped_with_200(bench: MedicBench) {
    let messages = [
        message("", "x"),
        message("a", ""),
        json!({"id": "b", "from": "", "content": "x"}),
        json!({"id": "c", "content": "x"}),
        message("space", " "),
    ];
    assert_eq!(bench.post(&messages, &[]).await.status, 200);
    assert_eq!(bench.stored(), ["space"]);
}

async fn an_id_is_stored_once_in_two_posts_and_twice_in_one(bench: MedicBench) {
    for _ in 0..2 {
        assert_eq!(bench.post(&[message("a", "x")], &[]).await.status, 200);
    }
    assert_eq!(bench.stored(), ["a"]);
    let twice = [message("b", "x"), message("b", "x")];
    assert_eq!(bench.post(&twice, &[]).await.status, 200);
    assert_eq!(bench.stored(), ["a", "b", "b"]);
}

async fn an_id_in_two_posts_at_once_is_stored_twice(bench: MedicBench) {
    let request = || post(&[message("a", "x")], &[]);
    let first = bench.pause(MedicFault::PauseBeforeWriting, request()).await;
    let second = bench.pause(MedicFault::PauseBeforeWriting, request()).await;
    bench.release(vec![first, second]).await;
    assert_eq!(bench.stored(), ["a", "a"]);
}

async fn medic_goes_on_when_the_caller_has_hung_up(bench: MedicBench) {
    let messages: Vec<Value> = (0..5).map(|n| message(&n.to_string(), "x")).collect();
    let held = bench
        .pause(MedicFault::PauseBeforeWriting, post(&messages, &[]))
        .await;
    match (&bench, held) {
        (MedicBench::OverHttp(stand_in), Paused::OverHttp(call)) => {
            call.abort();
            stand_in.release_paused();
            stand_in.until(|stand_in| stand_in.in_flight() == 0).await;
        }
        (_, Paused::InProcess(post)) => drop(bench.work(post)),
        _ => panic!("one or the other"),
    }
    assert_eq!(bench.stored().len(), 5);
}

async fn incoming_ids_share_their_space_with_references_of_outgoing_messages(bench: MedicBench) {
    let out = OutgoingMessage {
        reference: Some("ATXid_1".to_owned()),
        ..OutgoingMessage::new("out", PHONE, "x", 0)
    };
    bench.with(|medic| medic.send(out));
    let messages = [message("ATXid_1", "x"), message("ATXid_2", "x")];
    assert_eq!(bench.post(&messages, &[]).await.status, 200);
    assert_eq!(bench.stored(), ["ATXid_2"]);
}

async fn a_message_is_dated_when_medic_processes_it(bench: MedicBench) {
    bench.post(&[message("a", "x")], &[]).await;
    let (stored_ms, posted_ms) = bench.with(|medic| (medic.stored[0].at_ms, medic.posts[0].at_ms));
    assert!(stored_ms >= posted_ms && posted_ms > 1_000_000_000_000);
}

async fn numbers_and_objects_are_taken_for_texts(bench: MedicBench) {
    let messages = [
        json!({"id": 7, "from": PHONE, "content": 8}),
        json!({"id": "object", "from": PHONE, "content": {"a": 1}}),
    ];
    assert_eq!(bench.post(&messages, &[]).await.status, 200);
    assert_eq!(bench.stored(), ["7", "object"]);
    assert_eq!(bench.post(&messages, &[]).await.status, 200);
    assert_eq!(bench.stored().len(), 2);
}

async fn an_automatic_reply_is_in_the_response_to_the_very_post(bench: MedicBench) {
    let reply = AutoReply::with(|stored, _| {
        let id = format!("reply-to-{}", stored.id);
        let content = "Thank you".to_owned();
        Some(NewReply { id, content })
    });
    bench.with(|medic| medic.reply = reply);
    let from_a_number = json!({"id": "b", "from": 20880, "content": "x"});
    let got = bench.post(&[message("a", "x"), from_a_number], &[]).await;
    assert_eq!(
        got.json()["messages"],
        json!([
            {"id": "reply-to-a", "to": PHONE, "content": "Thank you"},
            {"id": "reply-to-b", "to": 20880, "content": "Thank you"},
        ])
    );
}

async fn content_arrives_unchanged(bench: MedicBench) {
    let text = " P#1#é 1 + 1 = 2 & 😀\r\n\0\u{1}\u{fffe}\u{fffd} ";
    bench.post(&[message("a", text)], &[]).await;
    bench
        .call(raw(
            b"{\"messages\":[{\"id\":\"b\",\"from\":\"x\",\"content\":\"\xff\"}]}".to_vec(),
        ))
        .await;
    let contents: Vec<String> =
        bench.with(|medic| medic.stored.iter().map(|one| one.content.clone()).collect());
    assert_eq!(contents, [text, "\u{fffd}"]);
    assert_eq!(bench.with(|medic| medic.stored[0].from.clone()), PHONE);
}
