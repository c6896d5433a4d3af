//! What the clients send.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bridge::ports::{AfricasTalkingAccount as _, CredentialsError, SecretError};
use bridge::wire::africastalking::balance;
use sandbox::africastalking::{AfricasTalkingConfig, AfricasTalkingStandIn};
use sandbox::medic::{MedicConfig, MedicStandIn};
use serde_json::json;

use crate::clients::{
    API_KEY, BODY, Client, CountingSecret, NUMBER, OutsideServer, PASSWORD, Side, TEXT, USER,
    answer, call, credentials,
};
use crate::for_both;
use crate::raw::{RawResponse, RawServer};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

for_both! {
    a_call_is_one_post_with_these_headers_and_no_others
    a_base_url_is_good_with_and_without_a_slash_at_its_end
    credentials_are_read_once_for_many_calls
    credentials_that_were_refused_are_read_again
    credentials_that_cannot_be_had_call_nobody_and_show_nothing
}

async fn a_call_is_one_post_with_these_headers_and_no_others(side: Side) {
    let server = RawServer::always(RawResponse::Answer(OK.to_owned()));
    assert_eq!(
        answer(call(side, &server.url).await),
        (200, "{}".to_owned())
    );
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert_eq!(request.line, format!("POST {} HTTP/1.1", side.path()));
    let mut names: Vec<String> = request
        .headers
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    names.sort();
    let (mut expected, content_type) = match side {
        Side::Medic => (vec!["authorization"], "application/json"),
        Side::AfricasTalking => (vec!["apikey"], "application/x-www-form-urlencoded"),
    };
    expected.extend(["accept", "content-length", "content-type", "host"]);
    expected.sort_unstable();
    assert_eq!(names, expected);
    assert_eq!(request.header("accept"), ["application/json"]);
    assert_eq!(request.header("content-type"), [content_type]);
    assert_eq!(
        request.header("content-length"),
        [request.body.len().to_string()]
    );
    match side {
        Side::Medic => {
            let login = STANDARD.encode(format!("{USER}:{PASSWORD}"));
            assert_eq!(request.header("authorization"), [format!("Basic {login}")]);
            assert_eq!(request.body, BODY);
        }
        Side::AfricasTalking => {
            assert_eq!(request.header("apikey"), [API_KEY]);
            let fields: Vec<_> = form_urlencoded::parse(request.body.as_bytes()).collect();
            let expected = [
                ("username", "sandbox"),
                ("to", NUMBER),
                ("message", TEXT),
                ("enqueue", "1"),
                ("from", "20880"),
            ];
            assert_eq!(
                fields,
                expected.map(|(name, value)| (name.into(), value.into()))
            );
        }
    }
}

async fn a_base_url_is_good_with_and_without_a_slash_at_its_end(side: Side) {
    let server = RawServer::always(RawResponse::Answer(OK.to_owned()));
    let mut urls = vec![server.url.clone(), format!("{}/", server.url)];
    if side == Side::Medic {
        urls.extend([
            format!("{}/api/sms", server.url),
            format!(" {}/api/sms/ ", server.url),
        ]);
    }
    for url in &urls {
        call(side, url).await;
    }
    let requests = server.requests();
    assert_eq!(requests.len(), urls.len());
    for request in requests {
        assert_eq!(request.line, format!("POST {} HTTP/1.1", side.path()));
    }
}

async fn credentials_are_read_once_for_many_calls(side: Side) {
    let refusal = "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n";
    let server = RawServer::start(move |number| {
        RawResponse::Answer(if number == 1 { refusal } else { OK }.to_owned())
    });
    let secret = CountingSecret::filled_in();
    let credentials = credentials(&secret);
    let place = OutsideServer::new(side, &server.url);
    for _ in 0..3 {
        let client = place.open(&credentials);
        client.call().await.unwrap();
        client.call().await.unwrap();
    }
    assert_eq!((server.requests().len(), secret.reads.get()), (6, 1));
}

async fn credentials_that_were_refused_are_read_again(side: Side) {
    for status in [401, 403] {
        let refusal = format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n");
        let server = RawServer::start(move |number| {
            RawResponse::Answer(if number == 1 {
                refusal.clone()
            } else {
                OK.to_owned()
            })
        });
        let secret = CountingSecret::filled_in();
        let credentials = credentials(&secret);
        let place = OutsideServer::new(side, &server.url);
        let client = place.open(&credentials);
        assert_eq!(answer(client.call().await.unwrap()).0, 200);
        let fixed = json!({
            "africastalking_api_key": "fixed", "medic_username": "fixed",
            "medic_password": "fixed",
        });
        *secret.text.borrow_mut() = Ok(fixed.to_string());
        if side == Side::Medic {
            assert_eq!(answer(client.call().await.unwrap()).0, status);
        }
        // A send that was refused is repeated at once, because the key may be an old one.
        assert_eq!(answer(client.call().await.unwrap()).0, 200);
        assert_eq!(secret.reads.get(), 2);
        let requests = server.requests();
        let header = match side {
            Side::Medic => "authorization",
            Side::AfricasTalking => "apikey",
        };
        assert_ne!(requests[1].header(header), requests[2].header(header));
    }
}

