//! What a load test costs, before it and after it.

use std::path::Path;
use std::time::Duration;

use crate::cost::{self, Costs, Sample};
use crate::drive::traffic::LoadTraffic;
use crate::local::Manners;
use crate::meter::{AwsCharge, Usage, add};
use crate::observed::AwsFigures;
use crate::prices;
use crate::tables::{Cell, ReportTable};

/// So many SMS are counted one by one, and so many at once: enough for an estimate.
const SAMPLE: Sample = Sample {
    alone: 3,
    crowd: 60,
};

/// Deploying, waiting for the last poll and for CloudWatch, and removing.
const AROUND_THE_TRAFFIC: Duration = Duration::from_mins(15);

/// The month of `cargo cost`.
const MONTH: Duration = Duration::from_hours(30 * 24);

/// Of everything that a call of an end uses, roughly and rather too much: its function has twice the memory of
/// the bridge's, and records each call in a row or two of some kilobytes, which the driver reads some times.
const OF_A_CALL: [(AwsCharge, f64); 6] = [
    (AwsCharge::HttpRequest, 1.0),
    (AwsCharge::Invocation, 1.0),
    (AwsCharge::FunctionMs, 2.0 * 50.0),
    (AwsCharge::WriteUnit, 6.0),
    (AwsCharge::ReadUnit, 60.0),
    (AwsCharge::LogByte, 600.0),
];

/// What a run is going to use, by `cargo cost`.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// If many SMS share each step.
    pub together: Usage,
    /// If each SMS comes alone.
    pub alone: Usage,
    /// What the two ends and the driver use on top.
    pub of_ends: Usage,
}

impl Prediction {
    /// Counts what the programs in this folder use for some SMS, and multiplies.
    ///
    /// # Errors
    /// When an SMS does not get to where it belongs.
    pub async fn measure(
        programs: &Path,
        traffic: &LoadTraffic,
        medic_ms: u16,
    ) -> anyhow::Result<Self> {
        let manners = Manners {
            medic_per_message: Duration::from_millis(medic_ms.into()),
            ..cost::manners()
        };
        let costs = cost::measure(programs, SAMPLE, manners).await?;
        Ok(Self::of(&costs, traffic))
    }

    fn of(costs: &Costs, traffic: &LoadTraffic) -> Self {
        let number = |n: u64| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
        let replies = (0..traffic.count)
            .filter(|n| traffic.replies_to(*n))
            .count();
        let incoming = number(traffic.count);
        let outgoing =
            number(traffic.outgoing()) + f64::from(u32::try_from(replies).unwrap_or(u32::MAX));
        let most = number(traffic.count.max(traffic.outgoing()));
        let span = Duration::from_secs_f64(most / traffic.rate) + AROUND_THE_TRAFFIC;
        let idle = |usage: &mut Usage| {
            let share = span.as_secs_f64() / MONTH.as_secs_f64();
            add(usage, &costs.idle_month, share);
        };
        let of = |each_in: &Usage, each_out: &Usage| {
            let mut usage = Usage::new();
            add(&mut usage, each_in, incoming);
            add(&mut usage, each_out, outgoing);
            idle(&mut usage);
            usage
        };
        // A POST for each SMS in, and for each SMS out a send and no more than a POST for its statuses.
        let calls = incoming + 2.0 * outgoing;
        let of_ends =
            OF_A_CALL.map(|(charge, amount)| ((charge, "ends".to_owned()), amount * calls));
        Self {
            together: of(&costs.incoming_in_a_crowd, &costs.outgoing_in_a_campaign),
            alone: of(&costs.incoming_alone, &costs.outgoing_alone),
            of_ends: Usage::from(of_ends),
        }
    }

    /// In words.
    #[must_use]
    pub fn text(&self) -> String {
        let ends = prices::total(&self.of_ends);
        let [a, b] = [&self.together, &self.alone].map(|usage| prices::total(usage) + ends);
        format!(
            "It will cost about {:.3} to {:.3} USD, {ends:.3} of them for the two ends ({}). Metrics come on top, \
             about 0.01 USD an hour.",
            a.min(b),
            a.max(b),
            prices::AS_OF,
        )
    }

    /// What was used, beside the prediction. Only what was measured is compared.
    #[must_use]
    pub fn compared(&self, figures: &AwsFigures) -> ReportTable {
        let mut rows = Vec::new();
        let mut totals = [0.0; 3];
        for charge in AwsCharge::ALL {
            let predicted = [&self.together, &self.alone].map(|usage| amount(usage, charge));
            let measured = figures.charged(charge);
            let price = prices::price(charge);
            if let Some(measured) = measured {
                let [together, alone] = predicted;
                for (total, amount) in totals.iter_mut().zip([together, alone, measured]) {
                    *total += amount * price;
                }
            }
            let [together, alone] = predicted;
            if together + alone > 0.0 {
                rows.push((
                    prices::name(charge).to_owned(),
                    vec![
                        Cell::Number(together, 0),
                        Cell::Number(alone, 0),
                        Cell::measured(measured, 0),
                        Cell::measured(measured.map(|measured| measured * price), 4),
                    ],
                ));
            }
        }
        let [together, alone, measured] = totals;
        let differences = [("come many at once", together), ("each come alone", alone)];
        let differences = differences.map(|(how, predicted)| {
            let percent = (measured / predicted - 1.0) * 100.0;
            format!(
                "{percent:+.0} % against the {predicted:.4} USD that are predicted if SMS {how}"
            )
        });
        ReportTable {
            title: "What it used, and what `cargo cost` predicts",
            notes: vec![format!(
                "What was measured costs {measured:.4} USD: {}. Repeats are not in the prediction. Prices: {}.",
                differences.join(", "),
                prices::AS_OF
            )],
            columns: vec!["", "many at once", "each alone", "measured", "USD"],
            rows,
        }
    }
}

fn amount(usage: &Usage, charge: AwsCharge) -> f64 {
    let of_this = usage.iter().filter(|((known, _), _)| *known == charge);
    of_this.map(|(_, amount)| amount).sum()
}
