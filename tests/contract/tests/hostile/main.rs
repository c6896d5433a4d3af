//! Hostile input for every parser: real payloads and golden files, changed at random from a seed.
//!
//! Each parser must keep four promises. It ends soon and without a panic. It keeps no more than its input
//! allows. What it accepts is the same when it is written and read again. Its errors show nothing of what
//! it refuses.
//!
//! `cargo test` tries a few hundred cases for each parser, and `cargo hostile` tries a million.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of this is tests"
)]

mod answers;
mod bending;
mod callbacks;
mod configuration;
mod queues;
mod secrets;

use std::time::{Duration, Instant};

use proptest::strategy::{Strategy, ValueTree as _};
use proptest::test_runner::{Config, TestRunner};

/// No input takes longer than this, also in a build without optimisation on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(5);

/// As many cases as `PROPTEST_CASES` says. A failure prints the smallest input that still fails. That
/// input becomes a test of its own.
fn cases() -> Config {
    Config {
        failure_persistence: None,
        ..Config::default()
    }
}

/// Runs a test, and fails if it took too long.
fn at_once<T>(act: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let result = act();
    let took = begin.elapsed();
    assert!(took < AT_ONCE, "it took {took:?}");
    result
}

/// Runs a test on its own thread, and fails if it does not end in time. A failure says more than a test
/// that hangs.
fn in_time<T: Send + 'static>(limit: Duration, act: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(act()));
    receiver
        .recv_timeout(limit)
        .expect("it is not at its end in time")
}

/// Asserts that the inputs are hostile and not mere noise: many of them are accepted, and many are refused.
fn is_a_mixture<T>(what: &str, input: impl Strategy<Value = T>, accepted: impl Fn(T) -> bool) {
    const INPUTS: usize = 400;
    let mut runner = TestRunner::deterministic();
    let made = (0..INPUTS).map(|_| input.new_tree(&mut runner).unwrap().current());
    let good = made
        .filter_map(|input| accepted(input).then_some(()))
        .count();
    assert!(
        (INPUTS / 10..=INPUTS * 9 / 10).contains(&good),
        "{what}: {good} of {INPUTS} are accepted"
    );
}
