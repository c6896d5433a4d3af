//! One contract for each port, which the models and the adapters for AWS both keep.
//!
//! Each suite knows only the port and a bench. It runs on the in-memory port of the simulation, in virtual
//! time and without faults, and on the adapter against the emulator of AWS.
//! What only an adapter can get wrong (lost answers, attributes that no port knows) is in `adapters`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of this is tests"
)]

mod adapters;
mod aws;
mod backlog;
mod emulator_differences;
mod ledger;
mod lossy_proxy;
mod memory;
mod queue;
mod rows;
mod secret;

/// The tests of a suite, for the in-memory port and for the adapter.
macro_rules! for_both {
    ($bench:ident: $($name:ident)*) => {
        mod in_memory { $(
            #[test]
            fn $name() {
                crate::memory::$bench(super::$name);
            }
        )* }
        mod on_aws { $(
            #[test]
            fn $name() {
                crate::aws::$bench(super::$name);
            }
        )* }
    };
}
pub(crate) use for_both;
