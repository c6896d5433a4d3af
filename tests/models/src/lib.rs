//! One model of each system around the bridge: what it promises, what it does not, and its faults.
//!
//! A model is pure: it has no clock, no chance, no network and no task. Whoever drives it hands in
//! the time and decides when the next step of some work is taken: the simulation in virtual time,
//! the sandbox and the load bench behind HTTP. Times are milliseconds since 1970, UTC.

pub mod africastalking;
pub mod dynamodb;
pub mod faults;
pub mod http;
pub mod lambda;
pub mod medic;
pub mod sqs;
