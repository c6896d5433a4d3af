//! `cargo simulate`: runs seeds of the simulation, and replays one.
//!
//! `--seeds N` runs so many, `--start S` from this one on; `--seed S --trace` replays one, with the
//! trace of the SMS whose promise was broken, or of `--about ID`; `--broken NAME` runs a variant that
//! is broken on purpose. `--outage-days D --sms-per-second R --senders N` takes Medic away for days; with
//! `--hangs` it takes connections and never answers.

#![allow(
    clippy::print_stdout,
    reason = "a command line: what it prints is what it is for"
)]

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use simulation::broken::Variant;
use simulation::outage::{self, Outage};
use simulation::run::{Run, run, run_many};

#[derive(Default)]
struct Options {
    seeds: Option<u64>,
    start: u64,
    seed: Option<u64>,
    trace: bool,
    about: Option<String>,
    broken: Option<Variant>,
    outage_days: Option<u32>,
    sms_per_second: Option<f64>,
    senders: Option<u32>,
    hangs: bool,
}

fn main() -> ExitCode {
    let kept = options().map(|options| match (options.outage_days, options.seed) {
        (Some(days), _) => outage(days, &options),
        (None, Some(seed)) => replay(seed, &options),
        (None, None) => many(&options),
    });
    match kept {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("{error:#}");
            ExitCode::from(2)
        }
    }
}

fn options() -> Result<Options> {
    let mut options = Options {
        start: 1,
        ..Options::default()
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .with_context(|| format!("{argument} needs a value"))
        };
        match argument.as_str() {
            "--seeds" => options.seeds = Some(value()?.parse()?),
            "--start" => options.start = value()?.parse()?,
            "--seed" => options.seed = Some(value()?.parse()?),
            "--about" => options.about = Some(value()?),
            "--outage-days" => options.outage_days = Some(value()?.parse()?),
            "--sms-per-second" => {
                let rate: f64 = value()?.parse()?;
                ensure!(
                    rate > 0.0 && rate <= 100.0,
                    "more than 0 SMS and at most 100"
                );
                options.sms_per_second = Some(rate);
            }
            "--senders" => {
                let senders = value()?.parse()?;
                ensure!((1..10_000).contains(&senders), "1 to 9999 senders");
                options.senders = Some(senders);
            }
            "--hangs" => options.hangs = true,
            "--trace" => options.trace = true,
            "--broken" => {
                let name = value()?;
                let found = Variant::ALL.into_iter().find(|v| format!("{v:?}") == name);
                options.broken = Some(found.with_context(|| format!("one of {:?}", Variant::ALL))?);
            }
            other => bail!(
                "{other} is not known: --seeds N --start S, or --seed S [--trace] [--about ID], [--broken NAME], or --outage-days D [--sms-per-second R] [--senders N] [--hangs]"
            ),
        }
    }
    Ok(options)
}

/// Whether nothing was lost, doubled or left.
fn outage(days: u32, options: &Options) -> bool {
    let report = outage::run(Outage {
        days,
        sms_per_second: options.sms_per_second.unwrap_or(1.0),
        senders: options.senders.unwrap_or(5_000),
        hangs: options.hangs,
    });
    println!("{report}");
    report.keeps_the_promises()
}

/// Whether every promise was kept.
fn many(options: &Options) -> bool {
    let seeds = options.seeds.unwrap_or(1_000);
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

fn replay(seed: u64, options: &Options) -> bool {
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
