//! Responses that refuse, fail or leave the outcome unknown, and requests without a response.

use models::africastalking::{AfricasTalkingFault, encode};
use models::faults::Scope;
use serde_json::{Value, json};

use super::bench::{AfricasTalkingBench, OTHER, PHONE, request, sms, without};
use crate::in_process_and_over_http;

in_process_and_over_http! { AfricasTalkingBench:
    each_status_code_refuses_or_accepts
    a_phone_that_opted_out_is_refused_with_406_and_others_are_not
    a_response_may_lack_status_code_and_id
    errors_outside_2xx_are_plain_text
    an_sms_may_be_taken_whatever_the_response_says
    some_responses_cannot_be_read
    a_request_may_get_no_response_taken_or_not
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
