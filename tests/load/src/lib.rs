//! Measures speed and cost: the real programs of the five functions, between a
//! Lambda and an AWS of this crate's own and the sandbox's stand-ins for Medic and Africa's Talking.

pub mod account;
pub mod aws;
pub mod bench;
pub mod cost;
pub mod drive;
pub mod figures;
pub mod lambda;
pub mod latency;
pub mod local;
pub mod meter;
pub mod observed;
pub mod peers;
pub mod prices;
pub mod process;
pub mod serving;
pub mod tables;
