//! The measurements.

pub mod budget;
pub mod events;
pub mod instructions;
pub mod memory;
pub mod size;
pub mod throughput;
pub mod weight;
