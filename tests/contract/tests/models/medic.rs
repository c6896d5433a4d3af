//! Medic's gateway API, as it was observed on CHT 5.2.0.

use std::cell::{Cell, RefCell};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use models::faults::Scope;
use models::http::ServerRequest;
use models::medic::{
    AutoReply, LONGEST_BODY, MedicFault, MedicModel, MessageState, NewReply, OutgoingMessage,
    PostProgress, PostStep, Reaction,
};
use sandbox::medic::{MedicConfig, MedicStandIn};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{Got, call, in_process_and_over_http};

const PHONE: &str = "+254700000001";
const SERVER_ERROR: &str = r#"{"code":500,"error":"Server error"}"#;

in_process_and_over_http! { MedicBench:
    a_get_checks_address_and_credentials
    wrong_credentials_are_a_401_or_a_redirect_to_the_login_page
    ten_failed_logins_in_ten_seconds_lock_the_user_name_also_for_the_right_password
    without_the_permission_it_is_a_403
    the_content_type_is_exactly_json
    null_messages_and_malformed_json_are_a_500_and_null_updates_a_200
    a_lone_surrogate_is_a_500_every_time
    more_than_32_mib_are_a_413
    while_medic_starts_a_page_with_200_hides_that_nothing_is_stored
    a_failing_message_leaves_the_others_stored_and_nothing_else_done
    a_failing_update_leaves_the_messages_stored_and_nothing_offered
    a_message_without_id_sender_or_content_is_dropped_with_200
    an_id_is_stored_once_in_two_posts_and_twice_in_one
    an_id_in_two_posts_at_once_is_stored_twice
    medic_goes_on_when_the_caller_has_hung_up
    incoming_ids_share_their_space_with_references_of_outgoing_messages
    a_message_is_dated_when_medic_processes_it
    numbers_and_objects_are_taken_for_texts
    an_automatic_reply_is_in_the_response_to_the_very_post
    content_arrives_unchanged
    twenty_five_are_offered_oldest_first_and_again_until_an_update_comes
    unsent_acknowledges_and_brings_the_next_twenty_five
    offering_marks_a_message_over_what_was_reported_meanwhile
    two_pollers_get_the_same
    recipients_that_medic_could_not_normalise_are_offered_raw
    outgoing_is_empty_unless_the_service_is_exactly_medic_gateway
    two_messages_of_a_task_share_one_state
    an_update_of_a_deleted_message_is_answered_200_and_lost
    the_sixth_equal_message_to_a_number_is_never_offered
    each_status_has_its_state
    the_last_update_wins_whatever_it_is
    an_update_for_an_unknown_id_is_answered_200_and_lost
    a_repeated_update_with_a_reason_is_written_again_and_one_without_is_not
    a_sick_database_is_a_hang
    what_a_proxy_answers_says_nothing_of_the_work
    the_monitoring_counts_what_was_ever_due_and_what_waits_among_the_last_hundred
    a_full_disk_fails_what_must_be_written_and_nothing_else
}

/// Medic, called in one of two ways.
enum MedicBench {
    InProcess(Box<RefCell<MedicModel>>, Cell<i64>),
    OverHttp(MedicStandIn),
}

/// A POST that waits in the middle of its work.
enum Paused {
    InProcess(usize),
    OverHttp(JoinHandle<Option<Got>>),
}

impl MedicBench {
    fn in_process() -> Self {
        let config = MedicConfig::default();
        let medic = MedicModel::new(&config.user, &config.password);
        Self::InProcess(Box::new(RefCell::new(medic)), Cell::new(1_700_000_000_000))
    }

    async fn over_http() -> Self {
        Self::OverHttp(MedicStandIn::start(MedicConfig::default()).await.unwrap())
    }

    /// Changes the model, or looks at it.
    fn with<R>(&self, change: impl FnOnce(&mut MedicModel) -> R) -> R {
        match self {
            Self::InProcess(medic, _) => change(&mut medic.borrow_mut()),
            Self::OverHttp(stand_in) => stand_in.with_model(change),
        }
    }

