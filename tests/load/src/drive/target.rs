//! The systems under load, and where the other end of each SMS can be seen.

use std::collections::HashMap;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use sandbox::africastalking::{
    AfricasTalkingConfig, AfricasTalkingFault, AfricasTalkingStandIn, SmsToPhone,
};
use sandbox::faults::Scope;
use sandbox::medic::{MedicConfig, MedicStandIn, MessageState, OutgoingMessage, StoredMessage};
use sandbox::stack::{EmulatedStack, Emulator};
use serde_json::Value;

use super::options::Options;
use super::{Followed, WITH_REPLY};
use crate::aws::now_ms;
use crate::lambda::programs;
use crate::local::{Local, Manners};

/// The beginning of a reply; the id of the message that it replies to follows.
const REPLY: &str = "Received: ";

/// A system under load.
pub enum Target {
    /// The programs, on this machine.
    Local(Box<Local>),
    /// The template, on the emulator.
    Sandbox(Box<SandboxTarget>),
    /// A stack on AWS.
    Deployed {
        /// The callback URL.
        url: String,
        /// The log that says what Medic has stored.
        log_group: String,
        /// Nothing before this is of this run.
        began_ms: u64,
    },
}

/// The template, deployed on the emulator, between the stand-ins. It ends when it is dropped.
pub struct SandboxTarget {
    stack: EmulatedStack,
    url: String,
    medic: MedicStandIn,
    africas_talking: AfricasTalkingStandIn,
    _emulator: Emulator,
}

impl Target {
    /// Starts what is to be driven, if it is not there already.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start(options: &Options) -> anyhow::Result<Self> {
        if let (Some(url), Some(stack)) = (&options.url, &options.stack) {
            return Ok(Self::Deployed {
                url: url.clone(),
                log_group: format!("/aws/lambda/{stack}/medic-exchange"),
                began_ms: now_ms(),
            });
        }
        if options.sandbox {
            return sandbox().await;
        }
        let programs = tokio::task::block_in_place(|| programs::build(&options.profile))?;
        let local = Local::start(&programs, Manners::default()).await?;
        prepare(&local.medic, &local.africas_talking).await;
        Ok(Self::Local(Box::new(local)))
    }

    /// Its name in words.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Local(_) => "the programs on this machine".to_owned(),
            Self::Sandbox(_) => "the template on the emulator of AWS".to_owned(),
            Self::Deployed { log_group, .. } => format!("a stack on AWS ({log_group})"),
        }
    }

    /// Where incoming messages are posted, key included.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Local(local) => {
                let [incoming, _] = local.callback_urls();
                incoming
            }
            Self::Sandbox(sandbox) => sandbox.url.clone(),
            Self::Deployed { url, .. } => url.clone(),
        }
    }

    /// Whether the replies can be followed.
    #[must_use]
    pub fn has_replies(&self) -> bool {
        !matches!(self, Self::Deployed { .. })
    }

    /// Does what the schedule does every minute, where the minute would be long.
    ///
    /// # Errors
    /// When the queue does not take it.
    pub async fn poll(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Local(local) => local.poll()?,
            Self::Sandbox(sandbox) => sandbox.stack.poll().await?,
            Self::Deployed { .. } => {}
        }
        Ok(())
    }

    /// Looks where each SMS is.
    ///
    /// # Errors
    /// When the other end cannot be seen.
    pub async fn check(&self, messages: &mut [Followed]) -> anyhow::Result<()> {
        let (medic, africas_talking) = match self {
            Self::Local(local) => (&local.medic, &local.africas_talking),
            Self::Sandbox(sandbox) => (&sandbox.medic, &sandbox.africas_talking),
            Self::Deployed {
                log_group,
                began_ms,
                ..
            } => {
                let stored = stored_by_the_log(log_group, *began_ms)?;
                for sms in messages {
                    sms.stored_ms = stored.get(&sms.id).copied().into_iter().collect();
                }
                return Ok(());
            }
        };
        let stored = times(
            medic
                .stored()
                .iter()
                .map(|sms: &StoredMessage| (sms.id.as_str(), sms.at_ms.unsigned_abs())),
        );
        let accepted = africas_talking.accepted();
        let replied = accepted.iter().filter_map(|sms: &SmsToPhone| {
            Some((sms.text.strip_prefix(REPLY)?, sms.at_ms.unsigned_abs()))
        });
        let replied = times(replied);
        let outgoing = medic.all_outgoing();
        let reported = times(
            outgoing
                .iter()
                .filter_map(|sms| Some((sms.content.strip_prefix(REPLY)?, delivered_ms(sms)?))),
        );
        for sms in messages {
            sms.stored_ms = stored.get(&sms.id).cloned().unwrap_or_default();
            sms.replied_ms = replied.get(&sms.id).cloned().unwrap_or_default();
            sms.reported_ms = reported
                .get(&sms.id)
                .and_then(|times| times.first().copied());
        }
        Ok(())
    }
}

