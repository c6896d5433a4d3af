//! `cargo load` and `cargo cost`.
#![allow(
    clippy::print_stdout,
    reason = "a command line that talks to the person who started it"
)]

use std::path::PathBuf;

use anyhow::bail;
use load::bench::{budget, instructions, size};
use load::cost::{self, Sample};
use load::drive;
use load::lambda::programs;
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "\
cargo load      drives the bridge, and follows every SMS to its other end; --help says how
cargo cost      what AWS costs, from what the programs use; with --items every single item
cargo run --package load -- budget
                how large each function is, and how many instructions a call takes by valgrind,
                held to a budget

--programs FOLDER takes programs that are compiled already";

/// How many SMS are counted one by one, and how many at once.
const SAMPLE: Sample = Sample {
    alone: 20,
    crowd: 300,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut terminate = signal(SignalKind::terminate())?;
    // Whatever runs ends when it is dropped.
    tokio::select! {
        result = command(&arguments) => result,
        _ = terminate.recv() => bail!("ended from outside"),
        _ = tokio::signal::ctrl_c() => bail!("ended from outside"),
    }
}

async fn command(arguments: &[String]) -> anyhow::Result<()> {
    let (name, rest) = match arguments.split_first() {
        Some((name, rest)) => (name.as_str(), rest),
        None => ("help", arguments),
    };
    match (name, rest) {
        ("run", [help]) if help == "--help" => println!("{}", drive::options::USAGE),
        ("run", rest) => drive::run(rest).await?,
        ("cost", rest) => {
            let programs = programs_in(rest)?;
            let costs = cost::measure(&programs, SAMPLE, cost::manners()).await?;
            println!("{}", cost::table(&costs));
            if rest.iter().any(|word| word == "--items") {
                println!("{}", cost::all_items(&costs));
            }
        }
        ("budget", rest) => {
            let programs = programs_in(rest)?;
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
        _ => bail!("{USAGE}"),
    }
    Ok(())
}

/// The folder after `--programs`; without it the release is compiled.
fn programs_in(words: &[String]) -> anyhow::Result<PathBuf> {
    let folder = words.iter().skip_while(|word| *word != "--programs").nth(1);
    match folder {
        Some(folder) => Ok(PathBuf::from(folder)),
        None => tokio::task::block_in_place(|| programs::build("release")),
    }
}
