//! What others write on the wire, and what is written to them: read and written here only.

pub mod africastalking;
pub mod json;
pub mod medic;
pub mod queue_messages;
