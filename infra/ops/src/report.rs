//! `report`: a month at a glance, as a table, as CSV or as JSON. What went out is in the ledger; what came in
//! is counted by CloudWatch, because the ledger has no row for it.

mod figures;
mod forms;
mod month;

use std::time::{SystemTime, UNIX_EPOCH};

use bridge::domain::time::Timestamp;
use bridge::log::metrics::{Metric, NAMESPACE, STACK};
use bridge::ports::{Clock as _, Row};

pub use self::figures::MonthlyFigures;
pub use self::forms::ReportForm;
pub use self::month::CalendarMonth;
use crate::failure::Failure;
use crate::metric_sum::MetricSum;
use crate::scan::scan;
use crate::stack::Stack;
use crate::terminal::Terminal;

/// CloudWatch keeps sums by the day for longer than the ledger keeps its rows.
const DAY_S: i32 = 24 * 60 * 60;

/// Prints the figures of a month, the present one if none is named.
///
/// # Errors
/// When the ledger cannot be read, or the month has not begun.
pub async fn show(
    stack: &Stack,
    terminal: &Terminal,
    month: Option<CalendarMonth>,
    form: ReportForm,
) -> Result<(), Failure> {
    let now = terminal.now();
    let month = month.unwrap_or_else(|| CalendarMonth::of(now));
    if month.begin() > now {
        return Err(Failure::Usage(format!("{month} has not begun yet")));
    }
    let mut messages = Vec::new();
    let filter = "attribute_exists(first_offered_ms)";
    scan(stack, terminal, filter, &[], |row| {
        if let Row::Message(row) = row {
            messages.push(row);
        }
    })
    .await?;
    let mut figures = MonthlyFigures::of(month, &messages);
    figures.sms_in = counted(stack, terminal, Metric::IncomingReceived, month).await;
    figures.opt_outs = counted(stack, terminal, Metric::OptOuts, month).await;
    form.print(terminal, &figures);
    if let Some(days) = stack.parameter("LedgerRetentionDays") {
        terminal.note(&format!(
            "Months in UTC. The ledger forgets a message {days} days after its last change."
        ));
    }
    Ok(())
}

/// The sum of a metric over the month; none if CloudWatch does not say.
async fn counted(
    stack: &Stack,
    terminal: &Terminal,
    metric: Metric,
    month: CalendarMonth,
) -> Option<u64> {
    let sum = MetricSum {
        namespace: NAMESPACE,
        metric: metric.name(),
        dimension: (STACK, &stack.name),
        from: system_time(month.begin()),
        until: system_time(month.end()),
        period_s: DAY_S,
    };
    match sum.read(stack).await {
        Ok(sum) => Some(sum),
        Err(failure) => {
            terminal.note(&failure.to_string());
            None
        }
    }
}

fn system_time(at: Timestamp) -> SystemTime {
    UNIX_EPOCH
        .checked_add(at.since(Timestamp::from_millis(0)))
        .unwrap_or(UNIX_EPOCH)
}
