//! What AWS did during a load test: its own metrics in CloudWatch, and the functions' own lines in the logs.

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use aws_sdk_cloudwatch::operation::get_metric_statistics::builders::GetMetricStatisticsFluentBuilder;
use aws_sdk_cloudwatch::types::{Datapoint, Dimension, Statistic};
use ops::failure::Failure;
use ops::stack::Stack;
use sandbox::stack::{FUNCTIONS, resource_name};
use serde_json::Value;

use crate::meter::AwsCharge;
use crate::tables::{Cell, ReportTable};

/// Metrics are of whole minutes.
const PERIOD_S: i32 = 60;

/// How long CloudWatch may take until it has the metrics of a run.
const METRICS_WITHIN: Duration = Duration::from_mins(5);

/// How often it is asked.
const CHECK_INTERVAL: Duration = Duration::from_secs(20);

/// Each work queue: its name, and the stack's output with its URL.
const QUEUES: [(&str, &str); 3] = [
    ("exchange.fifo", "ExchangeQueueUrl"),
    ("outbox", "OutboxQueueUrl"),
    ("reports", "ReportsQueueUrl"),
];

/// What a function did.
#[derive(Clone, Debug)]
pub struct FunctionFigures {
    /// Its name.
    pub name: &'static str,
    /// How often it ran: by Lambda's own count, or else by the invocations that have logged anything.
    pub invocations: f64,
    /// How often in a new process.
    pub cold_starts: usize,
    /// How long half of the invocations, 99 of a hundred and all of them took at most, in milliseconds.
    pub took_ms: [Option<f64>; 3],
    /// How long they took together, in milliseconds. Lambda rounds each up to a whole one, and charges for
    /// the start of a process, too.
    pub all_took_ms: Option<f64>,
    /// How often it ended with an error.
    pub errors: Option<f64>,
    /// How often Lambda did not run it for want of concurrent executions.
    pub throttles: Option<f64>,
    /// In how many processes at the same time, at most.
    pub at_once: Option<f64>,
}

/// What AWS did. None: not measured.
#[derive(Clone, Debug)]
pub struct AwsFigures {
    /// Each function.
    pub functions: Vec<FunctionFigures>,
    /// The age of the oldest message in each queue, in seconds.
    pub queue_ages_s: Vec<(&'static str, Option<f64>)>,
    /// Calls of the HTTP API, and those that were answered with 4xx and with 5xx.
    pub api_calls: [Option<f64>; 3],
    /// Write units of the ledger and of its index.
    pub write_units: [Option<f64>; 2],
    /// Read units of the ledger and of its index.
    pub read_units: [Option<f64>; 2],
    /// Bytes of all logs.
    pub log_bytes: Option<f64>,
    /// Whether an emulator did it, whose durations say nothing of AWS.
    pub by_emulator: bool,
}

/// A span of time, and whom to ask about it.
struct Observer<'a> {
    stack: &'a Stack,
    from: SystemTime,
    until: SystemTime,
}

/// A metric: its namespace, its name, and its dimensions.
type MetricName<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

