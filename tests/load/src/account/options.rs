//! The command line of `cargo load account`.

use std::path::PathBuf;

use clap::{Args, value_parser};
use sandbox::tools::repository;

use crate::drive::traffic::LoadTraffic;

/// Load-tests the bridge in your AWS account: deploys it and its two ends, drives both, and removes both
///
/// The account and the region are those of your AWS configuration. It asks before it deploys, with an
/// estimate of the cost. What it deploys has the tag `cht-africastalking-load-test`, and nothing without
/// that tag is touched.
#[derive(Clone, Debug, Args)]
#[command(override_usage = "cargo load account [OPTIONS]")]
pub struct AccountOptions {
    /// What is sent.
    #[command(flatten)]
    pub traffic: LoadTraffic,
    /// Of a hundred SMS that Medic wants sent, so many are reported as failed
    #[arg(long = "failures", value_name = "N", default_value_t = 5)]
    pub failures_percent: u8,
    /// How long Medic works on each SMS that comes in, in milliseconds; a real one takes about 100
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = value_parser!(u16).range(..=2000))]
    pub medic_ms: u16,
    /// The beginning of the names of both stacks
    #[arg(long, default_value = "cht-load", value_parser = stack_name)]
    pub name: String,
    /// The profile of the AWS configuration
    #[arg(long)]
    pub profile: Option<String>,
    /// The region
    #[arg(long)]
    pub region: Option<String>,
    /// Deploys without a question
    #[arg(long)]
    pub yes: bool,
    /// Only removes what an earlier run has left
    #[arg(long)]
    pub remove: bool,
    /// Where the report goes
    #[arg(long, value_name = "FILE", default_value_os_t = repository().join("target/load/account.html"))]
    pub report: PathBuf,
    /// Prints JSON for a program
    #[arg(long)]
    pub json: bool,
}

/// Names of log groups, queues and roles begin with it.
fn stack_name(name: &str) -> Result<String, &'static str> {
    let is_good = name.len() <= 40
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    match is_good {
        true => Ok(name.to_owned()),
        false => {
            Err("a name has letters, digits and hyphens, begins with a letter, and has 40 at most")
        }
    }
}
