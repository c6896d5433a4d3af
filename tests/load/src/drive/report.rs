//! What a run has shown: a table, and a page with pictures that needs nothing but itself.

use std::fmt::Write as _;

use super::pictures::{distribution, rates};
use super::{Followed, Outcome};
use crate::bench::events::percentile;

/// A hop: its name, and how long each SMS took for it, in milliseconds.
pub type Hop = (&'static str, Vec<f64>);

/// The hops of a run.
pub fn hops(outcome: &Outcome) -> Vec<Hop> {
    let since = |sms: &Followed, at_ms: Option<u64>| {
        let took = at_ms?.saturating_sub(sms.posted_ms);
        Some(f64::from(u32::try_from(took).unwrap_or(u32::MAX)))
    };
    let collect =
        |hop: &dyn Fn(&Followed) -> Option<f64>| outcome.accepted().filter_map(hop).collect();
    let mut hops: Vec<Hop> = vec![
        (
            "callback answered",
            collect(&|sms| sms.answer.map(|(took, _)| took)),
        ),
        (
            "stored in Medic",
            collect(&|sms| since(sms, sms.stored_ms.first().copied())),
        ),
    ];
    if outcome.has_replies {
        hops.push((
            "reply with Africa's Talking",
            collect(&|sms| since(sms, sms.replied_ms.first().copied())),
        ));
        hops.push((
            "delivery told to Medic",
            collect(&|sms| since(sms, sms.told_ms)),
        ));
    }
    hops
}

fn counts(outcome: &Outcome) -> [(&'static str, usize); 7] {
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
fn rate(outcome: &Outcome) -> f64 {
    let times = || outcome.messages.iter().map(|sms| sms.posted_ms);
    let span_ms = times()
        .max()
        .unwrap_or(0)
        .saturating_sub(times().min().unwrap_or(0));
    let count = f64::from(u32::try_from(outcome.messages.len()).unwrap_or(u32::MAX));
    count * 1000.0 / f64::from(u32::try_from(span_ms.max(1)).unwrap_or(u32::MAX))
}

/// The table.
#[must_use]
pub fn table(outcome: &Outcome) -> String {
    let mut text = format!(
        "\n{}, {:.1} SMS a second\n\n",
        outcome.target,
        rate(outcome)
    );
    for (name, count) in counts(outcome) {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{name:32} {count:>7}");
    }
    let _ = writeln!(
        text,
        "\n{:32} {:>9} {:>9} {:>9} {:>9}",
        "ms since the callback", "p50", "p90", "p99", "max"
    );
    for (name, mut took) in hops(outcome) {
        let [p50, p90, p99, max] =
            [50.0, 90.0, 99.0, 100.0].map(|percent| percentile(&mut took, percent));
        let _ = writeln!(
            text,
            "{name:32} {p50:>9.0} {p90:>9.0} {p99:>9.0} {max:>9.0}"
        );
    }
    text
}

/// The page.
#[must_use]
pub fn page(outcome: &Outcome) -> String {
    let mut body = format!("<h1>{}</h1><table>", outcome.target);
    for (name, count) in counts(outcome) {
        let _ = write!(body, "<tr><th>{name}</th><td>{count}</td></tr>");
    }
    body.push_str("</table><h2>SMS a second</h2>");
    let stored = outcome
        .messages
        .iter()
        .flat_map(|sms| sms.stored_ms.iter().copied());
    let replied = outcome
        .messages
        .iter()
        .flat_map(|sms| sms.replied_ms.iter().copied());
    let mut lines = vec![
        (
            "posted",
            outcome
                .messages
                .iter()
                .map(|sms| sms.posted_ms)
                .collect::<Vec<_>>(),
        ),
        ("stored in Medic", stored.collect()),
    ];
    if outcome.has_replies {
        lines.push(("replied to", replied.collect()));
    }
    body.push_str(&rates(&lines));
    for (name, took) in hops(outcome) {
        let _ = write!(
            body,
            "<h2>{name}: milliseconds since the callback</h2>{}",
            distribution(took)
        );
    }
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Load test</title><style>\
         body{{font:15px sans-serif;margin:2em auto;max-width:52em;color:#222}}\
         table{{border-collapse:collapse}}th{{text-align:left;font-weight:normal}}\
         th,td{{padding:.2em 1em .2em 0;border-bottom:1px solid #ddd}}td{{text-align:right}}\
         h1{{font-size:1.4em}}h2{{font-size:1.1em;margin-top:2em}}svg{{width:100%}}\
         svg text{{font:11px sans-serif;fill:#555}}</style>{body}</html>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Outcome {
        let sms = |n: u64, stored: &[u64], replied: &[u64], told| Followed {
            id: n.to_string(),
            posted_ms: 1_000 * n,
            awaits_reply: true,
            answer: Some((3.0, 200)),
            stored_ms: stored.to_vec(),
            replied_ms: replied.to_vec(),
            told_ms: told,
        };
        Outcome {
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
        let table = table(&outcome);
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
        outcome.messages[2].answer = Some((3.0, 503));
        assert_eq!(outcome.lost(), 0);
    }

    #[test]
    fn the_page_needs_nothing_but_itself() {
        let page = page(&outcome());
        assert!(
            page.contains("<svg") && !page.contains("src=") && !page.contains("href="),
            "{page}"
        );
    }
}