    /// What a request gets; nothing if it gets no response.
    async fn try_call(&self, request: ServerRequest) -> Option<Got> {
        match self {
            Self::OverHttp(stand_in) => call(&stand_in.url(), request).await,
            Self::InProcess(medic, now_ms) => {
                now_ms.set(now_ms.get() + 1);
                let received = medic.borrow_mut().receive(&request, now_ms.get());
                let got = match received.reaction {
                    Reaction::Done(outcome) => Got::of(outcome),
                    Reaction::Works => self.work(received.post.unwrap()),
                };
                if let Some(post) = received.post {
                    medic.borrow_mut().end(post);
                }
                got
            }
        }
    }

    /// Works a POST off, in process.
    fn work(&self, post: usize) -> Option<Got> {
        let Self::InProcess(medic, now_ms) = self else {
            panic!("not in process")
        };
        loop {
            match medic.borrow_mut().step(post, now_ms.get()) {
                PostProgress::Done { .. } => {}
                PostProgress::Ended(outcome) => return Got::of(outcome),
                other => panic!("{other:?}"),
            }
        }
    }

    async fn call(&self, request: ServerRequest) -> Got {
        self.try_call(request).await.unwrap()
    }

    async fn post(&self, messages: &[Value], updates: &[Value]) -> Got {
        self.call(post(messages, updates)).await
    }

    /// The ids that a POST is offered.
    async fn offered(&self, messages: &[Value], updates: &[Value]) -> Vec<String> {
        let got = self.post(messages, updates).await;
        assert_eq!(got.status, 200, "{}", got.body);
        let body = got.json();
        let messages = body["messages"].as_array().unwrap();
        let id = |message: &Value| message["id"].as_str().unwrap().to_owned();
        messages.iter().map(id).collect()
    }

    /// Begins a POST that waits after its check for duplicates, or after reading what it offers.
    async fn pause(&self, fault: MedicFault, request: ServerRequest) -> Paused {
        match self {
            Self::OverHttp(stand_in) => {
                let paused = stand_in.paused();
                stand_in.fault(fault, Scope::Next(1)).await;
                let url = stand_in.url();
                let call = tokio::spawn(async move { call(&url, request).await });
                stand_in.until(|stand_in| stand_in.paused() > paused).await;
                Paused::OverHttp(call)
            }
            Self::InProcess(medic, now_ms) => {
                let last = match fault {
                    MedicFault::PauseBeforeWriting => PostStep::Check,
                    _ => PostStep::Read,
                };
                let post = medic.borrow_mut().receive(&request, now_ms.get()).post;
                let post = post.unwrap();
                loop {
                    match medic.borrow_mut().step(post, now_ms.get()) {
                        PostProgress::Done { step, .. } if step == last => break,
                        PostProgress::Done { .. } => {}
                        other => panic!("{other:?}"),
                    }
                }
                Paused::InProcess(post)
            }
        }
    }

    /// Lets POSTs that are held come to their end, one after another.
    async fn release(&self, held: Vec<Paused>) {
        if let Self::OverHttp(stand_in) = self {
            stand_in.release_paused();
        }
        for held in held {
            let got = match held {
                Paused::InProcess(post) => self.work(post),
                Paused::OverHttp(call) => call.await.unwrap(),
            };
            assert_eq!(got.unwrap().status, 200);
        }
    }

    fn set(&self, fault: MedicFault, scope: Scope) {
        self.with(|medic| medic.faults.set(fault, scope));
    }

    fn wants(&self, id: &str, to: &str, content: &str) {
        self.with(|medic| medic.send(OutgoingMessage::new(id, to, content, 0)));
    }

