//! `cargo ops`: operates a deployed stack from a terminal.
//!
//! | exit status | |
//! |---|---|
//! | 0 | all is done, and nothing is wrong |
//! | 1 | something is wrong with the system, was not found, or could not be done for each item |
//! | 2 | wrong usage, or nobody answered a question |
//! | 3 | AWS could not be asked: no credentials, no such stack, no permission, throttling |

mod access;
mod arguments;
mod callbacks;
mod clock;
mod cost;
mod credentials;
mod dead_letters;
mod doctor;
mod failure;
mod metric_sum;
mod replay;
mod report;
mod rotation;
mod scan;
mod sending;
mod stack;
mod terminal;
mod trace;

use std::process::ExitCode;

use crate::access::Access;
use crate::arguments::{Arguments, Command};
use crate::failure::Failure;
use crate::report::ReportForm;
use crate::stack::Stack;
use crate::terminal::Terminal;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let terminal = Terminal::called(&std::env::args().next().unwrap_or_default());
    match run(Arguments::of_this_process(&terminal), &terminal).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            terminal.note(&failure.to_string());
            failure.exit_status().into()
        }
    }
}

async fn run(arguments: Arguments, terminal: &Terminal) -> Result<(), Failure> {
    let (profile, region) = (arguments.profile.as_deref(), arguments.region.as_deref());
    let access = Access::of_the_cli(profile, region).await?;
    let found = Stack::find(&access, arguments.stack.as_deref()).await;
    if let (Err(failure), Command::Doctor { json }) = (&found, &arguments.command) {
        doctor::without_the_stack(&access, terminal, failure, *json);
    }
    let stack = found?;
    match arguments.command {
        Command::Doctor { json } => doctor::examine(&stack, terminal, json).await,
        Command::Trace {
            what,
            limit,
            reveal,
            json,
        } => {
            let how = trace::How {
                limit,
                reveal,
                json,
            };
            trace::show(&stack, terminal, &what, &how).await
        }
        Command::DeadLetters(command) => dead_letters::run(&stack, terminal, command).await,
        Command::SetCredentials => credentials::set(&stack, terminal).await,
        Command::RotateKey {
            end_old_key: true,
            yes,
            ..
        } => rotation::end(&stack, terminal, yes).await,
        Command::RotateKey { json, .. } => rotation::begin(&stack, terminal, json).await,
        Command::Callbacks { json } => callbacks::show(&stack, terminal, json).await,
        Command::Pause => sending::pause(&stack, terminal).await,
        Command::Resume => sending::resume(&stack, terminal).await,
        Command::ReplayReports { ids, days } => replay::run(&stack, terminal, &ids, days).await,
        Command::Report { month, csv, json } => {
            let form = match (csv, json) {
                (true, _) => ReportForm::Csv,
                (_, true) => ReportForm::Json,
                (false, false) => ReportForm::Table,
            };
            report::show(&stack, terminal, month, form).await
        }
        Command::Cost { days, by, json } => cost::show(&stack, terminal, days, &by, json).await,
    }
}
