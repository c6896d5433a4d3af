//! What is measured.

pub mod events;
pub mod instructions;
pub mod throughput;
pub mod weight;
