use super::*;

#[tokio::test]
async fn a_poisonous_message_fails_alone_and_lets_nothing_after_it_be_done() {
    let stand_in = stand_in().await;
    let id = stand_in.queue(PHONE, "hello").unwrap();
    stand_in
        .fault(
            MedicFault::PoisonMessage,
            Scope::Matching("poison".to_owned()),
        )
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
        .fault(MedicFault::PoisonUpdate, Scope::Matching(bad.clone()))
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
async fn a_full_disk_fails_what_must_be_written_and_lets_pass_what_is_known() {
    let stand_in = stand_in().await;
    let known = stand_in.queue(PHONE, "known").unwrap();
    let before = post(
        &stand_in,
        &[message("before", "x")],
        &[update(&known, "SENT")],
    );
    answer(before).await;
    let id = stand_in.queue(PHONE, "hello").unwrap();
    stand_in
        .fault(MedicFault::FullDisk, Scope::UntilCleared)
        .await;
    assert_eq!(
        answer(post(&stand_in, &[message("a", "x")], &[])).await.0,
        500
    );
    assert_eq!(
        answer(post(&stand_in, &[], &[update(&id, "SENT")])).await.0,
        500
    );
    assert_eq!(offered(post(&stand_in, &[], &[])).await, [id.as_str()]);
    let again = post(
        &stand_in,
        &[message("before", "x")],
        &[update(&known, "SENT"), update("unknown", "SENT")],
    );
    assert_eq!(offered(again).await, [id.as_str()]);
    assert_eq!(stored(&stand_in), ["before"]);
    assert_eq!(stand_in.state_of(&id), Some(MessageState::Pending));
    stand_in.clear_fault(MedicFault::FullDisk).await;
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
    stand_in
        .fault(MedicFault::Starting, Scope::UntilCleared)
        .await;
    assert_eq!(
        answer(post(&stand_in, &[message("a", "x")], &[])).await.0,
        503
    );
    assert_eq!(answer(call(&stand_in, reqwest::Method::GET)).await.0, 503);
    let config = MedicConfig::default();
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
        (MedicFault::Http401, 401, "{\"code\":401", 0),
        (MedicFault::Http403, 403, "{\"code\":403", 0),
        (MedicFault::Http404, 404, "{\"code\":404", 0),
        (MedicFault::Http408, 408, "Request", 0),
        (MedicFault::Http413, 413, "{\"code\":413", 0),
        (MedicFault::Http425, 425, "Too", 0),
        (MedicFault::Http429, 429, "{\"code\":429", 0),
        (MedicFault::Http500, 500, SERVER_ERROR, 0),
        (MedicFault::Http503, 503, "Service", 0),
        (MedicFault::Redirect, 302, "", 0),
        (MedicFault::Html200, 200, "<html>", 0),
        (MedicFault::NoMessages, 200, "{\"ok\":true}", 0),
        (
            MedicFault::Proxy502,
            502,
            "{\"code\":502,\"message\":\"Bad Gateway\",\"type\":\"ERROR\"}",
            0,
        ),
        (MedicFault::Proxy502Html, 502, "<html>", 0),
        (MedicFault::Proxy504, 504, "{\"code\":504", 0),
        (MedicFault::Proxy504Html, 504, "<html>", 0),
        (MedicFault::CommittedTruncated, 200, "{\"messa", 1),
        (MedicFault::CommittedProxy502, 502, "{\"code\":502", 1),
        (MedicFault::CommittedProxy502Html, 502, "<html>", 1),
        (MedicFault::CommittedProxy504, 504, "{\"code\":504", 1),
        (MedicFault::CommittedProxy504Html, 504, "<html>", 1),
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
    for (fault, count) in [(MedicFault::Hang, 0), (MedicFault::CommittedHang, 1)] {
        let stand_in = stand_in().await;
        stand_in.fault(fault, Scope::Next(1)).await;
        let hung = |stand_in: &MedicStandIn| {
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
    for (fault, count) in [(MedicFault::Close, 0), (MedicFault::CommittedClose, 1)] {
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
    stand_in.fault(MedicFault::Down, Scope::UntilCleared).await;
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
        .fault(MedicFault::Proxy504, Scope::Matching("bad".to_owned()))
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

#[test]
fn every_fault_has_a_name_of_its_own_and_a_sentence() {
    use crate::faults::Named as _;
    let mut names: Vec<&str> = MedicFault::ALL.iter().map(|fault| fault.name()).collect();
    for fault in MedicFault::ALL {
        assert_eq!(serde_json::to_value(fault).unwrap(), fault.name());
        assert!(fault.description().ends_with('.'), "{}", fault.name());
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), MedicFault::ALL.len());
}
