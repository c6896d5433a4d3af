//! Operates a deployed stack: the commands of `cargo ops`, and for other programs the account, the stack
//! and its callback URLs.

pub mod access;
mod arguments;
pub mod callbacks;
pub mod clock;
mod cost;
mod credentials;
mod dead_letters;
mod doctor;
pub mod failure;
mod metric_sum;
mod replay;
mod report;
mod rotation;
mod scan;
mod sending;
pub mod stack;
pub mod terminal;
mod trace;

pub use crate::arguments::Arguments;

use crate::access::Access;
use crate::arguments::Command;
use crate::failure::Failure;
use crate::report::ReportForm;
use crate::stack::Stack;
use crate::terminal::Terminal;

/// Runs the command.
///
/// # Errors
/// When something is wrong, or AWS cannot be asked.
pub async fn run(arguments: Arguments, terminal: &Terminal) -> Result<(), Failure> {
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
