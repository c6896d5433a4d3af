//! Real ends: a Medic or an account of Africa's Talking of the user's own, in the place of a
//! stand-in.

pub mod africastalking;
pub mod callbacks;
pub mod kept;
pub mod medic;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use self::callbacks::CallbackGate;
use self::kept::KeptFolder;
use self::medic::RealMedic;

/// How long a real end may take to answer one question.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// The real ends that replace the models.
#[derive(Debug, Default)]
pub struct ChosenEnds {
    /// In the place of Medic's stand-in.
    pub medic: Option<RealMedic>,
    /// In the place of the stand-in of Africa's Talking.
    pub africastalking: Option<ChosenAfricasTalking>,
    /// Where ledger and queues are kept for the next start.
    pub kept: Option<KeptFolder>,
}

/// An account of Africa's Talking, and how it reaches the sandbox.
#[derive(Debug)]
pub struct ChosenAfricasTalking {
    /// The account.
    pub account: africastalking::RealAccount,
    /// The parameter `SenderIds`.
    pub sender_ids: String,
    /// The address of a tunnel to the gate of callbacks.
    pub public_url: Option<String>,
    /// The port of that gate on 127.0.0.1; 0 takes a free one.
    pub callback_port: u16,
}

/// The real ends of a sandbox that runs.
#[derive(Clone, Debug, Default)]
pub struct RealEnds {
    /// Medic, if it is none of ours.
    pub medic: Option<Arc<RealMedic>>,
    /// Africa's Talking, if it is none of ours.
    pub africastalking: Option<Arc<RealAfricasTalking>>,
}

/// An account of Africa's Talking that sends for the sandbox.
#[derive(Debug)]
pub struct RealAfricasTalking {
    /// Its user name.
    pub username: String,
    /// Takes its callbacks.
    pub gate: CallbackGate,
    /// The URLs for the dashboard, if a tunnel leads to that gate.
    pub public_urls: Option<PublicUrls>,
}

/// The callback URLs under a tunnel's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrls {
    /// For incoming messages.
    pub incoming: String,
    /// For delivery reports.
    pub reports: String,
    /// For opt-outs.
    pub opt_outs: String,
}

/// A password or a key. It is shown nowhere.
#[derive(Clone)]
pub struct RedactedSecret(String);

impl RedactedSecret {
    /// Takes it, without the line end and blanks that came with it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// The secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether nothing was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for RedactedSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("…")
    }
}

/// The answer of a real end: its status, and its body as far as it is JSON.
struct EndAnswer {
    status: u16,
    body: Value,
}

/// Asks once. The error says in words why there is no answer, and nothing of what was asked.
async fn ask(request: reqwest::RequestBuilder) -> Result<EndAnswer, String> {
    let answer = request.header("accept", "application/json").send().await;
    let answer = answer.map_err(|error| no_answer(&error))?;
    let status = answer.status().as_u16();
    let body = answer.bytes().await.map_err(|error| no_answer(&error))?;
    Ok(EndAnswer {
        status,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    })
}

fn no_answer(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("it does not answer within {} s", ANSWER_WITHIN.as_secs());
    }
    let mut causes = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        causes.push(inner.to_string());
        cause = inner.source();
    }
    if causes.iter().any(|cause| cause.contains("certificate")) {
        return "its certificate is of no authority that the bridge trusts".to_owned();
    }
    if error.is_connect() {
        return "no connection comes about".to_owned();
    }
    "the connection ends before it has answered".to_owned()
}
