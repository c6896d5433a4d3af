//! The real handlers on in-memory ports, under a scheduler that a seed drives: virtual time, no
//! threads, no clock. Models of SQS, DynamoDB, Lambda, Africa's Talking and Medic keep the contracts
//! of the real ones; the promises are the assertions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a model in a test: what cannot be is a bug of the model, and shall stop it"
)]

pub mod africas_talking;
pub mod broken;
pub mod executor;
pub mod faults;
pub mod lambda;
pub mod ledger;
pub mod medic;
pub mod meter;
pub mod outage;
pub mod plan;
pub mod ports;
pub mod promises;
pub mod queue;
pub mod random;
pub mod recovery;
pub mod run;
pub mod scenario;
pub mod world;
