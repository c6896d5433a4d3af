//! Medic in process and over HTTP, and the requests of a gateway.

use std::cell::{Cell, RefCell};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use models::faults::Scope;
use models::http::ServerRequest;
use models::medic::{
    MedicFault, MedicModel, MessageState, OutgoingMessage, PostProgress, PostStep, Reaction,
};
use sandbox::medic::{MedicConfig, MedicStandIn};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{Got, call};

pub const PHONE: &str = "+254700000001";
pub const SERVER_ERROR: &str = r#"{"code":500,"error":"Server error"}"#;

/// Medic, called in one of two ways.
pub enum MedicBench {
    InProcess(Box<RefCell<MedicModel>>, Cell<i64>),
    OverHttp(MedicStandIn),
}

/// A POST that waits in the middle of its work.
pub enum Paused {
    InProcess(usize),
    OverHttp(JoinHandle<Option<Got>>),
}

impl MedicBench {
    pub fn in_process() -> Self {
        let config = MedicConfig::default();
        let medic = MedicModel::new(&config.user, &config.password);
        Self::InProcess(Box::new(RefCell::new(medic)), Cell::new(1_700_000_000_000))
    }

    pub async fn over_http() -> Self {
        Self::OverHttp(MedicStandIn::start(MedicConfig::default()).await.unwrap())
    }

    /// Changes or reads the model.
    pub fn with<R>(&self, change: impl FnOnce(&mut MedicModel) -> R) -> R {
        match self {
            Self::InProcess(medic, _) => change(&mut medic.borrow_mut()),
            Self::OverHttp(stand_in) => stand_in.with_model(change),
        }
    }

    /// The response to a request, if there is one.
    pub async fn try_call(&self, request: ServerRequest) -> Option<Got> {
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

    /// Does all the work of a POST, in process.
    pub fn work(&self, post: usize) -> Option<Got> {
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

    pub async fn call(&self, request: ServerRequest) -> Got {
        self.try_call(request).await.unwrap()
    }

    pub async fn post(&self, messages: &[Value], updates: &[Value]) -> Got {
        self.call(post(messages, updates)).await
    }

    /// The ids that a POST is offered.
    pub async fn offered(&self, messages: &[Value], updates: &[Value]) -> Vec<String> {
        let got = self.post(messages, updates).await;
        assert_eq!(got.status, 200, "{}", got.body);
        let body = got.json();
        let messages = body["messages"].as_array().unwrap();
        let id = |message: &Value| message["id"].as_str().unwrap().to_owned();
        messages.iter().map(id).collect()
    }

    /// Begins a POST that waits after its check for duplicates, or after reading what it offers.
    pub async fn pause(&self, fault: MedicFault, request: ServerRequest) -> Paused {
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

    /// Lets waiting POSTs end, one after another.
    pub async fn release(&self, held: Vec<Paused>) {
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

    pub fn set(&self, fault: MedicFault, scope: Scope) {
        self.with(|medic| medic.faults.set(fault, scope));
    }

    pub fn wants(&self, id: &str, to: &str, content: &str) {
        self.with(|medic| medic.send(OutgoingMessage::new(id, to, content, 0)));
    }

    /// Has this many messages sent.
    pub fn want(&self, count: usize) -> Vec<String> {
        let ids: Vec<String> = (0..count).map(|n| format!("out-{n:03}")).collect();
        for id in &ids {
            self.wants(id, PHONE, id);
        }
        ids
    }

    pub fn state(&self, id: &str) -> MessageState {
        self.with(|medic| medic.outgoing(id).unwrap().state)
    }

    pub fn stored(&self) -> Vec<String> {
        self.with(|medic| medic.stored.iter().map(|one| one.id.clone()).collect())
    }
}

pub fn login(request: ServerRequest, user: &str, password: &str) -> ServerRequest {
    let login = STANDARD.encode(format!("{user}:{password}"));
    request.with_header("Authorization", &format!("Basic {login}"))
}

/// A call with the right credentials, as a gateway makes it.
pub fn get(path: &str) -> ServerRequest {
    let config = MedicConfig::default();
    let request = ServerRequest::new("GET", path).with_header("Accept", "application/json");
    login(request, &config.user, &config.password)
}

pub fn raw(body: impl Into<Vec<u8>>) -> ServerRequest {
    let request = ServerRequest {
        method: "POST".to_owned(),
        ..get("/api/sms")
    };
    request
        .with_header("Content-Type", "application/json")
        .with_body(body)
}

pub fn post(messages: &[Value], updates: &[Value]) -> ServerRequest {
    raw(json!({ "messages": messages, "updates": updates }).to_string())
}

pub fn message(id: &str, content: &str) -> Value {
    json!({"id": id, "from": PHONE, "content": content, "sms_sent": 1, "sms_received": 2})
}

pub fn update(id: &str, status: &str) -> Value {
    json!({"id": id, "status": status})
}

/// The header that the caller of a bench may leave out.
pub fn without(mut request: ServerRequest, name: &str) -> ServerRequest {
    request.headers.retain(|(other, _)| other != name);
    request
}
