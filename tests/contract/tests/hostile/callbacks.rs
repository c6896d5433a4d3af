//! What anybody on the internet may post: events of API Gateway with the callbacks in them,
//! through the whole handler.

use std::cell::RefCell;
use std::ops::Range;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bridge::domain::backoff::RandomSource;
use bridge::domain::time::Timestamp;
use bridge::handlers::webhook::{CallbackHandler, MAX_BODY_BYTES};
use bridge::log::{Callback, EventLog, LogEvent, Origin};
use bridge::ports::{Clock, NewMessage, Queue, QueueError, Record, SecretError, SecretStore};
use bridge::queue::dead_letter::DeadLetterQueue;
use bridge::secrets::IncomingKeys;
use bridge::wire::api_gateway::{request, response_event};
use bridge::wire::queue_messages::{
    DeadCallback, DeadLetter, DeliveryReport, ExchangeMessage, decode, encode,
};
use futures_util::FutureExt as _;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::bending::{bent, bent_json, bent_json_bytes, text};
use crate::{at_once, cases, is_a_mixture};

const KEY: &str = "a-key-for-tests-only";

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json; charset=utf-8";

/// The longest message that SQS takes, in bytes.
const SQS_LIMIT: usize = 1024 * 1024;

const INCOMING: [&str; 2] = [
    include_str!("../../../../functions/bridge/tests/payloads/incoming-iso-date.form"),
    include_str!("../../../../functions/bridge/tests/payloads/incoming-space-date.form"),
];

const REPORTS: [&str; 2] = [
    include_str!("../../../../functions/bridge/tests/payloads/delivery-report-failed.form"),
    include_str!("../../../../functions/bridge/tests/payloads/delivery-report-success.form"),
];

const OPT_OUTS: [&str; 1] = [include_str!(
    "../../../../functions/bridge/tests/payloads/opt-out.form"
)];

/// The function that serves a callback has the name of its main one.
fn of_function(callback: Callback) -> Callback {
    match callback {
        Callback::OptOut => Callback::IncomingMessage,
        main => main,
    }
}

/// Parts of the payloads that no log, answer or attribute may show.
const PERSONAL: [&str; 5] = [
    "254700000001",
    "254700000002",
    "254700000003",
    "heey",
    "from a phone",
];

#[derive(Default)]
struct RecordingQueue(RefCell<Vec<NewMessage>>);

impl Queue for &RecordingQueue {
    async fn send(&self, messages: Vec<NewMessage>) -> Vec<Result<(), QueueError>> {
        let results = messages.iter().map(|_| Ok(())).collect();
        self.0.borrow_mut().extend(messages);
        results
    }

    async fn change_visibility(&self, _: &[(&Record, i32)]) -> Vec<Result<(), QueueError>> {
        panic!("a callback hides nothing")
    }
}

struct FixedSecret;

impl SecretStore for FixedSecret {
    async fn fetch(&self) -> Result<String, SecretError> {
        Ok(json!({ "key": KEY }).to_string())
    }
}

#[derive(Default)]
struct RecordingRuntime(RefCell<Vec<String>>);

impl Clock for &RecordingRuntime {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000)
    }

    async fn pause(&self, _: Duration) {}
}

impl RandomSource for &RecordingRuntime {
    fn up_to(&self, limit: u64) -> u64 {
        limit / 3
    }
}

impl EventLog for &RecordingRuntime {
    fn record(&self, event: LogEvent) {
        let origin = Origin {
            stack: "hostile".to_owned(),
            function: "hostile",
            invocation: None,
        };
        self.0
            .borrow_mut()
            .push(event.to_line(&origin, Timestamp::from_millis(0)));
    }
}

/// The outcome of a request.
struct ServedCallback {
    status: u16,
    /// As API Gateway gets it.
    response: Value,
    queued: Vec<NewMessage>,
    dead_letters: Vec<NewMessage>,
    log: Vec<String>,
}

