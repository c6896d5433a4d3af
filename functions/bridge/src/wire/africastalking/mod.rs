//! Africa's Talking's formats: its callbacks and its responses.

pub mod answer_code;
pub mod date;
pub mod form;
pub mod send_response;
