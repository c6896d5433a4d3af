//! Calls the callback URLs as Africa's Talking does, and checks that they accept the key and nothing else.

use bridge::handlers::webhook::MAX_BODY_BYTES;
use bridge::ports::Response;

use super::setup::IncomingKeySecret;
use super::{ANSWER_WITHIN, Finding, Http};
use crate::callbacks::{DELIVERY_REPORTS, INCOMING_MESSAGES, OPT_OUTS, with_key};
use crate::stack::Stack;

/// The right key is sent with a body that is one byte too long. A webhook that refuses the body has accepted
/// the key, and nothing was stored.
const TAKEN: u16 = 413;

/// Calls each, with the key and without.
pub async fn examine(stack: &Stack, http: &Http, keys: &IncomingKeySecret) -> Vec<Finding> {
    let unreachable = match stack.parameter("DomainName") {
        Some(domain) => format!(
            "look whether {domain} is a CNAME of the stack's output CallbackDomainTarget in your DNS"
        ),
        None => "look at the API in this region".to_owned(),
    };
    let mut findings = Vec::new();
    for (check, output) in [
        ("incoming callback", INCOMING_MESSAGES),
        ("report callback", DELIVERY_REPORTS),
        ("opt-out callback", OPT_OUTS),
    ] {
        findings.push(match stack.callback_url(output) {
            Ok(url) => one(check, &url, http, keys.key.as_deref(), &unreachable).await,
            Err(failure) => Finding::failed(check, &failure),
        });
    }
    findings
}

async fn one(
    check: &'static str,
    url: &str,
    http: &Http,
    key: Option<&str>,
    unreachable: &str,
) -> Finding {
    match call(http, url.trim_end_matches("?key="), String::new()).await {
        Ok(403) => {}
        Ok(status) => return unexpected(check, "without a key", status),
        Err(problem) => return Finding::wrong(check, problem, unreachable),
    }
    let Some(key) = key else {
        return Finding::unknown(check, "it refuses without a key; there is none to try");
    };
    match call(http, &with_key(url, key), "x".repeat(MAX_BODY_BYTES + 1)).await {
        Ok(TAKEN) => Finding::fine(check, "it takes the key, and refuses without"),
        Ok(403) => Finding::wrong(
            check,
            "it refuses the key of the secret",
            "a new key works within seconds; try again, and look at the function's log",
        ),
        Ok(status) => unexpected(check, "with the key", status),
        Err(problem) => Finding::wrong(check, problem, "look at the function's log"),
    }
}

fn unexpected(check: &'static str, how: &str, status: u16) -> Finding {
    Finding::wrong(
        check,
        format!("{how} it answers HTTP {status}"),
        "look at the function's log; 5xx means that it cannot run or cannot read its secret",
    )
}

async fn call(http: &Http, url: &str, body: String) -> Result<u16, &'static str> {
    let request = http
        .post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body);
    match bridge::adapters::http_client::exchange(request, ANSWER_WITHIN).await {
        Response::Answer { status, .. } => Ok(status),
        Response::NotConnected => Err("no connection comes about"),
        Response::NoAnswer => Err("it does not answer within 20 s"),
    }
}
