//! The calls that the HTTP API has refused in the last day.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bridge::wire::json::parse_lenient;
use serde_json::Value;

use super::Finding;
use crate::failure::Failure;
use crate::metric_sum::MetricSum;
use crate::stack::{Resource, Stack};

const CHECK: &str = "refused calls";
const DAY: Duration = Duration::from_hours(24);

/// The status of a call beyond the stage's limits.
const THROTTLED: &str = "429";

/// So many pages of the log are read: each has up to ten thousand calls.
const PAGES_AT_MOST: usize = 20;

/// How many calls were refused, by CloudWatch and by the API's log. The log has the status of each, and
/// leaves some out when there are very many.
pub async fn examine(stack: &Stack, resources: &Result<Vec<Resource>, Failure>) -> Finding {
    let name_of = |logical_id: &str| {
        let mut resources = resources.iter().flatten();
        let found = resources.find(|resource| resource.logical_id == logical_id);
        found.map(|resource| resource.physical_id.as_str())
    };
    let (Some(api), Some(log)) = (name_of("HttpApi"), name_of("HttpApiLogGroup")) else {
        return Finding::unknown(CHECK, "the stack's resources are not known");
    };
    match (counted(stack, api).await, logged(stack, log).await) {
        (Ok(counted), Ok(logged)) => judge(counted, &logged),
        (Err(failure), _) | (_, Err(failure)) => Finding::failed(CHECK, &failure),
    }
}

/// How many calls CloudWatch has counted.
async fn counted(stack: &Stack, api: &str) -> Result<u64, Failure> {
    let now = SystemTime::now();
    let sum = MetricSum {
        namespace: "AWS/ApiGateway",
        metric: "4xx",
        dimension: ("ApiId", api),
        from: now.checked_sub(DAY).unwrap_or(now),
        until: now,
        period_s: 3600,
    };
    sum.read(stack).await
}

/// How many calls the API's log has, by status.
async fn logged(stack: &Stack, log_group: &str) -> Result<BTreeMap<String, u64>, Failure> {
    let since = SystemTime::now().checked_sub(DAY);
    let since = since.and_then(|since| since.duration_since(UNIX_EPOCH).ok());
    let since_ms = since.and_then(|since| i64::try_from(since.as_millis()).ok());
    let mut logged = BTreeMap::new();
    let mut next = None;
    for _ in 0..PAGES_AT_MOST {
        let question = stack
            .logs
            .filter_log_events()
            .log_group_name(log_group)
            .filter_pattern(r#"{ $.status = "4*" }"#)
            .set_start_time(since_ms)
            .set_next_token(next);
        let page = question.send().await;
        let page = page.map_err(|error| Failure::call("read the log of the API", &error))?;
        let lines = page.events().iter().filter_map(|event| event.message());
        for status in lines.filter_map(refused) {
            let count: &mut u64 = logged.entry(status).or_default();
            *count = count.saturating_add(1);
        }
        next = page.next_token().map(str::to_owned);
        if next.is_none() {
            break;
        }
    }
    Ok(logged)
}

/// The status of a call that was refused, by its line in the log.
fn refused(line: &str) -> Option<String> {
    let line = parse_lenient(line.as_bytes()).ok()?;
    let status = line.get("status").and_then(Value::as_str)?;
    status.starts_with('4').then(|| status.to_owned())
}

fn judge(counted: u64, logged: &BTreeMap<String, u64>) -> Finding {
    let all = counted.max(logged.values().sum());
    if all == 0 {
        return Finding::fine(CHECK, "none in the last day");
    }
    let by_status: Vec<String> = logged
        .iter()
        .map(|(status, count)| format!("{count} with {status}"))
        .collect();
    let by_status = match by_status.is_empty() {
        true => String::new(),
        false => format!(", by its log {}", by_status.join(", ")),
    };
    let what = format!("{all} in the last day{by_status}");
    match logged.get(THROTTLED) {
        Some(_) => Finding::wrong(
            CHECK,
            what,
            "429 is beyond the stage's limits: if Africa's Talking made these calls, in a campaign, raise the \
             limits of HttpApiStage in the template, and ask it for what is missing",
        ),
        None => Finding::note(
            CHECK,
            format!(
                "{what}; 403 is a wrong key, 404 a path that is not ours, 400 names no message"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    fn judged(counted: u64, logged: &[(&str, u64)]) -> Finding {
        let logged = logged
            .iter()
            .map(|(status, count)| ((*status).to_owned(), *count));
        judge(counted, &logged.collect())
    }

    #[test]
    fn throttled_calls_are_wrong_and_other_refused_ones_worth_knowing() {
        assert_eq!(judged(0, &[]).verdict, Verdict::Fine);
        let finding = judged(7, &[("403", 5), ("404", 2)]);
        assert_eq!(finding.verdict, Verdict::Note);
        let what = "7 in the last day, by its log 5 with 403, 2 with 404";
        assert!(finding.what.starts_with(what), "{finding:?}");
        // The log leaves some out.
        let finding = judged(90_000, &[("429", 3)]);
        assert_eq!(finding.verdict, Verdict::Wrong);
        assert!(
            finding.what.starts_with("90000 in the last day"),
            "{finding:?}"
        );
        // CloudWatch is some minutes late.
        assert!(judged(0, &[("404", 2)]).what.starts_with("2 in"));
        assert!(judged(9, &[]).what.starts_with("9 in the last day;"));
    }

    #[test]
    fn a_line_of_the_log_tells_its_status() {
        let line =
            |status: &str| format!(r#"{{"request_id":"a","route":"-","status":"{status}"}}"#);
        assert_eq!(refused(&line("429")).as_deref(), Some("429"));
        for other in [
            line("200"),
            line("503"),
            "no json".to_owned(),
            "{}".to_owned(),
        ] {
            assert_eq!(refused(&other), None);
        }
    }
}
