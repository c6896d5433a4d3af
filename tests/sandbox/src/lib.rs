//! The whole system on one machine: stand-ins for Africa's Talking and Medic, and the deployed stack
//! on an emulator of AWS between them.

pub mod africastalking;
pub mod medic;
pub mod stack;
pub mod tools;
