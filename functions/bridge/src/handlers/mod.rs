//! One handler for each function: it parses an event, decides in the domain, acts and records. And the
//! monitors that run after the work of an invocation is done.

pub mod medic_exchange;
pub mod monitors;
pub mod outbound_sender;
pub mod report_recorder;
pub mod webhook;