fn serve(callback: Callback, event: &[u8]) -> ServedCallback {
    let (queue, dead_letters, runtime) = (
        RecordingQueue::default(),
        RecordingQueue::default(),
        RecordingRuntime::default(),
    );
    let handler = CallbackHandler {
        callback: of_function(callback),
        opt_out_text: Some("STOP".to_owned()),
        queue: &queue,
        dead_letters: DeadLetterQueue {
            queue: &dead_letters,
            is_fifo: callback != Callback::DeliveryReport,
        },
        keys: IncomingKeys::new(FixedSecret),
        runtime: &runtime,
    };
    // As the adapter for Lambda does.
    let response = handler.handle(&request(event)).now_or_never().unwrap();
    let status = response.status().as_u16();
    let response = serde_json::to_value(response_event(response)).unwrap();
    drop(handler);
    ServedCallback {
        status,
        response,
        queued: queue.0.into_inner(),
        dead_letters: dead_letters.0.into_inner(),
        log: runtime.0.into_inner(),
    }
}

fn path(callback: Callback) -> &'static str {
    match callback {
        Callback::IncomingMessage => "/api/v1/sms/africastalking/incoming-messages",
        Callback::DeliveryReport => "/api/v1/sms/africastalking/delivery-reports",
        Callback::OptOut => "/api/v1/sms/africastalking/opt-outs",
    }
}

fn event(callback: Callback, content_type: &str, body: &[u8], as_base64: bool) -> Value {
    let text = std::str::from_utf8(body).ok().filter(|_| !as_base64);
    json!({
        "version": "2.0",
        "routeKey": format!("POST {}", path(callback)),
        "rawPath": path(callback),
        "rawQueryString": format!("key={KEY}"),
        "headers": { "content-type": content_type, "host": "example.org" },
        "requestContext": { "http": { "method": "POST", "path": path(callback) }, "stage": "$default" },
        "body": text.map_or_else(|| STANDARD.encode(body), str::to_owned),
        "isBase64Encoded": text.is_none(),
    })
}

fn payloads(callback: Callback) -> &'static [&'static str] {
    match callback {
        Callback::IncomingMessage => &INCOMING,
        Callback::DeliveryReport => &REPORTS,
        Callback::OptOut => &OPT_OUTS,
    }
}

fn callback() -> impl Strategy<Value = Callback> {
    select(Callback::ALL.to_vec())
}

/// A callback, and a form that is nearly one of it.
fn form() -> impl Strategy<Value = (Callback, Vec<u8>)> {
    callback().prop_flat_map(|callback| {
        let body = select(payloads(callback))
            .prop_flat_map(|payload| bent(payload.trim_end().as_bytes().to_vec()));
        (Just(callback), body)
    })
}

/// A callback, and the same fields as JSON, nearly.
fn json_body() -> impl Strategy<Value = (Callback, Vec<u8>)> {
    callback().prop_flat_map(|callback| {
        let body = select(payloads(callback)).prop_flat_map(|payload| {
            let fields = form_urlencoded::parse(payload.trim_end().as_bytes())
                .map(|(name, value)| (name.into_owned(), Value::from(value.into_owned())))
                .collect();
            bent_json_bytes(Value::Object(fields))
        });
        (Just(callback), body)
    })
}

/// A callback, and an event that is nearly one of it.
fn bent_event() -> impl Strategy<Value = (Callback, Vec<u8>)> {
    (form(), any::<bool>()).prop_flat_map(|((callback, body), as_base64)| {
        let event = event(callback, FORM, &body, as_base64);
        (Just(callback), bent_json_bytes(event))
    })
}

/// Where the length of an error's text has to be.
const SENTENCE: Range<usize> = 1..80;

/// Asserts what must hold for every answer.
fn check(callback: Callback, served: &ServedCallback) -> Result<(), TestCaseError> {
    let ServedCallback {
        status,
        response,
        queued,
        dead_letters,
        log,
    } = served;
    let kept = (queued.len(), dead_letters.len());
    match *status {
        200 => prop_assert_eq!(kept, (1, 0)),
        // Nothing that carried the right key is dropped without being kept.
        400 => prop_assert_eq!(kept, (0, 1)),
        // Only a body of one character again and again is not kept.
        413 => prop_assert!(kept == (0, 1) || kept == (0, 0)),
        403..=405 => prop_assert_eq!(kept, (0, 0)),
        status => prop_assert!(false, "an answer of {}", status),
    }
    let sentence = response["body"].as_str().unwrap();
    prop_assert!(*status == 200 || SENTENCE.contains(&sentence.len()));
    prop_assert_eq!(&response["statusCode"], &json!(status));
    for message in queued {
        prop_assert!(fits_into_a_queue(message));
        prop_assert!(
            message
                .fifo
                .as_ref()
                .is_none_or(|fifo| fifo.group == "medic")
        );
        let comes_back = match callback {
            Callback::IncomingMessage | Callback::OptOut => {
                comes_back::<ExchangeMessage>(&message.body)
            }
            Callback::DeliveryReport => comes_back::<DeliveryReport>(&message.body),
        };
        prop_assert!(comes_back);
    }
    for message in dead_letters {
        prop_assert!(fits_into_a_queue(message));
        prop_assert!(comes_back::<DeadCallback>(&message.body));
    }
    prop_assert_eq!(log.len(), 1);
    Ok(())
}

