//! `cargo load` and `cargo cost`.
#![allow(
    clippy::print_stdout,
    reason = "a command line that talks to the person who started it"
)]

use anyhow::bail;
use load::cost::{self, Sample};
use load::drive;
use load::lambda::programs;
use tokio::signal::unix::{SignalKind, signal};

const USAGE: &str = "\
cargo load      drives the bridge, and follows every SMS to its other end; --help says how
cargo cost      what AWS costs, from what the programs use; with --items every single item";

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
            let programs = tokio::task::block_in_place(|| programs::build("release"))?;
            let costs = cost::measure(&programs, SAMPLE, cost::manners()).await?;
            println!("{}", cost::table(&costs));
            if rest.iter().any(|word| word == "--items") {
                println!("{}", cost::all_items(&costs));
            }
        }
        _ => bail!("{USAGE}"),
    }
    Ok(())
}
