use super::*;

#[tokio::test]
async fn every_post_is_recorded() {
    let stand_in = stand_in().await;
    let id = stand_in.queue(PHONE, "hello").unwrap();
    offered(post(
        &stand_in,
        &[message("a", "x")],
        &[update(&id, "SENT")],
    ))
    .await;
    answer(raw(&stand_in, "{")).await;
    let posts = stand_in.posts();
    assert_eq!(
        (posts[0].message_ids.as_slice(), posts[0].status),
        (&["a".to_owned()][..], Some(200))
    );
    assert_eq!(
        posts[0].updates,
        [ReportedStatus {
            id,
            status: "SENT".to_owned(),
            reason: None
        }]
    );
    assert_eq!(
        (posts[1].number, posts[1].status, posts[1].worked),
        (1, Some(500), false)
    );
    assert_eq!((stand_in.max_in_flight(), stand_in.in_flight()), (1, 0));
}

#[tokio::test]
async fn a_stand_in_that_is_dropped_takes_held_work_with_it() {
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    let stand_in = stand_in().await;
    stand_in
        .fault(MedicFault::PauseBeforeWriting, Scope::UntilCleared)
        .await;
    tokio::select! {
        answer = post(&stand_in, &[message("a", "x")], &[]).send() => panic!("{answer:?}"),
        () = stand_in.until(|stand_in| stand_in.paused() == 1) => {}
    }
    drop(stand_in);
    while metrics.num_alive_tasks() > before {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_controls_can_be_typed() {
    let stand_in = stand_in().await;
    let control = async |method: &str, path: &str, body: &str| {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("{}/_sandbox{path}", stand_in.url());
        answer(client().request(method, url).body(body.to_owned())).await
    };
    assert_eq!(control("GET", "", "").await.0, 200);
    for to in ["+254700000001", "%2B254700000001"] {
        assert_eq!(
            control("POST", &format!("/outgoing?to={to}"), "Habari yako")
                .await
                .0,
            200
        );
        assert_eq!(stand_in.all_outgoing().pop().unwrap().to, PHONE);
    }
    assert_eq!(control("POST", "/outgoing", "to nobody").await.0, 400);
    let id = stand_in.all_outgoing()[0].id.clone();
    assert!(
        control("GET", "/outgoing", "")
            .await
            .1
            .contains("\"content\": \"Habari yako\"")
    );
    assert!(
        control("GET", &format!("/outgoing/{id}"), "")
            .await
            .1
            .contains("\"state\": \"pending\"")
    );
    assert_eq!(control("GET", "/outgoing/nobody", "").await.0, 404);

    assert_eq!(control("POST", "/auto-reply", "Asante").await.0, 200);
    assert_eq!(control("POST", "/auto-reply", "").await.0, 400);
    assert_eq!(
        offered(post(
            &stand_in,
            &[message("a", "x"), message("a", "x")],
            &[]
        ))
        .await
        .len(),
        4
    );
    assert_eq!(control("DELETE", "/auto-reply", "").await.0, 200);
    offered(post(&stand_in, &[message("b", "x")], &[])).await;
    assert_eq!(stand_in.all_outgoing().len(), 4);
    let (_, messages) = control("GET", "/messages", "").await;
    let messages: Value = serde_json::from_str(&messages).unwrap();
    assert_eq!(messages["messages"].as_array().unwrap().len(), 3);
    assert_eq!(messages["stored_more_than_once"], json!({"a": 2}));
    assert!(
        control("GET", "/posts", "")
            .await
            .1
            .contains("\"max_in_flight\": 1")
    );

    control("POST", "/outgoing-service", "africas-talking").await;
    assert!(offered(post(&stand_in, &[], &[])).await.is_empty());
    assert_eq!(control("POST", "/faults/http-503?next=1", "").await.0, 200);
    assert_eq!(answer(post(&stand_in, &[], &[])).await.0, 503);
    control("POST", "/faults/poison-message?matching=p%20q", "").await;
    assert_eq!(
        stand_in.active_faults()[0].scope,
        Scope::Matching("p q".to_owned())
    );
    control("DELETE", "/faults/poison-message", "").await;
    assert!(stand_in.active_faults().is_empty());
    assert!(
        control("POST", "/release", "")
            .await
            .1
            .contains("\"released\": 0")
    );

    assert_eq!(control("POST", "/faults/down", "").await.0, 200);
    assert!(
        post(&stand_in, &[], &[])
            .send()
            .await
            .unwrap_err()
            .is_connect()
    );
    let clear = client().delete(format!("{}/_sandbox/faults/down", stand_in.control_url()));
    assert_eq!(answer(clear).await.0, 200);
    offered(post(&stand_in, &[], &[])).await;
}
