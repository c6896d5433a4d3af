//! The recorded figures of the five functions, which may not grow by more than a tenth unless somebody
//! changes the record.

use anyhow::{Context as _, ensure};

/// How much more is still the same.
const TOLERANCE: f64 = 1.10;

/// A figure of each function.
pub type FunctionBudgets = [(&'static str, f64); 5];

/// Compares what was measured with what is recorded; `unit` completes "`incoming-messages` has 3 …".
///
/// # Errors
/// When a function has more than a tenth more, or was not measured.
pub fn check(budget: &FunctionBudgets, measured: &[(&str, f64)], unit: &str) -> anyhow::Result<()> {
    for (name, most) in budget {
        let found = measured.iter().find(|(measured, _)| measured == name);
        let (_, figure) = found.with_context(|| format!("{name} was not measured"))?;
        ensure!(
            *figure <= most * TOLERANCE,
            "`{name}` has {figure:.2} {unit}, its budget is {most}"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbox::stack::FUNCTIONS;

    #[test]
    fn a_figure_that_is_a_tenth_larger_than_its_budget_is_refused() {
        let budget = FUNCTIONS.map(|name| (name, 100.0));
        let measured = |factor: f64| budget.map(|(name, most)| (name, most * factor));
        assert!(check(&budget, &measured(1.09), "x").is_ok());
        assert!(check(&budget, &measured(1.11), "x").is_err());
        assert!(check(&budget, &[], "x").is_err());
    }
}
