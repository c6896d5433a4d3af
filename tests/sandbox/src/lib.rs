//! Runs the whole system on one machine: stand-ins for Africa's Talking and Medic, and between them the
//! deployed stack on an emulator of AWS.

pub mod africastalking;
mod answer;
pub mod browser;
pub mod ends;
pub mod faults;
pub mod http;
mod ids;
pub mod medic;
mod observed;
pub mod page;
pub mod server;
pub mod stack;
pub mod tools;
pub mod whole;
pub mod workflows;