/// Asks what the stack of a bridge did since a moment.
///
/// # Errors
/// When AWS cannot be asked.
pub async fn observe(stack: &Stack, from: SystemTime) -> anyhow::Result<AwsFigures> {
    let by_emulator = stack.access.config.endpoint_url().is_some();
    let asked = Instant::now();
    loop {
        let observer = Observer {
            stack,
            from,
            until: SystemTime::now(),
        };
        let (figures, is_complete) = observer.figures(by_emulator).await?;
        // CloudWatch is some minutes behind; what an emulator does not count now it never will.
        if by_emulator || is_complete || asked.elapsed() > METRICS_WITHIN {
            return Ok(figures);
        }
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}

impl Observer<'_> {
    /// The figures, and whether CloudWatch has counted all invocations that have logged anything.
    async fn figures(&self, by_emulator: bool) -> anyhow::Result<(AwsFigures, bool)> {
        let resources = self.stack.resources().await?;
        let mut functions = Vec::new();
        let mut is_complete = true;
        let mut log_bytes = None;
        for name in FUNCTIONS {
            let logical_id = resource_name(name);
            let function = resources.iter().find(|it| it.logical_id == logical_id);
            let function = function.with_context(|| format!("the stack has no {logical_id}"))?;
            let dimension = [("FunctionName", function.physical_id.as_str())];
            let metric = |name| ("AWS/Lambda", name, dimension.as_slice());
            let group = format!("/aws/lambda/{}/{name}", self.stack.name);
            let logged = self.logged(&group).await?;
            let counted = self.sum(metric("Invocations")).await?;
            let seen = f64::from(u32::try_from(logged.invocations)?);
            is_complete &= counted.is_some_and(|counted| counted >= seen);
            functions.push(FunctionFigures {
                name,
                invocations: counted.unwrap_or(seen),
                cold_starts: logged.cold_starts,
                took_ms: [
                    self.percentile(metric("Duration"), "p50").await?,
                    self.percentile(metric("Duration"), "p99").await?,
                    self.most(metric("Duration")).await?,
                ],
                all_took_ms: self.sum(metric("Duration")).await?,
                errors: self.sum(metric("Errors")).await?,
                throttles: self.sum(metric("Throttles")).await?,
                at_once: self.most(metric("ConcurrentExecutions")).await?,
            });
            let dimension = [("LogGroupName", group.as_str())];
            let bytes = self.sum(("AWS/Logs", "IncomingBytes", &dimension)).await?;
            log_bytes = added(log_bytes, bytes);
        }
        let mut queue_ages_s = Vec::new();
        for (name, output) in QUEUES {
            let url = self.stack.output(output)?;
            let queue = url.rsplit('/').next().unwrap_or(url);
            let dimension = [("QueueName", queue)];
            let age = self.most(("AWS/SQS", "ApproximateAgeOfOldestMessage", &dimension));
            queue_ages_s.push((name, age.await?));
        }
        let figures = AwsFigures {
            functions,
            queue_ages_s,
            api_calls: self.api_calls().await?,
            write_units: self.units("ConsumedWriteCapacityUnits").await?,
            read_units: self.units("ConsumedReadCapacityUnits").await?,
            log_bytes,
            by_emulator,
        };
        Ok((figures, is_complete))
    }

    async fn api_calls(&self) -> anyhow::Result<[Option<f64>; 3]> {
        let resources = self.stack.resources().await?;
        let api = resources.iter().find(|it| it.logical_id == "HttpApi");
        let api = api.context("the stack has no HTTP API")?;
        let dimension = [("ApiId", api.physical_id.as_str())];
        let mut calls = [None; 3];
        for (calls, name) in calls.iter_mut().zip(["Count", "4xx", "5xx"]) {
            *calls = self.sum(("AWS/ApiGateway", name, &dimension)).await?;
        }
        Ok(calls)
    }

    /// Of the ledger, and of its index.
    async fn units(&self, name: &str) -> anyhow::Result<[Option<f64>; 2]> {
        let table = ("TableName", self.stack.output("LedgerTable")?);
        let index = ("GlobalSecondaryIndexName", "unreported");
        Ok([
            self.sum(("AWS/DynamoDB", name, &[table])).await?,
            self.sum(("AWS/DynamoDB", name, &[table, index])).await?,
        ])
    }

    async fn sum(&self, metric: MetricName<'_>) -> anyhow::Result<Option<f64>> {
        let points = self.points(metric, Statistic::Sum).await?;
        let sums = points.iter().filter_map(Datapoint::sum);
        Ok(sums.reduce(|a, b| a + b))
    }

    async fn most(&self, metric: MetricName<'_>) -> anyhow::Result<Option<f64>> {
        let points = self.points(metric, Statistic::Maximum).await?;
        let most = points.iter().filter_map(Datapoint::maximum);
        Ok(most.reduce(f64::max))
    }

    /// A percentile over the whole time. Where CloudWatch cuts it into two parts, it is that of the slower one.
    async fn percentile(
        &self,
        metric: MetricName<'_>,
        percentile: &str,
    ) -> anyhow::Result<Option<f64>> {
        let span = self.until.duration_since(self.from).unwrap_or_default();
        let minutes = i32::try_from(span.as_secs() / 60)?.saturating_add(1);
        let points = self
            .question(metric)
            .period(minutes.saturating_mul(PERIOD_S))
            .extended_statistics(percentile)
            .send()
            .await
            .map_err(|error| Failure::call("read a metric", &error))?;
        let points = points.datapoints.unwrap_or_default();
        let values = points
            .iter()
            .filter_map(|point| point.extended_statistics()?.get(percentile).copied());
        Ok(values.reduce(f64::max))
    }

    async fn points(
        &self,
        metric: MetricName<'_>,
        statistic: Statistic,
    ) -> anyhow::Result<Vec<Datapoint>> {
        let answer = self
            .question(metric)
            .period(PERIOD_S)
            .statistics(statistic)
            .send()
            .await
            .map_err(|error| Failure::call("read a metric", &error))?;
        Ok(answer.datapoints.unwrap_or_default())
    }

    fn question(
        &self,
        (namespace, name, dimensions): MetricName<'_>,
    ) -> GetMetricStatisticsFluentBuilder {
        let dimensions = dimensions
            .iter()
            .map(|(name, value)| Dimension::builder().name(*name).value(*value).build());
        self.stack
            .cloudwatch
            .get_metric_statistics()
            .namespace(namespace)
            .metric_name(name)
            .set_dimensions(Some(dimensions.collect()))
            .start_time(self.from.into())
            .end_time(self.until.into())
    }

    /// What a function's own lines say of its invocations.
    async fn logged(&self, group: &str) -> anyhow::Result<LoggedInvocations> {
        let lines = read_log(self.stack, group, "request_id", self.from, self.until).await?;
        Ok(LoggedInvocations::of(
            lines.iter().map(|(_, line)| line.as_str()),
        ))
    }
}

