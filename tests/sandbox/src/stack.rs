//! The deployed system: `infra/template.yaml` itself, with the real programs, on an emulator of AWS.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use sandbox::stack::{EmulatedStack, Emulator};
//!
//! let emulator = Emulator::start().await?;
//! let stack = EmulatedStack::deploy(&emulator, &[("MedicUrl", "http://127.0.0.1:5988")]).await?;
//! let (incoming, reports) = stack.callback_urls().await?;
//! # Ok(())
//! # }
//! ```

mod aws;
mod emulator;
mod functions;
mod queue_clock;
mod replacement;
mod sam;
pub mod template;
mod wait;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::OnceCell;

pub use aws::{EmulatorClient, LogLine, MessageCounts, QueueMessage, WaitingMessage};
pub use emulator::Emulator;
pub use functions::{FUNCTIONS, build_template, compile, lay_out_template, program};
pub use queue_clock::QueueClock;
pub use replacement::{Replaced, resource_name};
pub use sam::SamDeployment;
pub use wait::eventually;

use crate::tools::{self, repository};

/// The template of the bridge, in the repository.
pub const BRIDGE_TEMPLATE: &str = "infra/template.yaml";
/// An emulator has only this stack.
const STACK_NAME: &str = "bridge";
/// The main message group of the exchange's queue.
const EXCHANGE_GROUP: &str = "medic";
/// The message group of an SMS whose quarantine is ended by [`EmulatedStack::end_quarantine`].
const QUARANTINE_GROUP: &str = "quarantine-sandbox";
/// How long other SMS may wait for Medic before the quarantine of one is ended.
const OTHERS_WITHIN: Duration = Duration::from_secs(20);

/// The folder of all files that this crate writes.
pub(crate) fn work_folder() -> PathBuf {
    repository().join("target/sandbox")
}

/// Installs the tools and compiles the functions, unless that was done already. Returns the path of the
/// template to deploy.
///
/// Tests need not call this, [`Emulator::start`] and [`EmulatedStack::deploy`] do.
///
/// # Errors
/// When a tool cannot be installed, or something does not compile.
pub async fn prepare() -> anyhow::Result<&'static Path> {
    static TEMPLATE: OnceCell<PathBuf> = OnceCell::const_new();
    let template = TEMPLATE
        .get_or_try_init(|| async {
            tokio::task::spawn_blocking(|| {
                tools::install()?;
                build_template(BRIDGE_TEMPLATE, &FUNCTIONS)
            })
            .await?
        })
        .await?;
    Ok(template)
}

/// The stack's outputs. See `Outputs` in the template.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// The webhook for SMS that come in. It can be reached from here, and needs the incoming key at its end.
    pub incoming_messages_callback_url: String,
    /// The webhook for delivery reports. It can be reached from here, and needs the incoming key at its end.
    pub delivery_reports_callback_url: String,
    /// The webhook for opt-outs. It can be reached from here, and needs the incoming key at its end.
    pub opt_outs_callback_url: String,
    /// The secret with the incoming key, `{"key":"…"}`.
    pub incoming_key_secret_arn: String,
    /// The secret with Africa's Talking's key and Medic's user.
    pub credentials_secret_arn: String,
    /// To Medic, FIFO.
    pub exchange_queue_url: String,
    /// For messages that could not be given to Medic, FIFO.
    pub exchange_dead_letter_queue_url: String,
    /// To the ledger.
    pub reports_queue_url: String,
    /// For reports that could not be recorded.
    pub reports_dead_letter_queue_url: String,
    /// To Africa's Talking.
    pub outbox_queue_url: String,
    /// For messages that could not be sent.
    pub outbox_dead_letter_queue_url: String,
    /// The name of the ledger's table.
    pub ledger_table: String,
}

/// A deployed stack. It lives for as long as its emulator.
#[derive(Clone, Debug)]
pub struct EmulatedStack {
    aws: EmulatorClient,
    outputs: Outputs,
}

