//! Africa's Talking's SMS API, as it is documented and has been seen.

mod bench;
mod callbacks;
mod failures;
mod sends;
