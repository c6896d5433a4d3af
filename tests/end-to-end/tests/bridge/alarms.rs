//! The alarms that do not depend on a function's own log, raised on the deployed stack.

use anyhow::ensure;
use serde_json::json;

use crate::deployed::{Bridge, on_the_shared_stack};

/// An alarm, the metric that it is on, and a value that lets it end and one that raises it.
struct Case {
    alarm: &'static str,
    metric: (&'static str, &'static str),
    /// The dimension, and the resource that it names.
    of: (&'static str, &'static str),
    quiet: u32,
    raising: u32,
}

const fn of_lambda(alarm: &'static str, metric: &'static str, function: &'static str) -> Case {
    Case {
        alarm,
        metric: ("AWS/Lambda", metric),
        of: ("FunctionName", function),
        quiet: 0,
        raising: 1,
    }
}

const CASES: [Case; 6] = [
    of_lambda("ExchangeErrorsAlarm", "Errors", "MedicExchangeFunction"),
    of_lambda("SenderErrorsAlarm", "Errors", "OutboundSenderFunction"),
    of_lambda("RecorderErrorsAlarm", "Errors", "ReportRecorderFunction"),
    of_lambda(
        "SenderThrottledAlarm",
        "Throttles",
        "OutboundSenderFunction",
    ),
    of_lambda(
        "RecorderThrottledAlarm",
        "Throttles",
        "ReportRecorderFunction",
    ),
    Case {
        alarm: "ClientErrorsAlarm",
        metric: ("AWS/ApiGateway", "4xx"),
        of: ("ApiId", "HttpApi"),
        // What a scanner makes, and what a flood does beyond that.
        quiet: 900,
        raising: 101,
    },
];

/// Gives the metric of an alarm a value, and says what state that puts the alarm into.
async fn state_after(bridge: &Bridge, case: &Case, value: u32) -> anyhow::Result<String> {
    let aws = bridge.stack.aws();
    let (dimension, resource) = case.of;
    let resource = bridge.stack.resource(resource).await?;
    aws.put_metric(case.metric, (dimension, &resource), value)
        .await?;
    let alarm = aws.alarm(&bridge.stack.resource(case.alarm).await?).await?;
    // The emulator adds up the metric of all resources: that it is this one's is for us to check.
    let of_resource = json!([{ "Name": dimension, "Value": resource }]);
    ensure!(alarm["Dimensions"] == of_resource, "{alarm}");
    Ok(alarm["StateValue"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn what_lambda_and_api_gateway_count_raises_each_alarm() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        // All that end first: the emulator does not tell one function's errors from another's.
        for case in &CASES {
            let state = state_after(bridge, case, case.quiet).await?;
            ensure!(state == "OK", "{} is {state}", case.alarm);
        }
        for case in &CASES {
            let state = state_after(bridge, case, case.raising).await?;
            ensure!(state == "ALARM", "{} is {state}", case.alarm);
        }
        Ok(())
    })
}

#[test]
fn an_exchange_that_is_not_run_raises_its_alarm_until_it_is_run() -> anyhow::Result<()> {
    let case = of_lambda(
        "ExchangeNotRunningAlarm",
        "Invocations",
        "MedicExchangeFunction",
    );
    on_the_shared_stack(async |bridge| {
        for (invocations, expected) in [(0, "ALARM"), (1, "OK")] {
            let state = state_after(bridge, &case, invocations).await?;
            ensure!(state == expected, "{invocations}: {state}");
        }
        Ok(())
    })
}

#[test]
fn what_our_own_log_counts_raises_its_alarm() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let aws = bridge.stack.aws();
        for name in ["QueueStalled", "AwsFailures"] {
            let metric = ("cht-africastalking", name);
            aws.put_metric(metric, ("stack", "bridge"), 1).await?;
            let name = bridge.stack.resource(&format!("{name}Alarm")).await?;
            let alarm = aws.alarm(&name).await?;
            let of_stack = json!([{ "Name": "stack", "Value": "bridge" }]);
            ensure!(alarm["Dimensions"] == of_stack, "{alarm}");
            ensure!(alarm["StateValue"] == "ALARM", "{alarm}");
        }
        Ok(())
    })
}

#[test]
fn a_callback_at_the_wrong_url_raises_its_alarm() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        let aws = bridge.stack.aws();
        let name = bridge.stack.resource("CallbacksAtWrongUrlAlarm").await?;
        for (count, expected) in [(0, "OK"), (1, "ALARM")] {
            let metric = ("cht-africastalking", "CallbacksAtWrongUrl");
            aws.put_metric(metric, ("stack", "bridge"), count).await?;
            let alarm = aws.alarm(&name).await?;
            ensure!(alarm["StateValue"] == expected, "{count}: {alarm}");
        }
        Ok(())
    })
}

#[test]
fn the_exchange_is_allowed_to_ask_how_many_messages_the_other_queues_have() -> anyhow::Result<()> {
    on_the_shared_stack(async |bridge| {
        bridge.stack.poll().await?;
        bridge.until_logged("medic-exchange", "posted", 1).await?;
        // The emulator enforces the function's role. A refusal would be in the log of the same round.
        let log = bridge.log("medic-exchange").await?;
        let failed = log.iter().find(|line| line["event"] == "queue_failed");
        ensure!(failed.is_none(), "{failed:?}");
        Ok(())
    })
}
