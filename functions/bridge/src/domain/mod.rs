//! Numbers, texts, statuses and decisions: no AWS, no HTTP, no clock in here.

pub mod account;
pub mod answer;
pub mod answer_code;
pub mod backoff;
pub mod balance;
pub mod cost;
pub mod evidence;
pub mod fuse;
pub mod history;
pub mod ids;
pub mod lane;
pub mod message;
pub mod network;
pub mod phone_number;
pub mod segments;
pub mod sender_ids;
pub mod sms;
pub mod status;
