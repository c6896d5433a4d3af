//! What AWS did during a load test: its own metrics in CloudWatch, and Lambda's `REPORT` lines in the logs.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use aws_sdk_cloudwatch::types::{Datapoint, Dimension, Statistic};
use hdrhistogram::Histogram;
use ops::failure::Failure;
use ops::stack::Stack;
use sandbox::stack::FUNCTIONS;

use crate::latency::{histogram, milliseconds};
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
    /// How often it ran, by its `REPORT` lines.
    pub invocations: usize,
    /// How often in a new process.
    pub cold_starts: usize,
    /// How long it ran.
    pub took: Histogram<u64>,
    /// What Lambda charges for, in milliseconds.
    pub billed_ms: f64,
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
        let (figures, counted) = observer.figures(by_emulator).await?;
        let ran = figures
            .functions
            .iter()
            .map(|function| function.invocations);
        let ran = f64::from(u32::try_from(ran.sum::<usize>())?);
        // CloudWatch is some minutes behind; what an emulator does not count now it never will.
        if by_emulator || counted >= ran || asked.elapsed() > METRICS_WITHIN {
            return Ok(figures);
        }
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}

impl Observer<'_> {
    /// The figures, and how many invocations CloudWatch has counted.
    async fn figures(&self, by_emulator: bool) -> anyhow::Result<(AwsFigures, f64)> {
        let resources = self.stack.resources().await?;
        let mut functions = Vec::new();
        let mut counted = 0.0;
        let mut log_bytes = None;
        for name in FUNCTIONS {
            let logical_id = logical_id(name);
            let function = resources.iter().find(|it| it.logical_id == logical_id);
            let function = function.with_context(|| format!("the stack has no {logical_id}"))?;
            let dimension = [("FunctionName", function.physical_id.as_str())];
            let metric = |name| ("AWS/Lambda", name, dimension.as_slice());
            let group = format!("/aws/lambda/{}/{name}", self.stack.name);
            let reports = self.reports(&group).await?;
            counted += self.sum(metric("Invocations")).await?.unwrap_or(0.0);
            functions.push(FunctionFigures {
                name,
                invocations: reports.len(),
                cold_starts: reports.iter().filter(|report| report.is_cold).count(),
                billed_ms: reports.iter().map(|report| report.billed_ms).sum(),
                took: histogram(reports.iter().map(|report| report.took))?,
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
        Ok((figures, counted))
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

    async fn points(
        &self,
        (namespace, name, dimensions): MetricName<'_>,
        statistic: Statistic,
    ) -> anyhow::Result<Vec<Datapoint>> {
        let dimensions = dimensions
            .iter()
            .map(|(name, value)| Dimension::builder().name(*name).value(*value).build());
        let answer = self
            .stack
            .cloudwatch
            .get_metric_statistics()
            .namespace(namespace)
            .metric_name(name)
            .set_dimensions(Some(dimensions.collect()))
            .start_time(self.from.into())
            .end_time(self.until.into())
            .period(PERIOD_S)
            .statistics(statistic)
            .send()
            .await
            .map_err(|error| Failure::call("read a metric", &error))?;
        Ok(answer.datapoints.unwrap_or_default())
    }

    /// The `REPORT` lines of a log group.
    async fn reports(&self, group: &str) -> anyhow::Result<Vec<InvocationReport>> {
        let lines = read_log(self.stack, group, "REPORT", self.from, self.until).await?;
        let reports = lines.iter();
        Ok(reports
            .filter_map(|(_, line)| InvocationReport::read(line))
            .collect())
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

/// What Lambda writes at the end of an invocation.
#[derive(Clone, Copy, Debug, PartialEq)]
struct InvocationReport {
    took: Duration,
    billed_ms: f64,
    is_cold: bool,
}

impl InvocationReport {
    /// Reads `REPORT RequestId: …`, tab, `Duration: 3.45 ms`, tab and so on.
    fn read(line: &str) -> Option<Self> {
        if !line.starts_with("REPORT ") {
            return None;
        }
        let field = |name: &str| {
            let value = line
                .split('\t')
                .find_map(|field| field.trim().strip_prefix(name))?;
            value.trim().strip_suffix(" ms")?.parse::<f64>().ok()
        };
        Some(Self {
            took: Duration::try_from_secs_f64(field("Duration:")? / 1000.0).ok()?,
            billed_ms: field("Billed Duration:")?,
            is_cold: field("Init Duration:").is_some(),
        })
    }
}

/// The name of a function in the template: `IncomingMessagesFunction` of `incoming-messages`.
fn logical_id(function: &str) -> String {
    let mut id = String::new();
    for word in function.split('-') {
        let mut letters = word.chars();
        id.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        id.push_str(letters.as_str());
    }
    id + "Function"
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
            AwsCharge::Invocation => {
                let ran = functions
                    .map(|function| function.invocations)
                    .sum::<usize>();
                u32::try_from(ran).ok().map(f64::from)
            }
            AwsCharge::FunctionMs if self.by_emulator => None,
            AwsCharge::FunctionMs => Some(functions.map(|function| function.billed_ms).sum()),
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
            let took = |share| milliseconds(function.took.value_at_quantile(share));
            let cold_starts = match self.by_emulator {
                true => Cell::NotMeasured,
                false => Cell::count(function.cold_starts),
            };
            let cells = vec![
                Cell::count(function.invocations),
                cold_starts,
                Cell::Number(took(0.5), 0),
                Cell::Number(took(0.99), 0),
                Cell::Number(took(1.0), 0),
                Cell::measured(function.errors, 0),
                Cell::measured(function.throttles, 0),
                Cell::measured(function.at_once, 0),
            ];
            (function.name.to_owned(), cells)
        });
        let emulated =
            "An emulator ran the functions: its durations say nothing of AWS.".to_owned();
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
    fn a_report_line_is_read_with_and_without_a_cold_start() {
        let line = "REPORT RequestId: 8476a536\tDuration: 3.45 ms\tBilled Duration: 4 ms\tMemory Size: 128 MB\t\
                    Max Memory Used: 20 MB\tInit Duration: 12.30 ms\t\n";
        let report = InvocationReport::read(line).unwrap();
        assert_eq!(report.took, Duration::from_micros(3450));
        assert!(report.is_cold && report.billed_ms == 4.0);
        let warm = line.split("\tInit").next().unwrap();
        assert!(!InvocationReport::read(warm).unwrap().is_cold);
        for other in [
            "START RequestId: 1",
            "{\"REPORT\":1}",
            "REPORT RequestId: 1",
        ] {
            assert_eq!(InvocationReport::read(other), None, "{other}");
        }
    }

    #[test]
    fn every_function_has_its_name_in_the_template() {
        let template = std::fs::read_to_string(sandbox::stack::template::file()).unwrap();
        for function in FUNCTIONS {
            let declared = format!("\n  {}:\n", logical_id(function));
            assert!(template.contains(&declared), "{function}");
        }
    }
}
