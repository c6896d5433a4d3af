//! AWS's list prices for us-east-1 on x86_64, in USD, free tiers left out, as they were in November
//! 2025 (the last change among them is that of DynamoDB on 1 November 2024).

use crate::meter::{AwsCharge, Usage};

/// The price of one unit of each charge, and its name on the price list.
const PRICES: [(AwsCharge, f64, &str); 13] = [
    (AwsCharge::HttpRequest, 1.00e-6, "HTTP API, a request"),
    (AwsCharge::Invocation, 0.20e-6, "Lambda, a request"),
    // 0.0000166667 a GB and second.
    (
        AwsCharge::FunctionMs,
        2.083_337_5e-9,
        "Lambda, a millisecond of 128 MB",
    ),
    (
        AwsCharge::StandardQueueRequest,
        0.40e-6,
        "SQS standard, a request",
    ),
    (AwsCharge::FifoQueueRequest, 0.50e-6, "SQS FIFO, a request"),
    (
        AwsCharge::WriteUnit,
        0.625e-6,
        "DynamoDB on demand, a write unit",
    ),
    (
        AwsCharge::ReadUnit,
        0.125e-6,
        "DynamoDB on demand, a read unit",
    ),
    (AwsCharge::SecretCall, 5.0e-6, "Secrets Manager, a call"),
    (AwsCharge::LogByte, 0.50e-9, "CloudWatch Logs, a byte"),
    (
        AwsCharge::ScheduledPoll,
        1.0e-6,
        "EventBridge Scheduler, an invocation",
    ),
    // 0.25 a GB and month of the table, and 0.20 of its backups.
    (
        AwsCharge::LedgerByteMonth,
        0.45e-9,
        "DynamoDB, a byte for a month, with backups",
    ),
    (
        AwsCharge::SecretMonth,
        0.40,
        "Secrets Manager, a secret for a month",
    ),
    (
        AwsCharge::AlarmMonth,
        0.10,
        "CloudWatch, an alarm for a month",
    ),
];

/// What AWS gives every account each month for as long as it exists. The million requests to SQS are for
/// both kinds of queue, and counted on the cheaper one.
const ALWAYS_FREE: [(AwsCharge, f64); 6] = [
    (AwsCharge::Invocation, 1e6),
    // 400,000 GB and seconds.
    (AwsCharge::FunctionMs, 3.2e9),
    (AwsCharge::StandardQueueRequest, 1e6),
    (AwsCharge::ScheduledPoll, 14e6),
    (AwsCharge::LogByte, 5e9),
    (AwsCharge::AlarmMonth, 10.0),
];

/// When and where the prices were these.
pub const AS_OF: &str = "us-east-1, x86_64, November 2025, without free tiers";

/// The price of one unit, in USD.
#[must_use]
pub fn price(charge: AwsCharge) -> f64 {
    PRICES
        .iter()
        .find(|(known, ..)| *known == charge)
        .map_or(f64::NAN, |(_, price, _)| *price)
}

/// The name of a charge on AWS's price list.
#[must_use]
pub fn name(charge: AwsCharge) -> &'static str {
    PRICES
        .iter()
        .find(|(known, ..)| *known == charge)
        .map_or("", |(_, _, name)| *name)
}

/// The cost of all of it, in USD.
#[must_use]
pub fn total(usage: &Usage) -> f64 {
    usage
        .iter()
        .map(|((charge, _), amount)| amount * price(*charge))
        .sum()
}

/// The same for an account that has nothing else, in a month: without what AWS gives for nothing.
#[must_use]
pub fn total_after_free_amounts(usage: &Usage) -> f64 {
    let free = ALWAYS_FREE.iter().map(|(charge, free)| {
        let amount = amount(usage, *charge);
        amount.min(*free) * price(*charge)
    });
    total(usage) - free.sum::<f64>()
}

fn amount(usage: &Usage, charge: AwsCharge) -> f64 {
    let alike = usage.iter().filter(|((known, _), _)| *known == charge);
    alike.map(|(_, amount)| amount).sum()
}

/// The cost by kind of charge, the dearest first.
#[must_use]
pub fn dearest(usage: &Usage) -> Vec<(String, f64)> {
    let mut items: Vec<(String, f64)> = AwsCharge::ALL
        .iter()
        .map(|charge| {
            let usd = amount(usage, *charge) * price(*charge);
            (name(*charge).to_owned(), usd)
        })
        .filter(|(_, usd)| *usd > 0.0)
        .collect();
    items.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_charged_for_has_a_price() {
        for charge in AwsCharge::ALL {
            assert!(price(charge) > 0.0, "{charge:?}");
        }
    }

    #[test]
    fn a_bill_is_the_sum_of_its_items() {
        let usage = Usage::from([
            ((AwsCharge::HttpRequest, "a".to_owned()), 1e6),
            ((AwsCharge::HttpRequest, "b".to_owned()), 1e6),
            ((AwsCharge::WriteUnit, "c".to_owned()), 1e6),
        ]);
        assert!((total(&usage) - 2.625).abs() < 1e-9);
        assert_eq!(dearest(&usage)[0].0, "HTTP API, a request");
    }

    #[test]
    fn what_is_free_is_taken_off_once_and_no_more_than_is_used() {
        let usage = Usage::from([
            ((AwsCharge::AlarmMonth, "a".to_owned()), 8.0),
            ((AwsCharge::AlarmMonth, "b".to_owned()), 7.0),
            ((AwsCharge::Invocation, "c".to_owned()), 5e5),
            ((AwsCharge::SecretMonth, "d".to_owned()), 1.0),
        ]);
        assert!((total_after_free_amounts(&usage) - 0.9).abs() < 1e-9);
    }
}
