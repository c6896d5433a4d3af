//! Every metric, in CloudWatch's embedded metric format. A test compares the template's alarms and
//! dashboard with this list.
//!
//! CloudWatch charges for each metric, with each value of its dimensions, in every hour that has a
//! sample. So a metric is here only if an alarm, the dashboard or the runbook needs it. Some counts
//! are the number of samples of another metric: [`Metric::CallbackToMedic`] has one for each
//! message that Medic stored, [`Metric::OfferToAfricasTalking`] one for each message that Africa's
//! Talking accepted. And what goes into a queue or out of it, SQS counts free of charge.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value, json};

use crate::domain::time::Timestamp;

/// The namespace of every metric.
pub const NAMESPACE: &str = "cht-africastalking";

/// The dimension of every metric, because several stacks can share an AWS account.
pub const STACK: &str = "stack";

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A metric.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Metric {
            $($(#[$doc])* $name,)*
        }

        impl Metric {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name in CloudWatch.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }
        }
    };
}

metrics! {
    /// Incoming SMS that were put into the queue to Medic.
    IncomingReceived,
    /// Opt-outs of recipients, a repeat included.
    OptOuts,
    /// Calls without a valid key. They can come from strangers, or from Africa's Talking with an
    /// old key.
    KeyRefused,
    /// Calls that got an error although their key was valid or could not be checked.
    CallbacksRefused,
    /// Callbacks that are plainly of another kind than their URL: the URLs are swapped in Africa's
    /// Talking's dashboard. They are dead-lettered until a redrive.
    CallbacksAtWrongUrl,
    /// Milliseconds from the callback to Medic's confirmation that it stored the SMS; one sample a
    /// message.
    CallbackToMedic,
    /// POSTs that Medic answered with success. The poll alone makes one a minute.
    PostsAnswered,
    /// Statuses in POSTs that Medic answered with success.
    StatusesReported,
    /// Refusals of Medic that a person must fix: the user's credentials, or the address in
    /// `MedicUrl`.
    MedicRefused,
    /// POSTs that failed for a reason that ends by itself, such as a restart of Medic.
    MedicUnavailable,
    /// Seconds for which the oldest unreported status has been in the ledger.
    OldestUnreported,
    /// Milliseconds from Medic's first offer to Africa's Talking's acceptance, with all waits; one
    /// sample an acceptance.
    OfferToAfricasTalking,
    /// Africa's Talking's responses to send requests, by code.
    Answers,
    /// The price that Africa's Talking charged, in units of the currency.
    Cost,
    /// Segments of accepted messages, by our own count.
    Segments,
    /// How often the circuit breaker opened, or stayed open after a pilot tried.
    CircuitOpened,
    /// How often the recipient limit stopped a message and raised its alarm.
    RecipientLimitExceeded,
    /// The account's balance, in its currency.
    Balance,
    /// Prices and balances that Africa's Talking wrote in a form that cannot be read. The log line shows
    /// them as they came.
    AmountsUnreadable,
    /// 100 for a message that failed, 0 for one that was delivered. The average is the failure rate
    /// in percent, the number of samples the number of messages with a final status.
    FailureRate,
    /// Messages whose end a delivery report has told. Those of which none ever tells it are what the
    /// acceptances (the samples of [`Self::OfferToAfricasTalking`]) are more than these, over some days.
    FinalReports,
    /// Delivery reports with a status that this version does not know.
    UnknownReportStatuses,
    /// Age in seconds of the oldest queue message that was just returned for retry.
    OldestWaiting,
    /// Checks that found messages in a queue which nobody has received for ten minutes.
    QueueStalled,
    /// Requests to the ledger, to a queue or for a secret that failed, repeats included.
    AwsFailures,
    /// Messages that went to a dead-letter queue.
    DeadLettered,
    /// Faults without an alarm of their own: panics, unreadable configuration, rows or batches, and
    /// statuses that Medic refused.
    Faults,
}

/// A dimension of a metric, beside the stack. Its values come from lists in this program, never
/// from outside, because each value costs money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dimension {
    /// The function that writes the line.
    Function,
    /// The code of Africa's Talking's response.
    Code,
    /// The network of the recipient, from the delivery report.
    Network,
    /// The currency of the price.
    Currency,
}

impl Dimension {
    /// Its name in CloudWatch and in the log line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Code => "code",
            Self::Network => "network",
            Self::Currency => "currency",
        }
    }
}

impl Metric {
    /// Its unit, by CloudWatch's name. CloudWatch has no unit for money. Counts have none, to keep
    /// lines short.
    pub fn unit(self) -> Option<&'static str> {
        match self {
            Self::CallbackToMedic | Self::OfferToAfricasTalking => Some("Milliseconds"),
            Self::OldestUnreported | Self::OldestWaiting => Some("Seconds"),
            Self::FailureRate => Some("Percent"),
            _ => None,
        }
    }

    /// The sets of dimensions under which CloudWatch keeps it, beside the stack. `None` is the
    /// metric without a further dimension.
    pub fn dimensions(self) -> &'static [Option<Dimension>] {
        match self {
            Self::DeadLettered | Self::OldestWaiting => &[Some(Dimension::Function)],
            Self::Answers => &[Some(Dimension::Code)],
            Self::Cost => &[Some(Dimension::Currency)],
            Self::FailureRate => &[None, Some(Dimension::Network)],
            _ => &[None],
        }
    }
}

