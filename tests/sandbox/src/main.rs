//! `cargo sandbox` runs the whole system on this machine until Ctrl-C. `cargo sandbox lint` checks the
//! template without AWS, and GitHub's workflows.
#![allow(
    clippy::print_stdout,
    reason = "a command line that talks to the person who started it"
)]

mod arguments;
mod questions;
mod screenshots;

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser as _;
use sandbox::ends::ChosenEnds;
use sandbox::stack::{self, Emulator, template};
use sandbox::tools;
use sandbox::whole::{self, Sandbox, StartProgress};
use sandbox::workflows;
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::{SandboxArguments, SandboxCommand};
use crate::questions::Questions;

/// How often a step that has nothing new to say says that it is still running.
const SIGN_OF_LIFE: Duration = Duration::from_secs(10);

/// The same port each time, so that the page can be bookmarked.
const PAGE_PORT: u16 = 8547;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = SandboxArguments::parse();
    match arguments.command {
        None => {
            // Before the signals are taken: a question ends at Ctrl-C as everything does.
            let questions = Questions::new(arguments.ends.yes);
            let ends = arguments.ends.chosen(&questions).await?;
            tokio::select! {
                result = run(ends) => result,
                signal = end() => signal,
            }
        }
        Some(SandboxCommand::Lint) => lint().await,
        Some(SandboxCommand::Screenshots) => screenshots().await,
    }
}

/// Returns when somebody wants the sandbox to end. Everything in it ends when it is dropped.
async fn end() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        pressed = tokio::signal::ctrl_c() => pressed?,
    }
    println!("\nEnding.");
    Ok(())
}

async fn lint() -> anyhow::Result<()> {
    let progress = PrintedProgress::begin();
    whole::install_tools(&progress).await?;
    progress
        .step(
            "sam validate --lint",
            blocking(|| template::validate(&template::file())),
        )
        .await?;
    progress
        .step(
            "cfn-lint on the transformed template",
            blocking(|| template::lint_transformed(&template::file())),
        )
        .await?;
    progress
        .step(
            "Installing the other linters into .tools, if they are not there",
            blocking(tools::install_linters),
        )
        .await?;
    progress
        .step(
            "checkov on the transformed template",
            blocking(|| template::check_security(&template::file())),
        )
        .await?;
    progress
        .step(
            "actionlint and zizmor on the workflows",
            blocking(workflows::lint),
        )
        .await?;
    progress
        .step(
            "types and tests of the CDK construct in infra/cdk",
            blocking(template::test_construct),
        )
        .await?;
    progress
        .step("cdk synth in infra/cdk", blocking(template::synthesise))
        .await?;
    progress.say("Everything is clean.");
    Ok(())
}

async fn screenshots() -> anyhow::Result<()> {
    let progress = PrintedProgress::begin();
    let sandbox = Sandbox::start(&progress, 0).await?;
    screenshots::make(&sandbox, &progress).await?;
    progress.say(&format!("They are in {}.", screenshots::folder().display()));
    Ok(())
}

async fn run(ends: ChosenEnds) -> anyhow::Result<()> {
    let has_real_end = ends.medic.is_some() || ends.africastalking.is_some();
    let progress = PrintedProgress::begin();
    let mut sandbox = Sandbox::start_with(&progress, PAGE_PORT, ends).await?;
    progress.say("Ready.");
    if has_real_end {
        print_real_ends(&sandbox);
    } else {
        print_what_to_try(&sandbox);
    }
    print_how_to_operate(&sandbox.emulator);
    sandbox.emulator.ended().await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await?
}

/// Says what is being done, and how long it has taken so far.
struct PrintedProgress {
    begin: Instant,
}

impl PrintedProgress {
    fn begin() -> Self {
        Self {
            begin: Instant::now(),
        }
    }

    fn say(&self, what: &str) {
        println!("[{:3} s] {what}", self.begin.elapsed().as_secs());
    }
}

