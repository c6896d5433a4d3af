//! The bundle is installed as its README says: from an empty folder, with SAM and without cargo, onto an emulated AWS. The
//! programs in it are those of the other tests, compiled without optimisation; all else is as in a release.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod shell;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bundle::{BundleArguments, Processor};
use sandbox::africastalking::{AfricasTalkingConfig, AfricasTalkingStandIn};
use sandbox::medic::{MedicConfig, MedicStandIn, MessageState};
use sandbox::stack::{self, Emulator, FUNCTIONS, eventually};
use serde_json::{Value, json};

use crate::shell::OperatorShell;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const PHONE: &str = "+254700000011";

/// How long anything may take that takes some seconds on an idle machine, or waits for the minute's poll.
const SOON: Duration = Duration::from_secs(180);

/// A folder with nothing in it.
fn empty_folder(name: &str) -> anyhow::Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The programs of the tests, laid out as `--programs` wants them. It blocks.
fn programs() -> anyhow::Result<PathBuf> {
    let folder = empty_folder("programs")?;
    let place = |name: &str| {
        let folder = folder.join("x86_64").join(name);
        fs::create_dir_all(&folder)?;
        anyhow::Ok(folder.join("bootstrap"))
    };
    for function in FUNCTIONS {
        fs::copy(stack::program(function), place(function)?)?;
    }
    // Without debug information it is a tenth as large.
    let mut strip = Command::new("strip");
    strip
        .arg("-o")
        .arg(place("ops")?)
        .arg(env!("CARGO_BIN_EXE_ops"));
    ensure!(
        strip.status()?.success(),
        "cannot strip the operator's program"
    );
    Ok(folder)
}

/// Makes a bundle of these programs as `cargo bundle` does. It blocks.
fn bundle(programs: &Path, into: &Path) -> anyhow::Result<()> {
    let arguments = BundleArguments {
        arch: vec![Processor::X86],
        programs: Some(programs.to_owned()),
        into: into.to_owned(),
        keep_for_upgrades: false,
    };
    bundle::make(&arguments, |_| ())
}

/// The commands of the README's first block.
fn commands(bundle: &Path) -> anyhow::Result<Vec<String>> {
    let readme = fs::read_to_string(bundle.join("README.md"))?;
    let block = readme
        .split("```console\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    Ok(block
        .context("no commands")?
        .lines()
        .map(str::to_owned)
        .collect())
}

/// Writes into `samconfig.toml` what somebody fills in: where Medic is, and here also where Africa's Talking is.
fn fill_in(folder: &Path, medic: &str, africastalking: &str) -> anyhow::Result<()> {
    let file = folder.join("samconfig.toml");
    let text = fs::read_to_string(&file)?;
    let filled = format!("\"MedicUrl={medic}\",\n    \"AfricasTalkingBaseUrl={africastalking}\",");
    let text = text.replacen("\"MedicUrl=FILL-IN\",", &filled, 1);
    ensure!(text.contains(medic), "nothing to fill in: {text}");
    fs::write(file, text)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_runs_after_five_commands_in_an_empty_folder_without_a_compiler()
-> anyhow::Result<()> {
    let name = format!("cht-africastalking-{VERSION}");
    let emulator = Emulator::start().await?;
    let released = empty_folder("released")?;
    let into = released.clone();
    tokio::task::spawn_blocking(move || bundle(&programs()?, &into)).await??;
    let commands = commands(&released.join(&name))?;
    ensure!(commands.len() <= 5, "{commands:?}");
    let home = empty_folder("home-of-the-operator")?;
    let archive = format!("{name}.tar.gz");
    fs::copy(released.join(&archive), home.join(&archive))?;
    let shell = OperatorShell::new(&home, &emulator)?;
    shell.has_no("cargo").await?;
    shell.has_no("rustc").await?;

    let phones = AfricasTalkingStandIn::start(AfricasTalkingConfig::default()).await?;
    let medic = MedicStandIn::start(MedicConfig::default()).await?;
    let [unpack, deploy, set_credentials, callbacks, doctor] = commands.as_slice() else {
        anyhow::bail!("the test is for five commands: {commands:?}");
    };
    shell.run(unpack, "").await?;
    let folder = home.join(&name);
    let shell = shell.within(&folder);
    shell
        .run("sha256sum --check --quiet SHA256SUMS", "")
        .await?;
    // Before it is filled in, nothing is deployed.
    ensure!(shell.run(deploy, "y\n").await.is_err());
    fill_in(&folder, &medic.url(), &phones.url())?;
    shell.run(deploy, "y\n").await?;
    let (phones_config, medic_config) = (AfricasTalkingConfig::default(), MedicConfig::default());
    let credentials = json!({
        "africastalking_api_key": phones_config.api_key,
        "medic_username": medic_config.user,
        "medic_password": medic_config.password,
    });
    shell.run(set_credentials, &credentials.to_string()).await?;
    let urls: Value = serde_json::from_str(&shell.run(&format!("{callbacks} --json"), "").await?)?;
    let url = |name: &str| {
        urls[name]
            .as_str()
            .map(str::to_owned)
            .with_context(|| urls.to_string())
    };
    phones.set_callbacks(url("incoming_messages")?, url("delivery_reports")?);

    let sent = phones.sms_from_phone(PHONE, "My child has a fever").await?;
    let stored = eventually("the SMS in Medic", SOON, async || {
        let stored = medic.stored();
        Ok(stored.into_iter().find(|sms| sms.id == sent.id))
    });
    ensure!(stored.await?.content == "My child has a fever");
    let reply = medic.queue(PHONE, "Please come on Monday")?;
    eventually("the reply on the phone", SOON, async || {
        let is_delivered = medic.state_of(&reply) == Some(MessageState::Delivered);
        Ok(is_delivered.then_some(()))
    })
    .await?;
    ensure!(phones.phone(PHONE).len() == 1);

    let said = shell.run(doctor, "").await?;
    ensure!(
        said.contains(&format!("the stack and this program are {VERSION}")),
        "{said}"
    );
    ensure!(!said.contains("cargo"), "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_programs_make_the_same_bundle() -> anyhow::Result<()> {
    tokio::task::spawn_blocking(|| {
        let programs = empty_folder("equal-programs")?;
        // One small program is enough for this.
        let program = fs::read(std::env::current_exe()?)?;
        let beginning = program.get(..4096).context("a very small test")?;
        for name in FUNCTIONS.into_iter().chain(["ops"]) {
            let folder = programs.join("x86_64").join(name);
            fs::create_dir_all(&folder)?;
            fs::write(folder.join("bootstrap"), beginning)?;
        }
        let folders = [empty_folder("first")?, empty_folder("second")?];
        let [first, second] = folders.map(|folder| {
            bundle(&programs, &folder)?;
            anyhow::Ok(fs::read(
                folder.join(format!("cht-africastalking-{VERSION}.tar.gz")),
            )?)
        });
        ensure!(first? == second?, "two bundles of the same programs differ");
        Ok(())
    })
    .await?
}