    /// Has so many messages sent.
    fn want(&self, count: usize) -> Vec<String> {
        let ids: Vec<String> = (0..count).map(|n| format!("out-{n:03}")).collect();
        for id in &ids {
            self.wants(id, PHONE, id);
        }
        ids
    }

    fn state(&self, id: &str) -> MessageState {
        self.with(|medic| medic.outgoing(id).unwrap().state)
    }

    fn stored(&self) -> Vec<String> {
        self.with(|medic| medic.stored.iter().map(|one| one.id.clone()).collect())
    }
}

fn login(request: ServerRequest, user: &str, password: &str) -> ServerRequest {
    let login = STANDARD.encode(format!("{user}:{password}"));
    request.with_header("Authorization", &format!("Basic {login}"))
}

/// A call with the right credentials, as a gateway makes it.
fn get(path: &str) -> ServerRequest {
    let config = MedicConfig::default();
    let request = ServerRequest::new("GET", path).with_header("Accept", "application/json");
    login(request, &config.user, &config.password)
}

fn raw(body: impl Into<Vec<u8>>) -> ServerRequest {
    let request = ServerRequest {
        method: "POST".to_owned(),
        ..get("/api/sms")
    };
    request
        .with_header("Content-Type", "application/json")
        .with_body(body)
}

fn post(messages: &[Value], updates: &[Value]) -> ServerRequest {
    raw(json!({ "messages": messages, "updates": updates }).to_string())
}

fn message(id: &str, content: &str) -> Value {
    json!({"id": id, "from": PHONE, "content": content, "sms_sent": 1, "sms_received": 2})
}

fn update(id: &str, status: &str) -> Value {
    json!({"id": id, "status": status})
}

/// What the caller of a bench may leave out: the header of this name.
fn without(mut request: ServerRequest, name: &str) -> ServerRequest {
    request.headers.retain(|(other, _)| other != name);
    request
}

