//! How often something was counted, by CloudWatch.

use std::time::SystemTime;

use aws_sdk_cloudwatch::types::{Datapoint, Dimension, Statistic};

use crate::failure::Failure;
use crate::stack::Stack;

/// The sum of a metric over a span of time.
#[derive(Clone, Copy, Debug)]
pub struct MetricSum<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub metric: &'a str,
    /// The name and the value of its dimension.
    pub dimension: (&'a str, &'a str),
    /// The beginning of the span.
    pub from: SystemTime,
    /// The end of the span.
    pub until: SystemTime,
    /// In steps of so many seconds. At most 1,440 of them fit into the span.
    pub period_s: i32,
}

impl MetricSum<'_> {
    /// Asks CloudWatch.
    ///
    /// # Errors
    /// When CloudWatch refuses.
    pub async fn read(&self, stack: &Stack) -> Result<u64, Failure> {
        let (name, value) = self.dimension;
        let answer = stack
            .cloudwatch
            .get_metric_statistics()
            .namespace(self.namespace)
            .metric_name(self.metric)
            .dimensions(Dimension::builder().name(name).value(value).build())
            .start_time(self.from.into())
            .end_time(self.until.into())
            .period(self.period_s)
            .statistics(Statistic::Sum)
            .send()
            .await
            .map_err(|error| Failure::call("read a metric", &error))?;
        let sums = answer.datapoints().iter().filter_map(Datapoint::sum);
        // A count, and far from where a float is none any more.
        #[allow(clippy::as_conversions, reason = "a sum of ones")]
        let counted = sums.sum::<f64>().max(0.0) as u64;
        Ok(counted)
    }
}
