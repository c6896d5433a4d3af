//! One contract for the clients of Medic and of Africa's Talking: what they put on the wire, and what
//! they make of every way in which a server can fail.
//!
//! Each test runs twice, once for each client: against its stand-in where the stand-in can do what is
//! needed, and against a server that speaks bytes where no decent server would.

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
