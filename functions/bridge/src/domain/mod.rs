//! The types and decisions of the bridge, as pure code: no AWS, no HTTP, no clock.

pub mod attempts;
pub mod backoff;
pub mod balance;
pub mod callback;
pub mod circuit_breaker;
pub mod correlation;
pub mod cost;
pub mod delivery;
pub mod exchange;
pub mod failure_reason;
pub mod ids;
pub mod isolation;
pub mod message;
pub mod money;
pub mod network;
pub mod number_calls;
pub mod phone_number;
pub mod quarantine;
pub mod recipient_limit;
pub mod redacted;
pub mod segments;
pub mod sender_ids;
pub mod status;
pub mod text;
pub mod time;
