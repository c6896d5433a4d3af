//! One model of each system around the bridge: what it promises, what it does not, and its faults.
//!
//! A model is pure: it has no clock, no randomness, no network and no task. The program that drives a model
//! hands in the time and decides when each step of its work is done. The simulation does that in virtual
//! time, and the sandbox and the load bench behind HTTP. Times are milliseconds since 1970, UTC.

pub mod africastalking;
pub mod dynamodb;
pub mod faults;
pub mod http;
pub mod lambda;
pub mod medic;
pub mod sqs;
