use super::*;

#[tokio::test]
async fn a_send_is_answered_as_seen_and_lands_on_the_phone() {
    let stand_in = stand_in().await;
    let fields = [
        ("username", "sandbox"),
        ("to", PHONE),
        ("message", "Habari"),
        ("from", "20880"),
    ];
    let data = data(request(&stand_in, &fields)).await;
    assert_eq!(data["Message"], "Sent to 1/1 Total Cost: KES 0.8000");
    let line = &data["Recipients"][0];
    assert_eq!(line["statusCode"], 101);
    assert_eq!(line["status"], "Success");
    assert_eq!(line["cost"], "KES 0.8000");
    assert_eq!(line["messageParts"], 1);
    assert_eq!(line["number"], PHONE);
    let id = line["messageId"].as_str().unwrap();
    assert!(id.starts_with("ATXid_") && id.len() == 38, "{id}");
    let received = stand_in.phone(PHONE);
    assert_eq!(received.len(), 1);
    assert_eq!(
        (
            received[0].id.as_str(),
            received[0].text.as_str(),
            received[0].from.as_str()
        ),
        (id, "Habari", "20880")
    );
    assert_eq!(stand_in.requests()[0].status, Some(201));
    assert_eq!(stand_in.requests()[0].accepted_ids, [id]);
}

#[tokio::test]
async fn enqueue_is_answered_with_102_and_without_parts() {
    let stand_in = stand_in().await;
    let data = data(send(&stand_in, PHONE, "hello")).await;
    assert_eq!(data["Recipients"][0]["statusCode"], 102);
    assert_eq!(data["Recipients"][0].get("messageParts"), None);
    assert_eq!(stand_in.phone(PHONE)[0].from, "AFRICASTKNG");
}

#[tokio::test]
async fn many_recipients_each_have_a_line_and_an_invalid_number_is_echoed() {
    let stand_in = stand_in().await;
    let data = data(send(
        &stand_in,
        &format!("{PHONE},0700000000,{OTHER}"),
        "hello",
    ))
    .await;
    assert_eq!(data["Message"], "Sent to 2/3 Total Cost: KES 1.6000");
    let bad = &data["Recipients"][1];
    assert_eq!(bad["statusCode"], 403);
    assert_eq!(bad["status"], "InvalidPhoneNumber");
    assert_eq!(bad["messageId"], "None");
    assert_eq!(bad["cost"], "0");
    assert_eq!(bad["number"], "0700000000");
    assert_ne!(
        data["Recipients"][0]["messageId"],
        data["Recipients"][2]["messageId"]
    );
    assert_eq!(stand_in.phone(OTHER).len(), 1);
}

#[tokio::test]
async fn only_an_international_number_is_valid() {
    let stand_in = stand_in().await;
    for number in [
        "Safaricom",
        "20880",
        "+0700000001",
        "+12",
        " +254700000001",
        "+25470000000a",
        "",
    ] {
        let data = data(send(&stand_in, number, "hello")).await;
        assert_eq!(data["Recipients"][0]["statusCode"], 403, "{number}");
        assert_eq!(data["Message"], "Sent to 0/1 Total Cost: 0");
    }
    assert!(stand_in.accepted().is_empty());
}

#[tokio::test]
async fn a_sender_that_is_not_registered_gets_a_201_with_no_recipients() {
    let stand_in = stand_in().await;
    for sender in ["UNASSIGNED", ""] {
        let fields = [
            ("username", "sandbox"),
            ("to", PHONE),
            ("message", "hello"),
            ("from", sender),
        ];
        let data = data(request(&stand_in, &fields)).await;
        assert_eq!(data["Message"], "InvalidSenderId");
        assert_eq!(data["Recipients"].as_array().unwrap().len(), 0);
    }
    assert!(stand_in.accepted().is_empty());
}

#[tokio::test]
async fn a_wrong_key_or_user_is_a_401_in_plain_text() {
    let stand_in = stand_in().await;
    let fields = [
        ("username", "somebody"),
        ("to", PHONE),
        ("message", "hello"),
    ];
    let seen = include_str!("../../../testdata/send-invalid-key-401.txt").trim_end();
    assert_eq!(
        answer(request(&stand_in, &fields)).await,
        (401, seen.to_owned())
    );
    let keyless = client()
        .post(format!("{}/version1/messaging", stand_in.url()))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(form(&[
            ("username", "sandbox"),
            ("to", PHONE),
            ("message", "hello"),
        ]));
    let response = keyless.send().await.unwrap();
    assert_eq!(response.status(), 401);
    assert!(
        response.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/plain")
    );
}

#[tokio::test]
async fn a_missing_field_is_named_in_a_400() {
    let stand_in = stand_in().await;
    let all = [("username", "sandbox"), ("to", PHONE), ("message", "hello")];
    for missing in ["username", "to", "message"] {
        let fields: Vec<_> = all
            .into_iter()
            .filter(|(name, _)| *name != missing)
            .collect();
        let expected = format!("Request is missing required form field '{missing}'");
        assert_eq!(answer(request(&stand_in, &fields)).await, (400, expected));
    }
}

#[tokio::test]
async fn another_content_type_is_refused() {
    let stand_in = stand_in().await;
    let request = client()
        .post(format!("{}/version1/messaging", stand_in.url()))
        .header("apiKey", AfricasTalkingConfig::default().api_key)
        .header("Content-Type", "application/json")
        .body("{}");
    assert_eq!(answer(request).await.0, 415);
}

#[tokio::test]
async fn the_balance_goes_down_and_checks_the_key() {
    let stand_in = stand_in().await;
    let user = |key: &str, query: &str| {
        client()
            .get(format!("{}/version1/user{query}", stand_in.url()))
            .header("apiKey", key)
            .header("Accept", "application/json")
    };
    let key = AfricasTalkingConfig::default().api_key;
    data(send(&stand_in, PHONE, "hello")).await;
    let (status, body) = answer(user(&key, "?username=sandbox")).await;
    assert_eq!(
        (status, body.as_str()),
        (200, r#"{"UserData":{"balance":"KES 9999.2000"}}"#)
    );
    assert_eq!(answer(user("wrong", "?username=sandbox")).await.0, 401);
    assert_eq!(answer(user(&key, "?username=somebody")).await.0, 401);
    assert_eq!(answer(user(&key, "")).await.0, 400);
    stand_in
        .fault(AfricasTalkingFault::OutOfCreditHttp, Scope::UntilCleared)
        .await;
    assert!(
        answer(user(&key, "?username=sandbox"))
            .await
            .1
            .contains("KES -0.8000")
    );
    stand_in.clear_faults().await;
    stand_in
        .fault(AfricasTalkingFault::Http503, Scope::UntilCleared)
        .await;
    assert_eq!(answer(user(&key, "?username=sandbox")).await.0, 503);
}
