//! CloudWatch: metrics, alarms and logs.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{EmulatorClient, text_at};

/// The beginning of the names of CloudWatch's operations on metrics and alarms.
const CLOUDWATCH: &str = "GraniteServiceVersion20100801";

/// A line that a function has logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When, in milliseconds since 1970: at the end of its invocation.
    pub at_ms: u64,
    /// The log stream.
    pub stream: String,
    /// The line.
    pub text: String,
}

impl EmulatorClient {
    /// Gives CloudWatch one value of a metric of AWS's own or of ours, with this dimension.
    ///
    /// # Errors
    /// When the emulator refuses.
    pub async fn put_metric(
        &self,
        (namespace, metric): (&str, &str),
        (dimension, of): (&str, &str),
        value: u32,
    ) -> anyhow::Result<()> {
        let datum = json!({
            "MetricName": metric,
            "Value": value,
            "Dimensions": [{ "Name": dimension, "Value": of }],
        });
        let input = json!({ "Namespace": namespace, "MetricData": [datum] });
        self.call("monitoring", &format!("{CLOUDWATCH}.PutMetricData"), &input)
            .await?;
        Ok(())
    }

    /// The sum of a metric with this dimension since the emulator was started.
    ///
    /// # Errors
    /// When CloudWatch refuses.
    pub async fn metric_sum(
        &self,
        namespace: &str,
        metric: &str,
        (dimension, value): (&str, &str),
    ) -> anyhow::Result<f64> {
        let input = json!({
            "Namespace": namespace,
            "MetricName": metric,
            "Dimensions": [{ "Name": dimension, "Value": value }],
            "Statistics": ["Sum"],
            "Period": 60,
        });
        let target = format!("{CLOUDWATCH}.GetMetricStatistics");
        let answer = self.call("monitoring", &target, &input).await?;
        let points = answer.get("Datapoints").and_then(Value::as_array);
        let points = points.context("CloudWatch has answered without data points")?;
        let sums = points.iter().filter_map(|point| point.get("Sum"));
        Ok(sums.filter_map(Value::as_f64).sum())
    }

    /// An alarm, as CloudWatch describes it.
    ///
    /// # Errors
    /// When there is no such alarm.
    pub async fn alarm(&self, name: &str) -> anyhow::Result<Value> {
        let input = json!({ "AlarmNames": [name] });
        let target = format!("{CLOUDWATCH}.DescribeAlarms");
        let answer = self.call("monitoring", &target, &input).await?;
        let alarm = answer.pointer("/MetricAlarms/0").cloned();
        alarm.with_context(|| format!("there is no alarm {name}"))
    }

    /// All lines of a log group, oldest first.
    ///
    /// # Errors
    /// When there is no such group.
    pub async fn log_lines(&self, group: &str) -> anyhow::Result<Vec<String>> {
        let mut lines = Vec::new();
        let mut input = json!({ "logGroupName": group });
        loop {
            let answer = self
                .call("logs", "Logs_20140328.FilterLogEvents", &input)
                .await?;
            if let Some(events) = answer.get("events").and_then(Value::as_array) {
                lines.extend(events.iter().map(|event| text_at(event, "message")));
            }
            let Some(next) = answer.get("nextToken").filter(|next| next.is_string()) else {
                return Ok(lines);
            };
            if let Some(input) = input.as_object_mut() {
                input.insert("nextToken".to_owned(), next.clone());
            }
        }
    }

    /// The lines of a log group from a moment on, oldest first: ten thousand at most. None before
    /// the group's first line.
    ///
    /// # Errors
    /// When the emulator refuses.
    pub async fn log_lines_since(
        &self,
        group: &str,
        since_ms: u64,
    ) -> anyhow::Result<Vec<LogLine>> {
        let input = json!({ "logGroupName": group, "startTime": since_ms });
        let answer = match self
            .call("logs", "Logs_20140328.FilterLogEvents", &input)
            .await
        {
            Err(error) if error.to_string().contains("ResourceNotFoundException") => {
                return Ok(Vec::new());
            }
            answer => answer?,
        };
        let events = answer.get("events").and_then(Value::as_array);
        Ok(events
            .into_iter()
            .flatten()
            .map(|event| LogLine {
                at_ms: event
                    .get("timestamp")
                    .and_then(Value::as_u64)
                    .unwrap_or_default(),
                stream: text_at(event, "logStreamName"),
                text: text_at(event, "message"),
            })
            .collect())
    }
}
