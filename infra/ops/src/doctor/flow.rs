//! Checks whether messages flow: queues, dead-letter queues, alarms, and the ledger's row of the account.

use std::time::{Duration, SystemTime};

use aws_sdk_cloudwatch::types::{Datapoint, Dimension, StateValue, Statistic};
use bridge::domain::circuit_breaker::{Cause, Circuit};
use bridge::domain::exchange::ExchangeRow;
use bridge::domain::time::Timestamp;
use bridge::ledger;
use bridge::ports::{Clock as _, Key, LedgerBacklog as _};

use super::Finding;
use crate::failure::Failure;
use crate::stack::{Resource, Stack};
use crate::terminal::{Terminal, format_duration, format_time};

/// One of the three work queues.
struct MonitoredQueue {
    /// The name of the check.
    check: &'static str,
    /// The stack's output with the queue's URL.
    output: &'static str,
    /// From which age on, in seconds, a message in it is late. As in the template's alarms.
    late_s: f64,
    /// The function that measures how long its messages have waited, and in how many minutes it does so at
    /// least once. SQS's own metric of a standard queue leaves out messages that were received a few times.
    tells: Option<(&'static str, u64)>,
}

const QUEUES: [MonitoredQueue; 3] = [
    MonitoredQueue {
        check: "queue to Medic",
        output: "ExchangeQueueUrl",
        late_s: 1800.0,
        tells: None,
    },
    MonitoredQueue {
        check: "queue of reports",
        output: "ReportsQueueUrl",
        late_s: 1800.0,
        tells: Some(("report-recorder", 30)),
    },
    MonitoredQueue {
        check: "queue to phones",
        output: "OutboxQueueUrl",
        late_s: 7200.0,
        tells: Some(("outbound-sender", 90)),
    },
];

/// From what age on, in seconds, a status that has not been reported to Medic is late: as in the template's
/// alarm.
const STATUS_LATE: Duration = Duration::from_mins(30);

/// From what age on, in seconds, a message in quarantine is late: as in the queue that it waits in.
const QUARANTINE_LATE: Duration = Duration::from_mins(30);

/// The name of each check of a dead-letter queue, and the stack's output with its URL.
const DEAD_LETTERED: [(&str, &str); 3] = [
    ("dead-lettered for Medic", "ExchangeDeadLetterQueueUrl"),
    ("dead-lettered reports", "ReportsDeadLetterQueueUrl"),
    ("dead-lettered for phones", "OutboxDeadLetterQueueUrl"),
];

/// Checks how many messages wait in each queue, and how old the oldest is.
pub async fn queues(stack: &Stack) -> Vec<Finding> {
    let mut findings = Vec::new();
    for queue in &QUEUES {
        let check = queue.check;
        findings.push(match depth(stack, queue.output).await {
            Ok((_, 0)) => Finding::fine(check, "empty"),
            Ok((url, depth)) => match oldest_s(stack, &url, queue).await {
                Ok(Some(age_s)) if age_s > queue.late_s => Finding::wrong(
                    check,
                    format!(
                        "{depth} wait, the oldest for {} min",
                        (age_s / 60.0).round()
                    ),
                    "what else is wrong here says why; nothing is lost while it waits",
                ),
                Ok(Some(age_s)) => {
                    Finding::fine(check, format!("{depth} in it, the oldest {age_s} s old"))
                }
                Ok(None) => {
                    Finding::fine(check, format!("{depth} in it; CloudWatch knows no age yet"))
                }
                Err(failure) => Finding::failed(check, &failure),
            },
            Err(failure) => Finding::failed(check, &failure),
        });
    }
    findings
}

/// Checks whether the dead-letter queues are empty.
pub async fn dead_letters(stack: &Stack) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (check, output) in DEAD_LETTERED {
        findings.push(match depth(stack, output).await {
            Ok((_, 0)) => Finding::fine(check, "nothing"),
            Ok((_, depth)) => Finding::wrong(
                check,
                format!("{depth} could not be processed"),
                "`cargo ops dead-letters list` says why, `cargo ops dead-letters redrive` puts them back; after 14 days they are gone",
            ),
            Err(failure) => Finding::failed(check, &failure),
        });
    }
    findings
}

