//! How large the programs are, zipped as they are deployed, held to a budget.

use std::path::Path;

use sandbox::stack::FUNCTIONS;

use super::budget::FunctionBudgets;
use crate::lambda::programs::zipped_size;

/// Megabytes of each zip, in the `release` profile.
pub const BUDGET: FunctionBudgets = [
    ("incoming-messages", 2.49),
    ("delivery-reports", 2.49),
    ("report-recorder", 2.83),
    ("outbound-sender", 3.04),
    ("medic-exchange", 3.05),
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
