//! The secrets of the deployment: read when they are needed, cached for some minutes, and read
//! again when they are refused.

mod cache;
pub mod credentials;
mod incoming_keys;
mod number_hash;

pub use credentials::OutsideCredentials;
pub use incoming_keys::{IncomingKeys, KeyCheck, KeySecret};
pub use number_hash::NumberHash;
