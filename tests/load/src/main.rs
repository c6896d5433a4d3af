//! `cargo load` and `cargo cost`.
#![allow(
    clippy::print_stdout,
    reason = "a command line that talks to the person who started it"
)]

use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Parser};
use load::bench::{budget, instructions, size};
use load::cost::{self, Sample};
use load::drive::{self, options::Options};
use load::lambda::programs;
use tokio::signal::unix::{SignalKind, signal};

/// How much the bridge takes, and what it costs
#[derive(Debug, Parser)]
#[command(bin_name = "cargo run --package load --")]
enum Command {
    Run(Options),
    /// Computes what AWS costs, from what the programs use
    #[command(override_usage = "cargo cost [OPTIONS]")]
    Cost {
        #[command(flatten)]
        programs: Programs,
        /// Prints every single item
        #[arg(long)]
        items: bool,
    },
    /// Holds the size of each function, and the instructions of a call by valgrind, to a budget
    Budget(Programs),
}

/// What is measured.
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
    let command = Command::parse();
    let mut terminate = signal(SignalKind::terminate())?;
    // Whatever runs ends when it is dropped.
    tokio::select! {
        result = run(command) => result,
        _ = terminate.recv() => bail!("ended from outside"),
        _ = tokio::signal::ctrl_c() => bail!("ended from outside"),
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run(options) => drive::run(&options).await?,
        Command::Cost { programs, items } => {
            let costs = cost::measure(&programs.folder()?, SAMPLE, cost::manners()).await?;
            println!("{}", cost::table(&costs));
            if items {
                println!("{}", cost::all_items(&costs));
            }
        }
        Command::Budget(programs) => {
            let programs = programs.folder()?;
            let sizes = size::measure(&programs)?;
            let counts = instructions::measure(&programs).await?;
            for ((name, megabytes), (_, thousands)) in sizes.iter().zip(&counts) {
                println!(
                    "{name:20} {megabytes:.2} MB zipped, {thousands:>5.0} thousand instructions a call"
                );
            }
            budget::check(&size::BUDGET, &sizes, "MB zipped")?;
            budget::check(
                &instructions::BUDGET,
                &counts,
                "thousand instructions a call",
            )?;
        }
    }
    Ok(())
}
