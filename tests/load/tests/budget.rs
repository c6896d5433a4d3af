//! What a message uses of AWS may not grow by more than a tenth without somebody saying so here.

use load::cost;
use load::lambda::programs;
use load::local::Manners;
use load::meter::{AwsCharge, Usage};

/// So many are counted, each when the one before it is at its end. The median of an odd number is one
/// of them.
const MESSAGES: u32 = 11;

/// How much more is still the same.
const TOLERANCE: f64 = 1.10;

/// For an SMS in that comes alone.
const INCOMING: [(AwsCharge, f64); 6] = [
    (AwsCharge::HttpRequest, 1.0),
    (AwsCharge::Invocation, 2.0),
    (AwsCharge::FifoQueueRequest, 4.0),
    (AwsCharge::StandardQueueRequest, 0.0),
    (AwsCharge::WriteUnit, 0.0),
    (AwsCharge::ReadUnit, 2.0),
];

/// For an SMS out with three reports that comes alone.
const OUTGOING: [(AwsCharge, f64); 6] = [
    (AwsCharge::HttpRequest, 3.0),
    (AwsCharge::Invocation, 7.0),
    (AwsCharge::FifoQueueRequest, 0.0),
    (AwsCharge::StandardQueueRequest, 12.0),
    (AwsCharge::WriteUnit, 16.0),
    (AwsCharge::ReadUnit, 15.5),
];

fn amount(usage: &Usage, charge: AwsCharge) -> f64 {
    let of_this = usage.iter().filter(|((known, _), _)| *known == charge);
    of_this.map(|(_, amount)| amount).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_uses_no_more_than_its_budget() {
    let programs = tokio::task::block_in_place(|| programs::build("dev")).unwrap();
    let [incoming, outgoing] = cost::measure_alone(&programs, MESSAGES, Manners::default())
        .await
        .unwrap();
    let directions = [("in", &incoming, INCOMING), ("out", &outgoing, OUTGOING)];
    for (direction, usage, budget) in directions {
        for (charge, most) in budget {
            let used = amount(usage, charge);
            assert!(
                used <= most * TOLERANCE + 1e-6,
                "an SMS {direction} uses {used:.2} of {charge:?}, its budget is {most}: {usage:#?}"
            );
        }
    }
}
