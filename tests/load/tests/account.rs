//! `cargo load account` and `cargo load --stack` on the emulator: every SMS is accounted for, and nothing is
//! left, however it ends.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use sandbox::africastalking::{AfricasTalkingConfig, AfricasTalkingStandIn};
use sandbox::medic::{MedicConfig, MedicStandIn};
use sandbox::stack::template;
use sandbox::stack::{EmulatedStack, Emulator, EmulatorClient, eventually, operator_environment};
use sandbox::tools;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

/// One at a time: each has an emulator with dozens of processes.
static ALONE: Mutex<()> = Mutex::const_new(());

/// A run of some dozens of SMS takes two minutes on an idle machine, one of them for the last poll.
const TIME_LIMIT: Duration = Duration::from_mins(15);

fn page(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// `cargo load` as the owner of the emulator's account, with nobody at the keyboard.
fn load(emulator: &Emulator, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_load"));
    command
        .arg("run")
        .args(arguments.split(' '))
        .envs(operator_environment(emulator))
        .env_remove("AWS_PROFILE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// The JSON that a run prints, which has to end well.
async fn report_of(mut command: Command) -> anyhow::Result<Value> {
    let output = tokio::time::timeout(TIME_LIMIT, command.output()).await??;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).with_context(|| errors.into_owned())
}

fn count(report: &Value, row: &str) -> Option<f64> {
    report
        .pointer(&format!("/tables/Every SMS/rows/{row}/SMS"))?
        .as_f64()
}

/// Stacks of load tests and tables of any kind that are there.
async fn standing(aws: &EmulatorClient) -> anyhow::Result<Vec<String>> {
    let mut standing = Vec::new();
    for stack in ["cht-load-bridge", "cht-load-ends"] {
        if aws
            .stack_outputs(stack)
            .await
            .is_ok_and(|outputs| !outputs.is_empty())
        {
            standing.push(stack.to_owned());
        }
    }
    let target = "DynamoDB_20120810.ListTables";
    let tables = aws.call("dynamodb", target, &json!({})).await?;
    let tables = tables.get("TableNames").and_then(Value::as_array);
    let tables = tables.context("no tables")?;
    standing.extend(tables.iter().map(ToString::to_string));
    Ok(standing)
}

/// Reads what a run says until it says this.
async fn until_it_says(run: &mut Child, what: &str) -> anyhow::Result<()> {
    let stderr = run.stderr.as_mut().context("no stderr")?;
    let mut lines = BufReader::new(stderr).lines();
    let mut said = String::new();
    while let Some(line) = lines.next_line().await? {
        if line.contains(what) {
            return Ok(());
        }
        said += &line;
        said.push('\n');
    }
    bail!("it ended and said:\n{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sms_is_accounted_for_and_nothing_is_left() {
    let _alone = ALONE.lock().await;
    let emulator = Emulator::start().await.unwrap();
    let page = page("account.html");
    let arguments = format!(
        "account --yes --json --count 40 --out 40 --rate 8 --replies 25 --failures 20 --report {}",
        page.display()
    );
    let report = report_of(load(&emulator, &arguments)).await.unwrap();
    for (row, expected) in [
        ("accepted", 40.0),
        ("stored once", 40.0),
        ("replied to once", 10.0),
        ("sent once", 40.0),
        ("final status right in Medic", 40.0),
        ("POSTs to Medic at a time, at most", 1.0),
        ("lost", 0.0),
        ("doubled", 0.0),
        ("delivery reports refused", 0.0),
    ] {
        assert_eq!(count(&report, row), Some(expected), "{row}: {report:#}");
    }
    // Three for each of the fifty that were sent, and some repeats.
    assert!(
        count(&report, "delivery reports posted") > Some(150.0),
        "{report:#}"
    );
    let functions = &report["tables"]["What the functions did"]["rows"];
    assert!(
        functions["incoming-messages"]["invocations"].as_f64() >= Some(40.0),
        "{report:#}"
    );
    let used = &report["tables"]["What it used, and what `cargo cost` predicts"]["rows"];
    assert!(
        used["Lambda, a request"]["many at once"].as_f64() > Some(100.0),
        "{report:#}"
    );
    assert_eq!(
        used["DynamoDB on demand, a write unit"]["measured"],
        Value::Null
    );
    assert!(std::fs::read_to_string(page).unwrap().contains("<svg"));
    assert_eq!(
        standing(emulator.aws()).await.unwrap(),
        Vec::<String>::new()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_ended_leaves_nothing_and_what_one_leaves_that_is_killed_can_be_removed() {
    let _alone = ALONE.lock().await;
    let emulator = Emulator::start().await.unwrap();
    let aws = emulator.aws();
    let ended = end_in_the_middle(&emulator, "INT").await.unwrap();
    assert!(!ended.success());
    assert_eq!(standing(aws).await.unwrap(), Vec::<String>::new());

    end_in_the_middle(&emulator, "KILL").await.unwrap();
    assert_eq!(standing(aws).await.unwrap().len(), 4);
    let again = load(&emulator, "account --yes").output().await.unwrap();
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(
        !again.status.success() && said.contains("--remove"),
        "{said}"
    );
    assert_eq!(standing(aws).await.unwrap().len(), 4);
    let removed = load(&emulator, "account --remove").output().await.unwrap();
    assert!(removed.status.success(), "{removed:?}");
    assert_eq!(standing(aws).await.unwrap(), Vec::<String>::new());
}

/// Ends a run with a signal while it drives both stacks.
async fn end_in_the_middle(emulator: &Emulator, signal: &str) -> anyhow::Result<ExitStatus> {
    let mut run = load(emulator, "account --yes --count 2000").spawn()?;
    tokio::time::timeout(TIME_LIMIT, until_it_says(&mut run, "Driving them")).await??;
    // Two stacks, and a table in each.
    ensure!(standing(emulator.aws()).await?.len() == 4);
    let id = run.id().context("it has ended")?.to_string();
    let kill = Command::new("kill")
        .args([format!("-{signal}"), id])
        .status()
        .await?;
    ensure!(kill.success(), "it has ended");
    Ok(tokio::time::timeout(TIME_LIMIT, run.wait()).await??)
}

#[test]
fn the_template_of_the_ends_is_valid() {
    tools::install().unwrap();
    let file = tools::repository().join("tests/load/ends/template.yaml");
    template::validate(&file).unwrap();
    template::lint_transformed(&file).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_of_somebody_else_is_not_touched() {
    let _alone = ALONE.lock().await;
    let emulator = Emulator::start().await.unwrap();
    let template = r#"{"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
        "Outputs": {"Url": {"Value": {"Ref": "Queue"}}}}"#;
    let parameters = [("StackName", "cht-load-bridge"), ("TemplateBody", template)];
    let aws = emulator.aws();
    let created = aws.query("cloudformation", "2010-05-15", "CreateStack", &parameters);
    created.await.unwrap();
    eventually("the stack", TIME_LIMIT, async || {
        let standing = standing(aws).await?;
        Ok((standing == ["cht-load-bridge"]).then_some(()))
    })
    .await
    .unwrap();
    for arguments in ["account --yes", "account --yes --remove"] {
        let output = load(&emulator, arguments).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{said}");
        assert!(said.contains("no load test made"), "{said}");
    }
    assert_eq!(standing(aws).await.unwrap(), ["cht-load-bridge"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_in_use_is_followed_in_both_directions() {
    let _alone = ALONE.lock().await;
    let emulator = Emulator::start().await.unwrap();
    let (medic, phones) = ends().await.unwrap();
    let stack = bridge(&emulator, &medic, &phones).await.unwrap();
    // What was sent before is not of this run.
    medic.queue("+254700000001", "before").unwrap();
    stack.poll().await.unwrap();
    phones.until(|phones| phones.accepted().len() == 1).await;
    let command = load(
        &emulator,
        "--stack bridge --json --count 10 --rate 5 --follow 20",
    );
    let (report, ()) = tokio::join!(report_of(command), async {
        // The run has begun when its first SMS is there.
        medic.until(|medic| medic.stored_count() > 0).await;
        for n in 0..7 {
            medic.queue("+254700000002", &n.to_string()).unwrap();
        }
    });
    let report = report.unwrap();
    for (row, expected) in [
        ("accepted", 10.0),
        ("stored once", 10.0),
        ("SMS out, replies apart", 7.0),
        ("sent once", 7.0),
        ("final status right in Medic", 7.0),
        ("lost", 0.0),
    ] {
        assert_eq!(count(&report, row), Some(expected), "{row}: {report:#}");
    }
}

async fn ends() -> anyhow::Result<(MedicStandIn, AfricasTalkingStandIn)> {
    let medic = MedicStandIn::start(MedicConfig::default()).await?;
    let phones = AfricasTalkingStandIn::start(AfricasTalkingConfig::default()).await?;
    Ok((medic, phones))
}

/// A bridge that is in use, between the stand-ins.
async fn bridge(
    emulator: &Emulator,
    medic: &MedicStandIn,
    phones: &AfricasTalkingStandIn,
) -> anyhow::Result<EmulatedStack> {
    let (medic_url, phones_url) = (medic.url(), phones.url());
    let parameters = [
        ("MedicUrl", medic_url.as_str()),
        ("AfricasTalkingBaseUrl", phones_url.as_str()),
    ];
    let stack = EmulatedStack::deploy(emulator, &parameters).await?;
    let (at, server) = (AfricasTalkingConfig::default(), MedicConfig::default());
    stack
        .set_credentials(&at.api_key, &server.user, &server.password)
        .await?;
    let (incoming, reports) = stack.callback_urls().await?;
    phones.set_callbacks(incoming, reports);
    Ok(stack)
}