fn fits_into_a_queue(message: &NewMessage) -> bool {
    let is_printable = message
        .body
        .bytes()
        .all(|byte| (0x20..0x7f).contains(&byte));
    let fifo = message.fifo.as_ref();
    let fifo_fits = fifo.is_none_or(|fifo| {
        [&fifo.deduplication_id, &fifo.group].iter().all(|id| {
            (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
        })
    });
    is_printable && message.body.len() < SQS_LIMIT && fifo_fits
}

fn comes_back<T: serde::de::DeserializeOwned + serde::Serialize>(body: &str) -> bool {
    decode::<T>(body).is_ok_and(|message| encode(&message) == body)
}

/// Asserts that nothing shows a part of the payloads. An id may be shown, so that no change makes an id of
/// a number.
fn shows_nothing(served: &ServedCallback) -> bool {
    let attributes = served.queued.iter().chain(&served.dead_letters);
    let attributes = attributes.filter_map(|message| message.fifo.as_ref());
    let ids = attributes.map(|fifo| &fifo.deduplication_id);
    let response = served.response.to_string();
    let shown = served.log.iter().chain(ids).chain([&response]);
    !shown.into_iter().any(|shown| {
        shown.contains(KEY) || PERSONAL.iter().any(|personal| shown.contains(personal))
    })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_form_is_queued_or_dead_lettered_whatever_is_in_it(
        (callback, body) in form(), as_base64 in any::<bool>(),
    ) {
        let event = event(callback, FORM, &body, as_base64);
        let served = at_once(|| serve(callback, event.to_string().as_bytes()));
        check(callback, &served)?;
        prop_assert!(shows_nothing(&served));
        if body.len() <= MAX_BODY_BYTES {
            prop_assert_eq!(served.queued.len() + served.dead_letters.len(), 1);
        }
        for message in &served.dead_letters {
            let dead_letters: DeadLetter = decode(&message.body).unwrap();
            let kept = body.get(..MAX_BODY_BYTES).unwrap_or(&body);
            prop_assert_eq!(dead_letters.body, String::from_utf8_lossy(kept).into_owned());
        }
    }

    #[test]
    fn json_is_queued_or_dead_lettered_whatever_is_in_it(
        (callback, body) in json_body(), as_base64 in any::<bool>(),
    ) {
        let event = event(callback, JSON, &body, as_base64);
        let served = at_once(|| serve(callback, event.to_string().as_bytes()));
        check(callback, &served)?;
        prop_assert!(shows_nothing(&served));
        prop_assert!(body.len() > MAX_BODY_BYTES || served.queued.len() + served.dead_letters.len() == 1);
    }

    #[test]
    fn a_body_of_any_announced_type_and_encoding_is_queued_or_dead_lettered(
        (_, body) in form(), url in callback(),
        content_type in select(vec![
            FORM, JSON, "", "multipart/form-data", "text/plain; charset=utf-16",
            "application/x-www-form-urlencoded; charset=iso-8859-1", "a/b; charset=\"",
        ]),
        encoding in select(vec!["", "identity", "gzip", "deflate", "br", "gzip,gzip", ",,,", "\u{1}"]),
    ) {
        let mut event = event(url, content_type, &body, true);
        event["headers"]["Content-Encoding"] = json!(encoding);
        let served = at_once(|| serve(url, event.to_string().as_bytes()));
        check(url, &served)?;
        prop_assert!(shows_nothing(&served));
        prop_assert!(body.len() > MAX_BODY_BYTES || served.queued.len() + served.dead_letters.len() == 1);
    }

    #[test]
    fn any_event_gets_an_answer(
        (callback, event) in bent_event(),
    ) {
        let served = at_once(|| serve(callback, &event));
        check(callback, &served)?;
    }

    #[test]
    fn what_comes_in_without_the_key_is_not_even_read(
        (callback, body) in form(), query in text(),
    ) {
        let presented = form_urlencoded::parse(query.as_bytes()).any(|(_, value)| value == KEY);
        prop_assume!(!presented);
        let mut event = event(callback, FORM, &body, false);
        event["rawQueryString"] = Value::String(query);
        let served = serve(callback, event.to_string().as_bytes());
        prop_assert_eq!(served.status, 403);
        check(callback, &served)?;
    }

    #[test]
    fn an_sms_comes_through_unchanged(
        id in "[0-9a-f-]{1,40}", from in "\\+2547000000[0-9]{2}", content in any::<String>(),
        bent_fields in bent_json(json!({ "linkId": "x", "to": "20880", "cost": null })),
    ) {
        let body = form_urlencoded::Serializer::new(String::new())
            .append_pair("linkId", &bent_fields.to_string())
            .append_pair("id", &id)
            .append_pair("text", &content)
            .append_pair("from", &from)
            .finish();
        prop_assume!(body.len() <= MAX_BODY_BYTES);
        let event = event(Callback::IncomingMessage, FORM, body.as_bytes(), false);
        let served = serve(Callback::IncomingMessage, event.to_string().as_bytes());
        check(Callback::IncomingMessage, &served)?;
        let ExchangeMessage::Incoming(sms) = decode(&served.queued[0].body).unwrap() else {
            panic!("an SMS")
        };
        prop_assert_eq!(sms.id.as_str(), id.as_str());
        prop_assert_eq!(sms.from, from);
        // Medic drops a message without any content.
        prop_assert_eq!(sms.content.as_str(), if content.is_empty() { " " } else { content.as_str() });
    }
}

#[test]
fn the_largest_bodies_become_what_sqs_takes() {
    // Control characters and bytes that are not UTF-8 grow most on their way.
    for filling in [
        &b"\x01"[..],
        b"\xff",
        "é".as_bytes(),
        "\u{ffff}".as_bytes(),
        b"\\",
        b"\"",
        b"&",
    ] {
        for begin in ["id=1&from=a&text=", "from=a&text=", ""] {
            let mut body = begin.as_bytes().to_vec();
            body.extend(filling.repeat((MAX_BODY_BYTES - body.len()) / filling.len()));
            let event = event(Callback::IncomingMessage, "", &body, true);
            let served = serve(Callback::IncomingMessage, event.to_string().as_bytes());
            check(Callback::IncomingMessage, &served).unwrap();
            assert_eq!(served.queued.len() + served.dead_letters.len(), 1);
            // Dead-lettered once more, because Medic refuses it.
            for message in &served.queued {
                let dead_letters = DeadLetter {
                    reason: "x".repeat(600),
                    retryable: true,
                    dead_lettered_at: Timestamp::MAX,
                    body: message.body.clone(),
                };
                assert!(encode(&dead_letters).len() < SQS_LIMIT);
            }
        }
    }
}

#[test]
fn as_much_as_lambda_hands_over_is_answered_at_once() {
    let body = vec![b'&'; 6 * 1024 * 1024];
    let mut event = event(Callback::DeliveryReport, "application/json", &body, false);
    let served = at_once(|| serve(Callback::DeliveryReport, event.to_string().as_bytes()));
    assert_eq!(served.status, 413);
    event["rawQueryString"] = Value::String("&k=%20".repeat(1024 * 1024));
    let served = at_once(|| serve(Callback::DeliveryReport, event.to_string().as_bytes()));
    assert_eq!(served.status, 403);
}

#[test]
fn what_is_tried_is_a_mixture_of_good_and_bad() {
    let is_taken = |callback, event: &[u8]| serve(callback, event).status == 200;
    is_a_mixture("forms", form(), |(callback, body)| {
        is_taken(
            callback,
            event(callback, FORM, &body, true).to_string().as_bytes(),
        )
    });
    is_a_mixture("JSON", json_body(), |(callback, body)| {
        is_taken(
            callback,
            event(callback, JSON, &body, true).to_string().as_bytes(),
        )
    });
    is_a_mixture("events", bent_event(), |(callback, event)| {
        is_taken(callback, &event)
    });
}
