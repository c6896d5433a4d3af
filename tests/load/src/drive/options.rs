//! The command line of `cargo load`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use sandbox::tools::repository;

use super::traffic::{LoadTraffic, seconds};

/// Drives the bridge with callbacks, and follows every SMS to its other end
///
/// Without --sandbox or --url it drives the programs on this machine, with a Lambda and an AWS in
/// memory.
#[derive(Clone, Debug, Parser)]
pub struct Options {
    /// Drives the template, deployed on the emulator of AWS
    #[arg(long, conflicts_with_all = ["stack", "profile"])]
    pub sandbox: bool,
    /// Drives a stack that is in use, in the account and region of the AWS configuration. What comes in is
    /// followed in its log, and whatever its Medic wants sent meanwhile in its ledger
    #[arg(long, value_name = "NAME", conflicts_with_all = ["profile", "outgoing"])]
    pub stack: Option<String>,
    /// With --stack: follows what Medic wants sent for so long at least
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds, requires = "stack")]
    pub follow: Duration,
    /// The cargo profile of the programs on this machine
    #[arg(long, value_name = "NAME", default_value = "release")]
    pub profile: String,
    /// What is sent.
    #[command(flatten)]
    pub traffic: LoadTraffic,
    /// Prints JSON for a program
    #[arg(long)]
    pub json: bool,
    /// Where the charts go
    #[arg(long, value_name = "FILE", default_value_os_t = repository().join("target/load/report.html"))]
    pub report: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(["load"].into_iter().chain(line.split_whitespace()))
    }

    #[test]
    fn a_stack_in_use_is_named_and_only_its_own_medic_sends() {
        for line in [
            "--stack s --out 5",
            "--stack s --sandbox",
            "--stack s --profile dev",
            "--follow 5",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
        let options = read("--stack s --follow 5 --rate 2.5 --replies 40").unwrap();
        assert_eq!(options.follow, Duration::from_secs(5));
        assert_eq!(options.traffic.rate, 2.5);
        assert_eq!(options.traffic.replies_percent, 40);
        assert_eq!(read("--out 7").unwrap().traffic.outgoing(), 7);
        assert_eq!(read("--count 9").unwrap().traffic.outgoing(), 0);
        let both_ways = read("--count 9").unwrap().traffic.both_ways();
        assert_eq!(both_ways.outgoing(), 9);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for line in [
            "--rate 0",
            "--rate nan",
            "--count",
            "--count -1",
            "--count 30000",
            "--fast",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
