//! What is measured.

pub mod events;
pub mod throughput;
pub mod weight;