/// Medic replies to what asks for it, and reports come in the wrong order.
async fn prepare(medic: &MedicStandIn, africas_talking: &AfricasTalkingStandIn) {
    medic.set_auto_reply_with(|stored| {
        let is_asked_for = stored.content.ends_with(WITH_REPLY);
        is_asked_for.then(|| format!("{REPLY}{}", stored.id))
    });
    africas_talking
        .fault(AfricasTalkingFault::ReportsReordered, Scope::UntilCleared)
        .await;
}

async fn sandbox() -> anyhow::Result<Target> {
    let emulator = Emulator::start().await?;
    let at = AfricasTalkingConfig::default();
    let server = MedicConfig::default();
    let (username, api_key) = (at.username.clone(), at.api_key.clone());
    let (user, password) = (server.user.clone(), server.password.clone());
    let africas_talking = AfricasTalkingStandIn::start(at).await?;
    let medic = MedicStandIn::start(server).await?;
    prepare(&medic, &africas_talking).await;
    let parameters = [
        ("MedicUrl", medic.url()),
        ("AfricasTalkingUsername", username),
        ("AfricasTalkingBaseUrl", africas_talking.url()),
    ];
    let parameters = parameters
        .each_ref()
        .map(|(name, value)| (*name, value.as_str()));
    let stack = EmulatedStack::deploy(&emulator, &parameters).await?;
    stack.set_credentials(&api_key, &user, &password).await?;
    let (url, reports) = stack.callback_urls().await?;
    africas_talking.set_callbacks(url.clone(), reports);
    let sandbox = SandboxTarget {
        stack,
        url,
        medic,
        africas_talking,
        _emulator: emulator,
    };
    Ok(Target::Sandbox(Box::new(sandbox)))
}

fn times<'a>(seen: impl Iterator<Item = (&'a str, u64)>) -> HashMap<String, Vec<u64>> {
    let mut times: HashMap<String, Vec<u64>> = HashMap::new();
    for (id, at_ms) in seen {
        times.entry(id.to_owned()).or_default().push(at_ms);
    }
    times
}

fn delivered_ms(sms: &OutgoingMessage) -> Option<u64> {
    let delivered = sms
        .history
        .iter()
        .find(|change| change.state == MessageState::Delivered);
    delivered.map(|change| change.at_ms.unsigned_abs())
}

/// The messages that `medic-exchange` has logged as stored, and when. A message that is handed over again
/// is logged again; whether Medic has stored it again can only be seen in Medic.
fn stored_by_the_log(group: &str, began_ms: u64) -> anyhow::Result<HashMap<String, u64>> {
    let output = Command::new("aws")
        .args([
            "logs",
            "filter-log-events",
            "--output",
            "json",
            "--log-group-name",
            group,
        ])
        .args([
            "--filter-pattern",
            "\"message_stored\"",
            "--start-time",
            &began_ms.to_string(),
        ])
        .output()
        .context("cannot run the AWS CLI")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the log cannot be read: {said}");
    stored_in(&serde_json::from_slice(&output.stdout)?)
}

fn stored_in(answer: &Value) -> anyhow::Result<HashMap<String, u64>> {
    let Some(events) = answer.get("events").and_then(Value::as_array) else {
        bail!("the AWS CLI's answer has no events");
    };
    let mut stored = HashMap::new();
    for event in events {
        let line: Value = match event.get("message").and_then(Value::as_str) {
            Some(line) => serde_json::from_str(line)?,
            None => continue,
        };
        let id = line.get("id").and_then(Value::as_str);
        let at_ms = event.get("timestamp").and_then(Value::as_u64);
        if let (Some(id), Some(at_ms)) = (id, at_ms) {
            stored.entry(id.to_owned()).or_insert(at_ms);
        }
    }
    Ok(stored)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_logged_as_stored_is_stored_when_it_was_logged_first() {
        let line = r#"{"event":"message_stored","function":"f","id":"a","level":"info"}"#;
        let answer = json!({ "events": [
            { "message": line, "timestamp": 5 }, { "message": line, "timestamp": 9 },
        ] });
        assert_eq!(
            stored_in(&answer).unwrap(),
            HashMap::from([("a".to_owned(), 5)])
        );
        assert!(stored_in(&json!({})).is_err());
    }
}
