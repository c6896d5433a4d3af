//! `cargo ops`: operates a deployed stack from a terminal.
//!
//! | exit status | |
//! |---|---|
//! | 0 | all is done, and nothing is wrong |
//! | 1 | something is wrong with the system, was not found, or could not be done for each item |
//! | 2 | wrong usage, or nobody answered a question |
//! | 3 | AWS could not be asked: no credentials, no such stack, no permission, throttling |

use std::process::ExitCode;

use ops::Arguments;
use ops::terminal::Terminal;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let terminal = Terminal::called(&std::env::args().next().unwrap_or_default());
    match ops::run(Arguments::of_this_process(&terminal), &terminal).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            terminal.note(&failure.to_string());
            failure.exit_status().into()
        }
    }
}
