use super::*;

#[tokio::test]
async fn updates_that_are_no_list_fail_after_the_messages_were_stored() {
    let stand_in = stand_in().await;
    let body = json!({"messages": [message("a", "x")], "updates": "x"}).to_string();
    assert_eq!(answer(raw(&stand_in, body)).await.0, 500);
    assert_eq!(stored(&stand_in), ["a"]);
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
async fn an_update_for_an_unknown_id_is_answered_200_and_lost() {
    let stand_in = stand_in().await;
    offered(post(&stand_in, &[], &[update("none", "SENT"), json!({})])).await;
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
async fn a_post_marks_what_it_offers_over_what_another_reported_a_moment_before() {
    let stand_in = stand_in().await;
    let id = stand_in.queue(PHONE, "hello").unwrap();
    stand_in
        .fault(MedicFault::PauseBeforeMarking, Scope::Next(1))
        .await;
    tokio::join!(
        async { assert_eq!(offered(post(&stand_in, &[], &[])).await, [id.as_str()]) },
        async {
            stand_in.until(|stand_in| stand_in.paused() == 1).await;
            assert!(
                offered(post(&stand_in, &[], &[update(&id, "SENT")]))
                    .await
                    .is_empty()
            );
            assert_eq!(stand_in.state_of(&id), Some(MessageState::Sent));
            stand_in.release_paused();
        }
    );
    assert_eq!(
        stand_in.state_of(&id),
        Some(MessageState::ForwardedToGateway)
    );
    assert_eq!(offered(post(&stand_in, &[], &[])).await, [id]);
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
