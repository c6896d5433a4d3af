//! The formats of other systems and of the queues. They are read and written here only.

pub mod africastalking;
pub mod json;
pub mod medic;
pub mod queue_messages;
