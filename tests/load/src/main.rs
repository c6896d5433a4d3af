//! `cargo load` and its fellows.
#![allow(
    clippy::print_stdout,
    reason = "a command line that talks to the person who started it"
)]

use load::bench::weight::{self, Effort, Subject};
use load::{lambda::programs, peers};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let tls = std::env::args().any(|a| a == "--tls");
    let floor = programs::folder("release").join("floor");
    let mut subjects = vec![
        Subject::Ours(programs::folder("release")),
        Subject::Floor(floor),
    ];
    if let Some(node) = peers::node()? {
        subjects.push(Subject::Node(node));
    }
    let effort = Effort {
        cold_starts: 5,
        warm_calls: 200,
        tls,
    };
    for (name, weights) in weight::all(&subjects, effort).await? {
        println!("{name}");
        for w in weights {
            println!("  {w:.2?}");
        }
    }
    Ok(())
}
