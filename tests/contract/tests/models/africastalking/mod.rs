//! Africa's Talking's SMS API, as it is documented and has been seen.

use std::cell::RefCell;

use models::africastalking::{
    AfricasTalkingFault, AfricasTalkingModel, Application, ReportToPost, SmsFromPhone, encode,
};
use models::faults::Scope;
use models::http::ServerRequest;
use sandbox::africastalking::{AfricasTalkingConfig, AfricasTalkingStandIn, CallbackAttempt};
use serde_json::{Value, json};

use crate::{Got, call, in_process_and_over_http};

const PHONE: &str = "+254700000001";
const OTHER: &str = "+254700000002";

/// Nobody listens at these addresses. Only the model sees the callbacks.
const UNASSIGNED: &str = "http://127.0.0.1:1/";

in_process_and_over_http! { AfricasTalkingBench:
    a_send_is_answered_with_201_and_what_became_of_the_recipient
    enqueue_is_answered_with_102
    without_accept_the_response_is_xml
    every_part_is_paid
    a_201_comes_also_when_nothing_was_sent
    an_unregistered_sender_gets_a_201_without_recipients
    a_sender_id_that_is_registered_and_the_short_code_are_taken
    an_invalid_number_is_echoed_as_it_was_given
    each_status_code_refuses_or_accepts
    a_phone_that_opted_out_is_refused_with_406_and_others_are_not
    a_response_may_lack_status_code_and_id
    errors_outside_2xx_are_plain_text
    an_sms_may_be_taken_whatever_the_response_says
    some_responses_cannot_be_read
    a_request_may_get_no_response_taken_or_not
    nothing_makes_a_send_idempotent
    the_user_call_tells_the_balance_and_checks_the_key
    reports_come_in_every_order_early_late_repeated_unknown_or_never
    a_report_has_the_fields_seen
    an_incoming_message_has_the_fields_seen
}

/// Africa's Talking, called in one of two ways.
enum AfricasTalkingBench {
    InProcess(Box<RefCell<AfricasTalkingModel>>),
    OverHttp(AfricasTalkingStandIn),
}

impl AfricasTalkingBench {
    fn in_process() -> Self {
        let mut number = 0;
        let new_id = move || {
            number += 1;
            format!("ATXid_{number:032x}")
        };
        let model = AfricasTalkingModel::new(Application::default(), new_id);
        Self::InProcess(Box::new(RefCell::new(model)))
    }

    async fn over_http() -> Self {
        let config = AfricasTalkingConfig {
            reports_callback: Some(UNASSIGNED.to_owned()),
            callback_attempts: 1,
            ..AfricasTalkingConfig::default()
        };
        Self::OverHttp(AfricasTalkingStandIn::start(config).await.unwrap())
    }

    /// Changes or reads the model.
    fn with<R>(&self, change: impl FnOnce(&mut AfricasTalkingModel) -> R) -> R {
        match self {
            Self::InProcess(model) => change(&mut model.borrow_mut()),
            Self::OverHttp(stand_in) => stand_in.with_model(change),
        }
    }

    /// The response to a request, if there is one.
    async fn try_call(&self, request: ServerRequest) -> Option<Got> {
        match self {
            Self::OverHttp(stand_in) => call(&stand_in.url(), request).await,
            Self::InProcess(model) => Got::of(model.borrow_mut().receive(&request, 0).outcome),
        }
    }

    async fn call(&self, request: ServerRequest) -> Got {
        self.try_call(request).await.unwrap()
    }

    /// The data of a send that is answered with 201.
    async fn send(&self, request: ServerRequest) -> Value {
        let got = self.call(request).await;
        assert_eq!(got.status, 201, "{}", got.body);
        got.json()["SMSMessageData"].take()
    }

