//! `cargo simulate`: runs seeds of the simulation, and replays one.

#![allow(
    clippy::print_stdout,
    reason = "a command line: what it prints is what it is for"
)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Parser, Subcommand, value_parser};
use simulation::broken::Variant;
use simulation::outage::{self, NoCredit, Outage};
use simulation::recovery::{self, ROWS};
use simulation::run::{Run, run, run_many};

/// Runs seeds of the simulation, replays one, takes Medic away for days, or measures the recovery
///
/// Exit status: 0 when every promise was kept, 1 when one was broken, 2 for wrong usage.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo simulate", args_conflicts_with_subcommands = true)]
struct SimulateOptions {
    #[command(subcommand)]
    command: Option<SimulateCommand>,
    /// How many seeds to run
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    seeds: u64,
    /// The first of the seeds to run
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    start: u64,
    /// Replays one seed
    #[arg(long, conflicts_with_all = ["seeds", "start"])]
    seed: Option<u64>,
    /// Prints the steps of the SMS whose promise was broken
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Prints the steps of this SMS instead
    #[arg(long, value_name = "ID", requires = "trace")]
    about: Option<String>,
    /// Runs a variant of the system that is broken on purpose
    #[arg(long, value_name = "VARIANT", value_parser = variant)]
    broken: Option<Variant>,
    /// Takes Medic away for so many days
    #[arg(long, value_name = "DAYS", conflicts_with_all = ["seeds", "start", "seed", "broken"])]
    outage_days: Option<u32>,
    /// How many SMS come a second, at most 100
    #[arg(long, value_name = "N", default_value_t = 1.0, requires = "outage_days", value_parser = sms_per_second)]
    sms_per_second: f64,
    /// How many phones they come from
    #[arg(long, value_name = "N", default_value_t = 5_000, requires = "outage_days", value_parser = value_parser!(u32).range(1..10_000))]
    senders: u32,
    /// Medic takes connections and never answers, instead of refusing them
    #[arg(long, requires = "outage_days")]
    hangs: bool,
}

#[derive(Debug, Subcommand)]
enum SimulateCommand {
    /// Measures how soon messages flow again when some trouble is over
    Recovery(RecoveryOptions),
    /// Leaves Africa's Talking without credit while messages wait, and says what that costs
    NoCredit {
        /// How many messages wait
        #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = value_parser!(u32).range(1..=10_000))]
        messages: u32,
        /// For how many hours, more than one
        #[arg(long, value_name = "N", default_value_t = 8, value_parser = value_parser!(u32).range(2..))]
        hours: u32,
    },
}

#[derive(Debug, Args)]
struct RecoveryOptions {
    /// How many seeds to measure each row with
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = value_parser!(u64).range(1..))]
    seeds: u64,
    /// Measures this row only; may be repeated
    #[arg(long = "row", value_name = "NAME", value_parser = ROWS.iter().map(|row| row.name).collect::<Vec<_>>())]
    rows: Vec<String>,
    /// Prints JSON, in seconds
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Prints a table of Markdown
    #[arg(long)]
    markdown: bool,
    /// Writes the table into `tests/simulation/README.md`
    #[arg(long, conflicts_with = "rows")]
    write: bool,
}

fn variant(name: &str) -> Result<Variant, String> {
    let mut all = Variant::ALL.into_iter();
    all.find(|variant| format!("{variant:?}") == name)
        .ok_or_else(|| format!("one of {:?}", Variant::ALL))
}

fn sms_per_second(value: &str) -> Result<f64, &'static str> {
    let is_rate = |rate: &f64| *rate > 0.0 && *rate <= 100.0;
    let rate = value.parse().ok().filter(is_rate);
    rate.ok_or("more than 0 SMS and at most 100")
}

