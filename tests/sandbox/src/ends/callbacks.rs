//! Where a real Africa's Talking brings its callbacks: through a tunnel to a port of its own, which
//! passes on callbacks and nothing else. The emulator's own port would open all of the
//! emulated AWS, with its secrets, to whoever finds the tunnel.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
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

/// The beginning of the callbacks' paths, as the template has it.
const PREFIX: &str = "/api/v1/sms/africastalking/";

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
    /// The stack's URL up to the callback's name.
    base: String,
    seen: Arc<Observed<VecDeque<CallbackAttempt>>>,
}

impl GateTargets {
    fn remember(&self, attempt: CallbackAttempt) {
        self.seen.change(|seen| {
            if seen.len() == KEPT_CALLBACKS {
                seen.pop_front();
            }
            seen.push_back(attempt);
        });
    }
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
        let own = &outputs.incoming_messages_callback_url;
        let (host, _) = own.split_once(PREFIX).context("no callback URL")?;
        let seen = Arc::new(Observed::new(VecDeque::new()));
        let targets = GateTargets {
            client: http::client(ANSWER_WITHIN)?,
            base: format!("{host}{PREFIX}"),
            seen: seen.clone(),
        };
        let routes = Router::new()
            .route(&format!("{PREFIX}{{*name}}"), post(pass_on))
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

/// The URL for the dashboard under this address, of one of the stack's own with its key.
#[must_use]
pub fn public_callback_url(public_url: &str, own: &str) -> String {
    let name_and_key = own.split_once(PREFIX).map_or("", |(_, rest)| rest);
    format!("{}{PREFIX}{name_and_key}", public_url.trim_end_matches('/'))
}

impl Drop for CallbackGate {
    fn drop(&mut self) {
        self.serving.abort();
        self.door.cut_all();
    }
}

/// Passes a callback on as it came, and the answer back. The page shows messages and reports.
async fn pass_on(
    State(targets): State<GateTargets>,
    Path(name): Path<String>,
    request: Request<Body>,
) -> Response {
    let kind = match name.trim_end_matches('/') {
        "incoming-messages" => Some(CallbackKind::Incoming),
        "delivery-reports" => Some(CallbackKind::Report),
        _ => None,
    };
    let at_ms = ids::now_ms();
    let (parts, body) = request.into_parts();
    let body = match read_body(body, LONGEST_BODY).await {
        ReadBody::Whole(body) if body.len() <= LONGEST_BODY => body,
        ReadBody::Whole(_) => return StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        ReadBody::Broken => return StatusCode::BAD_REQUEST.into_response(),
    };
    let query = parts.uri.query().unwrap_or_default();
    let base = &targets.base;
    let mut passed = targets.client.post(format!("{base}{name}?{query}"));
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
    if let Some(kind) = kind {
        targets.remember(CallbackAttempt {
            at_ms,
            kind,
            id: form
                .iter()
                .find(|(name, _)| name == "id")
                .map(|(_, id)| id.clone())
                .unwrap_or_default(),
            attempt: 1,
            form,
            status: answered.as_ref().ok().map(|(status, _)| status.as_u16()),
            error: answered.as_ref().err().map(|error| (*error).to_owned()),
        });
    }
    match answered {
        Ok((status, text)) => answer::with(status, "text/plain; charset=utf-8", text),
        Err(_) => StatusCode::BAD_GATEWAY.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_for_the_dashboard_is_the_tunnels_with_the_key_of_the_stack() {
        for name in ["incoming-messages", "delivery-reports", "opt-outs"] {
            let own = format!("http://127.0.0.1:4566/_aws/execute-api/a{PREFIX}{name}?key=k%26");
            let url = public_callback_url("https://clinic.example.org/", &own);
            let expected = format!("https://clinic.example.org{PREFIX}{name}?key=k%26");
            assert_eq!(url, expected);
        }
    }
}
