//! The command line of `cargo load`.

use std::num::ParseIntError;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, value_parser};
use sandbox::tools::repository;

/// Each of a hundred numbers may get sixty messages an hour before the recipient rate limit is
/// exceeded.
const MOST_REPLIES: u64 = 5_000;

/// Drives the bridge with callbacks, and follows every SMS to its other end
///
/// Without --sandbox or --url it drives the programs on this machine, with a Lambda and an AWS in
/// memory.
#[derive(Clone, Debug, Parser)]
#[command(override_usage = "cargo load [OPTIONS]")]
pub struct Options {
    /// Drives the template, deployed on the emulator of AWS
    #[arg(long, conflicts_with_all = ["url", "profile"])]
    pub sandbox: bool,
    /// Drives a deployed stack: the callback URL for incoming messages, key included
    #[arg(long, requires = "stack", conflicts_with = "profile", value_parser = callback_url)]
    pub url: Option<String>,
    /// The name of the deployed stack: the AWS CLI reads from its log what became of each SMS
    #[arg(long, value_name = "NAME", requires = "url")]
    pub stack: Option<String>,
    /// The cargo profile of the programs on this machine
    #[arg(long, value_name = "NAME", default_value = "release")]
    pub profile: String,
    /// How many SMS to send
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = value_parser!(u64).range(..=MOST_REPLIES))]
    pub count: u64,
    /// How many SMS to send a second
    #[arg(long, value_name = "N", default_value_t = 10.0, value_parser = rate)]
    pub rate: f64,
    /// Of a hundred callbacks, as many come twice
    #[arg(long = "repeats", value_name = "N", default_value_t = 5)]
    pub repeats_percent: u8,
    /// Of a hundred SMS, Medic replies to as many
    #[arg(long = "replies", value_name = "N", default_value_t = 100)]
    pub replies_percent: u8,
    /// How long to wait for what has not arrived
    #[arg(long, value_name = "SECONDS", default_value = "180", value_parser = seconds)]
    pub wait: Duration,
    /// Where the charts go
    #[arg(long, value_name = "FILE", default_value_os_t = repository().join("target/load/report.html"))]
    pub report: PathBuf,
}

fn callback_url(value: &str) -> Result<String, &'static str> {
    match value.contains("key=") {
        true => Ok(value.to_owned()),
        false => Err("the URL has no key at its end"),
    }
}

fn rate(value: &str) -> Result<f64, &'static str> {
    let is_rate = |rate: &f64| *rate > 0.0 && rate.is_finite();
    let rate = value.parse().ok().filter(is_rate);
    rate.ok_or("a rate is a number greater than 0")
}

fn seconds(value: &str) -> Result<Duration, ParseIntError> {
    value.parse().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(["load"].into_iter().chain(line.split_whitespace()))
    }

    #[test]
    fn a_deployed_stack_needs_its_url_and_its_name() {
        for line in [
            "--url https://x.example/?key=k",
            "--url https://x.example/ --stack s",
            "--stack s",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
        let options = read("--url https://x.example/?key=k --stack s --rate 2.5").unwrap();
        assert_eq!(options.rate, 2.5);
        assert!(options.url.is_some() && options.stack.is_some());
        assert_eq!(read("--replies 40").unwrap().replies_percent, 40);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for line in [
            "--rate 0",
            "--rate nan",
            "--count",
            "--count -1",
            "--count 6000",
            "--fast",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
