//! `doctor`: checks everything once, and says in plain words what is wrong and what to do. It sends no SMS
//! and changes nothing.

mod africas_talking;
mod callbacks;
mod concurrency;
mod event_sources;
mod flow;
mod medic;
mod processor;
mod refusals;
mod setup;
mod swapped;

use std::time::Duration;

use bridge::adapters::http_client::{client_builder, exchange};
use bridge::ports::Response;
use futures_util::join;
use reqwest::{Client, NoProxy, Proxy, RequestBuilder};
use serde_json::{Value, json};

use crate::access::Access;
use crate::failure::Failure;
use crate::stack::Stack;
use crate::terminal::Terminal;

/// How long a server may take to answer one request.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Makes a proxy at this URL, for the requests of one scheme or of all.
type ProxyAt = fn(String) -> reqwest::Result<Proxy>;

/// The variables that name proxies, and for which requests each is.
const PROXIES: [([&str; 2], ProxyAt); 3] = [
    (["HTTP_PROXY", "http_proxy"], Proxy::http),
    (["HTTPS_PROXY", "https_proxy"], Proxy::https),
    (["ALL_PROXY", "all_proxy"], Proxy::all),
];

/// What a check has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Fine,
    /// Nothing is wrong, but it is worth knowing.
    Note,
    /// Somebody has to do something.
    Wrong,
    /// The check could not be made.
    Unknown,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Note => "note",
            Self::Wrong => "wrong",
            Self::Unknown => "unknown",
        }
    }
}

/// The result of one check.
#[derive(Clone, Debug)]
pub struct Finding {
    check: &'static str,
    verdict: Verdict,
    what: String,
    advice: String,
}

impl Finding {
    fn fine(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, Verdict::Fine, what, "")
    }

    fn note(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, Verdict::Note, what, "")
    }

    fn wrong(check: &'static str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(check, Verdict::Wrong, what, advice)
    }

    fn unknown(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, Verdict::Unknown, what, "")
    }

    fn failed(check: &'static str, failure: &Failure) -> Self {
        Self::unknown(check, failure.to_string())
    }

    fn new(
        check: &'static str,
        verdict: Verdict,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            check,
            verdict,
            what: what.into(),
            advice: advice.into(),
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "check": self.check,
            "verdict": self.verdict.word(),
            "what": self.what,
            "advice": self.advice,
        })
    }
}

/// Makes all checks, and prints their results.
///
/// # Errors
/// When something is wrong, or a check could not be made.
pub async fn examine(stack: &Stack, terminal: &Terminal, json: bool) -> Result<(), Failure> {
    if !json {
        terminal.note(&format!("Looking at the stack `{}` …", stack.name));
    }
    let findings = findings(stack, terminal).await?;
    let count = |verdict| {
        findings
            .iter()
            .filter(|finding| finding.verdict == verdict)
            .count()
    };
    let (wrong, unknown) = (count(Verdict::Wrong), count(Verdict::Unknown));
    print_all(&findings, wrong + unknown == 0, terminal, json);
    if wrong + unknown == 0 {
        terminal.note("All is well.");
        return Ok(());
    }
    Err(Failure::Problem(format!(
        "{wrong} wrong, {unknown} could not be looked at."
    )))
}

/// Prints what can be said when CloudFormation refused to name the stack: whether this machine's clock is
/// wrong.
pub fn without_the_stack(access: &Access, terminal: &Terminal, failure: &Failure, json: bool) {
    if access.clock.wrong().is_some() {
        let stack = Finding::failed("stack", failure);
        let findings = [stack, setup::clock(&access.clock)];
        print_all(&findings, false, terminal, json);
    }
}

fn print_all(findings: &[Finding], healthy: bool, terminal: &Terminal, json: bool) {
    if json {
        let list: Vec<Value> = findings.iter().map(Finding::to_json).collect();
        terminal.json(&json!({ "healthy": healthy, "findings": list }));
    } else {
        for finding in findings {
            print(finding, terminal);
        }
    }
}

fn print(finding: &Finding, terminal: &Terminal) {
    let (word, check) = (finding.verdict.word(), finding.check);
    terminal.say(&format!("{word:8}{check:24}{}", finding.what));
    if !finding.advice.is_empty() {
        terminal.say(&format!("{:32}→ {}", "", finding.advice));
    }
}

/// A client that trusts the same certificate authorities as the functions, and uses this machine's proxies.
fn http() -> Result<Http, Failure> {
    let unusable = |error: reqwest::Error| Failure::OutOfReach(error.without_url().to_string());
    let mut http = client_builder().map_err(|error| Failure::OutOfReach(error.to_string()))?;
    for (names, proxy) in PROXIES {
        let set = |name: &&str| std::env::var(name).ok().filter(|url| !url.is_empty());
        if let Some(url) = names.iter().find_map(set) {
            let proxy = proxy(url).map_err(unusable)?;
            http = http.proxy(proxy.no_proxy(NoProxy::from_env()));
        }
    }
    http.build().map_err(unusable)
}

async fn findings(stack: &Stack, terminal: &Terminal) -> Result<Vec<Finding>, Failure> {
    let http = http()?;
    let resources = stack.resources().await;
    let credentials = setup::credentials(stack).await;
    let keys = setup::keys(stack).await;
    let (quota, event_sources, processors, refusals, swapped) = join!(
        concurrency::quota(stack),
        event_sources::examine(stack, &resources),
        processor::examine(stack, &http, &resources),
        refusals::examine(stack, &resources),
        swapped::examine(stack),
    );
    let (medic, phones, calls, queues, dead_letters, alarms, ledger) = join!(
        medic::examine(stack, &http, &credentials),
        africas_talking::examine(stack, &http, &credentials),
        callbacks::examine(stack, &http, &keys),
        flow::queues(stack),
        flow::dead_letters(stack),
        flow::alarms(stack, &resources),
        flow::ledger(stack, terminal),
    );
    let mut findings = setup::stack(stack, &resources);
    findings.push(setup::version(stack));
    findings.extend(credentials.findings);
    findings.extend(keys.findings);
    findings.push(quota);
    for part in [event_sources, processors, medic, phones, calls] {
        findings.extend(part);
    }
    findings.extend([refusals, swapped]);
    for part in [queues, dead_letters, alarms, ledger] {
        findings.extend(part);
    }
    findings.push(setup::clock(&stack.access.clock));
    Ok(findings)
}

/// A server's answer: its status, its body, and its body as JSON, if it is.
struct Answered {
    status: u16,
    bytes: Vec<u8>,
    body: Value,
}

/// Sends a request once. The error says in words why there is no answer.
async fn ask(request: RequestBuilder) -> Result<Answered, &'static str> {
    match exchange(request.header("accept", "application/json"), ANSWER_WITHIN).await {
        Response::Answer { status, body } => Ok(Answered {
            status,
            body: serde_json::from_slice(&body).unwrap_or_default(),
            bytes: body,
        }),
        Response::NotConnected => Err("no connection comes about"),
        Response::NoAnswer => Err("it does not answer within 20 s"),
    }
}

/// The HTTP client of all checks.
type Http = Client;
