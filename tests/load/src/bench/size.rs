//! How large the programs are, zipped as they are deployed, held to a budget.

use std::path::Path;

use anyhow::ensure;
use sandbox::stack::FUNCTIONS;

use crate::lambda::programs::zipped_size;

/// How much more is still the same.
const TOLERANCE: f64 = 1.10;

/// Megabytes of each zip, in the `release` profile.
const BUDGET_MB: f64 = 1.9;

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
    ensure!(measured.len() == FUNCTIONS.len(), "not all were measured");
    for (name, size) in measured {
        ensure!(
            *size <= BUDGET_MB * TOLERANCE,
            "{name} is {size:.2} MB zipped, its budget is {BUDGET_MB}"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zip_that_is_a_tenth_larger_than_its_budget_is_refused() {
        let measured = |factor: f64| FUNCTIONS.map(|name| (name, BUDGET_MB * factor));
        assert!(check(&measured(1.09)).is_ok());
        assert!(check(&measured(1.11)).is_err());
        assert!(check(&[]).is_err());
    }
}
