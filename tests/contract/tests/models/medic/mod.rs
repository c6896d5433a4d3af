//! Medic's gateway API, as it was observed on CHT 5.2.0.

mod access;
mod bench;
mod failures;
mod messages;
mod offers;
mod statuses;
