//! `replay-reports`: has Medic be told the current status of messages again.

use std::time::Duration;

use bridge::domain::ids::MedicMessageId;
use bridge::ports::{Clock as _, Row};

use crate::dead_letters::report_again;
use crate::failure::Failure;
use crate::scan::scan;
use crate::stack::Stack;
use crate::terminal::{Progress, Terminal};

const DAY: Duration = Duration::from_hours(24);

/// Marks them as not told. The exchange tells them at its next polls.
///
/// # Errors
/// When the ledger cannot be read or written, or does not know one of the ids.
pub async fn run(
    stack: &Stack,
    terminal: &Terminal,
    ids: &[String],
    days: Option<u32>,
) -> Result<(), Failure> {
    let chosen = match days {
        Some(days) => since(stack, terminal, days).await?,
        None => ids
            .iter()
            .map(|id| MedicMessageId::new(id.as_str()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Failure::Usage(format!("an id {error}")))?,
    };
    let mut progress = Progress::begin(terminal, "to be reported again");
    let mut unknown = Vec::new();
    for (index, id) in chosen.iter().enumerate() {
        if !report_again(stack, terminal, id).await? {
            unknown.push(id.as_str());
        }
        progress.at(index);
    }
    let reported = chosen.len().saturating_sub(unknown.len());
    terminal.say(&format!(
        "To be reported again at the next polls: {reported}"
    ));
    if unknown.is_empty() {
        Ok(())
    } else {
        let unknown = unknown.join(", ");
        Err(Failure::Problem(format!(
            "the ledger does not know {unknown}"
        )))
    }
}

async fn since(
    stack: &Stack,
    terminal: &Terminal,
    days: u32,
) -> Result<Vec<MedicMessageId>, Failure> {
    let from = terminal.now() - DAY.saturating_mul(days);
    let mut chosen = Vec::new();
    scan(
        stack,
        terminal,
        "attribute_exists(first_offered_ms)",
        &[],
        |row| {
            if let Row::Message(row) = row
                && row.first_offered >= from
            {
                chosen.push((row.first_offered, row.id));
            }
        },
    )
    .await?;
    chosen.sort();
    Ok(chosen.into_iter().map(|(_, id)| id).collect())
}
