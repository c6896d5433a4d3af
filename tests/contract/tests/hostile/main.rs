//! Hostile input: real payloads and golden files, bent and broken in every way that a seed comes up
//! with, for everything that reads what somebody else wrote.
//!
//! What holds for each parser: it ends, at once and without a panic; what it keeps is bounded by what
//! it was given; what it accepts survives being written and read again; and what it says of what it
//! refuses shows nothing of it.
//!
//! `cargo test` takes a few hundred cases for each, `cargo hostile` a million.

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

/// As many cases as `PROPTEST_CASES` says. A failure prints the smallest input that still fails; it
/// becomes a test of its own, not a line in a file.
fn cases() -> Config {
    Config {
        failure_persistence: None,
        ..Config::default()
    }
}

/// Runs it, and fails if it took its time.
fn at_once<T>(act: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let result = act();
    let took = begin.elapsed();
    assert!(took < AT_ONCE, "it took {took:?}");
    result
}

/// Runs it on a thread of its own, and fails if it is not at its end in time: a test that hangs tells
/// less than one that fails.
fn in_time<T: Send + 'static>(limit: Duration, act: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(act()));
    receiver
        .recv_timeout(limit)
        .expect("it is not at its end in time")
}

/// That what is tried is hostile and not mere noise: a good part of it is accepted, and a good part
/// is not.
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
