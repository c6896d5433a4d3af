//! Africa's Talking in process and over HTTP, and the requests of a client.

use std::cell::RefCell;

use models::africastalking::{AfricasTalkingFault, AfricasTalkingModel, Application, encode};
use models::faults::Scope;
use models::http::ServerRequest;
use sandbox::africastalking::{AfricasTalkingConfig, AfricasTalkingStandIn, CallbackAttempt};
use serde_json::Value;

use crate::{Got, call};

pub const PHONE: &str = "+254700000001";
pub const OTHER: &str = "+254700000002";

/// Nobody listens at these addresses. Only the model sees the callbacks.
pub const UNASSIGNED: &str = "http://127.0.0.1:1/";

/// Africa's Talking, called in one of two ways.
pub enum AfricasTalkingBench {
    InProcess(Box<RefCell<AfricasTalkingModel>>),
    OverHttp(AfricasTalkingStandIn),
}

impl AfricasTalkingBench {
    pub fn in_process() -> Self {
        let mut number = 0;
        let new_id = move || {
            number += 1;
            format!("ATXid_{number:032x}")
        };
        let model = AfricasTalkingModel::new(Application::default(), new_id);
        Self::InProcess(Box::new(RefCell::new(model)))
    }

    pub async fn over_http() -> Self {
        let config = AfricasTalkingConfig {
            reports_callback: Some(UNASSIGNED.to_owned()),
            callback_attempts: 1,
            ..AfricasTalkingConfig::default()
        };
        Self::OverHttp(AfricasTalkingStandIn::start(config).await.unwrap())
    }

    /// Changes or reads the model.
    pub fn with<R>(&self, change: impl FnOnce(&mut AfricasTalkingModel) -> R) -> R {
        match self {
            Self::InProcess(model) => change(&mut model.borrow_mut()),
            Self::OverHttp(stand_in) => stand_in.with_model(change),
        }
    }

    /// The response to a request, if there is one.
    pub async fn try_call(&self, request: ServerRequest) -> Option<Got> {
        match self {
            Self::OverHttp(stand_in) => call(&stand_in.url(), request).await,
            Self::InProcess(model) => Got::of(model.borrow_mut().receive(&request, 0).outcome),
        }
    }

    pub async fn call(&self, request: ServerRequest) -> Got {
        self.try_call(request).await.unwrap()
    }

    /// The data of a send that is answered with 201.
    pub async fn send(&self, request: ServerRequest) -> Value {
        let got = self.call(request).await;
        assert_eq!(got.status, 201, "{}", got.body);
        got.json()["SMSMessageData"].take()
    }

    /// Sends under a fault. Returns the line of the only recipient, and how many SMS were accepted.
    pub async fn line_under(&self, fault: AfricasTalkingFault) -> (Value, usize) {
        let before = self.accepted();
        self.set(fault, Scope::Next(1));
        let line = self.send(sms(PHONE)).await["Recipients"][0].take();
        (line, self.accepted() - before)
    }

    /// Sends under a fault. Returns the reported statuses, in order.
    pub async fn reports_under(&self, fault: AfricasTalkingFault, count: usize) -> Vec<String> {
        self.set(fault, Scope::Next(1));
        match self {
            Self::InProcess(model) => {
                let received = model.borrow_mut().receive(&sms(PHONE), 0);
                let consequences = received.consequences;
                let held = std::mem::take(&mut model.borrow_mut().paused_reports);
                let reports = consequences.early.into_iter();
                let reports = reports.chain(consequences.after).chain(held);
                reports.map(|report| report.status).collect()
            }
            Self::OverHttp(stand_in) => {
                let before = stand_in.callbacks().len();
                self.send(sms(PHONE)).await;
                if fault == AfricasTalkingFault::ReportsLate {
                    assert_eq!(stand_in.callbacks().len(), before);
                    stand_in.release_reports().await;
                }
                let all =
                    |stand_in: &AfricasTalkingStandIn| stand_in.callbacks().len() >= before + count;
                stand_in.until(all).await;
                let status =
                    |callback: &CallbackAttempt| callback.field("status").unwrap().to_owned();
                stand_in.callbacks()[before..].iter().map(status).collect()
            }
        }
    }

    pub fn set(&self, fault: AfricasTalkingFault, scope: Scope) {
        self.with(|model| model.faults.set(fault, scope));
    }

    pub fn accepted(&self) -> usize {
        self.with(|model| model.accepted.len())
    }
}

pub fn request(fields: &[(&str, &str)]) -> ServerRequest {
    let application = Application::default();
    let fields: Vec<(String, String)> = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    ServerRequest::new("POST", "/version1/messaging")
        .with_header("apiKey", &application.api_key)
        .with_header("Accept", "application/json")
        .with_header("Content-Type", "application/x-www-form-urlencoded")
        .with_body(encode(&fields))
}

pub fn sms(to: &str) -> ServerRequest {
    request(&[("username", "sandbox"), ("to", to), ("message", "Habari")])
}

pub fn without(mut request: ServerRequest, name: &str) -> ServerRequest {
    request.headers.retain(|(other, _)| other != name);
    request
}
