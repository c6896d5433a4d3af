//! The bridge between Africa's Talking, which carries SMS, and the gateway API of a Community Health
//! Toolkit server ("Medic").
//!
//! The [`domain`] holds what is decided, [`ports`] what is needed of the world, [`adapters`] the
//! world; between them is one handler for each function:
//!
//! | function | handler |
//! |---|---|
//! | `incoming-messages`, `delivery-reports` | [`handlers::webhook`] |
//! | `report-recorder` | [`handlers::report_recorder`] |
//! | `outbound-sender` | [`handlers::outbound_sender`] |
//! | `medic-exchange` | [`handlers::medic_exchange`] |
//!
//! [`log`] is everything that is logged, [`log::metrics`] everything that is counted.

pub mod adapters;
pub mod config;
pub mod digest;
pub mod domain;
pub mod handlers;
pub mod ledger;
pub mod log;
pub mod ports;
pub mod queue;
pub mod retry;
pub mod secrets;
pub mod wire;
