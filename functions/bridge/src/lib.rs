//! The bridge between Africa's Talking, which carries SMS, and the gateway API of a Community Health
//! Toolkit server ("Medic").
//!
//! The [`domain`] makes the decisions. The [`ports`] are the traits for everything outside, and the
//! [`adapters`] implement them. Each function has one handler:
//!
//! | function | handler |
//! |---|---|
//! | `incoming-messages`, `delivery-reports` | [`handlers::webhook`] |
//! | `report-recorder` | [`handlers::report_recorder`] |
//! | `outbound-sender` | [`handlers::outbound_sender`] |
//! | `medic-exchange` | [`handlers::medic_exchange`] |
//!
//! [`log`] has every log event, [`log::metrics`] every metric.

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