/// A queue's URL and how many messages it holds.
async fn depth(stack: &Stack, output: &str) -> Result<(String, usize), Failure> {
    let url = stack.output(output)?;
    Ok((url.to_owned(), stack.depth(url).await?))
}

/// The age of the oldest message in a queue, in seconds, from CloudWatch, which is some minutes behind.
async fn oldest_s(
    stack: &Stack,
    url: &str,
    queue: &MonitoredQueue,
) -> Result<Option<f64>, Failure> {
    let name = url.rsplit('/').next().unwrap_or_default();
    let metric = ("AWS/SQS", "ApproximateAgeOfOldestMessage");
    let by_sqs = greatest(stack, metric, &[("QueueName", name)], 5).await?;
    let Some((function, minutes)) = queue.tells else {
        return Ok(by_sqs);
    };
    let metric = ("cht-africastalking", "OldestWaiting");
    let dimensions = [("stack", stack.name.as_str()), ("function", function)];
    let tried = greatest(stack, metric, &dimensions, minutes).await?;
    Ok([by_sqs, tried].into_iter().flatten().reduce(f64::max))
}

/// The greatest value of a metric in the last `minutes`. None, if it had no value.
async fn greatest(
    stack: &Stack,
    (namespace, metric): (&str, &str),
    dimensions: &[(&str, &str)],
    minutes: u64,
) -> Result<Option<f64>, Failure> {
    let now = SystemTime::now();
    // CloudWatch has the newest values only some minutes later.
    let since = Duration::from_mins(minutes.saturating_add(10));
    let dimensions = dimensions
        .iter()
        .map(|(name, value)| Dimension::builder().name(*name).value(*value).build());
    let answer = stack
        .cloudwatch
        .get_metric_statistics()
        .namespace(namespace)
        .metric_name(metric)
        .set_dimensions(Some(dimensions.collect()))
        .start_time(now.checked_sub(since).unwrap_or(now).into())
        .end_time(now.into())
        .period(60)
        .statistics(Statistic::Maximum)
        .send()
        .await
        .map_err(|error| Failure::call("look at a queue's age", &error))?;
    let values = answer.datapoints().iter().filter_map(Datapoint::maximum);
    Ok(values.reduce(f64::max))
}

/// Checks the stack's alarms.
pub async fn alarms(stack: &Stack, resources: &Result<Vec<Resource>, Failure>) -> Vec<Finding> {
    const CHECK: &str = "alarms";
    let Ok(resources) = resources else {
        return vec![Finding::unknown(
            CHECK,
            "the stack's resources are not known",
        )];
    };
    let alarms = resources
        .iter()
        .filter(|resource| resource.kind == "AWS::CloudWatch::Alarm");
    let names: Vec<String> = alarms.map(|alarm| alarm.physical_id.clone()).collect();
    let count = names.len();
    let question = stack.cloudwatch.describe_alarms();
    let question = question.state_value(StateValue::Alarm);
    let raised = question.set_alarm_names(Some(names)).send().await;
    match raised.map(|answer| answer.metric_alarms.unwrap_or_default()) {
        Err(error) => vec![Finding::failed(
            CHECK,
            &Failure::call("ask for alarms", &error),
        )],
        Ok(raised) if raised.is_empty() => {
            let none = format!("none of {count} is raised");
            vec![match stack.parameter("AlarmTopicArn") {
                Some(_) => Finding::fine(CHECK, none),
                None => Finding::note(
                    CHECK,
                    format!(
                        "{none}, and nobody would hear of one: the parameter AlarmTopicArn is empty"
                    ),
                ),
            }]
        }
        Ok(raised) => raised
            .iter()
            .map(|alarm| {
                let name = alarm.alarm_name().unwrap_or_default();
                let advice = alarm.alarm_description().unwrap_or_default();
                Finding::wrong(CHECK, format!("{name} is raised"), advice)
            })
            .collect(),
    }
}

