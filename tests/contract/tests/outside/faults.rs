//! What becomes of a call when the server fails.

use std::pin::pin;
use std::time::Duration;

use bridge::ports::Response;
use futures_util::FutureExt as _;
use sandbox::africastalking::{AfricasTalkingConfig, AfricasTalkingFault, AfricasTalkingStandIn};
use sandbox::faults::Scope;
use sandbox::medic::{MedicConfig, MedicFault, MedicStandIn};

use crate::clients::{API_KEY, CountingSecret, OutsideServer, Side, answer, call, credentials};
use crate::for_both;
use crate::raw::{RawResponse, RawServer};

/// What of an answer is read; far above what a good one has.
const LONGEST_ANSWER: usize = 8 * 1024 * 1024;

/// What the kernel may keep on its way between two processes.
const ON_THE_WAY: usize = 24 * 1024 * 1024;

for_both! {
    a_connection_that_is_refused_was_surely_not_seen
    a_connection_that_is_closed_without_an_answer_leaves_doubt
    a_server_that_hangs_leaves_doubt_when_the_time_is_over_and_not_before
    an_answer_that_never_ends_leaves_doubt_when_the_time_is_over
    half_an_answer_is_none
    an_answer_that_is_no_http_is_none
    a_huge_answer_is_given_up_and_not_kept
    the_longest_answer_that_is_read_comes_whole
    a_redirect_is_an_answer_and_is_not_followed
    no_connection_outlives_its_invocation
}

/// A stand-in with one of these faults.
enum StandIn {
    Medic(MedicStandIn),
    AfricasTalking(AfricasTalkingStandIn),
}

impl StandIn {
    async fn with(side: Side, fault: (MedicFault, AfricasTalkingFault)) -> Self {
        match side {
            Side::Medic => {
                let stand_in = MedicStandIn::start(MedicConfig::default()).await.unwrap();
                stand_in.fault(fault.0, Scope::UntilCleared).await;
                Self::Medic(stand_in)
            }
            Side::AfricasTalking => {
                let config = AfricasTalkingConfig {
                    api_key: API_KEY.to_owned(),
                    ..AfricasTalkingConfig::default()
                };
                let stand_in = AfricasTalkingStandIn::start(config).await.unwrap();
                stand_in.fault(fault.1, Scope::UntilCleared).await;
                Self::AfricasTalking(stand_in)
            }
        }
    }

    fn url(&self) -> String {
        match self {
            Self::Medic(stand_in) => stand_in.url(),
            Self::AfricasTalking(stand_in) => stand_in.url(),
        }
    }
}

async fn a_connection_that_is_refused_was_surely_not_seen(side: Side) {
    let faults = (MedicFault::Down, AfricasTalkingFault::Down);
    let stand_in = StandIn::with(side, faults).await;
    assert!(call(side, &stand_in.url()).await == Response::NotConnected);
}

async fn a_connection_that_is_closed_without_an_answer_leaves_doubt(side: Side) {
    let faults = (MedicFault::Close, AfricasTalkingFault::Close);
    let stand_in = StandIn::with(side, faults).await;
    assert!(call(side, &stand_in.url()).await == Response::NoAnswer);
    let server = RawServer::always(RawResponse::AnswerAndClose(String::new()));
    assert!(call(side, &server.url).await == Response::NoAnswer);
    // One call is one request, whatever becomes of it.
    assert_eq!(server.requests().len(), 1);
}

/// Calls, and turns the clock once the request was read and this much of the answer written.
async fn times_out(side: Side, begin_of_answer: &str) {
    let server = RawServer::always(RawResponse::AnswerAndHang(begin_of_answer.to_owned()));
    let mut call = pin!(call(side, &server.url));
    tokio::select! {
        biased;
        () = server.until_requests(1) => {}
        _ = &mut call => panic!("an answer"),
    }
    assert!((&mut call).now_or_never().is_none());
    tokio::time::pause();
    tokio::time::advance(side.time_limit() - Duration::from_secs(2)).await;
    assert!((&mut call).now_or_never().is_none(), "it gave up too early");
    tokio::time::advance(Duration::from_secs(2)).await;
    tokio::time::resume();
    assert!(call.await == Response::NoAnswer);
    assert_eq!(server.requests().len(), 1);
}

async fn a_server_that_hangs_leaves_doubt_when_the_time_is_over_and_not_before(side: Side) {
    times_out(side, "").await;
}

async fn an_answer_that_never_ends_leaves_doubt_when_the_time_is_over(side: Side) {
    times_out(
        side,
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"messages\":[",
    )
    .await;
}

async fn half_an_answer_is_none(side: Side) {
    for half in [
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"messages\":[]}",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nf\r\n{\"messages\":[]}\r\n",
        "HTTP/1.1 200 OK\r\ncontent-le",
    ] {
        let server = RawServer::always(RawResponse::AnswerAndClose(half.to_owned()));
        assert!(
            call(side, &server.url).await == Response::NoAnswer,
            "{half}"
        );
    }
}

async fn an_answer_that_is_no_http_is_none(side: Side) {
    for answer in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "\0\0\0\0\r\n\r\n",
        "HTTP/1.1 99999 x\r\n\r\n",
    ] {
        let server = RawServer::always(RawResponse::AnswerAndClose(answer.to_owned()));
        assert!(
            call(side, &server.url).await == Response::NoAnswer,
            "{answer}"
        );
    }
}

async fn a_huge_answer_is_given_up_and_not_kept(side: Side) {
    for head in [
        "HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n",
        // Without a length it lasts until the connection ends.
        "HTTP/1.1 200 OK\r\n\r\n",
    ] {
        let server = RawServer::always(RawResponse::AnswerForEver(head.to_owned()));
        assert!(call(side, &server.url).await == Response::NoAnswer);
        server.until_ended(0).await;
        assert!(
            server.written() < LONGEST_ANSWER + ON_THE_WAY,
            "{}",
            server.written()
        );
    }
}

async fn the_longest_answer_that_is_read_comes_whole(side: Side) {
    let body = "x".repeat(LONGEST_ANSWER);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {LONGEST_ANSWER}\r\n\r\n");
    let server = RawServer::always(RawResponse::AnswerAndClose(head + &body));
    let (status, read) = answer(call(side, &server.url).await);
    assert_eq!(status, 200);
    assert!(read == body);
}

async fn a_redirect_is_an_answer_and_is_not_followed(side: Side) {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = RawServer::always(RawResponse::AnswerAndClose(String::new()));
        let redirect = format!(
            "HTTP/1.1 {status} Elsewhere\r\nlocation: {}/login\r\ncontent-length: 0\r\n\r\n",
            elsewhere.url
        );
        let server = RawServer::always(RawResponse::Answer(redirect));
        assert_eq!(answer(call(side, &server.url).await).0, status);
        assert_eq!(
            (server.requests().len(), elsewhere.requests().len()),
            (1, 0)
        );
    }
}

async fn no_connection_outlives_its_invocation(side: Side) {
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
    let server = RawServer::always(RawResponse::Answer(ok.to_owned()));
    let secret = CountingSecret::filled_in();
    let credentials = credentials(&secret);
    let place = OutsideServer::new(side, &server.url);
    let client = place.open(&credentials);
    client.call().await.unwrap();
    client.call().await.unwrap();
    drop(client);
    server.until_ended(0).await;
    place.open(&credentials).call().await.unwrap();
    let connections: Vec<usize> = server
        .requests()
        .iter()
        .map(|request| request.connection)
        .collect();
    assert_eq!(connections, [0, 0, 1]);
}
