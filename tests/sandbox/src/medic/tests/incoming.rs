use super::*;

#[tokio::test]
async fn a_lone_surrogate_is_a_500_every_time_and_the_others_are_stored() {
    let stand_in = stand_in().await;
    let body = |good: &str| {
        format!(
            r#"{{"messages":[{{"id":"{good}","from":"b","content":"c"}},{{"id":"bad","from":"b","content":"x\ud800"}},
            {{"id":"{good}-pair","from":"b","content":"\ud83d\ude00"}}],"updates":[]}}"#
        )
    };
    for good in ["a", "b"] {
        assert_eq!(answer(raw(&stand_in, body(good))).await.0, 500);
    }
    assert_eq!(stored(&stand_in), ["a", "a-pair", "b", "b-pair"]);
    assert_eq!(stand_in.stored()[1].content, "😀");
}

#[tokio::test]
async fn a_message_without_id_sender_or_content_is_dropped_with_a_200() {
    let stand_in = stand_in().await;
    let messages = [
        message("", "x"),
        message("a", ""),
        json!({"id": "b", "content": "x"}),
        json!({"id": "c", "from": null, "content": "x"}),
        message("d", "x"),
    ];
    offered(post(&stand_in, &messages, &[])).await;
    assert_eq!(stored(&stand_in), ["d"]);
    assert_eq!(stand_in.posts()[0].messages, 5);
}

#[tokio::test]
async fn the_same_id_twice_in_one_post_is_stored_twice() {
    let stand_in = stand_in().await;
    offered(post(
        &stand_in,
        &[message("a", "x"), message("a", "x")],
        &[],
    ))
    .await;
    assert_eq!(stand_in.duplicates(), BTreeMap::from([("a".to_owned(), 2)]));
}

#[tokio::test]
async fn the_same_id_in_two_posts_at_once_is_stored_twice() {
    let stand_in = stand_in().await;
    stand_in
        .fault(MedicFault::PauseBeforeWriting, Scope::Next(1))
        .await;
    let (first, ()) = tokio::join!(offered(post(&stand_in, &[message("a", "x")], &[])), async {
        stand_in.until(|stand_in| stand_in.paused() == 1).await;
        offered(post(&stand_in, &[message("a", "x")], &[])).await;
        assert_eq!(stand_in.release_paused(), 1);
    });
    assert!(first.is_empty());
    assert_eq!(stored(&stand_in), ["a", "a"]);
    assert_eq!(stand_in.max_in_flight(), 2);
}

#[tokio::test]
async fn the_work_goes_on_after_the_caller_has_hung_up() {
    let stand_in = stand_in().await;
    stand_in
        .fault(MedicFault::PauseBeforeWriting, Scope::Next(1))
        .await;
    let batch: Vec<Value> = (0..60)
        .map(|number| message(&format!("id-{number}"), "x"))
        .collect();
    tokio::select! {
        answer = post(&stand_in, &batch, &[]).send() => panic!("{answer:?}"),
        () = stand_in.until(|stand_in| stand_in.paused() == 1) => {}
    }
    offered(post(&stand_in, &batch, &[])).await;
    assert_eq!((stand_in.stored_count(), stand_in.in_flight()), (60, 1));
    stand_in.release_paused();
    stand_in.until(|stand_in| stand_in.in_flight() == 0).await;
    assert_eq!(stand_in.stored_count(), 120);
    assert_eq!(stand_in.posts()[0].status, None);
    assert!(stand_in.posts()[0].worked);
}

#[tokio::test]
async fn work_can_take_its_time_for_each_message() {
    let config = MedicConfig {
        work_per_message: Duration::from_millis(1),
        ..MedicConfig::default()
    };
    let stand_in = MedicStandIn::start(config).await.unwrap();
    offered(post(
        &stand_in,
        &[message("a", "x"), message("b", "x")],
        &[],
    ))
    .await;
    assert_eq!(stored(&stand_in), ["a", "b"]);
}