/// The invocations of a function that have logged anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LoggedInvocations {
    invocations: usize,
    cold_starts: usize,
}

impl LoggedInvocations {
    /// Counts them by their `request_id`.
    fn of<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let mut invocations = BTreeSet::new();
        let mut cold = BTreeSet::new();
        for line in lines {
            let Ok(line) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            let Some(id) = line.get("request_id").and_then(Value::as_str) else {
                continue;
            };
            if line.get("cold_start") == Some(&Value::Bool(true)) {
                cold.insert(id.to_owned());
            }
            invocations.insert(id.to_owned());
        }
        Self {
            invocations: invocations.len(),
            cold_starts: cold.len(),
        }
    }
}

/// The lines of a log group with a word, each with its time in milliseconds since 1970. None before the
/// group's first line.
///
/// # Errors
/// When CloudWatch refuses.
pub async fn read_log(
    stack: &Stack,
    group: &str,
    pattern: &str,
    from: SystemTime,
    until: SystemTime,
) -> anyhow::Result<Vec<(i64, String)>> {
    let ms = |at: SystemTime| {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis())
    };
    let (mut begin, end) = (ms(from)?, ms(until)?);
    let mut lines = Vec::new();
    // An emulator answers with ten thousand lines at most, and does not say that there are more.
    while begin <= end {
        let part_end = end.min(begin.saturating_add(i64::from(PERIOD_S) * 1000 - 1));
        let question = stack
            .logs
            .filter_log_events()
            .log_group_name(group)
            .filter_pattern(pattern)
            .start_time(begin)
            .end_time(part_end);
        let mut pages = question.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| Failure::call("read a log", &error))?;
            let events = page.events.unwrap_or_default().into_iter();
            lines.extend(events.filter_map(|event| Some((event.timestamp?, event.message?))));
        }
        begin = part_end.saturating_add(1);
    }
    Ok(lines)
}

