//! `pause` and `resume`: the account's row in the ledger, which every claim reads.

use bridge::domain::circuit_breaker::AccountRow;
use bridge::ledger;
use bridge::ports::{Clock as _, Key, Row};

use crate::failure::Failure;
use crate::stack::Stack;
use crate::terminal::{Terminal, format_time};

/// Stops sending until somebody resumes it.
///
/// # Errors
/// When the ledger cannot be written.
pub async fn pause(stack: &Stack, terminal: &Terminal) -> Result<(), Failure> {
    let now = terminal.now();
    let before = change(stack, terminal, |row| row.paused(now)).await?;
    match before.pause {
        Some(pause) => {
            let since = format_time(pause.since);
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
    let now = terminal.now();
    let before = change(stack, terminal, |row| row.resumed(now)).await?;
    match (&before.pause, &before.open_circuit) {
        (None, None) => terminal.say("Sending was neither paused nor stopped by the circuit breaker."),
        (Some(_), None) => terminal.say("Sending goes on."),
        (_, Some(open_circuit)) => terminal.say(&format!(
            "The circuit breaker was open since {}: {}. The next message tries whether that is over.",
            format_time(open_circuit.since),
            open_circuit.cause.words()
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
