//! The deployed bridge between Africa's Talking and Medic, driven from outside: callbacks over the
//! HTTP API, the two stand-ins, and what an operator can do with queues and secrets.
//!
//! `infra/template.yaml` itself is deployed, with the real programs, on an emulator of AWS that
//! enforces what each function's role allows. Only [`alone`] runs a function's program without it,
//! for what no emulator can be made to do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod alarms;
mod alone;
mod callbacks;
mod deaths;
mod deployed;
mod driving;
mod failures;
mod hostile;
mod incoming;
mod keys;
mod monitoring;
mod outgoing;
mod released;
mod reports;
mod send_failures;
mod upgrading;