/// The sum of what was measured.
fn added(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (None, None) => None,
        (a, b) => Some(a.unwrap_or(0.0) + b.unwrap_or(0.0)),
    }
}

impl AwsFigures {
    /// How much of something AWS charges for. None: not measured.
    #[must_use]
    pub fn charged(&self, charge: AwsCharge) -> Option<f64> {
        let functions = self.functions.iter();
        match charge {
            AwsCharge::HttpRequest => self.api_calls.first().copied().flatten(),
            AwsCharge::Invocation => Some(functions.map(|function| function.invocations).sum()),
            AwsCharge::FunctionMs if self.by_emulator => None,
            AwsCharge::FunctionMs => functions
                .map(|function| function.all_took_ms)
                .fold(None, added),
            AwsCharge::WriteUnit => self.write_units.into_iter().fold(None, added),
            AwsCharge::ReadUnit => self.read_units.into_iter().fold(None, added),
            AwsCharge::LogByte => self.log_bytes,
            _ => None,
        }
    }

    /// The tables of a report.
    #[must_use]
    pub fn tables(&self) -> Vec<ReportTable> {
        let functions = self.functions.iter().map(|function| {
            let [half, most, all] = function.took_ms;
            let cells = vec![
                Cell::Number(function.invocations, 0),
                Cell::count(function.cold_starts),
                Cell::measured(half, 0),
                Cell::measured(most, 0),
                Cell::measured(all, 0),
                Cell::measured(function.errors, 0),
                Cell::measured(function.throttles, 0),
                Cell::measured(function.at_once, 0),
            ];
            (function.name.to_owned(), cells)
        });
        let emulated =
            "An emulator ran the functions: what their log does not tell was not measured."
                .to_owned();
        let mut others: Vec<(String, Option<f64>)> = self
            .queue_ages_s
            .iter()
            .map(|(queue, age)| (format!("{queue}: oldest message, seconds"), *age))
            .collect();
        let [calls, refused, failed] = self.api_calls;
        let [[written, index_written], [read, index_read]] = [self.write_units, self.read_units];
        for (name, figure) in [
            ("HTTP API: calls", calls),
            ("HTTP API: answered with 4xx", refused),
            ("HTTP API: answered with 5xx", failed),
            ("ledger: write units", written),
            ("ledger: write units of its index", index_written),
            ("ledger: read units", read),
            ("ledger: read units of its index", index_read),
            ("logs: bytes", self.log_bytes),
        ] {
            others.push((name.to_owned(), figure));
        }
        vec![
            ReportTable {
                title: "What the functions did",
                notes: self.by_emulator.then_some(emulated).into_iter().collect(),
                columns: vec![
                    "",
                    "invocations",
                    "cold starts",
                    "p50 ms",
                    "p99 ms",
                    "max ms",
                    "errors",
                    "throttles",
                    "at once",
                ],
                rows: functions.collect(),
            },
            ReportTable {
                title: "What else AWS did",
                notes: Vec::new(),
                columns: vec!["", "measured"],
                rows: others
                    .into_iter()
                    .map(|(name, figure)| (name, vec![Cell::measured(figure, 0)]))
                    .collect(),
            },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invocation_counts_once_however_much_it_logs() {
        let lines = [
            r#"{"request_id":"a","cold_start":true}"#,
            r#"{"request_id":"a","cold_start":true,"event":"posted"}"#,
            r#"{"request_id":"b"}"#,
            r#"{"message":"no request_id"}"#,
            "START RequestId: c request_id",
        ];
        let expected = LoggedInvocations {
            invocations: 2,
            cold_starts: 1,
        };
        assert_eq!(LoggedInvocations::of(lines), expected);
    }

    #[test]
    fn every_function_has_its_name_in_the_template() {
        let template = std::fs::read_to_string(sandbox::stack::template::file()).unwrap();
        for function in FUNCTIONS {
            let declared = format!("\n  {}:\n", resource_name(function));
            assert!(template.contains(&declared), "{function}");
        }
    }
}
