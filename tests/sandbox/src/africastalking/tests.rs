#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::VecDeque;
use std::sync::Arc;

use axum::Router;
use axum::extract::State as Shared;
use axum::http::{StatusCode, Uri};
use serde_json::Value;

use super::*;

const PHONE: &str = "+254700000001";
const OTHER: &str = "+254700000002";

/// The customer's side: takes callbacks, and answers 200 unless told otherwise.
struct Customer {
    url: String,
    seen: Arc<Watched<Vec<(String, String)>>>,
    answers: Arc<Watched<VecDeque<u16>>>,
    _server: Server,
}

type CustomerState = (
    Arc<Watched<Vec<(String, String)>>>,
    Arc<Watched<VecDeque<u16>>>,
);

async fn take(
    Shared((seen, answers)): Shared<CustomerState>,
    uri: Uri,
    body: String,
) -> StatusCode {
    seen.change(|seen| seen.push((uri.path().to_owned(), body)));
    let status = answers.change(VecDeque::pop_front).unwrap_or(200);
    StatusCode::from_u16(status).unwrap()
}

fn customer() -> Customer {
    let seen = Arc::new(Watched::new(Vec::new()));
    let answers = Arc::new(Watched::new(VecDeque::new()));
    let router = Router::new()
        .fallback(take)
        .with_state((seen.clone(), answers.clone()));
    let server = Binding::new(0, 0).unwrap().serve(router, Router::new());
    Customer {
        url: server.url(),
        seen,
        answers,
        _server: server,
    }
}

fn client() -> reqwest::Client {
    crate::http::client(Duration::from_secs(20)).unwrap()
}

async fn stand_in() -> StandIn {
    StandIn::start(Config::default()).await.unwrap()
}

async fn stand_in_for(customer: &Customer) -> StandIn {
    let stand_in = stand_in().await;
    stand_in.set_callbacks(
        format!("{}/incoming?key=k", customer.url),
        format!("{}/reports?key=k", customer.url),
    );
    stand_in
}

fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}

fn request(stand_in: &StandIn, fields: &[(&str, &str)]) -> reqwest::RequestBuilder {
    client()
        .post(format!("{}/version1/messaging", stand_in.url()))
        .header("apiKey", Config::default().api_key)
        .header("Accept", "application/json")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(form(fields))
}

fn send(stand_in: &StandIn, to: &str, text: &str) -> reqwest::RequestBuilder {
    request(
        stand_in,
        &[
            ("username", "sandbox"),
            ("to", to),
            ("message", text),
            ("enqueue", "1"),
        ],
    )
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, String) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn data(request: reqwest::RequestBuilder) -> Value {
    let (status, body) = answer(request).await;
    assert_eq!(status, 201, "{body}");
    let mut body: Value = serde_json::from_str(&body).unwrap();
    body["SMSMessageData"].take()
}

/// Sends with a fault, and gives the only recipient's line.
async fn line_under(fault: Fault) -> (Value, usize) {
    let stand_in = stand_in().await;
    stand_in.fault(fault, Scope::Next(1)).await;
    let line = data(send(&stand_in, PHONE, "hello")).await["Recipients"][0].take();
    (line, stand_in.phone(PHONE).len())
}

fn statuses(stand_in: &StandIn) -> Vec<String> {
    let reports = stand_in
        .callbacks()
        .into_iter()
        .filter(|callback| callback.kind == CallbackKind::Report);
    reports
        .map(|callback| callback.field("status").unwrap().to_owned())
        .collect()
}

/// Sends with a fault, waits for so many reports, and gives their statuses and what the phone got.
async fn reports_under(fault: Fault, count: usize) -> (Vec<String>, usize) {
    let customer = customer();
    let stand_in = stand_in_for(&customer).await;
    stand_in.fault(fault, Scope::UntilCleared).await;
    data(send(&stand_in, PHONE, "hello")).await;
    stand_in
        .until(|stand_in| stand_in.callbacks().len() >= count)
        .await;
    (statuses(&stand_in), stand_in.phone(PHONE).len())
}

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
async fn every_part_is_paid() {
    let stand_in = stand_in().await;
    let text = "ä".repeat(161);
    let fields = [
        ("username", "sandbox"),
        ("to", PHONE),
        ("message", text.as_str()),
    ];
    let data = data(request(&stand_in, &fields)).await;
    assert_eq!(data["Recipients"][0]["messageParts"], 2);
    assert_eq!(data["Recipients"][0]["cost"], "KES 1.6000");
}

