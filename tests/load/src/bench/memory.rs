//! The most memory that each function takes, held to a budget.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sandbox::stack::FUNCTIONS;

use super::budget::FunctionBudgets;
use super::events::{event, succeeded};
use crate::aws::InMemoryAws;
use crate::lambda::programs::Environments;
use crate::lambda::runtime::RunningFunction;
use crate::process::peak_memory;
use crate::serving;

/// Calls of each function: memory grows with the first ones only.
const CALLS: u64 = 50;

/// MiB of each function at most, in the `release` profile.
pub const BUDGET: FunctionBudgets = [
    ("incoming-messages", 6.7),
    ("delivery-reports", 6.5),
    ("report-recorder", 7.4),
    ("outbound-sender", 7.9),
    ("medic-exchange", 7.7),
];

/// The most memory that each function has had after some calls, in MiB.
///
/// # Errors
/// When a function fails.
pub async fn measure(programs: &Path) -> anyhow::Result<Vec<(&'static str, f64)>> {
    let mut measured = Vec::new();
    for name in FUNCTIONS {
        let aws = InMemoryAws::new(Duration::ZERO);
        let server = serving::plain(aws.routes()).await?;
        let environments = Environments::all_at(&format!("http://{}", server.address));
        let mut function = RunningFunction::new(name, Arc::clone(&aws.meter)).await?;
        let environment = environments.environment(name);
        let pid = function
            .start(&programs.join(name), &[], &environment)
            .await?;
        for n in 1..=CALLS {
            let before = function.times_asked();
            let ended = function.invoke(event(&aws, name, n)?).await?;
            succeeded(&ended.answer.map_err(anyhow::Error::msg)?)?;
            function.asked(before + 1).await;
        }
        let kilobytes = u32::try_from(peak_memory(pid)? / 1024)?;
        measured.push((name, f64::from(kilobytes) / 1024.0));
        function.stop().await?;
    }
    Ok(measured)
}
