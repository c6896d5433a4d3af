//! The two clients, with what they need around them.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::time::Duration;

use bridge::adapters::africas_talking::{AfricasTalkingApi, AfricasTalkingServer, SEND_TIMEOUT};
use bridge::adapters::medic::{MedicApi, MedicServer};
use bridge::domain::phone_number::PhoneNumber;
use bridge::domain::time::Timestamp;
use bridge::ports::{
    AfricasTalking as _, Clock, CredentialsError, Medic as _, Response, SecretError, SecretStore,
    Sms,
};
use bridge::secrets::OutsideCredentials;
use serde_json::json;

pub const API_KEY: &str = "an-api-key-for-tests-only";
pub const USER: &str = "gateway";
pub const PASSWORD: &str = "a pässword: for tests only";
pub const NUMBER: &str = "+254700000001";
pub const TEXT: &str = "1 + 1 = 2 & é 😀\n100%";
pub const BODY: &str = r#"{"messages":[],"updates":[]}"#;

/// Which of the two clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Medic,
    AfricasTalking,
}

impl Side {
    /// How long it waits for an answer.
    pub fn time_limit(self) -> Duration {
        match self {
            Self::Medic => MEDIC_TIMEOUT,
            Self::AfricasTalking => SEND_TIMEOUT,
        }
    }

    /// The path at its server.
    pub fn path(self) -> &'static str {
        match self {
            Self::Medic => "/api/sms",
            Self::AfricasTalking => "/version1/messaging",
        }
    }
}

const MEDIC_TIMEOUT: Duration = Duration::from_mins(1);

/// A secret store that counts.
pub struct CountingSecret {
    pub text: RefCell<Result<String, SecretError>>,
    pub reads: Cell<u32>,
}

impl CountingSecret {
    pub fn filled_in() -> Self {
        Self::with(&json!({
            "africastalking_api_key": API_KEY, "medic_username": USER, "medic_password": PASSWORD,
        }))
    }

    pub fn with(secret: &serde_json::Value) -> Self {
        Self {
            text: RefCell::new(Ok(secret.to_string())),
            reads: Cell::new(0),
        }
    }
}

impl SecretStore for &CountingSecret {
    async fn fetch(&self) -> Result<String, SecretError> {
        self.reads.set(self.reads.get() + 1);
        self.text.borrow().clone()
    }
}

#[derive(Debug)]
pub struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000)
    }

    async fn pause(&self, _: Duration) {}
}

pub type Credentials<'a> = OutsideCredentials<&'a CountingSecret, Stopped>;

pub fn credentials(secret: &CountingSecret) -> Credentials<'_> {
    OutsideCredentials::new(secret, Stopped)
}

/// The parts that all invocations of a function share.
pub enum OutsideServer {
    Medic(MedicServer),
    AfricasTalking(AfricasTalkingServer),
}

impl OutsideServer {
    pub fn new(side: Side, url: &str) -> Self {
        match side {
            Side::Medic => Self::Medic(MedicServer::new(url, MEDIC_TIMEOUT).unwrap()),
            Side::AfricasTalking => Self::AfricasTalking(
                AfricasTalkingServer::new("sandbox".to_owned(), Some(url)).unwrap(),
            ),
        }
    }

    /// A client, as each invocation opens one.
    pub fn open<'a>(&'a self, credentials: &'a Credentials<'a>) -> Client<'a> {
        match self {
            Self::Medic(server) => Client::Medic(MedicApi::open(server, credentials).unwrap()),
            Self::AfricasTalking(account) => {
                Client::AfricasTalking(AfricasTalkingApi::open(account, credentials).unwrap())
            }
        }
    }
}

/// One of the two clients, open.
pub enum Client<'a> {
    Medic(MedicApi<'a, &'a CountingSecret, Stopped>),
    AfricasTalking(AfricasTalkingApi<'a, &'a CountingSecret, Stopped>),
}

impl Client<'_> {
    /// One call, always the same.
    pub async fn call(&self) -> Result<Response, CredentialsError> {
        self.call_as(Some("20880")).await
    }

    pub async fn call_as(&self, from: Option<&str>) -> Result<Response, CredentialsError> {
        match self {
            Self::Medic(medic) => medic.post(BODY.to_owned()).await,
            Self::AfricasTalking(api) => {
                let to = PhoneNumber::parse(NUMBER).unwrap();
                api.send(Sms {
                    to: &to,
                    text: TEXT,
                    from,
                })
                .await
            }
        }
    }
}

/// Calls once, with a client of its own.
pub async fn call(side: Side, url: &str) -> Response {
    let secret = CountingSecret::filled_in();
    let credentials = credentials(&secret);
    let place = OutsideServer::new(side, url);
    place.open(&credentials).call().await.unwrap()
}

/// The status and the text of an answer.
pub fn answer(response: Response) -> (u16, String) {
    match response {
        Response::Answer { status, body } => (status, String::from_utf8(body).unwrap()),
        Response::NotConnected => panic!("no connection"),
        Response::NoAnswer => panic!("no answer"),
    }
}

/// Runs a test with the client on its own thread. The client's clock can be stopped and advanced while the
/// clock of the servers goes on.
pub fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}
