//! `cargo load account`: a load test in an AWS account, with stacks of its own.

mod estimate;
mod gateway;
pub mod options;
mod programs;
mod stacks;

use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, bail, ensure};
use bridge::adapters::system::random_up_to;
use bridge::secrets::credentials::{AFRICASTALKING_API_KEY, MEDIC_PASSWORD, MEDIC_USERNAME};
use ends::africastalking::AfricasTalkingEnd;
use ends::medic::MedicEnd;
use ends::table::CallTable;
use ops::access::Access;
use ops::callbacks::{DELIVERY_REPORTS, INCOMING_MESSAGES, read_keys, with_key};
use ops::failure::Failure;
use ops::stack::Stack;
use ops::terminal::Terminal;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use self::estimate::Prediction;

use self::options::AccountOptions;
use self::programs::Deployables;
use self::stacks::TestStacks;
use crate::drive::driver::drive;
use crate::drive::report::RunReport;
use crate::drive::result::RunResult;
use crate::drive::target::Target;
use crate::drive::target::account::{AccountCallbacks, AccountTarget};
use crate::observed::observe;
use crate::serving::Served;

/// The user name of Africa's Talking's simulator.
const USERNAME: &str = "sandbox";

/// The gateway's user in Medic.
const MEDIC_USER: &str = "gateway";

/// Both stacks, deployed.
struct Deployed {
    bridge: Stack,
    target: AccountTarget,
    /// On an emulator: the host name of the ends.
    _gateway: Option<Served>,
}

/// Deploys, drives, reports and removes. It handles signals by itself: what it has made is removed, however it
/// ends.
///
/// # Errors
/// When anything was lost or doubled, or has a wrong status; when something could not be done or removed.
pub async fn run(options: &AccountOptions) -> anyhow::Result<()> {
    let terminal = Terminal::default();
    let access = Access::of_the_cli(options.profile.as_deref(), options.region.as_deref()).await?;
    let stacks = TestStacks::new(&access, &options.name);
    let standing = stacks.standing().await?;
    if options.remove {
        return remove(&stacks, &terminal, &standing).await;
    }
    if !standing.is_empty() {
        let what = standing.join(", ");
        if options.yes {
            bail!("an earlier load test has left {what}: `cargo load account --remove` removes it");
        }
        let question = format!("An earlier load test has left {what}. Remove it?");
        let is_confirmed = ended_from_outside(confirm(question)).await?;
        ensure!(is_confirmed, "it is left as it is");
        remove(&stacks, &terminal, &standing).await?;
    }
    let prepared = ended_from_outside(prepare(options, &access, &stacks, &terminal)).await?;
    let tested = ended_from_outside(test(options, &access, &stacks, &terminal, &prepared));
    let tested = tested.await;
    terminal.note("Removing both stacks, and the ledger.");
    let removed = remove(&stacks, &terminal, &[]).await;
    let result = tested?;
    removed?;
    result.judge()
}

/// What a signal ends, as an error.
async fn ended_from_outside<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        result = work => result,
        _ = terminate.recv() => bail!("ended from outside"),
        _ = interrupt.recv() => bail!("ended from outside"),
    }
}

/// Asks, in a thread of its own: Ctrl-C is an answer, too.
async fn confirm(question: String) -> anyhow::Result<bool> {
    let (answer, answered) = oneshot::channel();
    std::thread::spawn(move || answer.send(Terminal::default().confirm(&question)));
    Ok(answered.await??)
}

async fn remove(
    stacks: &TestStacks,
    terminal: &Terminal,
    standing: &[String],
) -> anyhow::Result<()> {
    for what in standing {
        terminal.note(&format!("Removing {what}."));
    }
    let again = "what is still there stays: `cargo load account --remove` removes it";
    let left = ended_from_outside(async { Ok(stacks.remove().await) }).await;
    let left = left.context(again)?;
    ensure!(
        left.is_empty(),
        "these are left, with what removes them:\n{}",
        left.join("\n")
    );
    terminal.note("Nothing of the load test is left.");
    Ok(())
}

/// What is known before anything is deployed.
struct PreparedTest {
    deployables: Deployables,
    prediction: Prediction,
}

