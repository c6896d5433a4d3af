//! One contract for the clients of Medic and of Africa's Talking: what they send, and what they do when a
//! server fails in any way.
//!
//! Each test runs twice, once for each client. It runs against the model if the model can do what the test
//! needs. Otherwise it runs against a server that sends any bytes, also bytes that are no HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of this is tests"
)]

mod clients;
mod faults;
mod raw;
mod requests;

/// The same tests for both clients.
macro_rules! for_both {
    ($($name:ident)*) => {
        mod for_medic { $(
            #[test]
            fn $name() {
                crate::clients::run(super::$name(crate::clients::Side::Medic));
            }
        )* }
        mod for_africas_talking { $(
            #[test]
            fn $name() {
                crate::clients::run(super::$name(crate::clients::Side::AfricasTalking));
            }
        )* }
    };
}
pub(crate) use for_both;
