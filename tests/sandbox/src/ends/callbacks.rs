//! Where a real Africa's Talking brings its callbacks: through a tunnel to a port of its own, which
//! passes on the two callbacks and nothing else. The emulator's own port would open all of the
//! emulated AWS, with its secrets, to whoever finds the tunnel.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use tokio::task::JoinHandle;

use crate::africastalking::{CallbackAttempt, CallbackKind};
use crate::answer::{self, ReadBody, read_body};
use crate::http;
use crate::ids;
use crate::observed::{Changes, Observed};
use crate::server::{Door, Gate};
use crate::stack::Outputs;

/// Longer than any callback of Africa's Talking; the webhooks have a limit of their own below it.
const LONGEST_BODY: usize = 1024 * 1024;
/// So many callbacks are remembered for the page.
const KEPT_CALLBACKS: usize = 1000;
/// API Gateway gives up after this.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// The paths of the two callbacks, as the template has them.
const INCOMING_PATH: &str = "/api/v1/sms/africastalking/incoming-messages";
const REPORTS_PATH: &str = "/api/v1/sms/africastalking/delivery-reports";

/// Takes the callbacks. Dropping it ends it.
#[derive(Debug)]
pub struct CallbackGate {
    address: SocketAddr,
    door: Door,
    serving: JoinHandle<()>,
    seen: Arc<Observed<VecDeque<CallbackAttempt>>>,
}

#[derive(Clone, Debug)]
struct GateTargets {
    client: reqwest::Client,
    incoming: String,
    reports: String,
    seen: Arc<Observed<VecDeque<CallbackAttempt>>>,
}

impl CallbackGate {
    /// Takes callbacks on this port of 127.0.0.1, 0 takes a free one, and passes them on to this
    /// stack.
    ///
    /// # Errors
    /// When somebody has the port.
    pub fn open(port: u16, outputs: &Outputs) -> anyhow::Result<Self> {
        let (gate, door) = Gate::bind(port).context("the port for callbacks")?;
        let address = gate.address();
        let without_key = |url: &str| url.split('?').next().unwrap_or_default().to_owned();
        let seen = Arc::new(Observed::new(VecDeque::new()));
        let targets = GateTargets {
            client: http::client(ANSWER_WITHIN)?,
            incoming: without_key(&outputs.incoming_messages_callback_url),
            reports: without_key(&outputs.delivery_reports_callback_url),
            seen: seen.clone(),
        };
        let routes = Router::new()
            .route(INCOMING_PATH, post(incoming))
            .route(REPORTS_PATH, post(report))
            .with_state(targets);
        let serving = tokio::spawn(async {
            // It never ends by itself.
            let _ = axum::serve(gate, routes).await;
        });
        Ok(Self {
            address,
            door,
            serving,
            seen,
        })
    }

    /// Where a tunnel has to lead.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The callbacks that came last, oldest first.
    #[must_use]
    pub fn callbacks(&self) -> Vec<CallbackAttempt> {
        self.seen.read(|seen| seen.iter().cloned().collect())
    }

    pub(crate) fn changes(&self) -> Changes {
        self.seen.changes()
    }
}

/// The two URLs for the dashboard, incoming messages and delivery reports: under this address, with
/// the key that is in the stack's own.
#[must_use]
pub fn public_callback_urls(public_url: &str, own: &(String, String)) -> (String, String) {
    let under = |path: &str, own: &str| {
        let query = own.split_once('?').map_or("", |(_, query)| query);
        format!("{}{path}?{query}", public_url.trim_end_matches('/'))
    };
    (under(INCOMING_PATH, &own.0), under(REPORTS_PATH, &own.1))
}

impl Drop for CallbackGate {
    fn drop(&mut self) {
        self.serving.abort();
        self.door.cut_all();
    }
}

async fn incoming(State(targets): State<GateTargets>, request: Request<Body>) -> Response {
    pass_on(&targets, CallbackKind::Incoming, request).await
}

async fn report(State(targets): State<GateTargets>, request: Request<Body>) -> Response {
    pass_on(&targets, CallbackKind::Report, request).await
}

/// Passes a callback on as it came, and the answer back.
async fn pass_on(targets: &GateTargets, kind: CallbackKind, request: Request<Body>) -> Response {
    let at_ms = ids::now_ms();
    let (parts, body) = request.into_parts();
    let body = match read_body(body, LONGEST_BODY).await {
        ReadBody::Whole(body) if body.len() <= LONGEST_BODY => body,
        ReadBody::Whole(_) => return StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        ReadBody::Broken => return StatusCode::BAD_REQUEST.into_response(),
    };
    let target = match kind {
        CallbackKind::Incoming => &targets.incoming,
        CallbackKind::Report => &targets.reports,
    };
    let query = parts.uri.query().unwrap_or_default();
    let mut passed = targets.client.post(format!("{target}?{query}"));
    for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING] {
        if let Some(value) = parts.headers.get(&name) {
            passed = passed.header(name, value);
        }
    }
    let form: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
    // Without the error's text, which has the URL with the key in it.
    let answered = match passed.body(body).send().await {
        Ok(answer) => {
            let status = answer.status();
            let text = answer.text().await.unwrap_or_default();
            Ok((status, text))
        }
        Err(_) => Err("the bridge does not answer"),
    };
    let id = form.iter().find(|(name, _)| name == "id");
    let attempt = CallbackAttempt {
        at_ms,
        kind,
        id: id.map(|(_, id)| id.clone()).unwrap_or_default(),
        attempt: 1,
        form,
        status: answered.as_ref().ok().map(|(status, _)| status.as_u16()),
        error: answered.as_ref().err().map(|error| (*error).to_owned()),
    };
    targets.seen.change(|seen| {
        if seen.len() == KEPT_CALLBACKS {
            seen.pop_front();
        }
        seen.push_back(attempt);
    });
    match answered {
        Ok((status, text)) => answer::with(status, "text/plain; charset=utf-8", text),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_urls_for_the_dashboard_are_the_tunnels_with_the_key_of_the_stack() {
        let own = |what: &str| format!("http://127.0.0.1:4566/_aws/execute-api/a/{what}?key=k%26");
        let urls = public_callback_urls("https://clinic.example.org/", &(own("in"), own("out")));
        let expected = |what: &str| {
            format!("https://clinic.example.org/api/v1/sms/africastalking/{what}?key=k%26")
        };
        assert_eq!(urls.0, expected("incoming-messages"));
        assert_eq!(urls.1, expected("delivery-reports"));
    }
}
