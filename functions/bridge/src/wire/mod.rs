//! The formats of other systems and of the queues. They are read and written here only.

pub mod africastalking;
pub mod api_gateway;
pub mod charset;
pub mod content_encoding;
mod dead_callback;
pub mod http_response;
pub mod json;
pub mod medic;
pub mod queue_messages;
