//! The ports as they are on AWS Lambda, and the glue that runs a handler there.

pub mod africas_talking;
pub mod aws;
pub mod lambda;
pub mod ledger_table;
pub mod medic;
pub mod outside;
pub mod secret;
pub mod sqs_queue;
pub mod system;