impl StartProgress for PrintedProgress {
    async fn step<T>(
        &self,
        what: &str,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        self.say(what);
        let mut work = std::pin::pin!(work);
        loop {
            match tokio::time::timeout(SIGN_OF_LIFE, &mut work).await {
                Ok(result) => return result.with_context(|| format!("failed: {what}")),
                Err(_) => self.say("…"),
            }
        }
    }
}

fn print_what_to_try(sandbox: &Sandbox) {
    let phones = sandbox.system.africastalking.control_url();
    let medic = sandbox.system.medic.control_url();
    let page = sandbox.page.url();
    let log_file = sandbox.emulator.log_file().display();
    println!(
        "
See and play everything: {page}

Or from another terminal. Medic replies to every SMS:

Send an SMS from a phone, see that Medic has it, and see the reply on the phone:
  curl -d 'My child has a fever' {phones}/_sandbox/phones/+254700000001/send
  curl {medic}/_sandbox/messages
  curl {phones}/_sandbox/phones/+254700000001

See what Medic knows of its reply (it ends as delivered; reports are told within a minute):
  curl {medic}/_sandbox/outgoing

Have Medic send an SMS (it is asked every minute), and read it on the phone:
  curl -d 'Please come on Monday' '{medic}/_sandbox/outgoing?to=%2B254700000002'
  curl {phones}/_sandbox/phones/+254700000002

Take Medic away, send, and bring it back; or let Africa's Talking lose its next answer:
  curl -X POST {medic}/_sandbox/faults/down
  curl -X DELETE {medic}/_sandbox/faults/down
  curl -X POST '{phones}/_sandbox/faults/accepted-close?next=1'

Everything that can be asked and switched, and every fault by name:
  curl {phones}/_sandbox        curl {phones}/_sandbox/faults
  curl {medic}/_sandbox        curl {medic}/_sandbox/faults

Look inside: how full the queues are, the ledger, what a function has logged:
  curl {page}/queues
  curl {page}/ledger
  curl {page}/logs/medic-exchange
  tail -f {log_file}"
    );
}

fn print_real_ends(sandbox: &Sandbox) {
    let page = sandbox.page.url();
    let real = &sandbox.system.real;
    println!("\nSee everything: {page}");
    match &real.medic {
        Some(medic) => println!(
            "\nMedic is yours, at {}. It is asked every minute, and gets each SMS at once.",
            medic.url()
        ),
        None => println!(
            "\nMedic is a stand-in: curl {}/_sandbox says what it can do.",
            sandbox.system.medic.control_url()
        ),
    }
    let Some(account) = &real.africastalking else {
        println!(
            "\nAfrica's Talking is a stand-in, with phones on the page. Or from another terminal:
  curl -d 'My child has a fever' {0}/_sandbox/phones/+254700000001/send
  curl {0}/_sandbox/phones/+254700000001",
            sandbox.system.africastalking.control_url()
        );
        return;
    };
    println!("\nAfrica's Talking sends for `{}`.", account.username);
    match &account.public_urls {
        Some(urls) => println!(
            "A tunnel has to lead to {}. Paste into its dashboard, under SMS, SMS callback URLs:
  Incoming messages: {}
  Delivery reports:  {}
  Bulk SMS opt-out:  {}",
            account.gate.url(),
            urls.incoming,
            urls.reports,
            urls.opt_outs
        ),
        None => println!(
            "Without --public-url it cannot reach this machine: no SMS comes in, and no delivery report. \
             A tunnel would have to lead to {}.",
            account.gate.url()
        ),
    }
}

fn print_how_to_operate(emulator: &Emulator) {
    println!(
        "
Operate it, as a deployed one (`cargo ops help` lists what there is):
  {}
  cargo ops doctor

Ctrl-C ends everything.",
        stack::operator_environment(emulator)
            .map(|(name, value)| format!("export {name}={value}"))
            .join("\n  ")
    );
}
