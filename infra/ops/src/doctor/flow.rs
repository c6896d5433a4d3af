//! Whether it flows: queues, what was parked, alarms, and what the ledger says of the account.

use bridge::ledger;
use bridge::ports::{Clock as _, Key, LedgerStore as _};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::Finding;
use crate::failure::Failure;
use crate::query::{CLOUDWATCH, Refused, field, members};
use crate::stack::{Resource, Stack};
use crate::terminal::{Terminal, shown_duration, shown_time};

/// The three queues: what is in them, their outputs, and from what age on, in seconds, something in
/// them waits for somebody to do something (as in the template's alarms).
const QUEUES: [(&str, &str, f64); 3] = [
    ("queue to Medic", "ExchangeQueueUrl", 1800.0),
    ("queue of reports", "ReportsQueueUrl", 1800.0),
    ("queue to phones", "OutboxQueueUrl", 7200.0),
];

/// The three queues for what was parked.
const PARKED: [(&str, &str); 3] = [
    ("parked for Medic", "ExchangeParkedQueueUrl"),
    ("parked reports", "ReportsParkedQueueUrl"),
    ("parked for phones", "OutboxParkedQueueUrl"),
];

/// Statuses that are looked for at once.
const STATUSES_LOOKED_AT: usize = 100;

/// How full the queues are, and how old what waits in them is.
pub async fn queues(stack: &Stack) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (check, output, late_s) in QUEUES {
        findings.push(match depth(stack, output).await {
            Ok((_, 0)) => Finding::fine(check, "empty"),
            Ok((url, depth)) => match oldest_s(stack, &url).await {
                Ok(Some(age_s)) if age_s > late_s => Finding::wrong(
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

/// What waits for a person.
pub async fn parked(stack: &Stack) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (check, output) in PARKED {
        findings.push(match depth(stack, output).await {
            Ok((_, 0)) => Finding::fine(check, "nothing"),
            Ok((_, depth)) => Finding::wrong(
                check,
                format!("{depth} could not be processed"),
                "`cargo ops parked list` says why, `cargo ops parked retry` puts them back; after 14 days they are gone",
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

/// The age of the oldest message in a queue, in seconds, by CloudWatch; it is told some minutes late.
async fn oldest_s(stack: &Stack, url: &str) -> Result<Option<f64>, Failure> {
    let name = url.rsplit('/').next().unwrap_or_default();
    let now = OffsetDateTime::now_utc();
    let written = |time: OffsetDateTime| time.format(&Rfc3339).unwrap_or_default();
    let (from, until) = (written(now - Duration::minutes(15)), written(now));
    let parameters = [
        ("Namespace", "AWS/SQS"),
        ("MetricName", "ApproximateAgeOfOldestMessage"),
        ("Dimensions.member.1.Name", "QueueName"),
        ("Dimensions.member.1.Value", name),
        ("StartTime", &from),
        ("EndTime", &until),
        ("Period", "60"),
        ("Statistics.member.1", "Maximum"),
    ];
    let failed = |refused: Refused| Failure::aws("look at a queue's age", &refused.code);
    let answer = stack
        .query
        .call(CLOUDWATCH, "GetMetricStatistics", &parameters)
        .await
        .map_err(failed)?;
    let points = members(&answer.xml, "Datapoints").map_err(failed)?;
    let newest = points
        .iter()
        .max_by_key(|point| field(point, "Timestamp").to_owned());
    Ok(newest.and_then(|point| field(point, "Maximum").parse().ok()))
}

/// The stack's alarms.
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
    let named: Vec<(String, &str)> = alarms
        .enumerate()
        .map(|(index, alarm)| {
            let name = format!("AlarmNames.member.{}", index.saturating_add(1));
            (name, alarm.physical_id.as_str())
        })
        .collect();
    let mut parameters = vec![("StateValue", "ALARM")];
    parameters.extend(named.iter().map(|(name, value)| (name.as_str(), *value)));
    let answer = stack
        .query
        .call(CLOUDWATCH, "DescribeAlarms", &parameters)
        .await;
    let raised = answer.and_then(|answer| members(&answer.xml, "MetricAlarms"));
    match raised {
        Err(refused) => vec![Finding::failed(
            CHECK,
            &Failure::aws("ask for alarms", &refused.code),
        )],
        Ok(raised) if raised.is_empty() => {
            vec![Finding::fine(
                CHECK,
                format!("none of {} is raised", named.len()),
            )]
        }
        Ok(raised) => raised
            .iter()
            .map(|alarm| {
                let what = format!("{} is raised", field(alarm, "AlarmName"));
                Finding::wrong(CHECK, what, field(alarm, "AlarmDescription"))
            })
            .collect(),
    }
}

/// Whether sending is held or paused, and how many statuses Medic has not been told.
pub async fn ledger(stack: &Stack, terminal: &Terminal) -> Vec<Finding> {
    const CHECK: &str = "sending";
    let store = match stack.ledger(terminal) {
        Ok(store) => store,
        Err(failure) => return vec![Finding::failed(CHECK, &failure)],
    };
    let unread = |error: &bridge::ports::LedgerError| {
        Finding::failed(CHECK, &Failure::aws("read the ledger", &error.0))
    };
    let account = match ledger::read(&store, &[Key::Account]).await {
        Ok(rows) => rows.account(),
        Err(error) => return vec![unread(&error)],
    };
    let mut findings = Vec::new();
    if let Some(hold) = &account.hold {
        let next_ms = hold.next_probe_ms.saturating_sub(terminal.now_ms());
        findings.push(Finding::wrong(
            CHECK,
            format!(
                "held since {}: {}; the next try comes in {}",
                shown_time(hold.since_ms),
                hold.trouble.words(),
                shown_duration(next_ms)
            ),
            "mend it; then `cargo ops resume` has the next message try, without it that is a matter of time; \
             nothing fails meanwhile, unless it gets too old",
        ));
    }
    if let Some(pause) = &account.pause {
        findings.push(Finding::wrong(
            CHECK,
            format!("paused by somebody since {}", shown_time(pause.since_ms)),
            "`cargo ops resume` lets it go on; messages wait, until they get too old",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::fine(CHECK, "neither held nor paused"));
    }
    match store.untold(STATUSES_LOOKED_AT).await {
        Ok(untold) if untold.is_empty() => {
            findings.push(Finding::fine("statuses", "Medic knows all"));
        }
        Ok(untold) => {
            let more = if untold.len() >= STATUSES_LOOKED_AT {
                " or more"
            } else {
                ""
            };
            let what = format!(
                "{}{more} that Medic has not been told yet; a poll a minute tells them",
                untold.len()
            );
            findings.push(Finding::note("statuses", what));
        }
        Err(error) => findings.push(unread(&error)),
    }
    findings
}
