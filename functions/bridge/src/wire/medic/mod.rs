//! Medic's gateway API: the request to `/api/sms`, and what the response means.
//!
//! All of it was observed on the API of cht-core 5.2.0.

mod request;
mod response;

pub use request::{Payload, Update};
pub use response::{Offer, Refusal, Reply};
