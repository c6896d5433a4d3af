//! Every metric that there is, as CloudWatch's embedded metric format carries it. The template's
//! alarms and dashboard are held against this list by a test.
//!
//! Each metric, with each value of its dimensions, costs money for every hour in which it is seen:
//! one is here only if an alarm, the dashboard or a question of the runbook needs it. What can be read
//! from another one's statistics is no metric of its own: the number of samples of
//! [`Metric::CallbackToMedic`] is how many messages Medic has stored, that of
//! [`Metric::OfferToAfricasTalking`] how many Africa's Talking has accepted.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value, json};

/// The namespace of every metric.
pub const NAMESPACE: &str = "cht-africastalking";

/// The dimension that every metric has: several stacks share an account.
pub const STACK: &str = "stack";

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What is counted or measured.
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
    /// SMS that came in and are in the queue to Medic.
    IncomingReceived,
    /// Delivery reports that came in and are in the queue to the ledger.
    ReportsReceived,
    /// Calls without a valid key. Africa's Talking with an old key is among them, or nobody but a
    /// passer-by.
    KeyRefused,
    /// Calls with a valid key that were not taken.
    CallbacksRefused,
    /// From the callback to Medic's own word that it has the message; one sample a message.
    CallbackToMedic,
    /// Answered POSTs to Medic. There is one a minute at least: what the poll asks.
    PostsAnswered,
    /// Messages that Medic wants sent, put into the queue to Africa's Talking.
    MessagesOffered,
    /// Statuses that were reported to Medic.
    StatusesReported,
    /// Medic refuses the user, or is not where `MedicUrl` says.
    MedicRefused,
    /// POSTs that Medic did not take, through no fault that only a person can fix.
    MedicUnavailable,
    /// How long the ledger has had the oldest status that has not been reported to Medic.
    OldestUnreported,
    /// Messages that were offered one to two days ago, accepted by Africa's Talking, and of which no
    /// final report has come. Counted once an hour, and left out when there are none.
    NoFinalReportAfterADay,
    /// From Medic's first offer to Africa's Talking's acceptance, all waiting included; one sample an
    /// acceptance.
    OfferToAfricasTalking,
    /// Africa's Talking's answers to a send, by their code.
    Answers,
    /// What Africa's Talking charged.
    Cost,
    /// SMS of 160 or 70 characters that a message was split into, by our own count.
    Segments,
    /// Each refusal of the whole account by Africa's Talking: the circuit breaker is open.
    CircuitOpened,
    /// One recipient got more than the recipient limit lets through.
    RecipientLimitExceeded,
    /// The account's balance, in its currency.
    Balance,
    /// 100 for a message that failed, 0 for one that was delivered: its average is the failure rate,
    /// its number of samples how many messages ended.
    FailureRate,
    /// Delivery reports that are in the ledger.
    ReportsRecorded,
    /// Delivery reports with a status that is not known here.
    UnknownReportStatuses,
    /// How long ago the oldest message came into its queue that was just returned to it.
    OldestWaiting,
    /// What was dead-lettered, to be looked at by a person.
    DeadLettered,
    /// Faults in the log that no other alarm tells of: crashes, settings that cannot be read, rows and
    /// batches that cannot be read, a status that Medic refuses.
    Faults,
}

/// By what a metric is divided, beside the stack. The values come from lists in this program and
/// never from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dimension {
    /// The function that counts.
    Function,
    /// The code of Africa's Talking's answer.
    Code,
    /// The mobile network.
    Network,
    /// The currency.
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
    /// Its unit, by CloudWatch's name. Money has none there, and counts need none: it would be a part
    /// of every line.
    pub fn unit(self) -> Option<&'static str> {
        match self {
            Self::CallbackToMedic | Self::OfferToAfricasTalking => Some("Milliseconds"),
            Self::OldestUnreported | Self::OldestWaiting => Some("Seconds"),
            Self::FailureRate => Some("Percent"),
            _ => None,
        }
    }

    /// How it can be asked for, beside the stack: as a whole, by a dimension, or both.
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
    /// One more.
    pub fn one(metric: Metric) -> Self {
        Self::of(metric, 1)
    }

    /// So many, in the metric's unit.
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

    /// The same, for one value of a dimension.
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

/// Adds the measures to a line of the log, which has the fields `stack` and `function` already.
/// A line has one value for each dimension.
pub fn embed(line: &mut Map<String, Value>, measures: Vec<Measure>, now_ms: i64) {
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
    let metadata = json!({ "Timestamp": now_ms, "CloudWatchMetrics": directives });
    line.insert("_aws".to_owned(), metadata);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embedded(measures: Vec<Measure>) -> Value {
        let mut line = Map::new();
        embed(&mut line, measures, 7);
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
