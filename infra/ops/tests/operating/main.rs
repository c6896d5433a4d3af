//! `cargo ops` as an operator runs it, on the template itself, deployed on an emulator of AWS that
//! enforces what each user may do, between stand-ins for Africa's Talking and Medic.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod access;
mod dead_letters;
mod deployed;
mod failures;
mod keys;
mod looking;
mod problems;
mod sending;
mod workers;
