//! A deployed bridge with a stand-in at each end.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use sandbox::africastalking::{AfricasTalkingConfig, AfricasTalkingStandIn};
use sandbox::medic::{MedicConfig, MedicStandIn};
use sandbox::stack::{self, EmulatedStack, Emulator, FUNCTIONS};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use crate::driving::{form, found};

/// Everything secret or personal that a test makes up has this in it, so that it can be found where
/// it must not be.
pub const MARK: &str = "tumaini";

/// The beginning of all phone numbers of the tests, with and without their `+`.
const NUMBERS: &str = "2547000000";

/// Numbers that begin so are sent to as [`CLINIC`].
pub const CLINIC_PREFIX: &str = "+25470000009";
/// The sender id of some numbers.
pub const CLINIC: &str = "CLINIC";
/// The sender id of all others.
pub const SHORT_CODE: &str = "20880";

/// How long a POST to Medic may take. Short, so that a doubt is not long in coming.
pub const MEDIC_TIMEOUT_S: u64 = 3;

/// How long anything may take that takes a second or two on an idle machine, or waits for the minute's
/// poll.
pub const SOON: Duration = Duration::from_secs(120);

/// Longer than any wait of the system, and than SQS's deduplication.
pub const LONGER_THAN_ANY_WAIT: Duration = Duration::from_secs(20 * 60);

/// Stand-ins and stacks outlive the test that has started them.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// Runs a test.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    RUNTIME.block_on(test)
}

/// Runs a test on the stack that many use at the same time. It must leave alone what is not its own:
/// no fault but for its own numbers and texts, no other keys, no waiting for empty queues.
pub fn on_the_shared_stack(
    test: impl AsyncFnOnce(&Bridge) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    static SHARED: OnceCell<Bridge> = OnceCell::const_new();
    run(async {
        let bridge = SHARED.get_or_try_init(Bridge::deploy).await?;
        test(bridge).await?;
        bridge.promises_are_kept().await
    })
}

/// Runs a test on a stack that nobody else uses meanwhile. Those who come later get it in working
/// order, but not empty: what is counted must be one's own.
pub fn on_a_stack_of_its_own(
    test: impl AsyncFnOnce(&Bridge) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    static FREE: Mutex<Vec<Bridge>> = Mutex::new(Vec::new());
    let free = || FREE.lock().unwrap_or_else(PoisonError::into_inner);
    run(async {
        let found = free().pop();
        let bridge = match found {
            Some(bridge) => bridge,
            None => Bridge::deploy().await?,
        };
        test(&bridge).await?;
        bridge.settle().await?;
        bridge.promises_are_kept().await?;
        free().push(bridge);
        Ok(())
    })
}

/// An id that no other test uses.
pub fn id() -> String {
    static USED: AtomicU32 = AtomicU32::new(0);
    let number = USED.fetch_add(1, Ordering::Relaxed);
    format!("{:08x}-0000-4000-8000-{number:012x}", std::process::id())
}

/// What Medic gets as the text of an opt-out.
pub const OPT_OUT_TEXT: &str = "tumaini STOP";

/// A deployed bridge with a stand-in at each end.
#[derive(Debug)]
pub struct Bridge {
    pub emulator: Emulator,
    pub stack: EmulatedStack,
    pub africastalking: AfricasTalkingStandIn,
    pub medic: MedicStandIn,
    pub http: reqwest::Client,
    numbers_used: AtomicU32,
    /// The parameters of its deployment.
    parameters: Vec<(&'static str, String)>,
    /// The key that was generated when the stack was deployed.
    pub generated_key: String,
}

impl Bridge {
    /// One that nobody else gets.
    pub async fn deploy() -> anyhow::Result<Self> {
        Self::deploy_template(stack::prepare().await?).await
    }

