//! The report of a run: for a terminal, as a page with pictures that needs nothing but itself, and as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use super::pictures::{distribution, rates};
use super::result::{Followed, FollowedOutgoing, RunResult};
use crate::latency::{histogram, milliseconds};
use crate::tables::{Cell, ReportTable, escaped};

/// A hop: its name, and how long each SMS took for it.
type Hop = (&'static str, Histogram<u64>);

/// What of a report is the same in each form.
pub struct RunReport {
    title: String,
    tables: Vec<ReportTable>,
    hops: Vec<Hop>,
    /// When SMS came to each place.
    kinds: Vec<Hop>,
}

impl RunReport {
    /// The report of a run, with further tables at its end.
    ///
    /// # Errors
    /// When something took longer than can be counted.
    pub fn new(result: &RunResult, further: Vec<ReportTable>) -> anyhow::Result<Self> {
        let hops = hops(result)?;
        let mut tables = vec![accounts(result), latencies(&hops)];
        tables.extend(further);
        Ok(Self {
            title: format!("{}, {:.1} SMS a second", result.target, rate(result)),
            tables,
            kinds: kinds(result)?,
            hops,
        })
    }

    /// For a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let tables: String = self.tables.iter().map(ReportTable::text).collect();
        format!("\n{}\n{tables}", self.title)
    }

    /// The page.
    ///
    /// # Errors
    /// When a chart cannot be drawn.
    pub fn page(&self) -> anyhow::Result<String> {
        let mut body = format!("<h1>{}</h1>", escaped(&self.title));
        for table in &self.tables {
            body.push_str(&table.html());
        }
        write!(body, "<h2>SMS a second</h2>{}", rates(&self.kinds)?)?;
        for (name, took) in &self.hops {
            write!(body, "<h2>{name}: milliseconds</h2>{}", distribution(took)?)?;
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

    /// For a program: each table by its title.
    #[must_use]
    pub fn json(&self) -> Value {
        let tables = self.tables.iter();
        let tables = tables.map(|table| (table.title.to_owned(), table.json()));
        json!({ "title": self.title, "tables": tables.collect::<Map<_, _>>() })
    }
}

/// Every SMS, accounted for at its other end.
fn accounts(result: &RunResult) -> ReportTable {
    let incoming = |is_counted: &dyn Fn(&Followed) -> bool| {
        result.messages.iter().filter(|sms| is_counted(sms)).count()
    };
    let outgoing = |is_counted: &dyn Fn(&FollowedOutgoing) -> bool| {
        result.outgoing.iter().filter(|sms| is_counted(sms)).count()
    };
    let mut rows = vec![
        ("SMS in", result.messages.len()),
        ("callbacks, repeats included", result.callbacks),
        ("accepted", result.accepted().count()),
        ("stored once", incoming(&|sms| sms.stored_ms.len() == 1)),
        (
            "stored more than once",
            incoming(&|sms| sms.stored_ms.len() > 1),
        ),
    ];
    if result.has_replies {
        rows.push(("asked for a reply", incoming(&|sms| sms.awaits_reply)));
        rows.push((
            "replied to once",
            incoming(&|sms| sms.replied_ms.len() == 1),
        ));
    }
    if !result.outgoing.is_empty() {
        rows.extend([
            ("SMS out, replies apart", result.outgoing.len()),
            ("offered by Medic", outgoing(&|sms| sms.offered)),
            ("sent once", result.sent(|times| times == 1)),
            ("sent more than once", result.sent(|times| times > 1)),
            ("never sent", result.sent(|times| times == 0)),
            (
                "final status right in Medic",
                outgoing(&FollowedOutgoing::has_ended),
            ),
        ]);
    }
    if let Some(reports) = result.reports {
        rows.push((
            "delivery reports posted",
            reports.accepted + reports.refused,
        ));
        rows.push(("delivery reports refused", reports.refused));
    }
    if let Some(posts) = result.posts_at_once {
        rows.push(("POSTs to Medic at a time, at most", posts));
    }
    rows.extend([
        ("lost", result.lost()),
        ("doubled", result.doubled()),
        ("with a wrong status", result.wrong()),
    ]);
    ReportTable {
        title: "Every SMS",
        notes: Vec::new(),
        columns: vec!["", "SMS"],
        rows: rows
            .into_iter()
            .map(|(name, count)| (name.to_owned(), vec![Cell::count(count)]))
            .collect(),
    }
}

fn latencies(hops: &[Hop]) -> ReportTable {
    let quantiles = |took: &Histogram<u64>| {
        [0.5, 0.9, 0.99, 1.0]
            .map(|share| Cell::Number(milliseconds(took.value_at_quantile(share)), 0))
            .to_vec()
    };
    ReportTable {
        title: "How long it took, in milliseconds",
        notes: Vec::new(),
        columns: vec!["", "p50", "p90", "p99", "max"],
        rows: hops
            .iter()
            .map(|(name, took)| ((*name).to_owned(), quantiles(took)))
            .collect(),
    }
}

/// The hops of a run.
fn hops(result: &RunResult) -> anyhow::Result<Vec<Hop>> {
    let since = |from_ms: u64, at_ms: u64| Duration::from_millis(at_ms.saturating_sub(from_ms));
    let hop = |name, took: &dyn Fn(&Followed) -> Option<Duration>| {
        anyhow::Ok((name, histogram(result.accepted().filter_map(took))?))
    };
    let mut hops = vec![
        hop("callback answered", &|sms| sms.answer.map(|(took, _)| took))?,
        hop("from the callback to stored in Medic", &|sms| {
            Some(since(sms.posted_ms, *sms.stored_ms.first()?))
        })?,
    ];
    if result.messages.iter().any(|sms| sms.awaits_reply) {
        hops.push(hop(
            "from the callback to the reply with Africa's Talking",
            &|sms| Some(since(sms.posted_ms, *sms.replied_ms.first()?)),
        )?);
        hops.push(hop(
            "from the callback to the reply's delivery in Medic",
            &|sms| Some(since(sms.posted_ms, sms.reported_ms?)),
        )?);
    }
    if !result.outgoing.is_empty() {
        let sent = result.outgoing.iter();
        let sent = sent.filter_map(|sms| Some(since(sms.queued_ms, *sms.sent_ms.first()?)));
        hops.push(("from due in Medic to sent", histogram(sent)?));
        let ended = result.outgoing.iter().filter(|sms| sms.has_ended());
        let ended = ended.map(|sms| since(sms.queued_ms, sms.state_ms));
        hops.push((
            "from due in Medic to its final status there",
            histogram(ended)?,
        ));
    }
    Ok(hops)
}

/// When SMS came to each place, since the first.
fn kinds(result: &RunResult) -> anyhow::Result<Vec<Hop>> {
    let incoming = || result.messages.iter();
    let outgoing = || result.outgoing.iter();
    let begins = incoming().map(|sms| sms.posted_ms);
    let first = begins.chain(outgoing().map(|sms| sms.queued_ms)).min();
    let first = first.unwrap_or(0);
    let kind = |name, times_ms: Vec<u64>| {
        let since = |at: u64| Duration::from_millis(at.saturating_sub(first));
        anyhow::Ok((name, histogram(times_ms.into_iter().map(since))?))
    };
    let stored = incoming().flat_map(|sms| sms.stored_ms.clone());
    let replied = incoming().flat_map(|sms| sms.replied_ms.clone());
    let sent = outgoing().flat_map(|sms| sms.sent_ms.clone());
    let ended = outgoing().filter(|sms| sms.has_ended());
    let all = [
        kind("posted", incoming().map(|sms| sms.posted_ms).collect())?,
        kind("stored in Medic", stored.collect())?,
        kind("replied to", replied.collect())?,
        kind(
            "due in Medic",
            outgoing().map(|sms| sms.queued_ms).collect(),
        )?,
        kind("sent", sent.collect())?,
        kind(
            "final status in Medic",
            ended.map(|sms| sms.state_ms).collect(),
        )?,
    ];
    Ok(all
        .into_iter()
        .filter(|(_, times)| !times.is_empty())
        .collect())
}

/// SMS a second, from the first callback to the last.
fn rate(result: &RunResult) -> f64 {
    let times = || result.messages.iter().map(|sms| sms.posted_ms);
    let span_ms = times()
        .max()
        .unwrap_or(0)
        .saturating_sub(times().min().unwrap_or(0));
    let count = f64::from(u32::try_from(result.messages.len()).unwrap_or(u32::MAX));
    count * 1000.0 / f64::from(u32::try_from(span_ms.max(1)).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbox::medic::MessageState;

    fn result() -> RunResult {
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
            target: "a <test>".to_owned(),
            ..RunResult::default()
        }
    }

    fn row(result: &RunResult, name: &str) -> Value {
        let json = RunReport::new(result, Vec::new()).unwrap().json();
        json["tables"]["Every SMS"]["rows"][name]["SMS"].clone()
    }

    #[test]
    fn what_is_lost_and_what_is_doubled_is_counted() {
        let result = result();
        assert_eq!((result.lost(), result.doubled()), (1, 1));
        assert_eq!(row(&result, "lost"), 1.0);
        assert_eq!(row(&result, "stored more than once"), 1.0);
        assert_eq!(row(&result, "never sent"), Value::Null);
    }

    #[test]
    fn one_that_awaits_a_reply_and_gets_none_is_lost_and_no_other() {
        let mut result = result();
        result.messages[0].replied_ms.clear();
        assert_eq!(result.lost(), 2);
        result.messages[0].awaits_reply = false;
        assert_eq!(result.lost(), 1);
    }

    #[test]
    fn one_that_was_refused_is_not_lost() {
        let mut result = result();
        result.messages[2].answer = Some((Duration::from_millis(3), 503));
        assert_eq!(result.lost(), 0);
    }

    #[test]
    fn sms_that_medic_wants_sent_are_a_part_of_the_account() {
        let mut result = result();
        let sms = FollowedOutgoing::new("a".to_owned(), 1_000, MessageState::Delivered);
        result.outgoing.push(FollowedOutgoing {
            sent_ms: vec![1_500],
            state: MessageState::Delivered,
            state_ms: 2_500,
            ..sms.clone()
        });
        result.outgoing.push(sms);
        assert_eq!(row(&result, "sent once"), 1.0);
        assert_eq!(row(&result, "never sent"), 1.0);
        assert_eq!(row(&result, "final status right in Medic"), 1.0);
    }

    #[test]
    fn the_page_needs_nothing_but_itself() {
        let page = RunReport::new(&result(), Vec::new())
            .unwrap()
            .page()
            .unwrap();
        assert!(
            page.contains("<svg") && !page.contains("src=") && !page.contains("href="),
            "{page}"
        );
        assert!(page.contains("a &lt;test>"), "{page}");
    }
}
