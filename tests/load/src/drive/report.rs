//! The results of a run: a table, and a page with pictures that needs nothing but itself.

use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::pictures::{distribution, rates};
use super::{Followed, RunResult};
use crate::latency::{histogram, milliseconds};

/// A hop: its name, and how long each SMS took for it.
type Hop = (&'static str, Histogram<u64>);

/// The hops of a run.
fn hops(outcome: &RunResult) -> anyhow::Result<Vec<Hop>> {
    let since = |sms: &Followed, at_ms: Option<&u64>| {
        Some(Duration::from_millis(at_ms?.saturating_sub(sms.posted_ms)))
    };
    let hop = |name, took: &dyn Fn(&Followed) -> Option<Duration>| {
        Ok((name, histogram(outcome.accepted().filter_map(took))?))
    };
    let answered = |sms: &Followed| sms.answer.map(|(took, _)| took);
    let stored = |sms: &Followed| since(sms, sms.stored_ms.first());
    let replied = |sms: &Followed| since(sms, sms.replied_ms.first());
    let reported = |sms: &Followed| since(sms, sms.reported_ms.as_ref());
    let mut hops = vec![
        hop("callback answered", &answered),
        hop("stored in Medic", &stored),
    ];
    if outcome.has_replies {
        hops.push(hop("reply with Africa's Talking", &replied));
        hops.push(hop("delivery reported to Medic", &reported));
    }
    hops.into_iter().collect()
}

fn counts(outcome: &RunResult) -> [(&'static str, usize); 7] {
    let stored = |times: usize| {
        outcome
            .messages
            .iter()
            .filter(|sms| sms.stored_ms.len() == times)
            .count()
    };
    [
        ("SMS", outcome.messages.len()),
        ("callbacks, repeats included", outcome.callbacks),
        ("accepted", outcome.accepted().count()),
        ("stored once", stored(1)),
        ("stored or sent more than once", outcome.doubled()),
        (
            "replied to",
            outcome
                .messages
                .iter()
                .filter(|sms| !sms.replied_ms.is_empty())
                .count(),
        ),
        ("lost", outcome.lost()),
    ]
}

/// Callbacks a second, from the first to the last.
fn rate(outcome: &RunResult) -> f64 {
    let times = || outcome.messages.iter().map(|sms| sms.posted_ms);
    let span_ms = times()
        .max()
        .unwrap_or(0)
        .saturating_sub(times().min().unwrap_or(0));
    let count = f64::from(u32::try_from(outcome.messages.len()).unwrap_or(u32::MAX));
    count * 1000.0 / f64::from(u32::try_from(span_ms.max(1)).unwrap_or(u32::MAX))
}

/// The table.
///
/// # Errors
/// When something took longer than can be counted.
pub fn table(outcome: &RunResult) -> anyhow::Result<String> {
    let mut text = format!(
        "\n{}, {:.1} SMS a second\n\n",
        outcome.target,
        rate(outcome)
    );
    for (name, count) in counts(outcome) {
        writeln!(text, "{name:32} {count:>7}")?;
    }
    writeln!(
        text,
        "\n{:32} {:>9} {:>9} {:>9} {:>9}",
        "ms since the callback", "p50", "p90", "p99", "max"
    )?;
    for (name, took) in hops(outcome)? {
        let [p50, p90, p99, max] =
            [0.5, 0.9, 0.99, 1.0].map(|share| milliseconds(took.value_at_quantile(share)));
        writeln!(
            text,
            "{name:32} {p50:>9.0} {p90:>9.0} {p99:>9.0} {max:>9.0}"
        )?;
    }
    Ok(text)
}

/// The page.
///
/// # Errors
/// When a chart cannot be drawn.
pub fn page(outcome: &RunResult) -> anyhow::Result<String> {
    let mut body = format!("<h1>{}</h1><table>", outcome.target);
    for (name, count) in counts(outcome) {
        write!(body, "<tr><th>{name}</th><td>{count}</td></tr>")?;
    }
    let sms = &outcome.messages;
    let first = sms.iter().map(|sms| sms.posted_ms).min().unwrap_or(0);
    let kind = |name, times_ms: Vec<u64>| {
        let since = |at: u64| Duration::from_millis(at.saturating_sub(first));
        anyhow::Ok((name, histogram(times_ms.into_iter().map(since))?))
    };
    let stored = sms.iter().flat_map(|sms| sms.stored_ms.clone());
    let replied = sms.iter().flat_map(|sms| sms.replied_ms.clone());
    let mut kinds = vec![
        kind("posted", sms.iter().map(|sms| sms.posted_ms).collect())?,
        kind("stored in Medic", stored.collect())?,
    ];
    if outcome.has_replies {
        kinds.push(kind("replied to", replied.collect())?);
    }
    write!(body, "</table><h2>SMS a second</h2>{}", rates(&kinds)?)?;
    for (name, took) in hops(outcome)? {
        write!(
            body,
            "<h2>{name}: milliseconds since the callback</h2>{}",
            distribution(&took)?
        )?;
    }
    Ok(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Load test</title><style>\
         body{{font:15px sans-serif;margin:2em auto;max-width:52em;color:#222}}\
         table{{border-collapse:collapse}}th{{text-align:left;font-weight:normal}}\
         th,td{{padding:.2em 1em .2em 0;border-bottom:1px solid #ddd}}td{{text-align:right}}\
         h1{{font-size:1.4em}}h2{{font-size:1.1em;margin-top:2em}}svg{{width:100%}}\
         </style>{body}</html>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> RunResult {
        let sms = |n: u64, stored: &[u64], replied: &[u64], reported| Followed {
            id: n.to_string(),
            posted_ms: 1_000 * n,
            awaits_reply: true,
            answer: Some((Duration::from_millis(3), 200)),
            stored_ms: stored.to_vec(),
            replied_ms: replied.to_vec(),
            reported_ms: reported,
        };
        RunResult {
            messages: vec![
                sms(1, &[1_100], &[1_200], Some(1_900)),
                sms(2, &[2_100, 2_101], &[2_200], Some(2_900)),
                sms(3, &[], &[], None),
            ],
            has_replies: true,
            callbacks: 4,
            target: "a test".to_owned(),
        }
    }

    #[test]
    fn what_is_lost_and_what_is_doubled_is_counted() {
        let outcome = outcome();
        assert_eq!((outcome.lost(), outcome.doubled()), (1, 1));
        let table = table(&outcome).unwrap();
        assert!(
            table.contains("lost                                   1"),
            "{table}"
        );
    }

    #[test]
    fn one_that_awaits_a_reply_and_gets_none_is_lost_and_no_other() {
        let mut outcome = outcome();
        outcome.messages[0].replied_ms.clear();
        assert_eq!(outcome.lost(), 2);
        outcome.messages[0].awaits_reply = false;
        assert_eq!(outcome.lost(), 1);
    }

    #[test]
    fn one_that_was_refused_is_not_lost() {
        let mut outcome = outcome();
        outcome.messages[2].answer = Some((Duration::from_millis(3), 503));
        assert_eq!(outcome.lost(), 0);
    }

    #[test]
    fn the_page_needs_nothing_but_itself() {
        let page = page(&outcome()).unwrap();
        assert!(
            page.contains("<svg") && !page.contains("src=") && !page.contains("href="),
            "{page}"
        );
    }
}
