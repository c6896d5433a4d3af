//! A deployed system, and the command line that operates it.

use std::process::Stdio;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use sandbox::africastalking::{AfricasTalkingConfig, AfricasTalkingStandIn};
use sandbox::medic::{self, MedicConfig, MedicStandIn};
use sandbox::stack::{EmulatedStack, Emulator, eventually, operator_environment};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

/// Everything secret that a test makes up has this in it.
pub const MARK: &str = "tumaini";
/// The key of Africa's Talking's stand-in.
pub const API_KEY: &str = "tumaini-api-key";
/// The password of Medic's stand-in.
pub const PASSWORD: &str = "tumaini-password";

/// How long anything may take that takes some seconds on an idle machine, or waits for the minute's
/// poll.
const SOON: Duration = Duration::from_secs(120);

/// Longer than a wait of a queue that a test makes.
const LONGER_THAN_A_WAIT: Duration = Duration::from_secs(20 * 60);

/// How often waits are ended and Medic is polled while a test looks for something. Not more often:
/// what a function works on must not come back meanwhile.
const NUDGE_EVERY: Duration = Duration::from_secs(3);

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// The one deployed system. Tests have it one after the other.
static SYSTEM: LazyLock<Mutex<Option<DeployedSystem>>> = LazyLock::new(|| Mutex::new(None));

/// A deployed system with a stand-in at each end.
pub struct DeployedSystem {
    pub emulator: Emulator,
    pub stack: EmulatedStack,
    pub phones: AfricasTalkingStandIn,
    pub medic: MedicStandIn,
    numbers_used: AtomicU32,
}

/// How a command ended.
#[derive(Debug)]
pub struct Output {
    /// Its exit status.
    pub status: i32,
    /// Its result.
    pub out: String,
    /// What else it said.
    pub err: String,
}

impl Output {
    /// The result, if it went well.
    pub fn well(self) -> anyhow::Result<String> {
        ensure!(self.status == 0, "{self:?}");
        Ok(self.out)
    }

    /// The result as JSON, however it ended.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.out).with_context(|| format!("{self:?}"))
    }
}

/// Runs a test on the deployed system, which is put in order before it.
pub fn on_the_system(
    test: impl AsyncFnOnce(&DeployedSystem) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    RUNTIME.block_on(async {
        let mut system = SYSTEM.lock().await;
        if system.is_none() {
            *system = Some(DeployedSystem::deploy().await?);
        }
        let system = system.as_ref().unwrap();
        system.put_in_order().await?;
        test(system).await
    })
}

/// Runs a test that needs no system.
pub fn alone(test: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    RUNTIME.block_on(test)
}

