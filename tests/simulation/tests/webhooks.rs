//! The two callbacks, row by row of what may come.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "all of this is tests"
)]

use bridge::domain::status::Status;
use bridge::handlers::webhook::Request;
use bridge::wire::africastalking::callback::CallbackContent;
use bridge::wire::queue_messages::{DeadCallback, DeadLetter, decode};
use serde_json::{Value, json};
use simulation::africas_talking::request;
use simulation::faults::{CallDisposition, PortCall};
use simulation::lambda::Function;
use simulation::plan::{SECRET_KEY, put_back};
use simulation::scenario::{PHONE, Scenario};
use simulation::world::QueueName;

const GOOD: &str = "id=in-1&from=%2B254700000001&to=20880&text=hello&date=2021-01-14+08%3A10%3A15";
const IN: Function = Function::IncomingMessages;

/// An event of API Gateway as the functions read it.
fn read(event: &Value) -> Request {
    bridge::wire::api_gateway::request(event.to_string().as_bytes())
}

/// A request with a key, and with what `change` makes of it.
fn with(change: impl FnOnce(&mut Value)) -> Request {
    let mut event = json!({
        "rawPath": "/api/v1/sms/africastalking/incoming-messages",
        "rawQueryString": format!("key={SECRET_KEY}-1"),
        "headers": { "content-type": "application/x-www-form-urlencoded" },
        "requestContext": { "http": { "method": "POST" } },
        "body": GOOD,
        "isBase64Encoded": false,
    });
    change(&mut event);
    read(&event)
}

/// What Medic stores of a request: from whom, and the text.
fn stored(request: Request) -> (String, String) {
    let scenario = Scenario::default();
    assert_eq!(scenario.call(IN, request), 200);
    scenario.rest(1);
    let mut stored = std::mem::take(&mut scenario.medic.borrow_mut().stored);
    assert_eq!(stored.len(), 1);
    let message = stored.pop();
    message.map_or_else(Default::default, |sms| (sms.from, sms.content))
}

fn stored_of(body: &str) -> (String, String) {
    stored(with(|event| event["body"] = json!(body)))
}

#[test]
fn a_200_comes_after_sqs_has_confirmed_and_never_before() {
    let scenario = Scenario::default();
    scenario.switch_off(Function::MedicExchange);
    assert_eq!(scenario.call_with(IN, GOOD), 200);
    assert_eq!(scenario.waiting(), ["in-1"]);
    for disposition in [
        CallDisposition::FailsBefore,
        CallDisposition::FailsAfter,
        CallDisposition::DiesBefore,
        CallDisposition::DiesAfter,
    ] {
        scenario
            .faults
            .script(IN, PortCall::Send, 0, disposition, 1);
        let body = GOOD.replace("in-1", &format!("{disposition:?}"));
        assert!(scenario.call_with(IN, &body) >= 500, "{disposition:?}");
        assert_eq!(scenario.call_with(IN, &body), 200, "again, {disposition:?}");
    }
    scenario.switch_on(Function::MedicExchange);
    scenario.rest(1);
    assert_eq!(scenario.stored().len(), 5);
}

#[test]
fn no_key_and_a_wrong_one_are_403_and_nothing_of_them_is_logged() {
    let scenario = Scenario::default();
    for query in [
        "",
        "key=",
        "key=wr0ng-key",
        "KEY=x",
        "key=a&key=b",
        "key=%FF%00%",
    ] {
        let status = scenario.call(IN, with(|event| event["rawQueryString"] = json!(query)));
        assert_eq!(status, 403, "{query}");
    }
    assert!(scenario.waiting().is_empty());
    assert!(!scenario.was_written("wr0ng"));
    assert!(scenario.leaks.borrow().is_empty());
    assert!(scenario.was_written("\"KeyRefused\":1"));
}

#[test]
fn a_key_that_is_added_works_within_seconds_beside_the_old_one() {
    let scenario = Scenario::default();
    assert_eq!(scenario.call_with(IN, GOOD), 200);
    *scenario.secret.borrow_mut() =
        format!("{{\"key\":\"new\",\"second_key\":\"{SECRET_KEY}-1\"}}");
    let new = || with(|event| event["rawQueryString"] = json!("key=new"));
    assert_eq!(scenario.call(IN, new()), 200);
    assert_eq!(scenario.call_with(IN, GOOD), 200);
}

