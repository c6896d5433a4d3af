//! What is measured.

pub mod events;
pub mod weight;
