//! `cargo load` and `cargo cost`.
#![allow(
    clippy::print_stdout,
    reason = "a command line that talks to the person who started it"
)]

use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Parser, Subcommand};
use load::account::{self, options::AccountOptions};
use load::bench::{budget, instructions, memory, size};
use load::cost::{self, Sample};
use load::drive::{self, options::Options};
use load::lambda::programs;
use tokio::signal::unix::{SignalKind, signal};

/// How much the bridge takes, and what it costs
#[derive(Debug, Parser)]
#[command(bin_name = "cargo run --package load --")]
enum LoadCommand {
    Run(Box<RunCommand>),
    /// Computes what AWS costs, from what the programs use
    #[command(override_usage = "cargo cost [OPTIONS]")]
    Cost {
        #[command(flatten)]
        programs: Programs,
        /// Prints every single item
        #[arg(long)]
        items: bool,
    },
    /// Holds the size and memory of each function, and its instructions by valgrind, to a budget
    Budget(Programs),
}

/// Drives the bridge, and follows every SMS to its other end
#[derive(Debug, Args)]
#[command(
    override_usage = "cargo load [account] [OPTIONS]",
    args_conflicts_with_subcommands = true
)]
struct RunCommand {
    #[command(subcommand)]
    place: Option<RunPlace>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Subcommand)]
enum RunPlace {
    Account(AccountOptions),
}

/// The programs that are measured.
#[derive(Debug, Args)]
struct Programs {
    /// Takes programs that are compiled already, instead of compiling the release
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
}

impl Programs {
    fn folder(self) -> anyhow::Result<PathBuf> {
        match self.programs {
            Some(folder) => Ok(folder),
            None => tokio::task::block_in_place(|| programs::build("release")),
        }
    }
}

/// How many SMS are counted one by one, and how many at once.
const SAMPLE: Sample = Sample {
    alone: 20,
    crowd: 300,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let command = LoadCommand::parse();
    if let LoadCommand::Run(command) = &command
        && let Some(RunPlace::Account(options)) = &command.place
    {
        // It has something to remove, however it ends.
        return account::run(options).await;
    }
    let mut terminate = signal(SignalKind::terminate())?;
    // Dropping the command ends all processes that it started.
    tokio::select! {
        result = run(command) => result,
        _ = terminate.recv() => bail!("ended from outside"),
        _ = tokio::signal::ctrl_c() => bail!("ended from outside"),
    }
}

async fn run(command: LoadCommand) -> anyhow::Result<()> {
    match command {
        LoadCommand::Run(command) => drive::run(&command.options).await?,
        LoadCommand::Cost { programs, items } => {
            let costs = cost::measure(&programs.folder()?, SAMPLE, cost::manners()).await?;
            println!("{}", cost::table(&costs));
            if items {
                println!("{}", cost::all_items(&costs));
            }
        }
        LoadCommand::Budget(programs) => {
            let programs = programs.folder()?;
            let sizes = size::measure(&programs)?;
            let counts = instructions::measure(&programs).await?;
            let memory = memory::measure(&programs).await?;
            let measured = [
                (&size::BUDGET, &sizes, "MB zipped"),
                (&memory::BUDGET, &memory, "MiB of memory at most"),
                (
                    &instructions::COLD_BUDGET,
                    &counts.cold,
                    "thousand instructions at a cold start",
                ),
                (
                    &instructions::BUDGET,
                    &counts.warm,
                    "thousand instructions a later call",
                ),
            ];
            for (_, figures, unit) in &measured {
                for (name, figure) in *figures {
                    println!("{name:20} {figure:>8.2} {unit}");
                }
            }
            for (budget, figures, unit) in measured {
                budget::check(budget, figures, unit)?;
            }
        }
    }
    Ok(())
}
