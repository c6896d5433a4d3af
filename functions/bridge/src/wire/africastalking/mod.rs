//! Africa's Talking's formats: its callbacks and its responses.

pub mod answer_code;
pub mod balance;
pub mod callback;
pub mod date;
pub mod delivery_report;
pub mod form;
pub mod incoming_message;
mod multipart;
pub mod opt_out;
mod send_body;
pub mod send_response;
