use super::*;

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
async fn ten_failed_logins_in_ten_seconds_lock_the_address_also_for_the_right_password() {
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
    assert_eq!(answer(other).await.0, 429);
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
async fn what_is_not_a_list_or_not_json_is_a_500() {
    let stand_in = stand_in().await;
    for body in [
        r#"{"messages":null,"updates":[]}"#,
        r#"{"messages":[],"updates":"x"}"#,
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
    let null = r#"{"messages":[],"updates":null}"#;
    assert_eq!(answer(raw(&stand_in, null)).await.0, 200);
}

#[tokio::test]
async fn a_post_has_ended_when_its_answer_has_gone_out_and_not_before() {
    let stand_in = stand_in().await;
    stand_in
        .fault(MedicFault::PauseBeforeWriting, Scope::Next(1))
        .await;
    let call = tokio::spawn(answer(post(&stand_in, &[message("a", "hello")], &[])));
    stand_in.until(|stand_in| stand_in.paused() == 1).await;
    assert!(!stand_in.posts()[0].ended);
    stand_in.release_paused();
    assert_eq!(call.await.unwrap().0, 200);
    stand_in.until(|stand_in| stand_in.posts()[0].ended).await;
}

#[tokio::test]
async fn settings_are_for_users_who_are_logged_in_and_what_is_due_is_for_everybody() {
    let stand_in = stand_in().await;
    stand_in.set_permitted(false);
    stand_in.set_outgoing_service("africas-talking");
    stand_in.queue(PHONE, "due").unwrap();
    let settings = client().get(format!("{}/api/v1/settings", stand_in.url()));
    let ours = settings.try_clone().unwrap();
    let config = MedicConfig::default();
    let (status, body) = answer(ours.basic_auth(config.user, Some(config.password))).await;
    let service = r#"{"sms":{"outgoing_service":"africas-talking"}}"#;
    assert_eq!((status, body.as_str()), (200, service));
    assert_eq!(answer(settings).await.0, 401);

    let monitoring = client().get(format!("{}/api/v2/monitoring", stand_in.url()));
    let (status, body) = answer(monitoring).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    let outgoing = &body["messaging"]["outgoing"];
    assert_eq!(status, 200);
    assert_eq!(outgoing["total"]["due"], 1);
    assert_eq!(outgoing["last_hundred"]["pending"]["pending"], 1);
}
