//! `cost`: adds up what Africa's Talking said that it charged when it accepted each message.

use std::collections::BTreeMap;
use std::time::Duration;

use bridge::domain::ids::AtMessageId;
use bridge::domain::message::{Charge, MessageRow};
use bridge::domain::money::Money;
use bridge::domain::time::Timestamp;
use bridge::ports::{Clock as _, Row};
use serde_json::{Value, json};

use crate::arguments::CostBy;
use crate::failure::Failure;
use crate::scan::scan;
use crate::stack::Stack;
use crate::terminal::{Terminal, format_time};

const DAY: Duration = Duration::from_hours(24);

/// The values of the columns, and the currency.
type Group = (Vec<String>, String);

/// The sum of a group.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sum {
    sms: u64,
    parts: u64,
    micros: i64,
    without_price: u64,
}

/// Prints the sums of the last `days` days.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn show(
    stack: &Stack,
    terminal: &Terminal,
    days: u32,
    by: &[CostBy],
    json: bool,
) -> Result<(), Failure> {
    let mut messages = Vec::new();
    let filter = "attribute_exists(charges) OR attribute_exists(cost)";
    scan(stack, terminal, filter, &[], |row| {
        if let Row::Message(row) = row {
            messages.push(row);
        }
    })
    .await?;
    let from = terminal.now() - DAY.saturating_mul(days);
    let sums = added_up(&messages, from, by);
    if json {
        terminal.json(&to_json(&sums, by));
        return Ok(());
    }
    if sums.is_empty() {
        terminal.note(&format!(
            "Nothing was accepted by Africa's Talking in the last {days} days."
        ));
        return Ok(());
    }
    print(terminal, &sums, by);
    Ok(())
}

/// The network of an SMS, by the last report that names one.
pub fn network_of(row: &MessageRow, at_id: &AtMessageId) -> Option<String> {
    let reports = row.reports_on(at_id);
    let mut codes = reports.into_iter().rev();
    codes.find_map(|report| report.network_code)
}

fn added_up(messages: &[MessageRow], from: Timestamp, by: &[CostBy]) -> BTreeMap<Group, Sum> {
    let mut sums: BTreeMap<Group, Sum> = BTreeMap::new();
    for row in messages {
        let charges = charges_of(row);
        for charge in charges.iter().filter(|charge| charge.called_at >= from) {
            let at_id = charge.at_id.as_ref();
            let network = at_id.and_then(|at_id| network_of(row, at_id));
            let columns = by.iter().map(|by| match by {
                CostBy::Day => format_time(charge.called_at).chars().take(10).collect(),
                CostBy::Network => network.clone().unwrap_or_else(|| "unknown".to_owned()),
                CostBy::Sender => row.sender_id.as_deref().unwrap_or("default").to_owned(),
            });
            let currency = charge.cost.as_ref().and_then(|cost| cost.currency.clone());
            let group = (columns.collect(), currency.unwrap_or_default());
            let sum = sums.entry(group).or_default();
            sum.sms += 1;
            sum.parts += u64::from(charge.parts.unwrap_or(row.segments));
            match &charge.cost {
                Some(cost) if cost.unreadable.is_none() => {
                    sum.micros = sum.micros.saturating_add(cost.micros);
                }
                _ => sum.without_price += 1,
            }
        }
    }
    sums
}

/// The charges of a message. A row of an older version has no list of them, only the last cost.
pub fn charges_of(row: &MessageRow) -> Vec<Charge> {
    if row.charges.is_empty() && row.cost.is_some() {
        return vec![Charge {
            at_id: row.at_ids.last().cloned(),
            called_at: row.first_offered,
            cost: row.cost.clone(),
            parts: row.parts,
        }];
    }
    row.charges.clone()
}

fn name(by: CostBy) -> &'static str {
    match by {
        CostBy::Day => "day",
        CostBy::Network => "network",
        CostBy::Sender => "sender",
    }
}

fn amount(currency: &str, micros: i64) -> String {
    let currency = Some(currency.to_owned()).filter(|currency| !currency.is_empty());
    Money { currency, micros }.to_string()
}

