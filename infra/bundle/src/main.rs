//! `cargo bundle`.
#![allow(
    clippy::print_stdout,
    reason = "a command line that talks to the person who started it"
)]

use bundle::BundleArguments;
use clap::Parser as _;

fn main() -> anyhow::Result<()> {
    let arguments = BundleArguments::parse();
    if arguments.keep_for_upgrades {
        println!("Kept in {}.", bundle::keep_for_upgrades()?.display());
        return Ok(());
    }
    bundle::make(&arguments, |line| println!("{line}"))
}
