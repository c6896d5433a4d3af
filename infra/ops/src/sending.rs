//! `pause` and `resume`: the account's row in the ledger, which every claim reads.

use bridge::domain::account::AccountRow;
use bridge::ledger;
use bridge::ports::{Clock as _, Key, Row};

use crate::failure::Failure;
use crate::stack::Stack;
use crate::terminal::{Terminal, shown_time};

/// Stops sending until somebody resumes it.
///
/// # Errors
/// When the ledger cannot be written.
pub async fn pause(stack: &Stack, terminal: &Terminal) -> Result<(), Failure> {
    let now_ms = terminal.now_ms();
    let before = change(stack, terminal, |row| row.paused(now_ms)).await?;
    match before.pause {
        Some(pause) => {
            let since = shown_time(pause.since_ms);
            terminal.say(&format!("Sending was paused already, since {since}."));
        }
        None => terminal.say("Sending is paused. `cargo ops resume` lets it go on."),
    }
    let hours = stack.parameter("MessageMaxAgeHours").unwrap_or("72");
    terminal.note(&format!(
        "Messages wait, and expire when they are {hours} hours old."
    ));
    Ok(())
}

/// Ends the pause, and has Africa's Talking tried at once where that held sending.
///
/// # Errors
/// When the ledger cannot be written.
pub async fn resume(stack: &Stack, terminal: &Terminal) -> Result<(), Failure> {
    let now_ms = terminal.now_ms();
    let before = change(stack, terminal, |row| row.resumed(now_ms)).await?;
    match (&before.pause, &before.hold) {
        (None, None) => terminal.say("Sending was neither paused nor held."),
        (Some(_), None) => terminal.say("Sending goes on."),
        (_, Some(hold)) => terminal.say(&format!(
            "Sending was held since {}: {}. The next message tries whether that is over.",
            shown_time(hold.since_ms),
            hold.trouble.words()
        )),
    }
    terminal.note("Messages that wait look again one by one, each when its own wait is over.");
    Ok(())
}

/// Changes the account's row. Gives what it was.
async fn change(
    stack: &Stack,
    terminal: &Terminal,
    step: impl Fn(&AccountRow) -> AccountRow,
) -> Result<AccountRow, Failure> {
    let store = stack.ledger(terminal)?;
    ledger::change(&store, &terminal, &[Key::Account], |rows| {
        let before = rows.account();
        (vec![Row::Account(step(&before))], before)
    })
    .await
    .map_err(|error| Failure::aws("write the ledger", &error.0))
}
