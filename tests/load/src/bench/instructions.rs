//! How many instructions a cold start and a later call take, counted by `valgrind --tool=callgrind`: the same on a busy
//! machine as on a quiet one, and therefore held to a budget.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use sandbox::stack::FUNCTIONS;
use sandbox::tools::{self, repository};

use super::budget::FunctionBudgets;
use super::events::{event, succeeded};
use crate::aws::InMemoryAws;
use crate::lambda::programs::Environments;
use crate::lambda::runtime::RunningFunction;
use crate::serving;

/// Calls in the shorter and in the longer of two runs, whose difference has no start in it.
const FEW: u64 = 5;
const MANY: u64 = 25;

/// Thousands of instructions from the start of the process to the end of its first call, in the
/// `release` profile.
pub const COLD_BUDGET: FunctionBudgets = [
    ("incoming-messages", 2934.0),
    ("delivery-reports", 2920.0),
    ("report-recorder", 4248.0),
    ("outbound-sender", 10011.0),
    ("medic-exchange", 6873.0),
];

/// Thousands of instructions of a later call.
pub const BUDGET: FunctionBudgets = [
    ("incoming-messages", 774.0),
    ("delivery-reports", 757.0),
    ("report-recorder", 2152.0),
    ("outbound-sender", 5406.0),
    ("medic-exchange", 2275.0),
];

/// Thousands of instructions, by function.
#[derive(Debug, Default)]
pub struct Counts {
    /// From the start of the process to the end of its first call.
    pub cold: Vec<(&'static str, f64)>,
    /// A later call.
    pub warm: Vec<(&'static str, f64)>,
}

/// Counts the instructions of each function.
///
/// # Errors
/// When `valgrind` is missing or a function fails.
pub async fn measure(programs: &Path) -> anyhow::Result<Counts> {
    let valgrind = tokio::task::block_in_place(tools::valgrind)?;
    let mut counts = Counts::default();
    for name in FUNCTIONS {
        let few = instructions(&valgrind, programs, name, FEW).await?;
        let many = instructions(&valgrind, programs, name, MANY).await?;
        let calls = f64::from(u32::try_from(MANY - FEW)?);
        counts.warm.push((name, (many - few) / calls / 1000.0));
        let cold = instructions(&valgrind, programs, name, 1).await?;
        counts.cold.push((name, cold / 1000.0));
    }
    Ok(counts)
}

async fn instructions(
    valgrind: &Path,
    programs: &Path,
    name: &str,
    calls: u64,
) -> anyhow::Result<f64> {
    let aws = InMemoryAws::new(Duration::ZERO);
    let server = serving::plain(aws.routes()).await?;
    let environments = Environments::all_at(&format!("http://{}", server.address));
    let folder = repository().join("target/load");
    std::fs::create_dir_all(&folder)?;
    let counts = folder.join(format!("{name}.callgrind"));
    let arguments = [
        "--tool=callgrind".to_owned(),
        format!("--callgrind-out-file={}", counts.display()),
        format!("--log-file={}", folder.join("valgrind.log").display()),
        programs.join(name).display().to_string(),
    ];
    let mut function = RunningFunction::new(name, Arc::clone(&aws.meter)).await?;
    let environment = environments.environment(name);
    function.start(valgrind, &arguments, &environment).await?;
    for n in 1..=calls {
        let before = function.times_asked();
        let ended = function.invoke(event(&aws, name, n)?).await?;
        succeeded(&ended.answer.map_err(anyhow::Error::msg)?)?;
        function.asked(before + 1).await;
    }
    function.terminate().await?;
    let text = std::fs::read_to_string(&counts).context("callgrind has written nothing")?;
    let line = text.lines().find_map(|line| {
        line.strip_prefix("totals:")
            .or(line.strip_prefix("summary:"))
    });
    let total = line.and_then(|total| total.split_whitespace().next()?.parse().ok());
    total.context("callgrind has counted nothing")
}