impl EmulatedStack {
    /// Deploys the template with `sam deploy`, with these parameters and the defaults for all
    /// others. On an emulator that has the stack already it is an update.
    ///
    /// # Errors
    /// With what SAM said, when the deployment fails.
    pub async fn deploy(emulator: &Emulator, parameters: &[(&str, &str)]) -> anyhow::Result<Self> {
        let template = prepare().await?;
        Self::deploy_template(emulator, template, parameters).await
    }

    /// As [`Self::deploy`], with another template, whose packages are where it says.
    ///
    /// # Errors
    /// With what SAM said, when the deployment fails.
    pub async fn deploy_template(
        emulator: &Emulator,
        template: &Path,
        parameters: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let aws = emulator.aws().clone();
        sam_deploy(emulator, template, parameters).await?;
        let outputs = Outputs::of(&aws).await?;
        Ok(Self { aws, outputs })
    }

    /// The stack's outputs.
    #[must_use]
    pub fn outputs(&self) -> &Outputs {
        &self.outputs
    }

    /// For calls to the emulator.
    #[must_use]
    pub fn aws(&self) -> &EmulatorClient {
        &self.aws
    }

    /// The two callback URLs with the current incoming key, as they go into Africa's Talking's
    /// dashboard: incoming messages, delivery reports.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub async fn callback_urls(&self) -> anyhow::Result<(String, String)> {
        let secret = self
            .aws
            .secret(&self.outputs.incoming_key_secret_arn)
            .await?;
        let key = secret.get("key").and_then(Value::as_str);
        let key = key.context("the incoming key's secret has no \"key\"")?;
        // On AWS the key has letters and digits only. The emulator generates punctuation, too.
        let key: String = form_urlencoded::byte_serialize(key.as_bytes()).collect();
        let Outputs {
            incoming_messages_callback_url: incoming,
            delivery_reports_callback_url: reports,
            ..
        } = &self.outputs;
        Ok((format!("{incoming}{key}"), format!("{reports}{key}")))
    }

    /// The URL for opt-outs, with the key.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub async fn opt_outs_url(&self) -> anyhow::Result<String> {
        let (incoming, _) = self.callback_urls().await?;
        let key = incoming.split_once("key=").map_or("", |(_, key)| key);
        Ok(format!("{}{key}", self.outputs.opt_outs_callback_url))
    }

    /// Fills in the credentials, as an operator does after the first deployment.
    ///
    /// # Errors
    /// When the secret cannot be written.
    pub async fn set_credentials(
        &self,
        africastalking_api_key: &str,
        medic_username: &str,
        medic_password: &str,
    ) -> anyhow::Result<()> {
        let credentials = json!({
            "africastalking_api_key": africastalking_api_key,
            "medic_username": medic_username,
            "medic_password": medic_password,
        });
        let secret = &self.outputs.credentials_secret_arn;
        self.aws.put_secret(secret, &credentials).await
    }

    /// Puts a poll into the exchange's queue, as the schedule does every minute.
    ///
    /// # Errors
    /// When SQS refuses.
    pub async fn poll(&self) -> anyhow::Result<()> {
        // The queue deduplicates by content, so each poll needs an id of its own.
        static POLLS: AtomicU64 = AtomicU64::new(0);
        let number = POLLS.fetch_add(1, Ordering::Relaxed);
        let id = format!("sandbox-{}-{number}", std::process::id());
        let body = json!({ "v": 1, "kind": "poll", "id": id }).to_string();
        let queue = &self.outputs.exchange_queue_url;
        self.aws.send(queue, &body, Some(EXCHANGE_GROUP)).await
    }

    /// The queue message of the SMS with this id, if it waits in quarantine.
    ///
    /// # Errors
    /// When the emulator refuses.
    pub async fn quarantined(&self, id: &str) -> anyhow::Result<Option<Value>> {
        let waiting = self.aws.peek(&self.outputs.exchange_queue_url).await?;
        let mut quarantined = waiting.iter().filter(|message| {
            let group = message.group.as_deref();
            group.is_some_and(|group| group.starts_with("quarantine-"))
        });
        Ok(quarantined.find_map(|message| {
            let sms: Value = serde_json::from_str(&message.body).ok()?;
            (text(&sms, "kind") == "quarantined" && text(&sms, "id") == id).then_some(sms)
        }))
    }

    /// Ends the quarantine of an SMS, as if Medic had failed on it `failures` times. The functions' own clock
    /// cannot be moved, so a message whose time is over replaces the one that waits. Polls in the same queue
    /// are lost.
    ///
    /// # Errors
    /// When the SMS is not in quarantine, or another SMS waits for Medic, which would be lost.
    pub async fn end_quarantine(&self, id: &str, failures: u32) -> anyhow::Result<()> {
        let queue = &self.outputs.exchange_queue_url;
        // An SMS that Medic has just stored is in the queue until the invocation has ended.
        eventually("no other SMS for Medic", OTHERS_WITHIN, async || {
            for message in self.aws.peek(queue).await? {
                let waiting: Value = serde_json::from_str(&message.body)?;
                let other = text(&waiting, "id");
                ensure!(
                    waiting.get("from").is_none() || other == id,
                    "{other} waits, too"
                );
            }
            Ok(Some(()))
        })
        .await?;
        // It may be with Medic just now.
        let mut sms = eventually("the SMS in quarantine", OTHERS_WITHIN, async || {
            self.quarantined(id).await
        })
        .await?;
        let quarantine = sms.get_mut("quarantine").and_then(Value::as_object_mut);
        let quarantine = quarantine.context("nothing says why it is in quarantine")?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let now_ms = u64::try_from(now.as_millis())?;
        quarantine.insert("until_ms".to_owned(), now_ms.into());
        quarantine.insert("failures".to_owned(), failures.into());
        self.aws.purge(queue).await?;
        let body = sms.to_string();
        self.aws.send(queue, &body, Some(QUARANTINE_GROUP)).await
    }

    /// The physical name of a resource of the template.
    ///
    /// # Errors
    /// When there is no such resource.
    pub async fn resource(&self, name: &str) -> anyhow::Result<String> {
        self.aws.stack_resource(STACK_NAME, name).await
    }

    /// Begins to delete the stack, as `sam delete` does.
    ///
    /// # Errors
    /// When CloudFormation refuses.
    pub async fn delete(&self) -> anyhow::Result<()> {
        self.aws.delete_stack(STACK_NAME).await
    }

    /// All rows of the ledger, as plain JSON.
    ///
    /// # Errors
    /// When DynamoDB refuses.
    pub async fn ledger(&self) -> anyhow::Result<Vec<Value>> {
        self.aws.rows(&self.outputs.ledger_table).await
    }

    /// The log lines of one of the [`FUNCTIONS`], oldest first. None before its first invocation.
    ///
    /// # Errors
    /// When there is no such function.
    pub async fn log_lines(&self, function: &str) -> anyhow::Result<Vec<String>> {
        let group = format!("/aws/lambda/{STACK_NAME}/{function}");
        self.aws.log_lines(&group).await
    }

    /// The log lines of one of the [`FUNCTIONS`] since a moment (milliseconds since 1970), oldest first. None
    /// before its first invocation.
    ///
    /// # Errors
    /// When the emulator refuses.
    pub async fn log_lines_since(
        &self,
        function: &str,
        since_ms: u64,
    ) -> anyhow::Result<Vec<LogLine>> {
        let group = format!("/aws/lambda/{STACK_NAME}/{function}");
        self.aws.log_lines_since(&group, since_ms).await
    }
}