/// One value of a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measure {
    metric: Metric,
    value: Number,
    by: Option<(Dimension, &'static str)>,
}

impl Measure {
    /// A count of one.
    pub fn one(metric: Metric) -> Self {
        Self::of(metric, 1)
    }

    /// This value, in the metric's unit.
    pub fn of(metric: Metric, value: impl Into<Number>) -> Self {
        Self {
            metric,
            value: value.into(),
            by: None,
        }
    }

    /// An amount of money, in millionths of the currency's unit.
    pub fn money(metric: Metric, micros: i64) -> Self {
        Self::of(metric, units(micros))
    }

    /// The same value, under one value of a dimension.
    #[must_use]
    pub fn by(mut self, dimension: Dimension, value: &'static str) -> Self {
        self.by = Some((dimension, value));
        self
    }
}

/// Millionths as a decimal number of units.
fn units(micros: i64) -> Number {
    let sign = if micros < 0 { "-" } else { "" };
    let (whole, rest) = (
        micros.unsigned_abs() / 1_000_000,
        micros.unsigned_abs() % 1_000_000,
    );
    format!("{sign}{whole}.{rest:06}")
        .parse()
        .unwrap_or_else(|_| 0.into())
}

/// Adds the measures to a log line, which must have the fields `stack` and `function`. A line can
/// have one value for each dimension.
pub fn embed(line: &mut Map<String, Value>, measures: Vec<Measure>, now: Timestamp) {
    let mut directives: BTreeMap<&[Option<Dimension>], Vec<Value>> = BTreeMap::new();
    for measure in measures {
        let metric = measure.metric;
        line.insert(metric.name().to_owned(), measure.value.into());
        if let Some((dimension, value)) = measure.by {
            line.insert(dimension.name().to_owned(), value.into());
        }
        let definition = match metric.unit() {
            Some(unit) => json!({ "Name": metric.name(), "Unit": unit }),
            None => json!({ "Name": metric.name() }),
        };
        let alike = directives.entry(metric.dimensions()).or_default();
        alike.push(definition);
    }
    if directives.is_empty() {
        return;
    }
    let directives: Vec<Value> = directives
        .into_iter()
        .map(|(dimensions, metrics)| {
            let sets: Vec<Vec<&str>> = dimensions
                .iter()
                .map(|one| {
                    [STACK]
                        .into_iter()
                        .chain(one.map(Dimension::name))
                        .collect()
                })
                .collect();
            json!({ "Namespace": NAMESPACE, "Dimensions": sets, "Metrics": metrics })
        })
        .collect();
    let metadata = json!({ "Timestamp": now, "CloudWatchMetrics": directives });
    line.insert("_aws".to_owned(), metadata);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embedded(measures: Vec<Measure>) -> Value {
        let mut line = Map::new();
        embed(&mut line, measures, Timestamp::from_millis(7));
        line.into()
    }

    #[test]
    fn a_line_carries_its_measures_in_the_embedded_metric_format() {
        let line = embedded(vec![
            Measure::of(Metric::Segments, 2),
            Measure::of(Metric::OfferToAfricasTalking, 1500),
            Measure::money(Metric::Cost, 1_600_000).by(Dimension::Currency, "KES"),
        ]);
        assert_eq!(
            line,
            json!({
                "Segments": 2,
                "OfferToAfricasTalking": 1500,
                "Cost": 1.6,
                "currency": "KES",
                "_aws": {
                    "Timestamp": 7,
                    "CloudWatchMetrics": [
                        {
                            "Namespace": "cht-africastalking",
                            "Dimensions": [["stack"]],
                            "Metrics": [
                                { "Name": "Segments" },
                                { "Name": "OfferToAfricasTalking", "Unit": "Milliseconds" },
                            ],
                        },
                        {
                            "Namespace": "cht-africastalking",
                            "Dimensions": [["stack", "currency"]],
                            "Metrics": [{ "Name": "Cost" }],
                        },
                    ],
                },
            })
        );
    }

    #[test]
    fn a_rate_can_be_asked_for_as_a_whole_and_by_network() {
        let line = embedded(vec![
            Measure::of(Metric::FailureRate, 100).by(Dimension::Network, "63902"),
        ]);
        assert_eq!(
            line["_aws"]["CloudWatchMetrics"][0]["Dimensions"],
            json!([["stack"], ["stack", "network"]])
        );
        assert_eq!(line["network"], "63902");
    }

    #[test]
    fn money_is_decimal_also_when_there_is_less_than_none() {
        for (micros, text) in [
            (0, "0.0"),
            (800_000, "0.8"),
            (-1, "-1e-6"),
            (-12_345_678, "-12.345678"),
        ] {
            assert_eq!(units(micros).to_string(), text);
        }
    }

    #[test]
    fn a_line_without_measures_is_left_as_it_is() {
        assert_eq!(embedded(Vec::new()), json!({}));
    }
}