fn print(terminal: &Terminal, sums: &BTreeMap<Group, Sum>, by: &[CostBy]) {
    let row = |columns: Vec<&str>, sms: &str, parts: &str, cost: &str| {
        let columns: String = columns
            .iter()
            .map(|column| format!("{column:12}"))
            .collect();
        terminal.say(&format!("{columns}{sms:>10}{parts:>10}  {cost}"));
    };
    row(
        by.iter().map(|by| name(*by)).collect(),
        "SMS",
        "segments",
        "cost",
    );
    let mut totals: BTreeMap<&str, Sum> = BTreeMap::new();
    for ((columns, currency), sum) in sums {
        let cost = format_cost(currency, sum);
        let columns = columns.iter().map(String::as_str).collect();
        row(columns, &sum.sms.to_string(), &sum.parts.to_string(), &cost);
        let total = totals.entry(currency).or_default();
        total.sms += sum.sms;
        total.parts += sum.parts;
        total.micros = total.micros.saturating_add(sum.micros);
        total.without_price += sum.without_price;
    }
    for (currency, sum) in &totals {
        let mut columns = vec![""; by.len()];
        if let Some(first) = columns.first_mut() {
            *first = "in all";
        }
        let cost = format_cost(currency, sum);
        row(columns, &sum.sms.to_string(), &sum.parts.to_string(), &cost);
    }
}

fn format_cost(currency: &str, sum: &Sum) -> String {
    match sum.without_price {
        0 => amount(currency, sum.micros),
        all if all == sum.sms => "no price named".to_owned(),
        some => format!("{} ({some} without a price)", amount(currency, sum.micros)),
    }
}

fn to_json(sums: &BTreeMap<Group, Sum>, by: &[CostBy]) -> Value {
    let rows = sums.iter().map(|((columns, currency), sum)| {
        let mut row = json!({
            "currency": currency, "sms": sum.sms, "segments": sum.parts,
            "cost_micros": sum.micros, "without_price": sum.without_price,
        });
        if let Some(row) = row.as_object_mut() {
            let columns = by.iter().zip(columns);
            row.extend(columns.map(|(by, value)| (name(*by).to_owned(), value.clone().into())));
        }
        row
    });
    json!({ "rows": rows.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridge::domain::cost::Cost;
    use bridge::domain::delivery::Report;
    use bridge::domain::ids::MedicMessageId;

    fn cost(text: &str) -> Option<Cost> {
        Cost::parse(text)
    }

    fn on_day(day: u32) -> Timestamp {
        Timestamp::from_millis(0) + DAY.saturating_mul(day)
    }

    fn row(charges: &[(&str, u32, Option<Cost>)]) -> MessageRow {
        let mut row = MessageRow::new(
            MedicMessageId::new("uuid-1").unwrap(),
            Timestamp::from_millis(0),
        );
        row.segments = 2;
        row.charges = charges
            .iter()
            .map(|(id, day, cost)| Charge {
                at_id: AtMessageId::new(*id).ok(),
                called_at: on_day(*day),
                cost: cost.clone(),
                parts: None,
            })
            .collect();
        row
    }

    #[test]
    fn every_accepted_attempt_is_charged_and_currencies_are_never_mixed() {
        let mut rows = [
            row(&[("a", 1, cost("KES 0.8000")), ("b", 2, cost("KES 0.8000"))]),
            row(&[("c", 1, cost("UGX 20"))]),
            row(&[("d", 1, None)]),
            row(&[("e", 0, cost("KES 9"))]),
        ];
        let [first, ..] = &mut rows;
        let at_id = AtMessageId::new("a").unwrap();
        first.at_ids = vec![at_id.clone()];
        let report = Report {
            status: "Sent".to_owned(),
            failure_reason: None,
            network_code: Some("63902".to_owned()),
            received_at: on_day(1),
        };
        *first = first.clone().with_reports(&at_id, &[report]);
        let sums = added_up(&rows, on_day(1), &[]);
        let kes = &sums[&(Vec::new(), "KES".to_owned())];
        assert_eq!((kes.sms, kes.parts, kes.micros), (2, 4, 1_600_000));
        assert_eq!(sums[&(Vec::new(), "UGX".to_owned())].micros, 20_000_000);
        assert_eq!(sums[&(Vec::new(), String::new())].without_price, 1);

        let by_network = added_up(&rows, on_day(1), &[CostBy::Network]);
        let known = (vec!["63902".to_owned()], "KES".to_owned());
        assert_eq!(by_network[&known].sms, 1);
    }

    #[test]
    fn a_row_from_before_charges_were_kept_counts_with_what_it_knows() {
        let mut old = row(&[]);
        old.cost = cost("KES 0.8000");
        old.parts = Some(1);
        let sums = added_up(&[old], Timestamp::from_millis(0), &[CostBy::Day]);
        let day = (vec!["1970-01-01".to_owned()], "KES".to_owned());
        assert_eq!((sums[&day].parts, sums[&day].micros), (1, 800_000));
    }
}
