//! The figures of a month as a table, as CSV and as JSON.

use bridge::domain::money::Money;
use serde_json::{Value, json};

use super::figures::MonthlyFigures;
use crate::terminal::{Terminal, format_duration, format_time};

/// How figures are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportForm {
    /// For people.
    Table,
    /// For a spreadsheet.
    Csv,
    /// For a program.
    Json,
}

impl ReportForm {
    /// Prints the figures.
    pub fn print(self, terminal: &Terminal, figures: &MonthlyFigures) {
        match self {
            Self::Table => table(figures).iter().for_each(|line| terminal.say(line)),
            Self::Csv => csv(figures).iter().for_each(|line| terminal.say(line)),
            Self::Json => terminal.json(&to_json(figures)),
        }
    }
}

fn money(currency: &str, micros: i64) -> Money {
    let currency = Some(currency.to_owned()).filter(|currency| !currency.is_empty());
    Money { currency, micros }
}

/// A count, or a word if it is not known.
fn count(count: Option<u64>) -> String {
    count.map_or_else(|| "unknown".to_owned(), |count| count.to_string())
}

fn table(figures: &MonthlyFigures) -> Vec<String> {
    let row = |name: &str, value: &str| format!("{name:44}{value:>12}");
    let opted_out = figures.not_sent_to_opted_out.len().to_string();
    let mut lines = vec![
        figures.month.to_string(),
        row("SMS in", &count(figures.sms_in)),
        row("messages of Medic", &figures.messages.to_string()),
        row(
            "SMS out (accepted by Africa's Talking)",
            &figures.sms_out.to_string(),
        ),
        row("delivered", &figures.delivered.to_string()),
        row("no end reported yet", &figures.without_an_end().to_string()),
        row("failed", &figures.failed_in_all().to_string()),
    ];
    for ((reason, network), failed) in &figures.failed {
        let name = format!("  {reason}, network {network}");
        lines.push(row(&name, &failed.to_string()));
    }
    lines.push(row("opt-outs that were reported", &count(figures.opt_outs)));
    lines.push(row("not sent, the recipient had opted out", &opted_out));
    for (at, id) in &figures.not_sent_to_opted_out {
        lines.push(format!("  {}  {}", format_time(*at), id.as_str()));
    }
    for (currency, micros) in &figures.cost {
        lines.push(row("charged", &money(currency, *micros).to_string()));
    }
    if figures.without_price > 0 {
        lines.push(row(
            "SMS without a price",
            &figures.without_price.to_string(),
        ));
    }
    if let Some(slowest) = &figures.slowest_day {
        lines.push(format!(
            "slowest day {}: half of the messages waited {} or longer to be sent, the last one {}",
            slowest.day,
            format_duration(slowest.median),
            format_duration(slowest.longest)
        ));
    }
    lines
}