    /// One that nobody else gets, of this template.
    pub async fn deploy_template(template: &Path) -> anyhow::Result<Self> {
        let emulator = Emulator::start().await?;
        let phones = AfricasTalkingConfig {
            api_key: format!("{MARK}-api-key"),
            short_code: SHORT_CODE.to_owned(),
            sender_ids: vec![CLINIC.to_owned()],
            ..AfricasTalkingConfig::default()
        };
        let server = MedicConfig {
            password: format!("{MARK}-password"),
            ..MedicConfig::default()
        };
        let api_key = phones.api_key.clone();
        let username = phones.username.clone();
        let (user, password) = (server.user.clone(), server.password.clone());
        let africastalking = AfricasTalkingStandIn::start(phones).await?;
        let medic = MedicStandIn::start(server).await?;
        let parameters = vec![
            ("MedicUrl", medic.url()),
            ("MedicTimeoutSeconds", MEDIC_TIMEOUT_S.to_string()),
            ("MedicGraceSeconds", MEDIC_TIMEOUT_S.to_string()),
            ("AfricasTalkingUsername", username),
            ("AfricasTalkingBaseUrl", africastalking.url()),
            (
                "SenderIds",
                format!("{SHORT_CODE},{CLINIC_PREFIX}={CLINIC}"),
            ),
            ("OptOutText", OPT_OUT_TEXT.to_owned()),
        ];
        let given = borrowed(&parameters);
        let stack = EmulatedStack::deploy_template(&emulator, template, &given).await?;
        stack.set_credentials(&api_key, &user, &password).await?;
        let (incoming, reports) = stack.callback_urls().await?;
        africastalking.set_callbacks(incoming, reports);
        africastalking.set_opt_outs_callback(stack.opt_outs_url().await?);
        let secret = &stack.outputs().incoming_key_secret_arn;
        let secret = stack.aws().secret(secret).await?;
        let generated_key = secret["key"].as_str().context("no key")?.to_owned();
        Ok(Self {
            http: sandbox::http::client(SOON)?,
            numbers_used: AtomicU32::new(0),
            parameters,
            emulator,
            stack,
            africastalking,
            medic,
            generated_key,
        })
    }

    /// Deploys the stack once more, with one parameter changed.
    pub async fn update(&self, parameter: &'static str, value: &str) -> anyhow::Result<()> {
        self.update_all(&[(parameter, value)]).await?;
        Ok(())
    }

    /// Deploys the stack once more, with some parameters changed.
    pub async fn update_all(
        &self,
        changed: &[(&'static str, &str)],
    ) -> anyhow::Result<EmulatedStack> {
        let mut parameters = self.parameters.clone();
        let changed = changed.iter();
        parameters.extend(changed.map(|(name, value)| (*name, (*value).to_owned())));
        EmulatedStack::deploy(&self.emulator, &borrowed(&parameters)).await
    }

    /// A phone number that no other test uses on this stack.
    pub fn number(&self) -> String {
        // The real payloads have the first ones.
        let number = 10 + self.numbers_used.fetch_add(1, Ordering::Relaxed);
        assert!(number < 90, "the invented numbers are used up");
        format!("+{NUMBERS}{number:02}")
    }

    /// Lets waits end that the system makes.
    pub fn pass_time(&self) -> anyhow::Result<()> {
        self.emulator.queue_clock().pass(LONGER_THAN_ANY_WAIT)
    }

    /// Puts everything in order for the next test.
    async fn settle(&self) -> anyhow::Result<()> {
        self.africastalking.clear_faults().await;
        self.africastalking.release_reports().await;
        self.medic.clear_faults().await;
        self.medic.set_auto_reply(None);
        self.pass_time()?;
        let outputs = self.stack.outputs();
        let queues = [
            &outputs.exchange_queue_url,
            &outputs.reports_queue_url,
            &outputs.outbox_queue_url,
        ];
        found("empty queues", async || {
            for queue in queues {
                if self.stack.aws().depth(queue).await?.total() > 0 {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
        .await
    }

    /// The promises that hold whatever a test does.
    async fn promises_are_kept(&self) -> anyhow::Result<()> {
        let duplicates = self.medic.duplicates();
        ensure!(duplicates.is_empty(), "stored twice: {duplicates:?}");
        let at_once = self.medic.max_in_flight();
        ensure!(at_once <= 1, "{at_once} POSTs to Medic at the same time");
        self.nothing_personal_is_logged().await
    }

    /// No number, text, password or key is in any function's log.
    async fn nothing_personal_is_logged(&self) -> anyhow::Result<()> {
        let encoded_key = form(&[("", &self.generated_key)]).split_off(1);
        let forbidden = [NUMBERS, MARK, self.generated_key.as_str(), &encoded_key];
        for function in FUNCTIONS {
            for line in self.stack.log_lines(function).await? {
                for word in forbidden {
                    ensure!(!line.contains(word), "{function} has logged {line}");
                }
                ensure!(!line.contains("panic"), "{function} has logged {line}");
            }
        }
        Ok(())
    }
}

fn borrowed<'a>(parameters: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    parameters
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}
