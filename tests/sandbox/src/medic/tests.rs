#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use serde_json::{Value, json};

use super::*;

const PHONE: &str = "+254700000001";

fn client() -> reqwest::Client {
    crate::http::client(Duration::from_secs(20)).unwrap()
}

async fn stand_in() -> StandIn {
    StandIn::start(Config::default()).await.unwrap()
}

fn call(stand_in: &StandIn, method: reqwest::Method) -> reqwest::RequestBuilder {
    let config = Config::default();
    client()
        .request(method, format!("{}/api/sms", stand_in.url()))
        .basic_auth(config.user, Some(config.password))
        .header("Accept", "application/json")
}

fn raw(stand_in: &StandIn, body: impl Into<String>) -> reqwest::RequestBuilder {
    call(stand_in, reqwest::Method::POST)
        .header("Content-Type", "application/json")
        .body(body.into())
}

fn post(stand_in: &StandIn, messages: &[Value], updates: &[Value]) -> reqwest::RequestBuilder {
    raw(
        stand_in,
        json!({"messages": messages, "updates": updates}).to_string(),
    )
}

fn message(id: &str, content: &str) -> Value {
    json!({"id": id, "from": PHONE, "content": content, "sms_sent": 1, "sms_received": 2})
}

fn update(id: &str, status: &str) -> Value {
    json!({"id": id, "status": status})
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, String) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// The ids that a good answer offers.
async fn offered(request: reqwest::RequestBuilder) -> Vec<String> {
    let (status, body) = answer(request).await;
    assert_eq!(status, 200, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    let messages = body["messages"].as_array().unwrap();
    messages
        .iter()
        .map(|message| message["id"].as_str().unwrap().to_owned())
        .collect()
}

fn stored(stand_in: &StandIn) -> Vec<String> {
    stand_in
        .stored()
        .into_iter()
        .map(|stored| stored.id)
        .collect()
}

const SERVER_ERROR: &str = r#"{"code":500,"error":"Server error"}"#;

#[tokio::test]
async fn a_get_is_the_probe_for_address_and_credentials() {
    let stand_in = stand_in().await;
    let (status, body) = answer(call(&stand_in, reqwest::Method::GET)).await;
    assert_eq!((status, body.as_str()), (200, r#"{"medic-gateway":true}"#));
}

#[tokio::test]
async fn wrong_credentials_are_a_401_or_a_redirect_to_the_login_page() {
    let stand_in = stand_in().await;
    let url = format!("{}/api/sms", stand_in.url());
    let wrong = || client().get(&url).basic_auth("gateway", Some("wrong"));
    let (status, body) = answer(wrong().header("Accept", "application/json")).await;
    assert_eq!(
        (status, body.as_str()),
        (401, r#"{"code":401,"error":"unauthorized"}"#)
    );
    let redirected = wrong().send().await.unwrap();
    assert_eq!(redirected.status(), 302);
    assert!(
        redirected.headers()["location"]
            .to_str()
            .unwrap()
            .starts_with("/medic/login")
    );
    assert_eq!(
        answer(client().get(&url).header("Accept", "application/json"))
            .await
            .0,
        401
    );
}

#[tokio::test]
async fn ten_failed_logins_in_ten_seconds_lock_the_user_name_also_for_the_right_password() {
    let stand_in = stand_in().await;
    for _ in 0..10 {
        let wrong = client()
            .post(format!("{}/api/sms", stand_in.url()))
            .basic_auth("gateway", Some("wrong"))
            .header("Accept", "application/json");
        assert_eq!(answer(wrong).await.0, 401);
    }
    assert_eq!(answer(post(&stand_in, &[], &[])).await.0, 429);
    let other = client()
        .get(format!("{}/api/sms", stand_in.url()))
        .basic_auth("somebody", Some("else"))
        .header("Accept", "application/json");
    assert_eq!(answer(other).await.0, 401);
    stand_in.pass_time(Duration::from_secs(10));
    assert_eq!(answer(post(&stand_in, &[], &[])).await.0, 200);
}

#[tokio::test]
async fn without_the_permission_it_is_a_403() {
    let stand_in = stand_in().await;
    stand_in.set_permitted(false);
    assert_eq!(
        answer(post(&stand_in, &[message("a", "x")], &[])).await.0,
        403
    );
    assert_eq!(answer(call(&stand_in, reqwest::Method::GET)).await.0, 403);
    assert!(stand_in.stored().is_empty());
}

#[tokio::test]
async fn changed_credentials_count_at_once() {
    let stand_in = stand_in().await;
    stand_in.set_credentials("gateway", "another");
    assert_eq!(answer(post(&stand_in, &[], &[])).await.0, 401);
}

#[tokio::test]
async fn the_content_type_is_exactly_json() {
    let stand_in = stand_in().await;
    let body = json!({"messages": [message("a", "x")], "updates": []}).to_string();
    for content_type in ["application/json; charset=utf-8", "text/plain"] {
        let call = call(&stand_in, reqwest::Method::POST).header("Content-Type", content_type);
        assert_eq!(
            answer(call.body(body.clone())).await.0,
            400,
            "{content_type}"
        );
    }
    assert_eq!(
        answer(call(&stand_in, reqwest::Method::POST).body(body))
            .await
            .0,
        400
    );
    assert!(stand_in.stored().is_empty());
}

#[tokio::test]
async fn what_is_not_a_list_or_not_json_is_a_500() {
    let stand_in = stand_in().await;
    for body in [
        r#"{"messages":null,"updates":[]}"#,
        r#"{"messages":[],"updates":null}"#,
        r#"{"messages":"x","updates":[]}"#,
        r#"{"messages":[null],"updates":[]}"#,
        "{",
        "",
    ] {
        assert_eq!(
            answer(raw(&stand_in, body)).await,
            (500, SERVER_ERROR.to_owned()),
            "{body}"
        );
    }
    assert_eq!(answer(raw(&stand_in, "{}")).await.0, 200);
}

#[tokio::test]
async fn updates_that_are_null_fail_after_the_messages_were_stored() {
    let stand_in = stand_in().await;
    let body = json!({"messages": [message("a", "x")], "updates": null}).to_string();
    assert_eq!(answer(raw(&stand_in, body)).await.0, 500);
    assert_eq!(stored(&stand_in), ["a"]);
}

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
async fn more_than_32_mib_are_a_413() {
    let stand_in = stand_in().await;
    let large = "x".repeat(32 * 1024 * 1024);
    assert_eq!(
        answer(post(&stand_in, &[message("a", &large)], &[]))
            .await
            .0,
        413
    );
    assert!(stand_in.stored().is_empty());
}

#[tokio::test]
async fn a_message_is_stored_unchanged() {
    let stand_in = stand_in().await;
    for content in [" ", "P#1#é😀\u{0}\u{fffe}\r\n\u{fffd}"] {
        offered(post(&stand_in, &[message(content, content)], &[])).await;
        assert_eq!(stand_in.stored().pop().unwrap().content, content);
    }
    assert_eq!(stand_in.stored()[0].from, PHONE);
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
async fn an_id_that_was_seen_is_not_stored_again() {
    let stand_in = stand_in().await;
    for _ in 0..2 {
        offered(post(&stand_in, &[message("a", "x")], &[])).await;
    }
    assert_eq!(stored(&stand_in), ["a"]);
    assert!(stand_in.duplicates().is_empty());
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
        .fault(Fault::HoldBeforeWriting, Scope::Next(1))
        .await;
    let (first, ()) = tokio::join!(offered(post(&stand_in, &[message("a", "x")], &[])), async {
        stand_in.until(|stand_in| stand_in.held() == 1).await;
        offered(post(&stand_in, &[message("a", "x")], &[])).await;
        assert_eq!(stand_in.release_held(), 1);
    });
    assert!(first.is_empty());
    assert_eq!(stored(&stand_in), ["a", "a"]);
    assert_eq!(stand_in.max_in_flight(), 2);
}

#[tokio::test]
async fn the_work_goes_on_after_the_caller_has_hung_up() {
    let stand_in = stand_in().await;
    stand_in
        .fault(Fault::HoldBeforeWriting, Scope::Next(1))
        .await;
    let batch: Vec<Value> = (0..60)
        .map(|number| message(&format!("id-{number}"), "x"))
        .collect();
    tokio::select! {
        answer = post(&stand_in, &batch, &[]).send() => panic!("{answer:?}"),
        () = stand_in.until(|stand_in| stand_in.held() == 1) => {}
    }
    offered(post(&stand_in, &batch, &[])).await;
    assert_eq!((stand_in.stored_count(), stand_in.in_flight()), (60, 1));
    stand_in.release_held();
    stand_in.until(|stand_in| stand_in.in_flight() == 0).await;
    assert_eq!(stand_in.stored_count(), 120);
    assert_eq!(stand_in.posts()[0].status, None);
    assert!(stand_in.posts()[0].worked);
}

#[tokio::test]
async fn incoming_ids_share_their_space_with_the_references_of_outgoing_messages() {
    let stand_in = stand_in().await;
    stand_in
        .queue_with_reference(PHONE, "hello", "shared")
        .unwrap();
    offered(post(
        &stand_in,
        &[message("shared", "x"), message("own", "x")],
        &[],
    ))
    .await;
    assert_eq!(stored(&stand_in), ["own"]);
}

#[tokio::test]
async fn twenty_five_are_offered_oldest_first_and_again_until_an_update_comes() {
    let stand_in = stand_in().await;
    let ids: Vec<String> = (0..60)
        .map(|number| stand_in.queue(PHONE, &number.to_string()).unwrap())
        .collect();
    assert_eq!(offered(post(&stand_in, &[], &[])).await, ids[..25]);
    assert_eq!(offered(post(&stand_in, &[], &[])).await, ids[..25]);
    assert_eq!(
        stand_in.state_of(&ids[24]),
        Some(MessageState::ForwardedToGateway)
    );
    assert_eq!(stand_in.state_of(&ids[25]), Some(MessageState::Pending));
    let updates: Vec<Value> = ids[..25].iter().map(|id| update(id, "UNSENT")).collect();
    assert_eq!(offered(post(&stand_in, &[], &updates)).await, ids[25..50]);
    let history = stand_in.outgoing(&ids[0]).unwrap().history;
    let states: Vec<MessageState> = history.iter().map(|change| change.state).collect();
    let expected = [
        MessageState::Pending,
        MessageState::ForwardedToGateway,
        MessageState::ReceivedByGateway,
    ];
    assert_eq!(states, expected);
    assert_eq!(stand_in.posts()[2].offered, ids[25..50]);
}

#[tokio::test]
async fn an_offer_has_id_recipient_and_content_as_medic_has_them() {
    let stand_in = stand_in().await;
    let id = stand_in.queue("Safaricom", "é😀").unwrap();
    let (_, body) = answer(post(&stand_in, &[], &[])).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        body,
        json!({"messages": [{"id": id, "to": "Safaricom", "content": "é😀"}]})
    );
}

#[tokio::test]
async fn nothing_is_offered_unless_the_outgoing_service_is_the_gateway() {
    let stand_in = stand_in().await;
    stand_in.queue(PHONE, "hello").unwrap();
    for service in ["africas-talking", "", "Medic-Gateway"] {
        stand_in.set_outgoing_service(service);
        assert!(offered(post(&stand_in, &[], &[])).await.is_empty());
    }
    stand_in.set_outgoing_service("medic-gateway");
    assert_eq!(offered(post(&stand_in, &[], &[])).await.len(), 1);
}

#[tokio::test]
async fn every_status_has_its_state() {
    let stand_in = stand_in().await;
    let states = [
        ("UNSENT", MessageState::ReceivedByGateway),
        ("PENDING", MessageState::ForwardedByGateway),
        ("SENT", MessageState::Sent),
        ("DELIVERED", MessageState::Delivered),
        ("FAILED", MessageState::Failed),
        ("delivered", MessageState::Unrecognised),
        ("Teleported", MessageState::Unrecognised),
    ];
    for (status, state) in states {
        let id = stand_in.queue(PHONE, "hello").unwrap();
        assert!(
            offered(post(&stand_in, &[], &[update(&id, status)]))
                .await
                .is_empty(),
            "{status}"
        );
        assert_eq!(stand_in.state_of(&id), Some(state), "{status}");
    }
}

#[tokio::test]
async fn the_last_update_wins_whatever_it_is() {
    let stand_in = stand_in().await;
    let id = stand_in.queue(PHONE, "hello").unwrap();
    offered(post(
        &stand_in,
        &[],
        &[update(&id, "DELIVERED"), update(&id, "SENT")],
    ))
    .await;
    assert_eq!(stand_in.state_of(&id), Some(MessageState::Sent));
}

#[tokio::test]
async fn an_update_for_an_unknown_id_is_answered_200_and_lost() {
    let stand_in = stand_in().await;
    offered(post(&stand_in, &[], &[update("nobody", "SENT"), json!({})])).await;
    assert!(stand_in.all_outgoing().is_empty());
}

#[tokio::test]
async fn a_repeated_update_adds_a_row_to_the_history_only_with_a_reason() {
    let stand_in = stand_in().await;
    let id = stand_in.queue(PHONE, "hello").unwrap();
    for _ in 0..2 {
        offered(post(&stand_in, &[], &[update(&id, "SENT")])).await;
    }
    assert_eq!(stand_in.outgoing(&id).unwrap().history.len(), 2);
    for _ in 0..2 {
        offered(post(
            &stand_in,
            &[],
            &[json!({"id": id, "status": "FAILED", "reason": "RiskHold"})],
        ))
        .await;
    }
    let history = stand_in.outgoing(&id).unwrap().history;
    assert_eq!(history.len(), 4);
    assert_eq!(history[3].details.as_deref(), Some("RiskHold"));
}

#[tokio::test]
async fn a_post_marks_what_it_offers_over_what_another_told_a_moment_before() {
    let stand_in = stand_in().await;
    let id = stand_in.queue(PHONE, "hello").unwrap();
    stand_in
        .fault(Fault::HoldBeforeMarking, Scope::Next(1))
        .await;
    tokio::join!(
        async { assert_eq!(offered(post(&stand_in, &[], &[])).await, [id.as_str()]) },
        async {
            stand_in.until(|stand_in| stand_in.held() == 1).await;
            assert!(
                offered(post(&stand_in, &[], &[update(&id, "SENT")]))
                    .await
                    .is_empty()
            );
            assert_eq!(stand_in.state_of(&id), Some(MessageState::Sent));
            stand_in.release_held();
        }
    );
    assert_eq!(
        stand_in.state_of(&id),
        Some(MessageState::ForwardedToGateway)
    );
    assert_eq!(offered(post(&stand_in, &[], &[])).await, [id]);
}

#[tokio::test]
async fn two_pollers_get_the_same_messages() {
    let stand_in = stand_in().await;
    let id = stand_in.queue(PHONE, "hello").unwrap();
    let (one, other) = tokio::join!(
        offered(post(&stand_in, &[], &[])),
        offered(post(&stand_in, &[], &[]))
    );
    assert_eq!((one, other), (vec![id.clone()], vec![id]));
}

#[tokio::test]
async fn an_automatic_reply_is_in_the_answer_to_the_post_that_brought_the_message() {
    let stand_in = stand_in().await;
    stand_in.set_auto_reply(Some("Asante"));
    let reply = offered(post(&stand_in, &[message("a", "x")], &[]))
        .await
        .remove(0);
    let reply = stand_in.outgoing(&reply).unwrap();
    assert_eq!(
        (reply.to.as_str(), reply.content.as_str()),
        (PHONE, "Asante")
    );
    offered(post(
        &stand_in,
        &[message("a", "x")],
        &[update(&reply.id, "SENT")],
    ))
    .await;
    assert_eq!(stand_in.all_outgoing().len(), 1);
    stand_in
        .set_auto_reply_with(|stored| (stored.content == "P").then(|| format!("to {}", stored.id)));
    offered(post(
        &stand_in,
        &[message("b", "P"), message("c", "x")],
        &[],
    ))
    .await;
    assert_eq!(stand_in.all_outgoing()[1].content, "to b");
    stand_in.set_auto_reply(None);
    offered(post(&stand_in, &[message("d", "P")], &[])).await;
    assert_eq!(stand_in.all_outgoing().len(), 2);
}

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
        [Update {
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
async fn work_can_take_its_time_for_each_message() {
    let config = Config {
        work_per_message: Duration::from_millis(1),
        ..Config::default()
    };
    let stand_in = StandIn::start(config).await.unwrap();
    offered(post(
        &stand_in,
        &[message("a", "x"), message("b", "x")],
        &[],
    ))
    .await;
    assert_eq!(stored(&stand_in), ["a", "b"]);
}

#[tokio::test]
async fn a_poisonous_message_fails_alone_and_lets_nothing_after_it_be_done() {
    let stand_in = stand_in().await;
    let id = stand_in.queue(PHONE, "hello").unwrap();
    stand_in
        .fault(Fault::PoisonMessage, Scope::Matching("poison".to_owned()))
        .await;
    let messages = [
        message("a", "x"),
        message("b", "a poison"),
        message("c", "x"),
    ];
    for _ in 0..2 {
        let failed = answer(post(&stand_in, &messages, &[update(&id, "SENT")])).await;
        assert_eq!(failed, (500, SERVER_ERROR.to_owned()));
    }
    assert_eq!(stored(&stand_in), ["a", "c"]);
    assert_eq!(stand_in.state_of(&id), Some(MessageState::Pending));
    assert_eq!(offered(post(&stand_in, &[], &[])).await, [id]);
}

#[tokio::test]
async fn a_poisonous_update_fails_alone_after_the_messages_were_stored() {
    let stand_in = stand_in().await;
    let good = stand_in.queue(PHONE, "hello").unwrap();
    let bad = stand_in.queue(PHONE, "hello").unwrap();
    stand_in
        .fault(Fault::PoisonUpdate, Scope::Matching(bad.clone()))
        .await;
    let updates = [update(&bad, "SENT"), update(&good, "SENT")];
    assert_eq!(
        answer(post(&stand_in, &[message("a", "x")], &updates))
            .await
            .0,
        500
    );
    assert_eq!(stored(&stand_in), ["a"]);
    assert_eq!(stand_in.state_of(&good), Some(MessageState::Sent));
    assert_eq!(stand_in.state_of(&bad), Some(MessageState::Pending));
    assert!(stand_in.posts()[0].offered.is_empty());
}

#[tokio::test]
async fn a_full_disk_lets_only_an_empty_post_pass() {
    let stand_in = stand_in().await;
    let id = stand_in.queue(PHONE, "hello").unwrap();
    stand_in.fault(Fault::FullDisk, Scope::UntilCleared).await;
    assert_eq!(
        answer(post(&stand_in, &[message("a", "x")], &[])).await.0,
        500
    );
    assert_eq!(
        answer(post(&stand_in, &[], &[update(&id, "SENT")])).await.0,
        500
    );
    assert_eq!(offered(post(&stand_in, &[], &[])).await, [id.as_str()]);
    assert!(stand_in.stored().is_empty());
    assert_eq!(stand_in.state_of(&id), Some(MessageState::Pending));
    stand_in.clear_fault(Fault::FullDisk).await;
    assert!(
        offered(post(
            &stand_in,
            &[message("a", "x")],
            &[update(&id, "SENT")]
        ))
        .await
        .is_empty()
    );
}

#[tokio::test]
async fn while_medic_starts_a_page_with_200_hides_that_nothing_is_stored() {
    let stand_in = stand_in().await;
    stand_in.fault(Fault::Starting, Scope::UntilCleared).await;
    assert_eq!(
        answer(post(&stand_in, &[message("a", "x")], &[])).await.0,
        503
    );
    assert_eq!(answer(call(&stand_in, reqwest::Method::GET)).await.0, 503);
    let config = Config::default();
    let careless = client()
        .post(format!("{}/api/sms", stand_in.url()))
        .basic_auth(config.user, Some(config.password))
        .header("Content-Type", "application/json")
        .body(json!({"messages": [message("a", "x")], "updates": []}).to_string());
    let (status, body) = answer(careless).await;
    assert!(
        status == 200 && body.starts_with("<html"),
        "{status} {body}"
    );
    assert!(stand_in.stored().is_empty());
}

#[tokio::test]
async fn an_odd_answer_comes_with_the_work_done_only_where_its_name_says_so() {
    let answers = [
        (Fault::Http401, 401, "{\"code\":401", 0),
        (Fault::Http403, 403, "{\"code\":403", 0),
        (Fault::Http404, 404, "{\"code\":404", 0),
        (Fault::Http408, 408, "Request", 0),
        (Fault::Http413, 413, "{\"code\":413", 0),
        (Fault::Http425, 425, "Too", 0),
        (Fault::Http429, 429, "{\"code\":429", 0),
        (Fault::Http500, 500, SERVER_ERROR, 0),
        (Fault::Http503, 503, "Service", 0),
        (Fault::Redirect, 302, "", 0),
        (Fault::Html200, 200, "<html>", 0),
        (Fault::NoMessages, 200, "{\"ok\":true}", 0),
        (
            Fault::Proxy502,
            502,
            "{\"code\":502,\"message\":\"Bad Gateway\",\"type\":\"ERROR\"}",
            0,
        ),
        (Fault::Proxy502Html, 502, "<html>", 0),
        (Fault::Proxy504, 504, "{\"code\":504", 0),
        (Fault::Proxy504Html, 504, "<html>", 0),
        (Fault::CommittedTruncated, 200, "{\"messa", 1),
        (Fault::CommittedProxy502, 502, "{\"code\":502", 1),
        (Fault::CommittedProxy502Html, 502, "<html>", 1),
        (Fault::CommittedProxy504, 504, "{\"code\":504", 1),
        (Fault::CommittedProxy504Html, 504, "<html>", 1),
    ];
    for (fault, expected, start, count) in answers {
        let stand_in = stand_in().await;
        let id = stand_in.queue(PHONE, "hello").unwrap();
        stand_in.fault(fault, Scope::Next(1)).await;
        let (status, body) = answer(post(
            &stand_in,
            &[message("a", "x")],
            &[update(&id, "SENT")],
        ))
        .await;
        assert_eq!(status, expected, "{fault:?}");
        assert!(body.starts_with(start), "{fault:?} {body}");
        assert_eq!(stand_in.stored_count(), count, "{fault:?}");
        let state = if count == 1 {
            MessageState::Sent
        } else {
            MessageState::Pending
        };
        assert_eq!(stand_in.state_of(&id), Some(state), "{fault:?}");
        assert_eq!(stand_in.posts()[0].fault, Some(fault));
        offered(post(&stand_in, &[message("a", "x")], &[])).await;
        assert_eq!(stand_in.stored_count(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_hang_is_in_flight_until_the_caller_hangs_up() {
    for (fault, count) in [(Fault::Hang, 0), (Fault::CommittedHang, 1)] {
        let stand_in = stand_in().await;
        stand_in.fault(fault, Scope::Next(1)).await;
        let hung = |stand_in: &StandIn| {
            stand_in
                .posts()
                .iter()
                .any(|post| post.fault == Some(fault) && (count == 0 || post.worked))
        };
        tokio::select! {
            answer = post(&stand_in, &[message("a", "x")], &[]).send() => panic!("{answer:?}"),
            () = stand_in.until(hung) => assert_eq!(stand_in.in_flight(), 1),
        }
        stand_in.until(|stand_in| stand_in.in_flight() == 0).await;
        assert_eq!(stand_in.stored_count(), count);
        assert_eq!(stand_in.posts()[0].status, None);
    }
}

#[tokio::test]
async fn a_close_gives_no_answer_whether_the_work_was_done_or_not() {
    for (fault, count) in [(Fault::Close, 0), (Fault::CommittedClose, 1)] {
        let stand_in = stand_in().await;
        stand_in.fault(fault, Scope::Next(1)).await;
        let error = post(&stand_in, &[message("a", "x")], &[])
            .send()
            .await
            .unwrap_err();
        assert!(!error.is_connect() && !error.is_timeout(), "{error:?}");
        assert_eq!(stand_in.stored_count(), count);
    }
}

#[tokio::test]
async fn down_refuses_connections_until_it_is_cleared() {
    let stand_in = stand_in().await;
    stand_in.fault(Fault::Down, Scope::UntilCleared).await;
    assert!(
        post(&stand_in, &[], &[])
            .send()
            .await
            .unwrap_err()
            .is_connect()
    );
    stand_in.clear_faults().await;
    offered(post(&stand_in, &[], &[])).await;
}

#[tokio::test]
async fn a_fault_can_concern_one_message() {
    let stand_in = stand_in().await;
    stand_in
        .fault(Fault::Proxy504, Scope::Matching("bad".to_owned()))
        .await;
    assert_eq!(
        answer(post(&stand_in, &[message("good", "x")], &[]))
            .await
            .0,
        200
    );
    assert_eq!(
        answer(post(&stand_in, &[message("bad", "x")], &[])).await.0,
        504
    );
    assert_eq!(
        answer(post(&stand_in, &[], &[update("bad", "SENT")]))
            .await
            .0,
        504
    );
}

#[tokio::test]
async fn a_stand_in_that_is_dropped_takes_held_work_with_it() {
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    let stand_in = stand_in().await;
    stand_in
        .fault(Fault::HoldBeforeWriting, Scope::UntilCleared)
        .await;
    tokio::select! {
        answer = post(&stand_in, &[message("a", "x")], &[]).send() => panic!("{answer:?}"),
        () = stand_in.until(|stand_in| stand_in.held() == 1) => {}
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

#[test]
fn every_fault_has_a_name_of_its_own_and_a_sentence() {
    use crate::faults::Named as _;
    let mut names: Vec<&str> = Fault::ALL.iter().map(|fault| fault.name()).collect();
    for fault in Fault::ALL {
        assert_eq!(serde_json::to_value(fault).unwrap(), fault.name());
        assert!(fault.description().ends_with('.'), "{}", fault.name());
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Fault::ALL.len());
}