async fn credentials_that_cannot_be_had_call_nobody_and_show_nothing(side: Side) {
    let server = RawServer::always(RawResponse::Answer(OK.to_owned()));
    let empty = json!({
        "africastalking_api_key": " ", "medic_username": "", "medic_password": PASSWORD,
    });
    let place = OutsideServer::new(side, &server.url);
    let unusable = [
        CountingSecret::with(&empty),
        CountingSecret::with(&json!([API_KEY])),
        CountingSecret::with(&json!(PASSWORD)),
    ];
    for secret in &unusable {
        let credentials = credentials(secret);
        let error = place.open(&credentials).call().await.err().unwrap();
        assert!(matches!(error, CredentialsError::Unusable(_)));
        let shown = format!("{error} {error:?}");
        for hidden in [API_KEY, PASSWORD, NUMBER, server.url.as_str()] {
            assert!(!shown.contains(hidden), "{shown}");
        }
    }
    let secret = CountingSecret::filled_in();
    *secret.text.borrow_mut() = Err(SecretError("AccessDeniedException".to_owned()));
    let credentials = credentials(&secret);
    let error = place.open(&credentials).call().await.err().unwrap();
    assert!(matches!(error, CredentialsError::OutOfReach(_)));
    assert!(server.requests().is_empty());
}

#[test]
fn without_a_sender_id_the_field_is_left_out() {
    crate::clients::run(async {
        let server = RawServer::always(RawResponse::Answer(OK.to_owned()));
        let secret = CountingSecret::filled_in();
        let credentials = credentials(&secret);
        let place = OutsideServer::new(Side::AfricasTalking, &server.url);
        place.open(&credentials).call_as(None).await.unwrap();
        assert!(!server.requests()[0].body.contains("from="));
    });
}

#[test]
fn medic_understands_what_its_client_posts() {
    crate::clients::run(async {
        let config = MedicConfig {
            user: USER.to_owned(),
            password: PASSWORD.to_owned(),
            ..MedicConfig::default()
        };
        let stand_in = MedicStandIn::start(config).await.unwrap();
        let id = stand_in.queue(NUMBER, TEXT).unwrap();
        let (status, body) = answer(call(Side::Medic, &stand_in.url()).await);
        assert_eq!(status, 200);
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(
            body["messages"][0],
            json!({ "id": id, "to": NUMBER, "content": TEXT })
        );
    });
}

#[test]
fn africas_talking_understands_what_its_client_sends() {
    crate::clients::run(async {
        let config = AfricasTalkingConfig {
            api_key: API_KEY.to_owned(),
            ..AfricasTalkingConfig::default()
        };
        let stand_in = AfricasTalkingStandIn::start(config).await.unwrap();
        let (status, body) = answer(call(Side::AfricasTalking, &stand_in.url()).await);
        assert_eq!(status, 201);
        // The request asks it to answer first and send later, so it has queued the SMS.
        assert!(body.contains(r#""statusCode":102"#), "{body}");
        let on_phone = stand_in.phone(NUMBER);
        assert_eq!(on_phone.len(), 1);
        assert_eq!(
            (on_phone[0].text.as_str(), on_phone[0].from.as_str()),
            (TEXT, "20880")
        );
    });
}

#[test]
fn the_account_is_asked_for_with_the_key_in_a_header_and_the_user_name_in_the_address() {
    crate::clients::run(async {
        let server = RawServer::always(RawResponse::Answer(OK.to_owned()));
        let secret = CountingSecret::filled_in();
        let credentials = credentials(&secret);
        let place = OutsideServer::new(Side::AfricasTalking, &server.url);
        let Client::AfricasTalking(api) = place.open(&credentials) else {
            panic!("the other one")
        };
        assert_eq!(answer(api.user().await.unwrap()), (200, "{}".to_owned()));
        let requests = server.requests();
        assert_eq!(requests.len(), 1);
        let line = "GET /version1/user?username=sandbox HTTP/1.1";
        assert_eq!(requests[0].line, line);
        assert_eq!(requests[0].header("apikey"), [API_KEY]);
        assert_eq!(requests[0].header("accept"), ["application/json"]);
    });
}

#[test]
fn the_balance_of_the_stand_in_can_be_read() {
    crate::clients::run(async {
        let config = AfricasTalkingConfig {
            api_key: API_KEY.to_owned(),
            ..AfricasTalkingConfig::default()
        };
        let stand_in = AfricasTalkingStandIn::start(config).await.unwrap();
        let secret = CountingSecret::filled_in();
        let credentials = credentials(&secret);
        let place = OutsideServer::new(Side::AfricasTalking, &stand_in.url());
        let Client::AfricasTalking(api) = place.open(&credentials) else {
            panic!("the other one")
        };
        let (status, body) = answer(api.user().await.unwrap());
        assert_eq!(status, 200);
        assert!(balance::read(body.as_bytes()).is_some(), "{body}");
    });
}