impl Outputs {
    async fn of(aws: &EmulatorClient) -> anyhow::Result<Self> {
        let outputs = aws.stack_outputs(STACK_NAME).await?;
        let output = |name: &str| {
            let found = outputs.iter().find(|(key, _)| key == name);
            found
                .map(|(_, value)| value.clone())
                .with_context(|| format!("the stack has no output {name}"))
        };
        let callback = |name: &str| reachable(aws, &output(name)?);
        Ok(Self {
            incoming_messages_callback_url: callback("IncomingMessagesCallbackUrl")?,
            delivery_reports_callback_url: callback("DeliveryReportsCallbackUrl")?,
            opt_outs_callback_url: callback("OptOutsCallbackUrl")?,
            incoming_key_secret_arn: output("IncomingKeySecretArn")?,
            credentials_secret_arn: output("CredentialsSecretArn")?,
            exchange_queue_url: output("ExchangeQueueUrl")?,
            exchange_dead_letter_queue_url: output("ExchangeDeadLetterQueueUrl")?,
            reports_queue_url: output("ReportsQueueUrl")?,
            reports_dead_letter_queue_url: output("ReportsDeadLetterQueueUrl")?,
            outbox_queue_url: output("OutboxQueueUrl")?,
            outbox_dead_letter_queue_url: output("OutboxDeadLetterQueueUrl")?,
            ledger_table: output("LedgerTable")?,
        })
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    let text = value.get(name).and_then(Value::as_str);
    text.unwrap_or_default()
}

/// The emulator tells HTTP APIs apart by a host name `<id>.execute-api.…` that nobody can resolve;
/// this is its other way, by the path. A host name of one's own is left as it is.
fn reachable(aws: &EmulatorClient, url: &str) -> anyhow::Result<String> {
    let parts = url.split_once("://").and_then(|(_, rest)| {
        let (host, path) = rest.split_once('/')?;
        let (api, rest) = host.split_once('.')?;
        Some((api, rest.starts_with("execute-api."), path))
    });
    match parts.with_context(|| format!("{url} is not the URL of an HTTP API"))? {
        (api, true, path) => Ok(format!("{}/_aws/execute-api/{api}/{path}", aws.url())),
        (_, false, _) => Ok(url.to_owned()),
    }
}

async fn sam_deploy(
    emulator: &Emulator,
    template: &Path,
    parameters: &[(&str, &str)],
) -> anyhow::Result<()> {
    let deployment = SamDeployment {
        template,
        stack: STACK_NAME,
        bucket: Some(emulator::ARTIFACTS_BUCKET),
        region: aws::REGION,
        parameters,
        tags: &[],
    };
    let mut command = Command::from(deployment.command());
    let output = command
        // The caller's environment could lead to the real AWS, by a profile or a samconfig.toml.
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .envs(sam_environment())
        .env("AWS_ENDPOINT_URL", emulator.url())
        .current_dir(work_folder())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("cannot run SAM")?;
    ensure!(
        output.status.success(),
        "sam deploy failed:\n{}{}\nThe emulator's log is {}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        emulator.log_file().display()
    );
    Ok(())
}

/// The environment with which `cargo ops`, and any tool of AWS, talk to this emulator and its stack.
#[must_use]
pub fn operator_environment(emulator: &Emulator) -> [(&'static str, String); 5] {
    [
        ("AWS_ENDPOINT_URL", emulator.url().to_owned()),
        ("AWS_ACCESS_KEY_ID", aws::ACCESS_KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", aws::ACCESS_KEY.to_owned()),
        ("AWS_REGION", aws::REGION.to_owned()),
        ("OPS_STACK", STACK_NAME.to_owned()),
    ]
}

/// The environment in which SAM is quiet and fast, and cannot reach a real account.
#[must_use]
pub fn sam_environment() -> [(&'static str, String); 9] {
    let home = work_folder().join("home").display().to_string();
    [
        ("HOME", home),
        ("AWS_ACCESS_KEY_ID", aws::ACCESS_KEY.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", aws::ACCESS_KEY.to_owned()),
        ("AWS_DEFAULT_REGION", aws::REGION.to_owned()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("SAM_CLI_TELEMETRY", "0".to_owned()),
        // How often it asks whether the deployment is done. The default is five seconds.
        ("SAM_CLI_POLL_DELAY", "1".to_owned()),
        // People read its output only in an error.
        ("NO_COLOR", "1".to_owned()),
        ("PYTHONUNBUFFERED", "1".to_owned()),
    ]
}
