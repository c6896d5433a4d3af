//! What a message uses of AWS may not grow by more than a tenth without somebody saying so here.

use load::cost::{self, Sample};
use load::lambda::programs;
use load::local::Manners;
use load::meter::{Charge, Usage};

/// How much more is still the same.
const TOLERANCE: f64 = 1.10;

/// For an SMS in that comes alone.
const INCOMING: [(Charge, f64); 6] = [
    (Charge::HttpRequest, 1.0),
    (Charge::Invocation, 2.0),
    (Charge::FifoQueueRequest, 4.0),
    (Charge::StandardQueueRequest, 0.0),
    (Charge::WriteUnit, 0.0),
    (Charge::ReadUnit, 2.0),
];

/// For an SMS out with three reports that comes alone. The claim and the exchange's own write meet
/// now and then, and one of them is written again.
const OUTGOING: [(Charge, f64); 6] = [
    (Charge::HttpRequest, 3.0),
    (Charge::Invocation, 7.0),
    (Charge::FifoQueueRequest, 0.0),
    (Charge::StandardQueueRequest, 12.0),
    (Charge::WriteUnit, 31.0),
    (Charge::ReadUnit, 24.0),
];

fn amount(usage: &Usage, charge: Charge) -> f64 {
    let of_this = usage.iter().filter(|((known, _), _)| *known == charge);
    of_this.map(|(_, amount)| amount).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_uses_no_more_than_its_budget() {
    let programs = tokio::task::block_in_place(|| programs::build("dev")).unwrap();
    let sample = Sample {
        alone: 12,
        crowd: 40,
    };
    let costs = cost::measure(&programs, sample, Manners::default())
        .await
        .unwrap();
    let directions = [
        ("in", &costs.incoming_alone, INCOMING),
        ("out", &costs.outgoing_alone, OUTGOING),
    ];
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