/// Runs `cargo ops` with these variables and no others, with nobody at the keyboard.
pub async fn ops_with(
    environment: &[(&str, &str)],
    arguments: &[&str],
    input: &str,
) -> anyhow::Result<Output> {
    let home = concat!(env!("CARGO_TARGET_TMPDIR"), "/home");
    std::fs::create_dir_all(home)?;
    let mut process = Command::new(env!("CARGO_BIN_EXE_ops"))
        .args(arguments)
        .env_clear()
        .env("HOME", home)
        .envs(environment.iter().copied())
        .current_dir(home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = process.stdin.take().context("no stdin")?;
    // A command that reads nothing may have ended by now.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = process.wait_with_output().await?;
    Ok(Output {
        status: output.status.code().context("it was killed")?,
        out: String::from_utf8(output.stdout)?,
        err: String::from_utf8(output.stderr)?,
    })
}

impl DeployedSystem {
    async fn deploy() -> anyhow::Result<Self> {
        let emulator = Emulator::start().await?;
        let phones = AfricasTalkingConfig {
            api_key: API_KEY.to_owned(),
            ..AfricasTalkingConfig::default()
        };
        let server = MedicConfig {
            password: PASSWORD.to_owned(),
            ..MedicConfig::default()
        };
        let (username, short_code) = (phones.username.clone(), phones.short_code.clone());
        let phones = AfricasTalkingStandIn::start(phones).await?;
        let medic = MedicStandIn::start(server).await?;
        let parameters = [
            ("MedicUrl", medic.url()),
            ("MedicTimeoutSeconds", "3".to_owned()),
            ("MedicGraceSeconds", "3".to_owned()),
            ("AfricasTalkingUsername", username),
            ("AfricasTalkingBaseUrl", phones.url()),
            ("SenderIds", short_code),
        ];
        let parameters = parameters
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let stack = EmulatedStack::deploy(&emulator, &parameters).await?;
        Ok(Self {
            emulator,
            stack,
            phones,
            medic,
            numbers_used: AtomicU32::new(10),
        })
    }

    async fn put_in_order(&self) -> anyhow::Result<()> {
        self.phones.clear_faults().await;
        self.medic.clear_faults().await;
        self.medic.set_permitted(true);
        self.medic.set_outgoing_service("medic-gateway");
        self.stack
            .set_credentials(API_KEY, "gateway", PASSWORD)
            .await?;
        let (incoming, reports) = self.stack.callback_urls().await?;
        self.phones.set_callbacks(incoming, reports);
        let outputs = self.stack.outputs();
        for queue in [
            &outputs.exchange_dead_letter_queue_url,
            &outputs.reports_dead_letter_queue_url,
            &outputs.outbox_dead_letter_queue_url,
        ] {
            self.stack.aws().take_all(queue).await?;
        }
        self.pass_time()
    }

    /// Runs `cargo ops` as the owner of the account.
    pub async fn ops(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        self.ops_reading(arguments, "").await
    }

    /// Runs `cargo ops` with something on its standard input.
    pub async fn ops_reading(&self, arguments: &[&str], input: &str) -> anyhow::Result<Output> {
        let environment = operator_environment(&self.emulator);
        let environment = environment
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        ops_with(&environment, arguments, input).await
    }

    /// What `doctor` says of one thing: its verdict, and the rest of the finding.
    pub async fn doctor(&self, check: &str) -> anyhow::Result<(String, String)> {
        let answer = self.ops(&["doctor", "--json"]).await?.json()?;
        let findings = answer["findings"].as_array().context("no findings")?;
        let mut of_check = findings.iter().filter(|finding| finding["check"] == check);
        // The worst stands for all.
        let worst = of_check
            .clone()
            .find(|finding| finding["verdict"] == "wrong");
        let finding = worst.or_else(|| of_check.next()).context("no such check")?;
        let text = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        Ok((
            text("verdict"),
            format!("{} → {}", text("what"), text("advice")),
        ))
    }

    /// That nothing is wrong any more, by `doctor`'s word, soon.
    pub async fn until_well(&self) -> anyhow::Result<()> {
        let mut last = None;
        let well = self.found("a healthy system", async || {
            let output = self.ops(&["doctor"]).await?;
            ensure!(output.status <= 1, "{output:?}");
            let is_well = output.status == 0;
            last = Some(output.out);
            Ok(is_well.then_some(()))
        });
        well.await.with_context(|| last.unwrap_or_default())
    }

    /// A phone number that no other test uses.
    pub fn number(&self) -> String {
        let number = self.numbers_used.fetch_add(1, Ordering::Relaxed);
        assert!(number < 90, "the invented numbers are used up");
        format!("+2547000000{number}")
    }

    /// Lets waits end that the system makes.
    pub fn pass_time(&self) -> anyhow::Result<()> {
        self.emulator.queue_clock().pass(LONGER_THAN_A_WAIT)
    }

    /// Looks again and again until something is found. Meanwhile waits end and Medic is polled.
    pub async fn found<T>(
        &self,
        what: &str,
        mut peek: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<T> {
        let mut nudged_at = Instant::now();
        eventually(what, SOON, async || {
            if let Some(found) = peek().await? {
                return Ok(Some(found));
            }
            if nudged_at.elapsed() >= NUDGE_EVERY {
                self.pass_time()?;
                self.stack.poll().await?;
                nudged_at = Instant::now();
            }
            Ok(None)
        })
        .await
    }

    /// Has Medic send an SMS, and asks Medic for it. Gives its id.
    pub async fn send(&self, to: &str, text: &str) -> anyhow::Result<String> {
        let id = self.medic.queue(to, text)?;
        self.stack.poll().await?;
        Ok(id)
    }

    /// Waits until Medic shows a message in this state.
    pub async fn until_medic_shows(
        &self,
        id: &str,
        state: medic::MessageState,
    ) -> anyhow::Result<()> {
        let shown = self
            .found(&format!("{state:?} in Medic"), async || {
                Ok((self.medic.state_of(id) == Some(state)).then_some(()))
            })
            .await;
        match shown {
            Ok(()) => Ok(()),
            Err(error) => Err(error.context(format!("{:?}", self.ops(&["trace", id]).await?))),
        }
    }

    /// Waits until Medic has stored an SMS. Gives how often.
    pub async fn until_stored(&self, id: &str) -> anyhow::Result<usize> {
        let copies = || {
            self.medic
                .stored()
                .iter()
                .filter(|sms| sms.id == id)
                .count()
        };
        self.found(
            "the SMS in Medic",
            async || Ok((copies() > 0).then_some(())),
        )
        .await?;
        Ok(copies())
    }

    /// A row of the ledger.
    pub async fn row(&self, key: &str) -> anyhow::Result<Value> {
        let rows = self.stack.ledger().await?;
        let row = rows.into_iter().find(|row| row["pk"] == key);
        row.with_context(|| format!("there is no row {key}"))
    }
}
