//! What can be written after `cargo ops`.

use clap::{Parser, Subcommand};

/// Operates a deployed stack: which account and region is decided as the AWS CLI decides it
/// (--profile, AWS_PROFILE, AWS_REGION, ~/.aws, single sign-on).
#[derive(Debug, Parser)]
#[command(
    name = "cargo ops",
    bin_name = "cargo ops",
    after_help = "\
Exit status: 0 done and nothing is wrong; 1 something is wrong, was not found or could not be done for all;
2 wrong usage; 3 AWS could not be asked (no credentials, no such stack, not allowed, throttled).

Example:
  cargo ops --stack clinic-sms doctor"
)]
pub struct Arguments {
    /// The stack's name; else the one in samconfig.toml, else `bridge`
    #[arg(long, global = true, env = "OPS_STACK")]
    pub stack: Option<String>,
    /// The profile of the AWS CLI
    #[arg(long, global = true)]
    pub profile: Option<String>,
    /// The region of AWS
    #[arg(long, global = true)]
    pub region: Option<String>,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Says what is wrong with the system, and what to do about it
    #[command(after_help = "\
Sends no SMS and changes nothing. Exit status 0 if all is well, 1 if something is wrong or could not be looked at.

Example:
  cargo ops doctor
  cargo ops doctor --json | jq '.findings[] | select(.verdict == \"wrong\")'")]
    Doctor {
        /// For a program
        #[arg(long)]
        json: bool,
    },
    /// Prints the two URLs for Africa's Talking's dashboard. They hold the incoming key
    #[command(after_help = "Example:\n  cargo ops callbacks")]
    Callbacks {
        /// For a program
        #[arg(long)]
        json: bool,
    },
}