fn main() -> ExitCode {
    let options = SimulateOptions::parse();
    let is_kept = match (&options.command, options.outage_days, options.seed) {
        (Some(SimulateCommand::Recovery(recovery)), ..) => recover(recovery),
        (Some(SimulateCommand::NoCredit { messages, hours }), ..) => no_credit(*messages, *hours),
        (None, Some(days), _) => outage(days, &options),
        (None, None, Some(seed)) => replay(seed, &options),
        (None, None, None) => many(&options),
    };
    match is_kept {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Whether every row is within its limits.
fn recover(options: &RecoveryOptions) -> bool {
    let is_wanted =
        |name: &str| options.rows.is_empty() || options.rows.iter().any(|row| row == name);
    let rows = ROWS.iter().filter(|row| is_wanted(row.name));
    let figures: Vec<_> = rows
        .map(|row| recovery::measure(row, options.seeds))
        .collect();
    match (options.json, options.markdown) {
        (true, _) => println!("{:#}", recovery::to_json(&figures)),
        (false, true) => print!("{}", recovery::markdown(&figures)),
        (false, false) => print!("{}", recovery::table(&figures)),
    }
    if options.write
        && let Err(error) = recovery::write(&figures)
    {
        println!("Failed to write the figures into the README: {error}.");
        return false;
    }
    figures
        .iter()
        .all(recovery::RecoveryFigures::are_within_their_limits)
}

/// Whether every message was sent once or has failed.
fn no_credit(messages: u32, hours: u32) -> bool {
    let report = outage::run_no_credit(NoCredit { messages, hours });
    println!("{report}");
    report.keeps_the_promises()
}

/// Whether nothing was lost, doubled or left.
fn outage(days: u32, options: &SimulateOptions) -> bool {
    let report = outage::run(Outage {
        days,
        sms_per_second: options.sms_per_second,
        senders: options.senders,
        hangs: options.hangs,
    });
    println!("{report}");
    report.keeps_the_promises()
}

/// Whether every promise was kept.
fn many(options: &SimulateOptions) -> bool {
    let seeds = options.seeds;
    let began = Instant::now();
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut virtual_ms = 0_i128;
    let mut failed = 0_u64;
    run_many(
        options.start..options.start.saturating_add(seeds),
        options.broken,
        |run| {
            virtual_ms += i128::from(run.virtual_ms);
            for (what, count) in &run.counts {
                *counts.entry(what.clone()).or_default() += count;
            }
            if !run.breaches.is_empty() {
                failed += 1;
                if failed <= 10 {
                    tell(&run, options.broken);
                }
            }
            failed < 100
        },
    );
    for (what, count) in &counts {
        println!("{count:>12}  {what}");
    }
    let took = began.elapsed();
    let days = virtual_ms / (24 * 60 * 60 * 1000);
    println!(
        "{seeds} seeds from {} on, {days} days of virtual time, in {:.1} s: {failed} failed",
        options.start,
        took.as_secs_f32()
    );
    failed == 0
}

fn tell(run: &Run, broken: Option<Variant>) {
    println!("seed {} breaks a promise:", run.seed);
    for breach in &run.breaches {
        println!(
            "  promise {}: {} {}",
            breach.promise, breach.about, breach.what
        );
    }
    let broken = broken.map_or(String::new(), |variant| format!(" --broken {variant:?}"));
    println!(
        "  replay it: cargo simulate --seed {} --trace{broken}",
        run.seed
    );
}

fn replay(seed: u64, options: &SimulateOptions) -> bool {
    let run = run(seed, options.broken, true);
    if options.trace {
        let about = options.about.clone().or_else(|| {
            let named = run.breaches.iter().find(|breach| !breach.about.is_empty());
            named.map(|breach| breach.about.clone())
        });
        for line in run.trace_about(about.as_deref()) {
            println!("{line}");
        }
    }
    if run.breaches.is_empty() {
        println!("seed {seed} keeps every promise");
    } else {
        tell(&run, options.broken);
    }
    run.breaches.is_empty()
}
