//! The bridge between Africa's Talking, which carries SMS, and the gateway API of a Community Health
//! Toolkit server ("Medic").
//!
//! The [`domain`] holds what is decided, [`ports`] what is needed of the world, [`adapters`] the
//! world; between them is one handler for each function:
//!
//! | function | handler |
//! |---|---|
//! | `incoming-messages`, `delivery-reports` | [`callbacks`] |
//! | `report-recorder` | [`report_recorder`] |
//! | `outbound-sender` | [`outbound_sender`] |
//! | `medic-exchange` | [`medic_exchange`] |
//!
//! [`journal`] is everything that is logged, [`metrics`] everything that is counted.

pub mod adapters;
pub mod callbacks;
pub mod config;
pub mod digest;
pub mod domain;
pub mod evidence;
pub mod gateway;
pub mod journal;
pub mod json;
pub mod ledger;
pub mod medic_exchange;
pub mod metrics;
pub mod outbound_sender;
pub mod parking;
pub mod ports;
pub mod queue_messages;
pub mod report_recorder;
pub mod retry;
pub mod secrets;
pub mod watch;