/// What to do about an open circuit breaker.
fn circuit_advice(circuit: &Circuit, cause: Cause) -> &'static str {
    match (circuit, cause) {
        (Circuit::SenderId(_), _) => {
            "register the sender id with Africa's Talking, or correct SenderIds; messages with other sender ids \
             go on, these follow by themselves within 15 minutes, or at once after `cargo ops resume`"
        }
        (_, Cause::NoAnswer) => {
            "look whether Africa's Talking is up, and ask its support; one message tries every 45 seconds, and \
             what waits follows by itself within five minutes; nothing fails meanwhile, unless it gets too old"
        }
        (_, Cause::CredentialsRefused) => {
            "`cargo ops set-credentials`, or correct AfricasTalkingUsername; if `cargo ops doctor` finds both right, \
             one of SenderIds is not registered for this account; one message tries every 45 seconds, and what \
             waits follows by itself within five minutes"
        }
        _ => {
            "fix it; one message tries every 45 seconds, and what waits follows by itself within five minutes; \
             nothing fails meanwhile, unless it gets too old"
        }
    }
}

/// Checks whether the circuit breaker is open, whether sending is paused, and how many statuses Medic does
/// not know.
pub async fn ledger(stack: &Stack, terminal: &Terminal) -> Vec<Finding> {
    const CHECK: &str = "sending";
    let store = match stack.ledger(terminal) {
        Ok(store) => store,
        Err(failure) => return vec![Finding::failed(CHECK, &failure)],
    };
    let unread = |error: &bridge::ports::LedgerError| {
        Finding::failed(CHECK, &Failure::aws("read the ledger", &error.0))
    };
    let (account, exchange) = match ledger::read(&store, &[Key::Account, Key::Exchange]).await {
        Ok(rows) => (rows.account(), rows.exchange()),
        Err(error) => return vec![unread(&error)],
    };
    let mut findings = Vec::new();
    for open in &account.open_circuits {
        let next = format_duration(open.next_try.since(terminal.now()));
        let advice = circuit_advice(&open.of, open.cause);
        findings.push(Finding::wrong(
            CHECK,
            format!(
                "the circuit breaker is open since {}: {}; the next try comes in {next}",
                format_time(open.since),
                open.words(),
            ),
            advice,
        ));
    }
    if let Some(pause) = &account.pause {
        findings.push(Finding::wrong(
            CHECK,
            format!("paused by somebody since {}", format_time(pause.since)),
            "`cargo ops resume` lets it go on; messages wait, until they get too old",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::fine(
            CHECK,
            "neither paused nor stopped by the circuit breaker",
        ));
    }
    findings.push(quarantine(&exchange, terminal.now()));
    match store.unreported_since().await {
        Ok(None) => findings.push(Finding::fine(
            "statuses",
            "none waits to be reported to Medic",
        )),
        Ok(Some(since)) => {
            let age = terminal.now().since(since);
            let waits = format!("the oldest waits for {}", format_duration(age));
            findings.push(if age > STATUS_LATE {
                let advice =
                    "what else is wrong here says why; they are told when Medic takes them";
                Finding::wrong("statuses", waits, advice)
            } else {
                let what = format!(
                    "some are not reported to Medic yet, {waits}; a poll a minute tells them"
                );
                Finding::note("statuses", what)
            });
        }
        Err(error) => findings.push(unread(&error)),
    }
    findings
}

/// The messages on which Medic fails: they wait in the queue to Medic, and come back by themselves.
fn quarantine(exchange: &ExchangeRow, now: Timestamp) -> Finding {
    const CHECK: &str = "quarantine";
    let since = exchange.quarantined.values().map(|one| one.since).min();
    let Some(since) = since else {
        return Finding::fine(CHECK, "empty");
    };
    let age = now.since(since);
    let waits = format!(
        "{} SMS on which Medic fails, the oldest for {}; each is tried at least once an hour",
        exchange.quarantined.len(),
        format_duration(age)
    );
    if age > QUARANTINE_LATE {
        let advice = "`cargo ops trace` of an id says when it is retried; after five failures beside others that \
                      Medic stored it is dead-lettered, with Medic's answer";
        Finding::wrong(CHECK, waits, advice)
    } else {
        Finding::note(CHECK, waits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_key_can_be_a_sender_id_that_is_not_registered_and_the_advice_says_so() {
        let advice = circuit_advice(&Circuit::Account, Cause::CredentialsRefused);
        for part in ["set-credentials", "AfricasTalkingUsername", "SenderIds"] {
            assert!(advice.contains(part), "{part}: {advice}");
        }
        let of_sender_id = Circuit::SenderId(Some("MYORG".to_owned()));
        let advice = circuit_advice(&of_sender_id, Cause::InvalidSenderId);
        assert!(advice.contains("SenderIds"), "{advice}");
    }
}
