//! What is measured.

pub mod events;
pub mod instructions;
pub mod size;
pub mod throughput;
pub mod weight;