/// A field of CSV. One that a spreadsheet would take for a formula is marked as text: reasons and networks
/// come from outside.
fn field(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@']);
    let text = if is_formula {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains(['"', ',', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text
}

fn csv(figures: &MonthlyFigures) -> Vec<String> {
    let month = figures.month.to_string();
    let row = |figure: &str, of: [&str; 3], value: String| {
        let [reason, network, currency] = of.map(field);
        format!("{month},{figure},{reason},{network},{currency},{value}")
    };
    let plain = |figure: &str, value: String| row(figure, ["", "", ""], value);
    let known = |count: Option<u64>| count.map(|count| count.to_string()).unwrap_or_default();
    let opted_out = figures.not_sent_to_opted_out.len().to_string();
    let mut lines = vec![
        "month,figure,reason,network,currency,value".to_owned(),
        plain("sms_in", known(figures.sms_in)),
        plain("messages", figures.messages.to_string()),
        plain("sms_out", figures.sms_out.to_string()),
        plain("delivered", figures.delivered.to_string()),
        plain("without_an_end", figures.without_an_end().to_string()),
    ];
    for ((reason, network), failed) in &figures.failed {
        lines.push(row("failed", [reason, network, ""], failed.to_string()));
    }
    lines.push(plain("opt_outs", known(figures.opt_outs)));
    lines.push(plain("not_sent_to_opted_out", opted_out));
    for (currency, micros) in &figures.cost {
        let amount = money("", *micros).to_string();
        lines.push(row("charged", ["", "", currency], amount));
    }
    lines.push(plain("without_price", figures.without_price.to_string()));
    if let Some(slowest) = &figures.slowest_day {
        lines.push(plain("slowest_day", slowest.day.clone()));
        let seconds = slowest.median.as_secs().to_string();
        lines.push(plain("slowest_day_median_seconds", seconds));
    }
    lines
}

fn to_json(figures: &MonthlyFigures) -> Value {
    let failed = figures.failed.iter().map(|((reason, network), count)| {
        json!({ "reason": reason, "network": network, "messages": count })
    });
    let opted_out = figures
        .not_sent_to_opted_out
        .iter()
        .map(|(at, id)| json!({ "medic_id": id.as_str(), "offered_at_ms": at.as_millis() }));
    let cost = figures
        .cost
        .iter()
        .map(|(currency, micros)| json!({ "currency": currency, "cost_micros": micros }));
    let slowest = figures.slowest_day.as_ref().map(|slowest| {
        json!({
            "day": slowest.day,
            "median_s": slowest.median.as_secs(),
            "longest_s": slowest.longest.as_secs(),
        })
    });
    json!({
        "month": figures.month.to_string(),
        "sms_in": figures.sms_in,
        "messages": figures.messages,
        "sms_out": figures.sms_out,
        "delivered": figures.delivered,
        "without_an_end": figures.without_an_end(),
        "failed": failed.collect::<Vec<_>>(),
        "opt_outs": figures.opt_outs,
        "not_sent_to_opted_out": opted_out.collect::<Vec<_>>(),
        "cost": cost.collect::<Vec<_>>(),
        "without_price": figures.without_price,
        "slowest_day": slowest,
    })
}

#[cfg(test)]
mod tests {
    use super::super::figures::tests::example;
    use super::*;

    #[test]
    fn the_table_has_every_figure_in_words() {
        let mut figures = example();
        figures.sms_in = Some(12);
        let table = table(&figures).join("\n");
        for part in [
            "2026-11\nSMS in ",
            " 12\n",
            "  DeliveryFailure, network 63902 ",
            "opt-outs that were reported                      unknown",
            "not sent, the recipient had opted out                  2",
            "  2026-11-02 09:00:00  f\n",
            "KES 1.6",
            "UGX 20",
            "slowest day 2026-11-30: half of the messages waited 2 h or longer",
        ] {
            assert!(table.contains(part), "{part}: {table}");
        }
    }

    #[test]
    fn a_spreadsheet_gets_six_columns_a_row_and_no_formula() {
        let mut figures = example();
        let hostile = ("=1+1,\"x\"".to_owned(), "@x".to_owned());
        figures.failed.insert(hostile, 1);
        let csv = csv(&figures);
        assert_eq!(csv[0], "month,figure,reason,network,currency,value");
        assert!(csv.contains(&"2026-11,sms_in,,,,".to_owned()), "{csv:?}");
        assert!(csv.contains(&"2026-11,failed,DeliveryFailure,63902,,1".to_owned()));
        assert!(csv.contains(&"2026-11,failed,\"'=1+1,\"\"x\"\"\",'@x,,1".to_owned()));
        assert!(csv.contains(&"2026-11,slowest_day,,,,2026-11-30".to_owned()));
        let charged = csv.iter().find(|line| line.contains(",KES,")).unwrap();
        assert!(
            charged.starts_with("2026-11,charged,,,KES,1.6"),
            "{charged}"
        );
    }

    #[test]
    fn a_program_gets_each_figure_and_null_for_what_is_not_known() {
        let json = to_json(&example());
        assert_eq!(json["sms_in"], Value::Null);
        assert_eq!(json["failed"][0]["network"], "63902");
        assert_eq!(json["not_sent_to_opted_out"][0]["medic_id"], "f");
        assert_eq!(json["cost"][0]["cost_micros"], 1_600_000);
        assert_eq!(json["slowest_day"]["median_s"], 7_200);
    }
}