#[tokio::test]
async fn many_recipients_each_have_a_line_and_an_invalid_number_is_echoed() {
    let stand_in = stand_in().await;
    let data = data(send(
        &stand_in,
        &format!("{PHONE},0711000000,{OTHER}"),
        "hello",
    ))
    .await;
    assert_eq!(data["Message"], "Sent to 2/3 Total Cost: KES 1.6000");
    let bad = &data["Recipients"][1];
    assert_eq!(bad["statusCode"], 403);
    assert_eq!(bad["status"], "InvalidPhoneNumber");
    assert_eq!(bad["messageId"], "None");
    assert_eq!(bad["cost"], "0");
    assert_eq!(bad["number"], "0711000000");
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
    for sender in ["NOBODY", ""] {
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
    let seen = include_str!("../../testdata/send-invalid-key-401.txt").trim_end();
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
        .header("apiKey", Config::default().api_key)
        .header("Content-Type", "application/json")
        .body("{}");
    assert_eq!(answer(request).await.0, 415);
}

#[tokio::test]
async fn without_accept_the_answer_is_xml() {
    let stand_in = stand_in().await;
    let request = client()
        .post(format!("{}/version1/messaging", stand_in.url()))
        .header("apiKey", Config::default().api_key)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(form(&[
            ("username", "sandbox"),
            ("to", PHONE),
            ("message", "hello"),
        ]));
    let (status, body) = answer(request).await;
    assert_eq!(status, 201);
    assert!(
        body.starts_with("<?xml") && body.contains("<statusCode>101</statusCode>"),
        "{body}"
    );
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
    let key = Config::default().api_key;
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
        .fault(Fault::OutOfCreditHttp, Scope::UntilCleared)
        .await;
    assert!(
        answer(user(&key, "?username=sandbox"))
            .await
            .1
            .contains("KES -0.8000")
    );
    stand_in.clear_faults().await;
    stand_in.fault(Fault::Http503, Scope::UntilCleared).await;
    assert_eq!(answer(user(&key, "?username=sandbox")).await.0, 503);
}

#[tokio::test]
async fn reports_come_by_themselves_after_the_answer_with_the_fields_seen() {
    let customer = customer();
    let stand_in = stand_in_for(&customer).await;
    let data = data(send(&stand_in, PHONE, "hello")).await;
    stand_in
        .until(|stand_in| stand_in.callbacks().len() == 2)
        .await;
    assert_eq!(statuses(&stand_in), ["Submitted", "Success"]);
    let last = stand_in.callbacks().pop().unwrap();
    assert_eq!(
        last.field("id"),
        data["Recipients"][0]["messageId"].as_str()
    );
    assert_eq!(last.field("phoneNumber"), Some(PHONE));
    assert_eq!((last.status, last.attempt), (Some(200), 1));
    let names = |text: &str| {
        let mut names: Vec<String> = form_urlencoded::parse(text.as_bytes())
            .map(|(name, _)| name.into_owned())
            .collect();
        names.sort();
        names
    };
    let seen = include_str!("../../testdata/delivery-report-success.form");
    let posted = customer.seen.read(|seen| seen[1].clone());
    assert_eq!(posted.0, "/reports");
    assert_eq!(names(&posted.1), names(seen.trim_end()));
}

#[tokio::test]
async fn an_incoming_sms_has_the_fields_seen_and_its_status_is_told() {
    let customer = customer();
    let stand_in = stand_in_for(&customer).await;
    let sent = stand_in
        .sms_from_phone(PHONE, "P 12 + é\u{0}😀")
        .await
        .unwrap();
    assert_eq!((sent.status, sent.attempts), (Some(200), 1));
    let (path, body) = customer.seen.read(|seen| seen[0].clone());
    assert_eq!(path, "/incoming");
    let fields: Vec<(String, String)> = form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    let field = |name: &str| {
        fields
            .iter()
            .find(|(key, _)| key == name)
            .unwrap()
            .1
            .as_str()
    };
    assert_eq!(field("from"), PHONE);
    assert_eq!(field("to"), "20880");
    assert_eq!(field("text"), "P 12 + é\u{0}😀");
    assert_eq!(field("id"), sent.id);
    assert_eq!(field("cost"), "None");
    assert_eq!(field("date").len(), "2021-01-14 08:10:15".len());
    assert!(!field("linkId").is_empty() && !field("networkCode").is_empty());
    let seen = include_str!("../../testdata/incoming-space-date.form");
    for (name, _) in form_urlencoded::parse(seen.trim_end().as_bytes()) {
        field(&name);
    }
}

#[tokio::test]
async fn a_callback_that_fails_is_tried_again_a_few_times_with_the_same_id() {
    let customer = customer();
    let stand_in = stand_in_for(&customer).await;
    customer
        .answers
        .change(|answers| answers.extend([500, 403]));
    let sent = stand_in.sms_from_phone("MTN", "").await.unwrap();
    assert_eq!((sent.status, sent.attempts), (Some(200), 3));
    let statuses: Vec<_> = stand_in
        .callbacks()
        .iter()
        .map(|callback| callback.status)
        .collect();
    assert_eq!(statuses, [Some(500), Some(403), Some(200)]);
    assert!(
        stand_in
            .callbacks()
            .iter()
            .all(|callback| callback.id == sent.id)
    );
    customer.answers.change(|answers| answers.extend([500; 4]));
    let sent = stand_in.sms_from_phone(PHONE, "hello").await.unwrap();
    assert_eq!((sent.status, sent.attempts), (Some(500), 3));
}

#[tokio::test]
async fn a_refused_callback_is_recorded_without_its_key() {
    let customer = customer();
    let stand_in = stand_in_for(&customer).await;
    drop(customer);
    let sent = stand_in.sms_from_phone(PHONE, "hello").await.unwrap();
    assert_eq!((sent.status, sent.attempts), (None, 3));
    let error = stand_in.callbacks()[0].error.clone().unwrap();
    assert!(!error.contains("key="), "{error}");
}

#[tokio::test]
async fn an_incoming_form_is_posted_as_it_is_given() {
    let customer = customer();
    let stand_in = stand_in_for(&customer).await;
    stand_in
        .incoming_form(&[("id", "x"), ("from", PHONE)])
        .await
        .unwrap();
    assert_eq!(
        customer.seen.read(|seen| seen[0].1.clone()),
        "id=x&from=%2B254700000001"
    );
}

#[tokio::test]
async fn without_a_callback_a_phone_can_send_nothing() {
    assert!(
        stand_in()
            .await
            .sms_from_phone(PHONE, "hello")
            .await
            .is_err()
    );
}

#[tokio::test]
async fn every_status_code_of_the_table_can_be_had() {
    let refused = [
        (Fault::RiskHold, 401, "RiskHold"),
        (Fault::InvalidSenderId, 402, "InvalidSenderId"),
        (Fault::InvalidPhoneNumber, 403, "InvalidPhoneNumber"),
        (Fault::UnsupportedNumberType, 404, "UnsupportedNumberType"),
        (Fault::OutOfCredit, 405, "InsufficientBalance"),
        (Fault::UserInBlacklist, 406, "UserInBlacklist"),
        (Fault::CouldNotRoute, 407, "CouldNotRoute"),
        (Fault::DoNotDisturb, 409, "DoNotDisturbRejection"),
        (Fault::InternalServerError, 500, "InternalServerError"),
        (Fault::GatewayError, 501, "GatewayError"),
        (Fault::RejectedByGateway, 502, "RejectedByGateway"),
        (Fault::UnlistedCode, 499, "SomethingNew"),
    ];
    for (fault, code, status) in refused {
        let (line, received) = line_under(fault).await;
        assert_eq!(
            (&line["statusCode"], &line["status"]),
            (&code.into(), &status.into()),
            "{fault:?}"
        );
        assert_eq!(
            (&line["messageId"], &line["cost"]),
            (&"None".into(), &"0".into()),
            "{fault:?}"
        );
        assert_eq!(received, 0, "{fault:?}");
    }
    for (fault, code) in [
        (Fault::Processed, 100),
        (Fault::Sent, 101),
        (Fault::Queued, 102),
    ] {
        let (line, received) = line_under(fault).await;
        assert_eq!(
            (&line["statusCode"], &line["status"]),
            (&code.into(), &"Success".into())
        );
        assert_eq!(received, 1);
    }
}

#[tokio::test]
async fn the_refusal_seen_is_the_refusal_made() {
    let stand_in = stand_in().await;
    stand_in.fault(Fault::UserInBlacklist, Scope::Next(1)).await;
    let (_, body) = answer(send(&stand_in, PHONE, "hello")).await;
    assert_eq!(
        body,
        include_str!("../../testdata/send-user-in-blacklist-406.json").trim_end()
    );
}

#[tokio::test]
async fn an_accepted_sms_can_be_hidden_behind_its_line() {
    let (line, received) = line_under(Fault::AcceptedInternalServerError).await;
    assert_eq!(
        (&line["statusCode"], &line["messageId"], received),
        (&500.into(), &"None".into(), 1)
    );
    let (line, received) = line_under(Fault::AcceptedIdNone).await;
    assert_eq!(
        (&line["statusCode"], &line["messageId"], received),
        (&101.into(), &"None".into(), 1)
    );
    let (line, received) = line_under(Fault::AcceptedNoStatusCode).await;
    assert_eq!(
        (line.get("statusCode"), &line["status"], received),
        (None, &"Success".into(), 1)
    );
}

#[tokio::test]
async fn a_201_can_hold_no_recipients() {
    for (fault, message) in [
        (Fault::NoRecipients, "InvalidSenderId"),
        (Fault::OutOfCreditEmpty, "InsufficientBalance"),
    ] {
        let stand_in = stand_in().await;
        stand_in.fault(fault, Scope::UntilCleared).await;
        let data = data(send(&stand_in, PHONE, "hello")).await;
        assert_eq!(data["Message"], message);
        assert_eq!(data["Recipients"].as_array().unwrap().len(), 0);
        assert!(stand_in.accepted().is_empty());
    }
}

#[tokio::test]
async fn an_http_error_is_plain_text_and_accepts_only_where_its_name_says_so() {
    let errors = [
        (Fault::Http400, 400, 0),
        (Fault::Http401, 401, 0),
        (Fault::OutOfCreditHttp, 402, 0),
        (Fault::Http429, 429, 0),
        (Fault::Http500, 500, 0),
        (Fault::Http502, 502, 0),
        (Fault::Http503, 503, 0),
        (Fault::AcceptedHttp500, 500, 1),
        (Fault::AcceptedHttp502, 502, 1),
        (Fault::AcceptedHttp503, 503, 1),
    ];
    for (fault, expected, received) in errors {
        let stand_in = stand_in().await;
        stand_in.fault(fault, Scope::Next(1)).await;
        let (status, body) = answer(send(&stand_in, PHONE, "hello")).await;
        assert_eq!(status, expected, "{fault:?}");
        assert!(serde_json::from_str::<Value>(&body).is_err(), "{body}");
        assert_eq!(stand_in.phone(PHONE).len(), received, "{fault:?}");
        data(send(&stand_in, PHONE, "and now")).await;
    }
}

#[tokio::test]
async fn an_unreadable_answer_hides_an_accepted_sms() {
    for fault in [
        Fault::AcceptedHtml,
        Fault::AcceptedTruncated,
        Fault::AcceptedEmpty,
    ] {
        let stand_in = stand_in().await;
        stand_in.fault(fault, Scope::UntilCleared).await;
        let (status, body) = answer(send(&stand_in, PHONE, "hello")).await;
        assert_eq!(status, 201);
        assert!(serde_json::from_str::<Value>(&body).is_err(), "{body}");
        assert_eq!(stand_in.phone(PHONE).len(), 1);
    }
}

#[tokio::test]
async fn a_hang_never_answers_whether_it_accepted_or_not() {
    let customer = customer();
    for (fault, received) in [(Fault::Hang, 0), (Fault::AcceptedHang, 1)] {
        let stand_in = stand_in_for(&customer).await;
        stand_in.fault(fault, Scope::UntilCleared).await;
        let met = |stand_in: &StandIn| {
            stand_in
                .requests()
                .iter()
                .any(|request| request.fault == Some(fault))
        };
        tokio::select! {
            answer = send(&stand_in, PHONE, "hello").send() => panic!("{answer:?}"),
            () = async {
                stand_in.until(met).await;
                stand_in.until(|stand_in| stand_in.callbacks().len() == 2 * received).await;
            } => {}
        }
        assert_eq!(stand_in.phone(PHONE).len(), received);
        assert_eq!(stand_in.requests()[0].status, None);
    }
}

#[tokio::test]
async fn a_close_gives_no_answer_whether_it_accepted_or_not() {
    for (fault, received) in [(Fault::Close, 0), (Fault::AcceptedClose, 1)] {
        let stand_in = stand_in().await;
        stand_in.fault(fault, Scope::UntilCleared).await;
        let error = send(&stand_in, PHONE, "hello").send().await.unwrap_err();
        assert!(!error.is_connect() && !error.is_timeout(), "{error:?}");
        assert_eq!(stand_in.phone(PHONE).len(), received);
    }
}

#[tokio::test]
async fn down_refuses_connections_until_it_is_cleared() {
    let stand_in = stand_in().await;
    stand_in.fault(Fault::Down, Scope::UntilCleared).await;
    assert!(
        send(&stand_in, PHONE, "hello")
            .send()
            .await
            .unwrap_err()
            .is_connect()
    );
    assert!(stand_in.requests().is_empty());
    stand_in.clear_fault(Fault::Down).await;
    data(send(&stand_in, PHONE, "hello")).await;
}

#[tokio::test]
async fn a_fault_lasts_for_so_many_requests_or_concerns_one_number() {
    let stand_in = stand_in().await;
    stand_in.fault(Fault::Http500, Scope::Next(2)).await;
    for expected in [500, 500, 201] {
        assert_eq!(answer(send(&stand_in, PHONE, "hello")).await.0, expected);
    }
    assert!(stand_in.active_faults().is_empty());
    stand_in
        .fault(Fault::UserInBlacklist, Scope::Matching(OTHER.to_owned()))
        .await;
    let data = data(send(&stand_in, &format!("{PHONE},{OTHER}"), "hello")).await;
    assert_eq!(data["Recipients"][0]["statusCode"], 102);
    assert_eq!(data["Recipients"][1]["statusCode"], 406);
    stand_in
        .fault(Fault::Http503, Scope::Matching(OTHER.to_owned()))
        .await;
    assert_eq!(answer(send(&stand_in, PHONE, "hello")).await.0, 201);
    assert_eq!(answer(send(&stand_in, OTHER, "hello")).await.0, 503);
}

#[tokio::test]
async fn early_reports_are_answered_before_the_send_is() {
    let customer = customer();
    let stand_in = stand_in_for(&customer).await;
    stand_in
        .fault(Fault::ReportsEarly, Scope::UntilCleared)
        .await;
    data(send(&stand_in, PHONE, "hello")).await;
    assert_eq!(statuses(&stand_in), ["Submitted", "Success"]);
}

#[tokio::test]
async fn late_reports_wait_until_they_are_released() {
    let customer = customer();
    let stand_in = stand_in_for(&customer).await;
    stand_in
        .fault(Fault::ReportsLate, Scope::UntilCleared)
        .await;
    data(send(&stand_in, PHONE, "hello")).await;
    assert_eq!(
        (stand_in.held_reports(), stand_in.callbacks().len()),
        (2, 0)
    );
    assert_eq!(stand_in.release_reports().await, 2);
    assert_eq!(statuses(&stand_in), ["Submitted", "Success"]);
    assert_eq!(stand_in.held_reports(), 0);
}

#[tokio::test]
async fn reports_can_be_of_every_kind_the_contract_knows() {
    let kinds: [(Fault, &[&str], usize); 9] = [
        (
            Fault::ReportsReordered,
            &["Success", "Submitted", "Sent"],
            1,
        ),
        (
            Fault::ReportsBufferedFirst,
            &["Buffered", "Submitted", "Success"],
            1,
        ),
        (Fault::ReportsFailed, &["Submitted", "Failed"], 0),
        (Fault::ReportsRejected, &["Rejected"], 0),
        (Fault::ReportsExpired, &["Submitted", "Expired"], 0),
        (
            Fault::ReportsAbsentSubscriber,
            &["Submitted", "AbsentSubscriber"],
            0,
        ),
        (
            Fault::ReportsExpiredThenSuccess,
            &["Submitted", "Expired", "Success"],
            1,
        ),
        (Fault::ReportsUnknownStatus, &["Submitted", "Teleported"], 1),
        (
            Fault::ReportsRepeated,
            &[
                "Submitted",
                "Submitted",
                "Submitted",
                "Success",
                "Success",
                "Success",
            ],
            1,
        ),
    ];
    for (fault, expected, received) in kinds {
        let seen = reports_under(fault, expected.len()).await;
        assert_eq!(
            seen,
            (
                expected.iter().map(|status| (*status).to_owned()).collect(),
                received
            ),
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn a_failed_report_has_its_reason_and_the_fields_seen() {
    let customer = customer();
    let stand_in = stand_in_for(&customer).await;
    stand_in
        .fault(Fault::ReportsFailed, Scope::UntilCleared)
        .await;
    data(send(&stand_in, PHONE, "hello")).await;
    stand_in
        .until(|stand_in| stand_in.callbacks().len() == 2)
        .await;
    let failed = stand_in.callbacks().pop().unwrap();
    let seen = include_str!("../../testdata/delivery-report-failed.form");
    let seen: Vec<String> = form_urlencoded::parse(seen.trim_end().as_bytes())
        .map(|(name, _)| name.into_owned())
        .collect();
    assert_eq!(
        failed
            .form
            .iter()
            .map(|(name, _)| name.clone())
            .collect::<Vec<_>>(),
        seen
    );
    assert_eq!(failed.field("failureReason"), Some("DeliveryFailure"));
}

#[tokio::test]
async fn no_reports_means_none() {
    let customer = customer();
    let stand_in = stand_in_for(&customer).await;
    stand_in.fault(Fault::ReportsNone, Scope::Next(1)).await;
    data(send(&stand_in, PHONE, "first")).await;
    data(send(&stand_in, PHONE, "second")).await;
    stand_in
        .until(|stand_in| stand_in.callbacks().len() == 2)
        .await;
    let second = stand_in.phone(PHONE).pop().unwrap().id;
    assert!(
        stand_in
            .callbacks()
            .iter()
            .all(|callback| callback.id == second)
    );
    assert_eq!(stand_in.phone(PHONE).len(), 2);
}

#[tokio::test]
async fn a_report_can_be_posted_by_hand() {
    let customer = customer();
    let stand_in = stand_in_for(&customer).await;
    stand_in
        .fault(Fault::ReportsNone, Scope::UntilCleared)
        .await;
    data(send(&stand_in, PHONE, "hello")).await;
    let id = stand_in.phone(PHONE)[0].id.clone();
    stand_in.report(&id, "Failed", Some("UserIsInactive")).await;
    let posted = stand_in.callbacks().pop().unwrap();
    assert_eq!(
        (posted.field("status"), posted.field("phoneNumber")),
        (Some("Failed"), Some(PHONE))
    );
    assert_eq!(posted.field("failureReason"), Some("UserIsInactive"));
}

#[tokio::test]
async fn a_robot_answers_every_sms() {
    let customer = customer();
    let stand_in = stand_in_for(&customer).await;
    stand_in
        .fault(Fault::Robot, Scope::Matching(OTHER.to_owned()))
        .await;
    data(send(&stand_in, &format!("{PHONE},{OTHER}"), "hello")).await;
    let incoming = |stand_in: &StandIn| {
        let mut all = stand_in.callbacks();
        all.retain(|callback| callback.kind == CallbackKind::Incoming);
        all
    };
    stand_in
        .until(|stand_in| !incoming(stand_in).is_empty())
        .await;
    let incoming = incoming(&stand_in);
    assert_eq!(incoming.len(), 1);
    assert_eq!(
        (incoming[0].field("from"), incoming[0].field("text")),
        (Some(OTHER), Some(ROBOT_TEXT))
    );
}

#[tokio::test]
async fn the_controls_can_be_typed() {
    let customer = customer();
    let stand_in = stand_in_for(&customer).await;
    let call = async |method: &str, path: &str, body: &str| {
        let url = format!("{}/_sandbox{path}", stand_in.url());
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        answer(client().request(method, url).body(body.to_owned())).await
    };
    assert_eq!(call("GET", "", "").await.0, 200);
    let (status, sent) = call("POST", "/phones/+254700000001/send", "Habari yako").await;
    assert_eq!(status, 200);
    assert!(sent.contains("\"status\": 200"), "{sent}");
    assert!(
        customer
            .seen
            .read(|seen| seen[0].1.contains("from=%2B254700000001&"))
    );
    data(send(&stand_in, PHONE, "mzuri")).await;
    stand_in
        .until(|stand_in| stand_in.callbacks().len() == 3)
        .await;
    for path in ["/phones/+254700000001", "/phones/%2B254700000001"] {
        assert!(
            call("GET", path, "")
                .await
                .1
                .contains("\"text\": \"mzuri\"")
        );
    }
    assert!(call("GET", "/phones", "").await.1.contains(PHONE));
    for path in ["/accepted", "/requests", "/callbacks"] {
        assert!(call("GET", path, "").await.1.contains(PHONE), "{path}");
    }
    let id = stand_in.phone(PHONE)[0].id.clone();
    let (_, posted) = call("POST", &format!("/reports/{id}?status=Expired"), "").await;
    assert!(posted.contains("Expired"), "{posted}");

    assert_eq!(call("POST", "/faults/http-503?next=1", "").await.0, 200);
    assert_eq!(answer(send(&stand_in, PHONE, "hello")).await.0, 503);
    for query in ["+254700000002", "%2B254700000002"] {
        call("POST", &format!("/faults/http-500?matching={query}"), "").await;
        assert_eq!(
            stand_in.active_faults()[0].scope,
            Scope::Matching(OTHER.to_owned())
        );
        call("DELETE", "/faults/http-500", "").await;
        assert!(stand_in.active_faults().is_empty());
    }
    call("POST", "/faults/reports-late", "").await;
    data(send(&stand_in, PHONE, "later")).await;
    assert!(
        call("GET", "/faults", "")
            .await
            .1
            .contains("\"until-cleared\"")
    );
    assert!(
        call("POST", "/reports/release", "")
            .await
            .1
            .contains("\"released\": 2")
    );
    call("DELETE", "/faults", "").await;
    assert!(stand_in.active_faults().is_empty());
    assert_eq!(call("POST", "/faults/no-such-fault", "").await.0, 404);
    assert_eq!(call("POST", "/faults/hang?next=0", "").await.0, 400);

    let other = format!("/callbacks?incoming={}/elsewhere", customer.url);
    assert_eq!(call("POST", &other, "").await.0, 200);
    stand_in.sms_from_phone(PHONE, "hello").await.unwrap();
    assert_eq!(
        customer.seen.read(|seen| seen.last().unwrap().0.clone()),
        "/elsewhere"
    );

    assert_eq!(call("POST", "/faults/down", "").await.0, 200);
    assert!(
        send(&stand_in, PHONE, "hello")
            .send()
            .await
            .unwrap_err()
            .is_connect()
    );
    let clear = client().delete(format!("{}/_sandbox/faults", stand_in.control_url()));
    assert_eq!(answer(clear).await.0, 200);
    data(send(&stand_in, PHONE, "hello")).await;
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
