//! Lambda, as far as the functions see it: the Runtime API, event source mappings, and the HTTP API
//! before the two webhooks.

pub mod front;
pub mod mapping;
pub mod programs;
pub mod runtime;
