//! The usage that AWS would have counted: requests, units and milliseconds, by the function that caused
//! them; and its cost.

use std::collections::BTreeMap;
use std::ops::Sub;

use crate::lambda::Function;

/// Prices in USD of us-east-1, as AWS lists them for everybody, free tiers left out.
///
/// As of November 2026, from aws.amazon.com/lambda/pricing, /api-gateway/pricing, /sqs/pricing,
/// /dynamodb/pricing/on-demand and /cloudwatch/pricing.
pub mod prices {
    /// A million invocations.
    pub const LAMBDA_REQUESTS: f64 = 0.20;
    /// A gigabyte for a second, on `x86_64`, the template's default.
    pub const LAMBDA_GB_SECOND_X86: f64 = 0.000_016_666_7;
    /// The same on `arm64`.
    pub const LAMBDA_GB_SECOND_ARM: f64 = 0.000_013_333_4;
    /// The memory that the template gives to each function, in gigabytes.
    pub const LAMBDA_GB: f64 = 128.0 / 1024.0;
    /// A million requests to an HTTP API.
    pub const HTTP_API_REQUESTS: f64 = 1.00;
    /// A million requests to FIFO queues.
    pub const SQS_FIFO_REQUESTS: f64 = 0.50;
    /// A million requests to standard queues.
    pub const SQS_STANDARD_REQUESTS: f64 = 0.40;
    /// A million read request units, on demand.
    pub const DYNAMODB_READ_UNITS: f64 = 0.125;
    /// A million write request units, on demand.
    pub const DYNAMODB_WRITE_UNITS: f64 = 0.625;
    /// A gigabyte of log lines taken in.
    pub const LOGS_GB: f64 = 0.50;
}

const MILLION: f64 = 1e6;
const GB: f64 = 1024.0 * 1024.0 * 1024.0;

/// The usage of a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FunctionUsage {
    /// Requests to the HTTP API.
    pub http_requests: u64,
    /// Invocations.
    pub invocations: u64,
    /// How long they took, in milliseconds.
    pub milliseconds: u64,
    /// Requests to FIFO queues, those of the event source mapping that found something included.
    pub sqs_fifo: u64,
    /// Requests to standard queues.
    pub sqs_standard: u64,
    /// Halves of read request units: what an eventually consistent read of up to 4 KB costs.
    pub read_half_units: u64,
    /// Write request units of the table, without its indexes.
    pub write_units: u64,
    /// Bytes of log lines.
    pub log_bytes: u64,
}

impl FunctionUsage {
    fn without_lambda_time_usd(&self) -> f64 {
        let millions = |count: u64, price: f64| count as f64 / MILLION * price;
        millions(self.http_requests, prices::HTTP_API_REQUESTS)
            + millions(self.invocations, prices::LAMBDA_REQUESTS)
            + millions(self.sqs_fifo, prices::SQS_FIFO_REQUESTS)
            + millions(self.sqs_standard, prices::SQS_STANDARD_REQUESTS)
            + millions(self.read_half_units, prices::DYNAMODB_READ_UNITS / 2.0)
            + millions(self.write_units, prices::DYNAMODB_WRITE_UNITS)
            + self.log_bytes as f64 / GB * prices::LOGS_GB
    }

    fn lambda_gb_seconds(&self) -> f64 {
        self.milliseconds as f64 / 1000.0 * prices::LAMBDA_GB
    }

    /// Its cost on `x86_64`, in USD.
    pub fn usd_x86(&self) -> f64 {
        self.without_lambda_time_usd() + self.lambda_gb_seconds() * prices::LAMBDA_GB_SECOND_X86
    }

    /// Its cost on `arm64`, in USD.
    pub fn usd_arm(&self) -> f64 {
        self.without_lambda_time_usd() + self.lambda_gb_seconds() * prices::LAMBDA_GB_SECOND_ARM
    }
}

impl Sub for FunctionUsage {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            http_requests: self.http_requests - earlier.http_requests,
            invocations: self.invocations - earlier.invocations,
            milliseconds: self.milliseconds - earlier.milliseconds,
            sqs_fifo: self.sqs_fifo - earlier.sqs_fifo,
            sqs_standard: self.sqs_standard - earlier.sqs_standard,
            read_half_units: self.read_half_units - earlier.read_half_units,
            write_units: self.write_units - earlier.write_units,
            log_bytes: self.log_bytes - earlier.log_bytes,
        }
    }
}

/// The usage of all functions.
#[derive(Clone, Debug, Default)]
pub struct FunctionMeter(BTreeMap<Function, FunctionUsage>);

impl FunctionMeter {
    /// The usage of a function so far.
    pub fn of(&self, function: Function) -> FunctionUsage {
        self.0.get(&function).copied().unwrap_or_default()
    }

    /// Where to add what a function uses.
    pub fn add(&mut self, function: Function) -> &mut FunctionUsage {
        self.0.entry(function).or_default()
    }
}