#[test]
fn wrong_keys_cannot_make_a_function_hammer_the_secret_store() {
    let scenario = Scenario::default();
    for _ in 0..300 {
        simulation::lambda::serve(&scenario, IN, request(IN, "wrong", GOOD), |_, _| {});
        scenario.run_until(scenario.now_ms() + 200);
    }
    let reads = scenario.counts.borrow()["the secret is read"];
    assert!(reads <= 14, "{reads} reads in a minute");
}

#[test]
fn no_key_configured_is_a_403_that_says_what_to_do_and_a_store_out_of_reach_a_5xx() {
    let scenario = Scenario::default();
    *scenario.secret.borrow_mut() = "{}".to_owned();
    assert_eq!(scenario.call_with(IN, GOOD), 403);
    assert!(scenario.was_written("IncomingKeySecretArn"));
    let scenario = Scenario::default();
    scenario.faults.secrets_out.set(true);
    assert_eq!(scenario.call_with(IN, GOOD), 503);
    assert!(scenario.waiting().is_empty());
}

#[test]
fn forms_in_every_shape_are_accepted() {
    let hello = (PHONE.to_owned(), "hello".to_owned());
    assert_eq!(stored(with(|_| {})), hello);
    // The same in base64.
    let base64 = "aWQ9aW4tMSZmcm9tPSUyQjI1NDcwMDAwMDAwMSZ0ZXh0PWhlbGxv";
    let encoded = with(|event| {
        event["body"] = json!(base64);
        event["isBase64Encoded"] = json!(true);
    });
    assert_eq!(stored(encoded), hello);
    for body in [
        "text=hello&from=%2B254700000001&id=in-1",
        "text=hello&x=1&from=%2B254700000001&id=in-1&y=&linkId=0&cost=None",
        "id=&id=in-1&from=%2B254700000001&text=hello&text=other",
        "id=in-1&from=%2B254700000001&text=hello&date=yesterday",
        "id=in-1&from=+254700000001&text=hello",
    ] {
        assert_eq!(stored_of(body), hello, "{body}");
    }
    assert_eq!(stored_of("id=in-1&from=x&text=a%FFb").1, "a\u{fffd}b");
}

#[test]
fn json_with_the_same_fields_is_accepted() {
    let body = r#"{"id":"in-1","from":"+254700000001","text":"hi \ud800 \uffff","linkId":null}"#;
    let json = with(|event| {
        event["headers"]["content-type"] = json!("application/json");
        event["body"] = json!(body);
    });
    assert_eq!(
        stored(json),
        (PHONE.to_owned(), "hi \u{fffd} \u{ffff}".to_owned())
    );
}

/// A request with a body in base64, and one more header.
fn dressed(header: &str, value: &str, body: &str) -> Request {
    with(|event| {
        event["headers"][header] = json!(value);
        event["body"] = json!(body);
        event["isBase64Encoded"] = json!(true);
    })
}

#[test]
fn a_body_with_a_content_encoding_or_in_utf_16_is_read() {
    let hello = (PHONE.to_owned(), "hello".to_owned());
    for (header, value, body) in [
        (
            "content-encoding",
            "GZIP",
            "H4sIAAAAAAACA8tMsc3M0zVUSyvKz7VVNXIyMjUxN4AAQ7WS1IoS24zUnJx8AFfXKv4nAAAA",
        ),
        (
            "content-encoding",
            "deflate",
            "eJzLTLHNzNM1VEsrys+1VTVyMjI1MTeAAEO1ktSKEtuM1JycfADfQAt/",
        ),
        (
            "content-encoding",
            "deflate",
            "y0yxzczTNVRLK8rPtVU1cjIyNTE3gABDtZLUihLbjNScnHwA",
        ),
        (
            "content-type",
            "text/plain; charset=utf-16",
            "//5pAGQAPQBpAG4ALQAxACYAZgByAG8AbQA9ACUAMgBCADIANQA0ADcAMAAwADAAMAAwADAAMAAxACYAdABlAHgAdAA9AGgAZQBsAGwAbwA=",
        ),
    ] {
        assert_eq!(stored(dressed(header, value, body)), hello, "{value}");
    }
}

