//! Workers that never run, and callbacks that never reach one: what only AWS can tell, found by `doctor`.

use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use sandbox::medic::MessageState;
use sandbox::tools::Tool;
use serde_json::{Value, json};

use crate::deployed::{DeployedSystem, on_a_system_of_its_own, on_the_system};

/// A package, in base64, whose program is built for another processor: no more of it than the header.
fn package_for_arm64() -> anyhow::Result<String> {
    const SCRIPT: &str = r"
import base64, io, zipfile
package = io.BytesIO()
program = b'\x7fELF\x02\x01\x01' + bytes(9) + b'\x02\x00\xb7\x00' + bytes(44)
with zipfile.ZipFile(package, 'w', zipfile.ZIP_DEFLATED) as archive:
    archive.writestr('bootstrap', program)
print(base64.b64encode(package.getvalue()).decode())
";
    let output = Command::new(Tool::Emulator.python())
        .args(["-c", SCRIPT])
        .output()?;
    ensure!(output.status.success(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The package of a function, as it is deployed, in base64.
async fn package_of(system: &DeployedSystem, function: &str) -> anyhow::Result<String> {
    let path = format!("functions/{function}");
    let aws = system.stack.aws();
    let answer = aws.lambda(Method::GET, &path, &Value::Null).await?;
    let location = answer["Code"]["Location"].as_str().context("no location")?;
    let http = sandbox::http::client(Duration::from_secs(30))?;
    let package = http.get(location).send().await?.bytes().await?;
    Ok(BASE64_STANDARD.encode(package))
}

async fn deploy_package(
    system: &DeployedSystem,
    function: &str,
    package: &str,
) -> anyhow::Result<()> {
    let path = format!("functions/{function}/code");
    let input = json!({ "ZipFile": package });
    system
        .stack
        .aws()
        .lambda(Method::PUT, &path, &input)
        .await?;
    Ok(())
}

#[test]
fn a_sender_that_cannot_start_is_found_and_its_messages_are_sent_when_it_can() -> anyhow::Result<()>
{
    on_a_system_of_its_own(async |system| {
        let aws = system.stack.aws();
        let function = system.stack.resource("OutboundSenderFunction").await?;
        let package = package_of(system, &function).await?;
        deploy_package(system, &function, &package_for_arm64()?).await?;
        let (verdict, what) = system.doctor("processor").await?;
        ensure!(
            verdict == "wrong"
                && what.contains("the program of OutboundSenderFunction is built for arm64")
                && what.contains("Architecture=x86_64"),
            "{what}"
        );

        let id = system.send(&system.number(), "waits").await?;
        system
            .found("a mapping that fails", async || {
                let (verdict, what) = system.doctor("event sources").await?;
                let is_found = verdict == "wrong" && what.contains("OutboundSenderMapping fails");
                Ok(is_found.then_some(()))
            })
            .await?;
        // The emulator counts the errors of direct calls only, and looks at its alarms when it is given
        // a value of any metric.
        let path = format!("functions/{function}/invocations");
        aws.lambda(Method::POST, &path, &json!({ "Records": [] }))
            .await?;
        let of = ("FunctionName", function.as_str());
        aws.put_metric(("AWS/Lambda", "Duration"), of, 1).await?;
        let alarm = system.stack.resource("SenderErrorsAlarm").await?;
        let output = system.ops(&["doctor"]).await?;
        ensure!(
            output.out.contains(&format!("{alarm} is raised")),
            "{output:?}"
        );

        deploy_package(system, &function, &package).await?;
        let (verdict, what) = system.doctor("processor").await?;
        ensure!(verdict == "fine", "{what}");
        system
            .until_medic_shows(&id, MessageState::Delivered)
            .await?;
        let (verdict, what) = system.doctor("event sources").await?;
        ensure!(verdict == "fine", "{what}");
        Ok(())
    })
}

#[test]
fn a_mapping_that_was_switched_off_is_found_and_what_waited_is_sent() -> anyhow::Result<()> {
    on_the_system(async |system| {
        let mapping = system.stack.resource("OutboundSenderMapping").await?;
        let path = format!("event-source-mappings/{mapping}");
        let switch = async |enabled: bool| {
            let input = json!({ "Enabled": enabled });
            let switched = system.stack.aws().lambda(Method::PUT, &path, &input);
            switched.await
        };
        switch(false).await?;
        let (verdict, what) = system.doctor("event sources").await?;
        ensure!(
            verdict == "wrong"
                && what.contains("OutboundSenderMapping is disabled")
                && what.contains(&format!("--uuid {mapping} --enabled")),
            "{what}"
        );
        let id = system.send(&system.number(), "waits").await?;
        let outbox = &system.stack.outputs().outbox_queue_url;
        system
            .found("a message that nobody receives", async || {
                let depth = system.stack.aws().depth(outbox).await?;
                Ok((depth.visible > 0 && depth.in_flight == 0).then_some(()))
            })
            .await?;
        switch(true).await?;
        system
            .until_medic_shows(&id, MessageState::Delivered)
            .await?;
        system.until_well().await
    })
}

#[test]
fn throttled_callbacks_of_the_last_day_are_found_in_the_log_of_the_api() -> anyhow::Result<()> {
    on_a_system_of_its_own(async |system| {
        let (verdict, what) = system.doctor("refused calls").await?;
        ensure!(verdict == "fine", "{what}");
        let aws = system.stack.aws();
        // The emulator throttles nobody and writes no such log: these are API Gateway's lines.
        let group = system.stack.resource("HttpApiLogGroup").await?;
        let stream = json!({ "logGroupName": group, "logStreamName": "calls" });
        aws.call("logs", "Logs_20140328.CreateLogStream", &stream)
            .await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let now_ms = u64::try_from(now.as_millis())?;
        let lines = ["200", "404", "429", "429", "503"].map(|status| {
            let line = json!({ "request_id": "a", "route": "-", "status": status });
            json!({ "timestamp": now_ms, "message": line.to_string() })
        });
        let input = json!({
            "logGroupName": group, "logStreamName": "calls", "logEvents": lines,
        });
        aws.call("logs", "Logs_20140328.PutLogEvents", &input)
            .await?;
        let api = system.stack.resource("HttpApi").await?;
        aws.put_metric(("AWS/ApiGateway", "4xx"), ("ApiId", &api), 1200)
            .await?;

        let (verdict, what) = system.doctor("refused calls").await?;
        ensure!(
            verdict == "wrong"
                && what.starts_with("1200 in the last day, by its log 1 with 404, 2 with 429"),
            "{what}"
        );
        let alarm = system.stack.resource("ClientErrorsAlarm").await?;
        let output = system.ops(&["doctor"]).await?;
        ensure!(
            output.out.contains(&format!("{alarm} is raised")),
            "{output:?}"
        );
        Ok(())
    })
}

#[test]
fn swapped_callback_urls_are_found_by_what_comes_to_the_wrong_one() -> anyhow::Result<()> {
    on_the_system(async |system| {
        let (incoming, reports) = system.stack.callback_urls().await?;
        system.phones.set_callbacks(reports, incoming);
        let sent = system
            .phones
            .sms_from_phone(&system.number(), "to the wrong one")
            .await?;
        ensure!(sent.status == Some(400), "{sent:?}");
        let (verdict, what) = system.doctor("callback URLs").await?;
        ensure!(
            verdict == "wrong"
                && what.contains("other callbacks at the URL of delivery reports: ")
                && what.contains("cargo ops callbacks"),
            "{what}"
        );

        let (incoming, reports) = system.stack.callback_urls().await?;
        system.phones.set_callbacks(incoming, reports);
        let discard = ["dead-letters", "discard", "--all", "--yes"];
        system.ops(&discard).await?.well()?;
        let (verdict, what) = system.doctor("callback URLs").await?;
        ensure!(verdict == "fine", "{what}");
        system.until_well().await
    })
}