async fn a_get_checks_address_and_credentials(bench: MedicBench) {
    let got = bench.call(get("/api/sms")).await;
    assert_eq!(
        (got.status, got.body.as_str()),
        (200, r#"{"medic-gateway":true}"#)
    );
}

async fn wrong_credentials_are_a_401_or_a_redirect_to_the_login_page(bench: MedicBench) {
    let wrong = || {
        login(
            without(get("/api/sms"), "Authorization"),
            "gateway",
            "wrong",
        )
    };
    let got = bench.call(wrong()).await;
    assert_eq!(
        (got.status, got.body.as_str()),
        (401, r#"{"code":401,"error":"unauthorized"}"#)
    );
    assert_eq!(bench.call(without(wrong(), "Accept")).await.status, 302);
}

async fn ten_failed_logins_in_ten_seconds_lock_the_user_name_also_for_the_right_password(
    bench: MedicBench,
) {
    for _ in 0..10 {
        let wrong = login(without(post(&[], &[]), "Authorization"), "gateway", "wrong");
        assert_eq!(bench.call(wrong).await.status, 401);
    }
    assert_eq!(bench.post(&[], &[]).await.status, 429);
    bench.with(|medic| medic.logins.pass_time(10_000));
    assert_eq!(bench.post(&[], &[]).await.status, 200);
}

async fn without_the_permission_it_is_a_403(bench: MedicBench) {
    bench.with(|medic| medic.logins.permitted = false);
    assert_eq!(bench.post(&[message("a", "x")], &[]).await.status, 403);
    assert!(bench.stored().is_empty());
}

async fn the_content_type_is_exactly_json(bench: MedicBench) {
    for content_type in ["application/json; charset=utf-8", "text/plain"] {
        let request = without(post(&[message("a", "x")], &[]), "Content-Type");
        let request = request.with_header("Content-Type", content_type);
        assert_eq!(bench.call(request).await.status, 400, "{content_type}");
    }
    let request = without(post(&[message("a", "x")], &[]), "Content-Type");
    assert_eq!(bench.call(request).await.status, 400);
    assert!(bench.stored().is_empty());
}

async fn null_messages_and_malformed_json_are_a_500_and_null_updates_a_200(bench: MedicBench) {
    for body in [r#"{"messages":null,"updates":[]}"#, "{"] {
        let got = bench.call(raw(body)).await;
        assert_eq!((got.status, got.body.as_str()), (500, SERVER_ERROR));
    }
    let null_updates = json!({"messages": [message("a", "x")], "updates": null});
    let got = bench.call(raw(null_updates.to_string())).await;
    assert_eq!(got.status, 200);
    assert_eq!(bench.stored(), ["a"]);
}

async fn a_lone_surrogate_is_a_500_every_time(bench: MedicBench) {
    let body = r#"{"messages":[{"id":"a","from":"b","content":"x \ud83d"}],"updates":[]}"#;
    for _ in 0..3 {
        assert_eq!(bench.call(raw(body)).await.status, 500);
    }
    assert!(bench.stored().is_empty());
}

async fn more_than_32_mib_are_a_413(bench: MedicBench) {
    let large = "x".repeat(LONGEST_BODY);
    assert_eq!(bench.post(&[message("a", &large)], &[]).await.status, 413);
    assert!(bench.stored().is_empty());
}

async fn while_medic_starts_a_page_with_200_hides_that_nothing_is_stored(bench: MedicBench) {
    bench.set(MedicFault::Starting, Scope::UntilCleared);
    let request = post(&[message("a", "x")], &[]);
    assert_eq!(bench.call(request.clone()).await.status, 503);
    let got = bench.call(without(request, "Accept")).await;
    assert_eq!(got.status, 200);
    assert!(got.body.starts_with("<html>"), "{}", got.body);
    assert!(bench.stored().is_empty());
}

async fn a_failing_message_leaves_the_others_stored_and_nothing_else_done(bench: MedicBench) {
    let out = bench.want(1);
    let poison = Scope::Matching("poison".to_owned());
    bench.set(MedicFault::PoisonMessage, poison);
    let mut messages: Vec<Value> = (0..9).map(|n| message(&n.to_string(), "x")).collect();
    messages.insert(4, message("bad", "poison"));
    let got = bench.post(&messages, &[update(&out[0], "SENT")]).await;
    assert_eq!((got.status, got.body.as_str()), (500, SERVER_ERROR));
    assert_eq!(bench.stored().len(), 9);
    assert_eq!(bench.state(&out[0]), MessageState::Pending);
}

async fn a_failing_update_leaves_the_messages_stored_and_nothing_offered(bench: MedicBench) {
    let out = bench.want(3);
    bench.set(MedicFault::PoisonUpdate, Scope::Matching(out[0].clone()));
    let updates = [update(&out[0], "SENT"), update(&out[1], "SENT")];
    let got = bench.post(&[message("a", "x")], &updates).await;
    assert_eq!((got.status, got.body.as_str()), (500, SERVER_ERROR));
    assert_eq!(bench.stored(), ["a"]);
    let states = [0, 1, 2].map(|n: usize| bench.state(&out[n]));
    // The others of a bulk write are written.
    assert_eq!(
        states,
        [
            MessageState::Pending,
            MessageState::Sent,
            MessageState::Pending
        ]
    );
}

async fn a_message_without_id_sender_or_content_is_dropped_with_200(bench: MedicBench) {
    let messages = [
        message("", "x"),
        message("a", ""),
        json!({"id": "b", "from": "", "content": "x"}),
        json!({"id": "c", "content": "x"}),
        message("space", " "),
    ];
    assert_eq!(bench.post(&messages, &[]).await.status, 200);
    assert_eq!(bench.stored(), ["space"]);
}

async fn an_id_is_stored_once_in_two_posts_and_twice_in_one(bench: MedicBench) {
    for _ in 0..2 {
        assert_eq!(bench.post(&[message("a", "x")], &[]).await.status, 200);
    }
    assert_eq!(bench.stored(), ["a"]);
    let twice = [message("b", "x"), message("b", "x")];
    assert_eq!(bench.post(&twice, &[]).await.status, 200);
    assert_eq!(bench.stored(), ["a", "b", "b"]);
}

async fn an_id_in_two_posts_at_once_is_stored_twice(bench: MedicBench) {
    let request = || post(&[message("a", "x")], &[]);
    let first = bench.pause(MedicFault::PauseBeforeWriting, request()).await;
    let second = bench.pause(MedicFault::PauseBeforeWriting, request()).await;
    bench.release(vec![first, second]).await;
    assert_eq!(bench.stored(), ["a", "a"]);
}

async fn medic_goes_on_when_the_caller_has_hung_up(bench: MedicBench) {
    let messages: Vec<Value> = (0..5).map(|n| message(&n.to_string(), "x")).collect();
    let held = bench
        .pause(MedicFault::PauseBeforeWriting, post(&messages, &[]))
        .await;
    match (&bench, held) {
        (MedicBench::OverHttp(stand_in), Paused::OverHttp(call)) => {
            call.abort();
            stand_in.release_paused();
            stand_in.until(|stand_in| stand_in.in_flight() == 0).await;
        }
        (_, Paused::InProcess(post)) => drop(bench.work(post)),
        _ => panic!("one or the other"),
    }
    assert_eq!(bench.stored().len(), 5);
}

async fn incoming_ids_share_their_space_with_references_of_outgoing_messages(bench: MedicBench) {
    let out = OutgoingMessage {
        reference: Some("ATXid_1".to_owned()),
        ..OutgoingMessage::new("out", PHONE, "x", 0)
    };
    bench.with(|medic| medic.send(out));
    let messages = [message("ATXid_1", "x"), message("ATXid_2", "x")];
    assert_eq!(bench.post(&messages, &[]).await.status, 200);
    assert_eq!(bench.stored(), ["ATXid_2"]);
}

async fn a_message_is_dated_when_medic_processes_it(bench: MedicBench) {
    bench.post(&[message("a", "x")], &[]).await;
    let (stored_ms, posted_ms) = bench.with(|medic| (medic.stored[0].at_ms, medic.posts[0].at_ms));
    assert!(stored_ms >= posted_ms && posted_ms > 1_000_000_000_000);
}

async fn numbers_and_objects_are_taken_for_texts(bench: MedicBench) {
    let messages = [
        json!({"id": 7, "from": PHONE, "content": 8}),
        json!({"id": "object", "from": PHONE, "content": {"a": 1}}),
    ];
    assert_eq!(bench.post(&messages, &[]).await.status, 200);
    assert_eq!(bench.stored(), ["7", "object"]);
    assert_eq!(bench.post(&messages, &[]).await.status, 200);
    assert_eq!(bench.stored().len(), 2);
}

async fn an_automatic_reply_is_in_the_response_to_the_very_post(bench: MedicBench) {
    let reply = AutoReply::with(|stored, _| {
        let id = format!("reply-to-{}", stored.id);
        let content = "Thank you".to_owned();
        Some(NewReply { id, content })
    });
    bench.with(|medic| medic.reply = reply);
    let from_a_number = json!({"id": "b", "from": 20880, "content": "x"});
    let got = bench.post(&[message("a", "x"), from_a_number], &[]).await;
    assert_eq!(
        got.json()["messages"],
        json!([
            {"id": "reply-to-a", "to": PHONE, "content": "Thank you"},
            {"id": "reply-to-b", "to": 20880, "content": "Thank you"},
        ])
    );
}

async fn content_arrives_unchanged(bench: MedicBench) {
    let text = " P#1#é 1 + 1 = 2 & 😀\r\n\0\u{1}\u{fffe}\u{fffd} ";
    bench.post(&[message("a", text)], &[]).await;
    bench
        .call(raw(
            b"{\"messages\":[{\"id\":\"b\",\"from\":\"x\",\"content\":\"\xff\"}]}".to_vec(),
        ))
        .await;
    let contents: Vec<String> =
        bench.with(|medic| medic.stored.iter().map(|one| one.content.clone()).collect());
    assert_eq!(contents, [text, "\u{fffd}"]);
    assert_eq!(bench.with(|medic| medic.stored[0].from.clone()), PHONE);
}

async fn twenty_five_are_offered_oldest_first_and_again_until_an_update_comes(bench: MedicBench) {
    let out = bench.want(30);
    for _ in 0..3 {
        assert_eq!(bench.offered(&[], &[]).await, out[..25]);
    }
    assert_eq!(bench.state(&out[24]), MessageState::ForwardedToGateway);
    assert_eq!(bench.state(&out[25]), MessageState::Pending);
    let offered = bench.offered(&[], &[update(&out[3], "UNSENT")]).await;
    assert_eq!(offered[..3], out[..3]);
    assert_eq!(offered[3..], out[4..26]);
}

async fn unsent_acknowledges_and_brings_the_next_twenty_five(bench: MedicBench) {
    bench.want(500);
    let (mut posts, mut drained) = (0, 0);
    let mut updates: Vec<Value> = Vec::new();
    loop {
        let offered = bench.offered(&[], &updates).await;
        posts += 1;
        drained += offered.len();
        if offered.is_empty() {
            break;
        }
        updates = offered.iter().map(|id| update(id, "UNSENT")).collect();
    }
    assert_eq!((posts, drained), (21, 500));
}

async fn offering_marks_a_message_over_what_was_reported_meanwhile(bench: MedicBench) {
    let out = bench.want(25);
    bench.offered(&[], &[]).await;
    let held = bench
        .pause(
            MedicFault::PauseBeforeMarking,
            post(&[message("a", "x")], &[]),
        )
        .await;
    let updates: Vec<Value> = out.iter().map(|id| update(id, "SENT")).collect();
    assert!(bench.offered(&[], &updates).await.is_empty());
    assert_eq!(bench.state(&out[0]), MessageState::Sent);
    bench.release(vec![held]).await;
    assert_eq!(bench.state(&out[0]), MessageState::ForwardedToGateway);
    assert_eq!(bench.offered(&[], &[]).await, out);
}

async fn two_pollers_get_the_same(bench: MedicBench) {
    bench.want(25);
    let first = bench
        .pause(MedicFault::PauseBeforeMarking, post(&[], &[]))
        .await;
    let second = bench
        .pause(MedicFault::PauseBeforeMarking, post(&[], &[]))
        .await;
    bench.release(vec![first, second]).await;
    let offered = bench.with(|medic| [0, 1].map(|n: usize| medic.posts[n].offered.clone()));
    assert_eq!(offered[0].len(), 25);
    assert_eq!(offered[0], offered[1]);
}

async fn recipients_that_medic_could_not_normalise_are_offered_raw(bench: MedicBench) {
    let raw = [
        "Safaricom",
        "20880",
        "0711000001",
        "00254700000001",
        "+1234",
    ];
    for to in raw {
        bench.wants(to, to, "x");
    }
    let body = bench.post(&[], &[]).await.json();
    let offered = body["messages"].as_array().unwrap();
    let to: Vec<&str> = offered
        .iter()
        .map(|one| one["to"].as_str().unwrap())
        .collect();
    assert_eq!(to, raw);
}

async fn outgoing_is_empty_unless_the_service_is_exactly_medic_gateway(bench: MedicBench) {
    bench.want(1);
    let services = [
        (Some("medic-gateway"), 1),
        (Some("Medic-Gateway"), 0),
        (Some("africas-talking"), 0),
        // `sms: {}`.
        (Some(""), 0),
        // No `sms` object at all.
        (None, 1),
    ];
    for (service, count) in services {
        bench.with(|medic| medic.outgoing_service = service.map(str::to_owned));
        assert_eq!(bench.offered(&[], &[]).await.len(), count, "{service:?}");
    }
}

async fn two_messages_of_a_task_share_one_state(bench: MedicBench) {
    bench.wants("a", PHONE, "x");
    bench.with(|medic| medic.send_with("a", OutgoingMessage::new("b", PHONE, "y", 0)));
    assert_eq!(bench.offered(&[], &[]).await, ["a", "b"]);
    assert!(bench.offered(&[], &[update("b", "SENT")]).await.is_empty());
    assert_eq!(bench.state("a"), MessageState::Sent);
}

async fn an_update_of_a_deleted_message_is_answered_200_and_lost(bench: MedicBench) {
    bench.wants("a", PHONE, "x");
    assert_eq!(bench.offered(&[], &[]).await, ["a"]);
    bench.with(|medic| medic.delete("a"));
    assert!(bench.offered(&[], &[update("a", "SENT")]).await.is_empty());
    assert!(bench.with(|medic| medic.outgoing("a").is_none()));
}

async fn the_sixth_equal_message_to_a_number_is_never_offered(bench: MedicBench) {
    bench.with(|medic| medic.equal_messages_at_most = Some(5));
    for n in 0..6 {
        bench.wants(&n.to_string(), PHONE, "the same");
    }
    bench.wants("other", PHONE, "another");
    let offered = bench.offered(&[], &[]).await;
    assert_eq!(offered, ["0", "1", "2", "3", "4", "other"]);
    assert_eq!(bench.state("5"), MessageState::Duplicate);
}

async fn each_status_has_its_state(bench: MedicBench) {
    let states = [
        ("UNSENT", MessageState::ReceivedByGateway),
        ("PENDING", MessageState::ForwardedByGateway),
        ("SENT", MessageState::Sent),
        ("DELIVERED", MessageState::Delivered),
        ("FAILED", MessageState::Failed),
        ("Delivered", MessageState::Unrecognised),
        ("Teleported", MessageState::Unrecognised),
    ];
    for (status, state) in states {
        bench.wants(status, PHONE, status);
        assert!(
            bench
                .offered(&[], &[update(status, status)])
                .await
                .is_empty()
        );
        assert_eq!(bench.state(status), state);
    }
}

async fn the_last_update_wins_whatever_it_is(bench: MedicBench) {
    let out = bench.want(1);
    bench.post(&[], &[update(&out[0], "DELIVERED")]).await;
    bench.post(&[], &[update(&out[0], "SENT")]).await;
    assert_eq!(bench.state(&out[0]), MessageState::Sent);
    let both = [update(&out[0], "SENT"), update(&out[0], "DELIVERED")];
    bench.post(&[], &both).await;
    assert_eq!(bench.state(&out[0]), MessageState::Delivered);
}

async fn an_update_for_an_unknown_id_is_answered_200_and_lost(bench: MedicBench) {
    assert!(bench.offered(&[], &[update("x", "SENT")]).await.is_empty());
}

async fn a_repeated_update_with_a_reason_is_written_again_and_one_without_is_not(
    bench: MedicBench,
) {
    let out = bench.want(2);
    let failed = json!({"id": out[0], "status": "FAILED", "reason": "expired"});
    for _ in 0..2 {
        bench
            .post(&[], &[failed.clone(), update(&out[1], "SENT")])
            .await;
    }
    let rows = bench.with(|medic| [0, 1].map(|n: usize| medic.outgoing[n].history.len()));
    assert_eq!(rows, [3, 2]);
}

async fn a_sick_database_is_a_hang(bench: MedicBench) {
    let MedicBench::InProcess(medic, now_ms) = &bench else {
        // Over HTTP a caller cannot tell it from this, and its own time-out is all that ends it.
        bench.set(MedicFault::Hang, Scope::Next(1));
        let hung = bench.try_call(post(&[], &[]));
        let is_in_flight = |stand_in: &MedicStandIn| stand_in.in_flight() == 1;
        let MedicBench::OverHttp(stand_in) = &bench else {
            panic!("one or the other")
        };
        tokio::select! {
            got = hung => panic!("{got:?}"),
            () = stand_in.until(is_in_flight) => {}
        }
        return;
    };
    let until_ms = now_ms.get() + 60_000;
    let mut medic = medic.borrow_mut();
    medic.hangs_until_ms = until_ms;
    let hung = medic.receive(&post(&[message("a", "x")], &[]), now_ms.get());
    let hung = hung.post.unwrap();
    assert_eq!(
        medic.step(hung, now_ms.get()),
        PostProgress::Hangs { until_ms }
    );
    // What comes after the hang is answered after what hung before it.
    let empty = medic.receive(&post(&[], &[]), until_ms).post.unwrap();
    let done = |progress: &PostProgress| matches!(progress, PostProgress::Done { .. });
    assert!(done(&medic.step(empty, until_ms)) && done(&medic.step(empty, until_ms)));
    assert_eq!(medic.step(empty, until_ms), PostProgress::Behind);
    while done(&medic.step(hung, until_ms)) {}
    assert_eq!(medic.stored.len(), 1);
    assert!(done(&medic.step(empty, until_ms)));
}

async fn what_a_proxy_answers_says_nothing_of_the_work(bench: MedicBench) {
    let faults = [
        (MedicFault::Proxy502, 502, 0),
        (MedicFault::Proxy504Html, 504, 0),
        (MedicFault::CommittedProxy502Html, 502, 1),
        (MedicFault::CommittedProxy504, 504, 2),
    ];
    for (n, (fault, status, stored)) in faults.into_iter().enumerate() {
        bench.set(fault, Scope::Next(1));
        let got = bench.post(&[message(&n.to_string(), "x")], &[]).await;
        assert_eq!(got.status, status);
        assert!(!got.body.contains("messages"));
        assert_eq!(bench.stored().len(), stored);
    }
}

async fn the_monitoring_counts_what_was_ever_due_and_what_waits_among_the_last_hundred(
    bench: MedicBench,
) {
    let out = bench.want(30);
    let updates = [update(&out[0], "UNSENT"), update(&out[1], "DELIVERED")];
    bench.offered(&[], &updates).await;
    let request = without(get("/api/v2/monitoring"), "Authorization");
    let body = bench.call(request).await.json();
    let outgoing = &body["messaging"]["outgoing"];
    assert_eq!(outgoing["total"]["due"], 30);
    assert_eq!(
        outgoing["last_hundred"]["pending"],
        json!({
            "pending": 3, "forwarded-to-gateway": 25,
            "received-by-gateway": 1, "forwarded-by-gateway": 0,
        })
    );
}

async fn a_full_disk_fails_what_must_be_written_and_nothing_else(bench: MedicBench) {
    let out = bench.want(2);
    bench
        .offered(&[message("known", "x")], &[update(&out[0], "SENT")])
        .await;
    bench.with(|medic| medic.disk_full = true);
    let known = [message("known", "x")];
    let reported = [update(&out[0], "SENT"), update("unknown", "SENT")];
    assert_eq!(bench.offered(&known, &reported).await, [out[1].as_str()]);
    let with_reason = json!({"id": out[0], "status": "SENT", "reason": "again"});
    for (messages, updates) in [
        (vec![message("new", "x")], vec![]),
        (vec![], vec![update(&out[1], "SENT")]),
        (vec![], vec![with_reason]),
    ] {
        assert_eq!(bench.post(&messages, &updates).await.status, 500);
    }
    assert_eq!(bench.stored(), ["known"]);
    bench.with(|medic| medic.disk_full = false);
    assert_eq!(bench.post(&[message("new", "x")], &[]).await.status, 200);
}
