//! How large the programs are, zipped as they are deployed, held to a budget.

use std::path::Path;

use anyhow::{Context as _, ensure};
use sandbox::stack::FUNCTIONS;

use crate::lambda::programs::zipped_size;

/// How much more is still the same.
const TOLERANCE: f64 = 1.10;

/// Megabytes of each zip, in the `release` profile.
const BUDGET: [(&str, f64); 5] = [
    ("incoming-messages", 1.70),
    ("delivery-reports", 1.70),
    ("report-recorder", 1.93),
    ("outbound-sender", 2.06),
    ("medic-exchange", 2.05),
];

/// The zip of each function, in megabytes.
///
/// # Errors
/// When a program is missing.
pub fn measure(programs: &Path) -> anyhow::Result<Vec<(&'static str, f64)>> {
    let sizes = FUNCTIONS
        .iter()
        .map(|name| Ok((*name, megabytes(&programs.join(name))?)));
    sizes.collect()
}

/// A program's zip, in megabytes.
///
/// # Errors
/// When there is no such program.
pub fn megabytes(program: &Path) -> anyhow::Result<f64> {
    Ok(f64::from(u32::try_from(zipped_size(program)?)?) / 1e6)
}

/// Compares with the budget.
///
/// # Errors
/// When a zip is more than a tenth larger.
pub fn check(measured: &[(&str, f64)]) -> anyhow::Result<()> {
    for (name, budget) in BUDGET {
        let found = measured.iter().find(|(measured, _)| *measured == name);
        let (_, size) = found.with_context(|| format!("{name} was not measured"))?;
        ensure!(
            *size <= budget * TOLERANCE,
            "{name} is {size:.2} MB zipped, its budget is {budget}"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zip_that_is_a_tenth_larger_than_its_budget_is_refused() {
        let measured = |factor: f64| BUDGET.map(|(name, budget)| (name, budget * factor));
        assert!(check(&measured(1.09)).is_ok());
        assert!(check(&measured(1.11)).is_err());
        assert!(check(&[]).is_err());
    }
}