/// Compiles, estimates, and asks.
async fn prepare(
    options: &AccountOptions,
    access: &Access,
    stacks: &TestStacks,
    terminal: &Terminal,
) -> anyhow::Result<PreparedTest> {
    let identity = aws_sdk_sts::Client::new(&access.config).get_caller_identity();
    let identity = identity.send().await;
    let identity = identity.map_err(|error| Failure::call("ask whose account this is", &error))?;
    terminal.note("Compiling what is to be deployed.");
    let for_emulator = stacks.are_emulated();
    let deployables = tokio::task::block_in_place(|| programs::build(for_emulator))?;
    terminal.note("Counting what an SMS uses of AWS.");
    let (native, medic_ms) = (&deployables.native, options.medic_ms);
    let traffic = options.traffic.both_ways();
    let prediction = Prediction::measure(native, &traffic, medic_ms).await?;
    terminal.note(&prediction.text());
    let question = format!(
        "Account {}, region {}: deploy the stacks `{}` and `{}`, and remove them afterwards?",
        identity.account().unwrap_or("unknown"),
        access.region,
        stacks.bridge,
        stacks.ends,
    );
    if options.yes {
        terminal.note(&question);
    } else {
        ensure!(confirm(question).await?, "nothing was deployed");
    }
    Ok(PreparedTest {
        deployables,
        prediction,
    })
}

async fn test(
    options: &AccountOptions,
    access: &Access,
    stacks: &TestStacks,
    terminal: &Terminal,
    prepared: &PreparedTest,
) -> anyhow::Result<RunResult> {
    let began = SystemTime::now();
    let deployed = deploy(options, access, stacks, terminal, &prepared.deployables).await?;
    terminal.note("Both stacks are deployed. Driving them.");
    let mut target = Target::Account(Box::new(deployed.target));
    let result = drive(&options.traffic.both_ways(), &mut target).await?;
    terminal.note("Asking CloudWatch what AWS did.");
    let figures = observe(&deployed.bridge, began).await?;
    let mut tables = figures.tables();
    tables.push(prepared.prediction.compared(&figures));
    let report = RunReport::new(&result, tables)?;
    write(&options.report, &report.page()?)?;
    match options.json {
        true => terminal.json(&report.json()),
        false => terminal.say(&report.text()),
    }
    terminal.note(&format!("Report: {}", options.report.display()));
    Ok(result)
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

async fn deploy(
    options: &AccountOptions,
    access: &Access,
    stacks: &TestStacks,
    terminal: &Terminal,
    deployables: &Deployables,
) -> anyhow::Result<Deployed> {
    let secret = || {
        format!(
            "{:016x}{:016x}",
            random_up_to(u64::MAX),
            random_up_to(u64::MAX)
        )
    };
    let (api_key, password) = (secret(), secret());
    let medic_ms = options.medic_ms.to_string();
    terminal.note(&format!("Deploying the ends: `{}`.", stacks.ends));
    let parameters = [
        ("AfricasTalkingUsername", USERNAME),
        ("AfricasTalkingApiKey", &api_key),
        ("MedicUsername", MEDIC_USER),
        ("MedicPassword", &password),
        ("MedicMillisecondsPerMessage", &medic_ms),
    ];
    stacks
        .deploy(&stacks.ends, &deployables.ends, &parameters)
        .await?;
    let ends = Stack::find(access, Some(&stacks.ends)).await?;
    let url = ends.callback_url("Url")?;
    let gateway = match stacks.are_emulated() {
        true => Some(gateway::serve(&url).await?),
        false => None,
    };
    let url = match &gateway {
        Some(gateway) => format!("http://{}", gateway.address),
        None => url,
    };
    terminal.note(&format!("Deploying the bridge: `{}`.", stacks.bridge));
    let parameters = [
        ("MedicUrl", url.as_str()),
        ("AfricasTalkingUsername", USERNAME),
        ("AfricasTalkingBaseUrl", url.as_str()),
        ("LogRetentionDays", "7"),
    ];
    stacks
        .deploy(&stacks.bridge, &deployables.bridge, &parameters)
        .await?;
    let bridge = Stack::find(access, Some(&stacks.bridge)).await?;
    let credentials = json!({
        AFRICASTALKING_API_KEY: api_key, MEDIC_USERNAME: MEDIC_USER, MEDIC_PASSWORD: password,
    });
    let credentials = credentials.to_string();
    bridge
        .write_secret("CredentialsSecretArn", &credentials)
        .await?;
    let keys = read_keys(&bridge).await?;
    let callbacks = AccountCallbacks {
        incoming: with_key(&bridge.callback_url(INCOMING_MESSAGES)?, &keys.key),
        reports: with_key(&bridge.callback_url(DELIVERY_REPORTS)?, &keys.key),
        repeats_percent: options.traffic.repeats_percent,
        failures_percent: options.failures_percent,
    };
    let table = CallTable::new(ends.dynamodb.clone(), ends.output("CallsTable")?.to_owned());
    let medic = MedicEnd::new(table.clone(), MEDIC_USER, &password);
    let africastalking = AfricasTalkingEnd::new(table, USERNAME, &api_key);
    let name = format!(
        "the stacks `{}` and `{}` in {}",
        stacks.bridge, stacks.ends, access.region
    );
    Ok(Deployed {
        target: AccountTarget::new(name, callbacks, medic, africastalking)?,
        bridge,
        _gateway: gateway,
    })
}
