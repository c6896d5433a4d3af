//! Requests to send and for the balance, and their ordinary responses.

use models::africastalking::{AfricasTalkingFault, Application};
use models::faults::Scope;
use models::http::ServerRequest;
use serde_json::json;

use super::bench::{AfricasTalkingBench, OTHER, PHONE, request, sms, without};
use crate::in_process_and_over_http;

in_process_and_over_http! { AfricasTalkingBench:
    a_send_is_answered_with_201_and_what_became_of_the_recipient
    enqueue_is_answered_with_102
    without_accept_the_response_is_xml
    every_part_is_paid
    a_201_comes_also_when_nothing_was_sent
    an_unregistered_sender_gets_a_201_without_recipients
    a_sender_id_that_is_registered_and_the_short_code_are_taken
    an_invalid_number_is_echoed_as_it_was_given
    nothing_makes_a_send_idempotent
    the_user_call_tells_the_balance_and_checks_the_key
}

async fn a_send_is_answered_with_201_and_what_became_of_the_recipient(bench: AfricasTalkingBench) {
    let data = bench.send(sms(PHONE)).await;
    assert_eq!(data["Message"], "Sent to 1/1 Total Cost: KES 0.8000");
    let line = &data["Recipients"][0];
    let id = line["messageId"].as_str().unwrap();
    assert!(id.starts_with("ATXid_"), "{id}");
    assert_eq!(
        line,
        &json!({
            "statusCode": 101, "number": PHONE, "status": "Success", "cost": "KES 0.8000",
            "messageId": id, "messageParts": 1,
        })
    );
    let taken = bench.with(|model| model.accepted[0].clone());
    assert_eq!((taken.id.as_str(), taken.text.as_str()), (id, "Habari"));
    assert_eq!(taken.from, "AFRICASTKNG");
}

async fn enqueue_is_answered_with_102(bench: AfricasTalkingBench) {
    let fields = [
        ("username", "sandbox"),
        ("to", PHONE),
        ("message", "x"),
        ("enqueue", "1"),
    ];
    let data = bench.send(request(&fields)).await;
    assert_eq!(data["Recipients"][0]["statusCode"], 102);
    assert_eq!(data["Recipients"][0].get("messageParts"), None);
}

async fn without_accept_the_response_is_xml(bench: AfricasTalkingBench) {
    let got = bench.call(without(sms(PHONE), "Accept")).await;
    assert_eq!(got.status, 201);
    assert!(got.body.starts_with("<?xml"), "{}", got.body);
    assert!(got.body.contains("<statusCode>101</statusCode>"));
}

async fn every_part_is_paid(bench: AfricasTalkingBench) {
    let long = "ä".repeat(161);
    let fields = [("username", "sandbox"), ("to", PHONE), ("message", &long)];
    let data = bench.send(request(&fields)).await;
    assert_eq!(data["Recipients"][0]["messageParts"], 2);
    assert_eq!(data["Recipients"][0]["cost"], "KES 1.6000");
}

async fn a_201_comes_also_when_nothing_was_sent(bench: AfricasTalkingBench) {
    bench.set(AfricasTalkingFault::UnknownId, Scope::Next(1));
    let data = bench.send(sms(PHONE)).await;
    assert_eq!(data, json!({"Message": "Sent to 0/1", "Recipients": []}));
    assert_eq!(bench.accepted(), 0);
}

async fn an_unregistered_sender_gets_a_201_without_recipients(bench: AfricasTalkingBench) {
    let fields = [
        ("username", "sandbox"),
        ("to", PHONE),
        ("message", "x"),
        ("from", "UNASSIGNED"),
    ];
    let data = bench.send(request(&fields)).await;
    assert_eq!(
        data,
        json!({"Message": "InvalidSenderId", "Recipients": []})
    );
    assert_eq!(bench.accepted(), 0);
}

async fn a_sender_id_that_is_registered_and_the_short_code_are_taken(bench: AfricasTalkingBench) {
    bench.with(|model| model.application.sender_ids.push("MYORG".to_owned()));
    for from in ["MYORG", "20880"] {
        let fields = [
            ("username", "sandbox"),
            ("to", PHONE),
            ("message", "x"),
            ("from", from),
        ];
        let data = bench.send(request(&fields)).await;
        assert_eq!(data["Recipients"][0]["statusCode"], 101);
    }
}

async fn an_invalid_number_is_echoed_as_it_was_given(bench: AfricasTalkingBench) {
    let data = bench
        .send(sms(&format!("{PHONE},0700000000,{OTHER}")))
        .await;
    assert_eq!(data["Message"], "Sent to 2/3 Total Cost: KES 1.6000");
    assert_eq!(
        data["Recipients"][1],
        json!({
            "statusCode": 403, "number": "0700000000", "status": "InvalidPhoneNumber",
            "cost": "0", "messageId": "None",
        })
    );
    assert_eq!(bench.accepted(), 2);
}

async fn nothing_makes_a_send_idempotent(bench: AfricasTalkingBench) {
    let ids = [bench.send(sms(PHONE)).await, bench.send(sms(PHONE)).await]
        .map(|mut data| data["Recipients"][0]["messageId"].take());
    assert_ne!(ids[0], ids[1]);
    assert_eq!(bench.accepted(), 2);
}

async fn the_user_call_tells_the_balance_and_checks_the_key(bench: AfricasTalkingBench) {
    let user = |key: &str| {
        let request = ServerRequest::new("GET", "/version1/user").with_header("apiKey", key);
        ServerRequest {
            query: "username=sandbox".to_owned(),
            ..request.with_header("Accept", "application/json")
        }
    };
    let key = Application::default().api_key;
    bench.send(sms(PHONE)).await;
    let got = bench.call(user(&key)).await;
    let balance = json!({"UserData": {"balance": "KES 9999.2000"}});
    assert_eq!((got.status, got.json()), (200, balance));
    assert_eq!(bench.call(user("wrong")).await.status, 401);
    bench.set(AfricasTalkingFault::SmallUserData, Scope::UntilCleared);
    bench.set(AfricasTalkingFault::OutOfCredit, Scope::UntilCleared);
    let negative = json!({"userData": {"balance": "KES -0.8000"}});
    assert_eq!(bench.call(user(&key)).await.json(), negative);
    assert_eq!(bench.accepted(), 1);
}