#[test]
fn what_surrounds_the_values_and_names_of_an_sms_does_not_change_it() {
    let hello = (PHONE.to_owned(), "hello".to_owned());
    for body in [
        "\u{feff}id=in-1&from=%2B254700000001&text=hello\r\n",
        "ID=%EF%BB%BFin-1%0D%0A&From=%20%2B254700000001%0D%0A&TEXT=hello",
        r#"{"id": "in-1\r\n", "from": "\ufeff+254700000001 ", "text": "hello"}"#,
        "--X\r\nContent-Disposition: form-data; name=\"id\"\r\n\r\nin-1\r\n--X\r\n\
         Content-Disposition: form-data; name=\"from\"\r\n\r\n+254700000001\r\n--X\r\n\
         Content-Disposition: form-data; name=\"text\"\r\n\r\nhello\r\n--X--\r\n",
    ] {
        assert_eq!(stored_of(body), hello, "{body}");
    }
    let scenario = Scenario::default();
    for body in [GOOD, "\u{feff}id=%EF%BB%BFin-1%0D%0A&from=x&text=hello"] {
        assert_eq!(scenario.call_with(IN, body), 200);
    }
    let key =
        |event: &mut Value| event["rawQueryString"] = json!(format!("key=%20{SECRET_KEY}-1%0D%0A"));
    assert_eq!(scenario.call(IN, with(key)), 200);
    scenario.rest(1);
    assert_eq!(scenario.stored(), ["in-1"]);
}

fn opted_out(body: &str) -> Request {
    with(|event| {
        event["rawPath"] = json!("/api/v1/sms/africastalking/opt-outs/");
        event["body"] = json!(body);
    })
}

#[test]
fn an_opt_out_is_one_sms_to_medic_on_a_day_however_often_it_comes() {
    let scenario = Scenario::default();
    for body in [
        "senderId=20880&phoneNumber=%2B254700000001",
        r#"{"phoneNumber": "+254700000001\r\n", "senderId": " 20880"}"#,
    ] {
        assert_eq!(scenario.call(IN, opted_out(body)), 200);
    }
    scenario.rest(1);
    // Later on the same day only Medic can still recognise it.
    let again = opted_out("senderId=20880&phoneNumber=%2B254700000001");
    assert_eq!(scenario.call(IN, again), 200);
    scenario.rest(1);
    {
        let medic = scenario.medic.borrow();
        let [sms] = medic.stored.as_slice() else {
            panic!("{:?}", medic.stored)
        };
        assert_eq!((sms.from.as_str(), sms.content.as_str()), (PHONE, "STOP"));
        assert!(sms.id.starts_with("opt-out-"), "{}", sms.id);
    }
    assert_eq!(scenario.events("opt_out_received"), 3);
    assert!(scenario.was_written("\"OptOuts\":1"));
    assert!(scenario.leaks.borrow().is_empty());
}

#[test]
fn an_opt_out_that_names_nobody_is_kept() {
    let scenario = Scenario::default();
    assert_eq!(scenario.call(IN, opted_out("senderId=20880")), 400);
    let kept = kept(&scenario, QueueName::ExchangeDeadLetter);
    assert_eq!(kept.dead_letter.reason, "phoneNumber is missing or empty");
}

/// What is in a dead-letter queue, and nothing else is.
fn kept(scenario: &Scenario, queue: QueueName) -> DeadCallback {
    let queue = scenario.queue(queue).borrow();
    assert_eq!(queue.messages().count(), 1);
    decode(&queue.messages().next().unwrap().body).unwrap()
}

