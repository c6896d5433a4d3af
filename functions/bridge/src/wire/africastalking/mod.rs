//! Africa's Talking on the wire.

pub mod answer_code;
pub mod date;
pub mod form;
pub mod send_response;
