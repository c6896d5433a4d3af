//! The implementations of the ports on AWS Lambda, and what runs a handler there.

pub mod africas_talking;
pub mod aws;
pub mod dynamodb_ledger;
pub mod http_client;
pub mod lambda;
pub mod medic;
pub mod secrets_manager;
pub mod sqs_queue;
pub mod system;