#[test]
fn a_callback_at_the_url_of_the_other_kind_is_kept_so_that_it_can_be_read_and_says_what_to_do() {
    let report = "id=ATXid_1&status=Success&phoneNumber=%2B254700000001";
    for (function, queue, body) in [
        (IN, QueueName::ExchangeDeadLetter, report),
        (
            Function::DeliveryReports,
            QueueName::ReportsDeadLetter,
            GOOD,
        ),
    ] {
        let scenario = Scenario::default();
        assert_eq!(scenario.call_with(function, body), 400);
        let kept = kept(&scenario, queue);
        match kept.read("a key") {
            Ok(CallbackContent::Incoming(sms)) => assert_eq!(sms.id.as_str(), "in-1"),
            Ok(CallbackContent::Report(report)) => {
                assert_eq!(report.id.as_str(), "ATXid_1");
                assert!(report.number_hash.is_some());
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(scenario.events("callback_at_wrong_url"), 1);
        assert!(scenario.was_written("\"CallbacksAtWrongUrl\":1"));
        assert!(scenario.leaks.borrow().is_empty());
    }
}

#[test]
fn a_callback_at_a_misspelt_path_needs_the_key_and_is_kept() {
    for (path, body) in [
        ("/api/v1/sms/africastalking/incoming-message", GOOD),
        (
            "/api/v1/sms/africastalking/delivery-report",
            "id=ATXid_1&status=Success&phoneNumber=%2B254700000001",
        ),
        (
            "/api/v1/sms/africastalking",
            "senderId=1&phoneNumber=%2B254700000001",
        ),
        ("", GOOD),
    ] {
        let scenario = Scenario::default();
        let at = |query: &str| {
            with(|event| {
                event["rawPath"] = json!(path);
                event["rawQueryString"] = json!(query);
                event["body"] = json!(body);
            })
        };
        assert_eq!(scenario.call(IN, at("key=wrong")), 403);
        assert_eq!(scenario.call(IN, at(&format!("key={SECRET_KEY}-1"))), 400);
        let kept = kept(&scenario, QueueName::ExchangeDeadLetter);
        assert!(kept.read("a key").is_ok() && kept.callback.url.is_none());
        assert_eq!(scenario.events("callback_at_wrong_url"), 1);
        assert!(scenario.was_written("\"CallbacksAtWrongUrl\":1"));
        assert!(scenario.leaks.borrow().is_empty());
    }
}

#[test]
fn what_carried_the_key_and_cannot_be_read_is_kept_as_it_came() {
    let bomb = "H4sIAAAAAAACA+3BMQ5AMAAAwNfoJkGIqYu3IJqgiRjq9wYvsN9dmmM66zasVz5i1U3d0I/Npw33Uu64LfueQ4kPAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAPDbCwKB9zRqDQMA";
    for (request, status, is_cut) in [
        (
            dressed("content-encoding", "br", "aWQ9aW4tMQ=="),
            400,
            false,
        ),
        (
            dressed("content-encoding", "gzip", "aWQ9aW4tMQ=="),
            400,
            false,
        ),
        (dressed("content-encoding", "gzip", bomb), 413, false),
        (dressed("content-type", "x", "%%%"), 400, false),
        (
            with(|event| event["body"] = json!(format!("{GOOD}&x={}", "y".repeat(64 * 1024)))),
            413,
            true,
        ),
    ] {
        let scenario = Scenario::default();
        assert_eq!(scenario.call(IN, request), status);
        let kept = kept(&scenario, QueueName::ExchangeDeadLetter);
        assert_eq!(kept.callback.is_cut, is_cut);
        assert!(kept.read("a key").is_err());
        assert!(scenario.waiting().is_empty());
    }
    // A check of the key leaves nothing behind.
    let scenario = Scenario::default();
    assert_eq!(scenario.call_with(IN, &"x".repeat(64 * 1024 + 1)), 413);
    assert_eq!(scenario.length(QueueName::ExchangeDeadLetter), 0);
}

#[test]
fn every_text_and_sender_reaches_medic_unchanged() {
    for (text, expected) in [
        ("", " "),
        ("%00%01%07%0B%1F%7F", "\0\u{1}\u{7}\u{b}\u{1f}\u{7f}"),
        ("%EF%BF%BE%EF%BF%BF", "\u{fffe}\u{ffff}"),
        ("%F0%9F%98%80+%22%5C%0A", "😀 \"\\\n"),
    ] {
        let body = format!("id=in-1&from=Airtel+Money&text={text}");
        assert_eq!(
            stored_of(&body),
            ("Airtel Money".to_owned(), expected.to_owned())
        );
    }
    assert_eq!(
        stored_of("id=in-1&from=MTN"),
        ("MTN".to_owned(), " ".to_owned())
    );
}

#[test]
fn what_names_no_message_is_a_400_with_the_field_is_dead_lettered_and_never_put_back() {
    for (body, field) in [
        ("from=%2B254700000001&text=x", "id"),
        ("id=&from=%2B254700000001&text=x", "id"),
        ("id=in-1&text=x", "from"),
        ("id=in-1&from=++&text=x", "from"),
    ] {
        let scenario = Scenario::default();
        assert_eq!(scenario.call_with(IN, body), 400);
        let queue = scenario.queue(QueueName::ExchangeDeadLetter).borrow();
        let dead_letter: DeadLetter = decode(&queue.messages().next().unwrap().body).unwrap();
        assert!(
            dead_letter.reason.starts_with(field),
            "{}",
            dead_letter.reason
        );
        assert_eq!(dead_letter.body, body);
        assert!(!dead_letter.retryable);
        drop(queue);
        put_back(&scenario);
        assert!(scenario.waiting().is_empty());
        assert!(scenario.was_written("\"CallbacksRefused\":1"));
    }
}

#[test]
fn a_report_without_id_or_status_is_a_400_and_dead_lettered() {
    let function = Function::DeliveryReports;
    for body in ["status=Success", "id=ATXid_1", "id=ATXid_1&status=", ""] {
        let scenario = Scenario::default();
        assert_eq!(scenario.call_with(function, body), 400, "{body}");
        assert_eq!(scenario.length(QueueName::ReportsDeadLetter), 1);
        assert_eq!(scenario.length(QueueName::Reports), 0);
    }
}

#[test]
fn a_400_that_could_not_be_dead_lettered_is_a_5xx() {
    let scenario = Scenario::default();
    scenario
        .faults
        .script(IN, PortCall::Send, 0, CallDisposition::FailsBefore, 1);
    assert_eq!(scenario.call_with(IN, "text=x"), 503);
}

#[test]
fn an_unknown_report_status_is_a_200_and_changes_nothing_that_medic_shows() {
    let scenario = Scenario::default();
    scenario.wants("out-1");
    scenario.rest(1);
    let reported = scenario.reported("out-1");
    let body = "id=ATXid_00001&status=Teleported&phoneNumber=%2B254700000001";
    assert_eq!(scenario.call_with(Function::DeliveryReports, body), 200);
    scenario.minutes(5);
    assert_eq!(scenario.reported("out-1"), reported);
    assert!(reported < Some(Status::Failed));
}

#[test]
fn what_is_too_large_hostile_or_elsewhere_is_refused_without_a_crash_or_its_query_in_the_log() {
    let scenario = Scenario::default();
    let large = format!("{GOOD}&x={}", "y".repeat(64 * 1024));
    assert_eq!(scenario.call_with(IN, &large), 413);
    let encoded = |event: &mut Value| {
        event["isBase64Encoded"] = json!(true);
        event["body"] = json!("%%%");
    };
    assert_eq!(scenario.call(IN, with(encoded)), 400);
    let gzip = |event: &mut Value| event["headers"]["content-encoding"] = json!("gzip");
    assert_eq!(scenario.call(IN, with(gzip)), 400);
    let get = |event: &mut Value| event["requestContext"]["http"]["method"] = json!("GET");
    assert_eq!(scenario.call(IN, with(get)), 405);
    assert_eq!(scenario.call(IN, read(&json!(null))), 405);
    assert!(scenario.waiting().is_empty());
    assert!(scenario.leaks.borrow().is_empty());
}

#[test]
fn a_callback_that_is_repeated_is_one_message_in_medic() {
    let scenario = Scenario::default();
    for minutes in [0, 1, 4, 10, 60] {
        scenario.minutes(minutes);
        assert_eq!(scenario.call_with(IN, GOOD), 200);
    }
    scenario.rest(1);
    assert_eq!(scenario.stored(), ["in-1"]);
}