    /// Sends under a fault. Returns the line of the only recipient, and how many SMS were accepted.
    async fn line_under(&self, fault: AfricasTalkingFault) -> (Value, usize) {
        let before = self.accepted();
        self.set(fault, Scope::Next(1));
        let line = self.send(sms(PHONE)).await["Recipients"][0].take();
        (line, self.accepted() - before)
    }

    /// Sends under a fault. Returns the reported statuses, in order.
    async fn reports_under(&self, fault: AfricasTalkingFault, count: usize) -> Vec<String> {
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

    fn set(&self, fault: AfricasTalkingFault, scope: Scope) {
        self.with(|model| model.faults.set(fault, scope));
    }

    fn accepted(&self) -> usize {
        self.with(|model| model.accepted.len())
    }
}

fn request(fields: &[(&str, &str)]) -> ServerRequest {
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

fn sms(to: &str) -> ServerRequest {
    request(&[("username", "sandbox"), ("to", to), ("message", "Habari")])
}

fn without(mut request: ServerRequest, name: &str) -> ServerRequest {
    request.headers.retain(|(other, _)| other != name);
    request
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

async fn a_phone_that_opted_out_is_refused_with_406_and_others_are_not(bench: AfricasTalkingBench) {
    bench.with(|model| model.opted_out.insert(OTHER.to_owned()));
    let data = bench.send(sms(&format!("{PHONE},{OTHER}"))).await;
    assert_eq!(
        data["Recipients"][1],
        json!({
            "statusCode": 406, "number": OTHER, "status": "UserInBlacklist",
            "cost": "0", "messageId": "None",
        })
    );
    assert_eq!(bench.accepted(), 1);
    let form = bench.with(|model| model.application.opt_out_form(OTHER));
    assert_eq!(encode(&form), "senderId=20880&phoneNumber=%2B254700000002");
}

async fn each_status_code_refuses_or_accepts(bench: AfricasTalkingBench) {
    let codes = [
        (AfricasTalkingFault::Processed, 100, "Success", 1),
        (AfricasTalkingFault::Sent, 101, "Success", 1),
        (AfricasTalkingFault::Queued, 102, "Success", 1),
        (AfricasTalkingFault::RiskHold, 401, "RiskHold", 0),
        (
            AfricasTalkingFault::InvalidSenderId,
            402,
            "InvalidSenderId",
            0,
        ),
        (
            AfricasTalkingFault::InvalidPhoneNumber,
            403,
            "InvalidPhoneNumber",
            0,
        ),
        (
            AfricasTalkingFault::UnsupportedNumberType,
            404,
            "UnsupportedNumberType",
            0,
        ),
        (
            AfricasTalkingFault::OutOfCredit,
            405,
            "InsufficientBalance",
            0,
        ),
        (
            AfricasTalkingFault::UserInBlacklist,
            406,
            "UserInBlacklist",
            0,
        ),
        (AfricasTalkingFault::CouldNotRoute, 407, "CouldNotRoute", 0),
        (
            AfricasTalkingFault::DoNotDisturb,
            409,
            "DoNotDisturbRejection",
            0,
        ),
        (
            AfricasTalkingFault::InternalServerError,
            500,
            "InternalServerError",
            0,
        ),
        (
            AfricasTalkingFault::AcceptedInternalServerError,
            500,
            "InternalServerError",
            1,
        ),
        (AfricasTalkingFault::GatewayError, 501, "GatewayError", 0),
        (
            AfricasTalkingFault::RejectedByGateway,
            502,
            "RejectedByGateway",
            0,
        ),
        (AfricasTalkingFault::UnlistedCode, 499, "SomethingNew", 0),
    ];
    for (fault, code, status, accepted) in codes {
        let (line, taken) = bench.line_under(fault).await;
        assert_eq!(line["statusCode"], code, "{fault:?}");
        assert_eq!(line["status"], status, "{fault:?}");
        assert_eq!(taken, accepted, "{fault:?}");
        let has_id = line["messageId"] != "None";
        assert_eq!(has_id, code < 200, "{fault:?}");
        let costs = line["cost"] != "0";
        assert_eq!(costs, accepted == 1, "{fault:?}");
    }
}

async fn a_response_may_lack_status_code_and_id(bench: AfricasTalkingBench) {
    let (line, taken) = bench
        .line_under(AfricasTalkingFault::AcceptedNoStatusCode)
        .await;
    assert_eq!((line.get("statusCode"), taken), (None, 1));
    let (line, taken) = bench.line_under(AfricasTalkingFault::AcceptedIdNone).await;
    assert_eq!((line["messageId"].as_str(), taken), (Some("None"), 1));
}

async fn errors_outside_2xx_are_plain_text(bench: AfricasTalkingBench) {
    let wrong_key = without(sms(PHONE), "apiKey").with_header("apiKey", "wrong");
    let got = bench.call(wrong_key).await;
    let invalid = "The supplied authentication is invalid";
    assert_eq!((got.status, got.body.as_str()), (401, invalid));
    let got = bench.call(request(&[("username", "sandbox")])).await;
    let missing = "Request is missing required form field 'to'";
    assert_eq!((got.status, got.body.as_str()), (400, missing));
    let faults = [
        // Seen although the key was right.
        (
            AfricasTalkingFault::Http401,
            401,
            "The supplied authentication",
        ),
        (AfricasTalkingFault::Http429, 429, "Too Many"),
        (AfricasTalkingFault::Http500, 500, "There was"),
        (AfricasTalkingFault::Http502, 502, "Bad Gateway"),
        (
            AfricasTalkingFault::Http503,
            503,
            "The server was not able to produce a timely",
        ),
    ];
    for (fault, status, text) in faults {
        bench.set(fault, Scope::Next(1));
        let got = bench.call(sms(PHONE)).await;
        assert_eq!(got.status, status);
        assert!(got.body.starts_with(text), "{}", got.body);
    }
    assert_eq!(bench.accepted(), 0);
}

async fn an_sms_may_be_taken_whatever_the_response_says(bench: AfricasTalkingBench) {
    let faults = [
        (AfricasTalkingFault::AcceptedHttp500, 500),
        (AfricasTalkingFault::AcceptedHttp502, 502),
        (AfricasTalkingFault::AcceptedHttp503, 503),
    ];
    for (n, (fault, status)) in faults.into_iter().enumerate() {
        bench.set(fault, Scope::Next(1));
        assert_eq!(bench.call(sms(PHONE)).await.status, status);
        assert_eq!(bench.accepted(), n + 1);
    }
}

async fn some_responses_cannot_be_read(bench: AfricasTalkingBench) {
    let faults = [
        (AfricasTalkingFault::Html, 0),
        (AfricasTalkingFault::AcceptedHtml, 1),
        (AfricasTalkingFault::AcceptedTruncated, 1),
        (AfricasTalkingFault::AcceptedEmpty, 1),
    ];
    for (fault, accepted) in faults {
        let before = bench.accepted();
        bench.set(fault, Scope::Next(1));
        let got = bench.call(sms(PHONE)).await;
        assert_eq!(got.status, 201);
        assert!(serde_json::from_str::<Value>(&got.body).is_err());
        assert_eq!(bench.accepted() - before, accepted, "{fault:?}");
    }
}

async fn a_request_may_get_no_response_taken_or_not(bench: AfricasTalkingBench) {
    for (fault, accepted) in [
        (AfricasTalkingFault::Close, 0),
        (AfricasTalkingFault::AcceptedClose, 1),
    ] {
        let before = bench.accepted();
        bench.set(fault, Scope::Next(1));
        assert_eq!(bench.try_call(sms(PHONE)).await, None);
        assert_eq!(bench.accepted() - before, accepted, "{fault:?}");
    }
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

async fn reports_come_in_every_order_early_late_repeated_unknown_or_never(
    bench: AfricasTalkingBench,
) {
    let stories: [(AfricasTalkingFault, &[&str]); 8] = [
        (AfricasTalkingFault::ReportsEarly, &["Submitted", "Success"]),
        (AfricasTalkingFault::ReportsLate, &["Submitted", "Success"]),
        (AfricasTalkingFault::ReportsNone, &[]),
        (
            AfricasTalkingFault::ReportsReordered,
            &["Success", "Submitted", "Sent"],
        ),
        (
            AfricasTalkingFault::ReportsUnknownStatus,
            &["Submitted", "Teleported"],
        ),
        (
            AfricasTalkingFault::ReportsAbsentSubscriber,
            &["Submitted", "AbsentSubscriber"],
        ),
        (
            AfricasTalkingFault::ReportsExpiredThenSuccess,
            &["Submitted", "Expired", "Success"],
        ),
        (
            AfricasTalkingFault::ReportsRepeated,
            &[
                "Submitted",
                "Submitted",
                "Submitted",
                "Success",
                "Success",
                "Success",
            ],
        ),
    ];
    for (fault, statuses) in stories {
        let reported = bench.reports_under(fault, statuses.len()).await;
        assert_eq!(reported, statuses, "{fault:?}");
    }
}

async fn a_report_has_the_fields_seen(bench: AfricasTalkingBench) {
    let report = ReportToPost {
        id: "ATXid_1".to_owned(),
        number: PHONE.to_owned(),
        status: "Failed".to_owned(),
        failure_reason: Some("DeliveryFailure".to_owned()),
    };
    let form = match &bench {
        AfricasTalkingBench::InProcess(model) => model.borrow().application.report_form(&report),
        AfricasTalkingBench::OverHttp(stand_in) => {
            let id = bench.send(sms(PHONE)).await["Recipients"][0]["messageId"].take();
            let id = id.as_str().unwrap();
            stand_in
                .report(id, &report.status, report.failure_reason.as_deref())
                .await;
            let callbacks = stand_in.callbacks().into_iter();
            let mut failed = callbacks.filter(|one| one.field("status") == Some("Failed"));
            failed.next().unwrap().form
        }
    };
    let names: Vec<&str> = form.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "phoneNumber",
        "failureReason",
        "retryCount",
        "id",
        "status",
        "networkCode",
    ];
    assert_eq!(names, expected);
    assert_eq!(form[0].1, PHONE);
    assert_eq!(form[5].1, "99999");
}

async fn an_incoming_message_has_the_fields_seen(bench: AfricasTalkingBench) {
    let form = match &bench {
        AfricasTalkingBench::InProcess(model) => {
            model.borrow().application.incoming_form(&SmsFromPhone {
                id: "5e3b8c1e-0001-4000-a000-000000000001".to_owned(),
                from: "MTN".to_owned(),
                text: String::new(),
                link_id: "0".to_owned(),
                at_ms: 1_610_611_815_000,
            })
        }
        AfricasTalkingBench::OverHttp(stand_in) => {
            stand_in.set_callbacks(UNASSIGNED, UNASSIGNED);
            // Also from an alphanumeric sender, and an empty text.
            stand_in.sms_from_phone("MTN", "").await.unwrap();
            stand_in.callbacks().remove(0).form
        }
    };
    let value = |name: &str| {
        let field = form.iter().find(|(other, _)| other == name);
        field.map(|(_, value)| value.as_str()).unwrap()
    };
    assert_eq!(
        (value("from"), value("text"), value("to")),
        ("MTN", "", "20880")
    );
    assert_eq!((value("id").len(), value("cost")), (36, "None"));
    // A date without a zone.
    assert_eq!(value("date").len(), "2021-01-14 08:10:15".len());
    if matches!(bench, AfricasTalkingBench::InProcess(_)) {
        assert_eq!(value("date"), "2021-01-14 08:10:15");
    }
    assert!(!value("linkId").is_empty() && !value("networkCode").is_empty());
}
