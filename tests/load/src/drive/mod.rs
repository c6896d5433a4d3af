//! `cargo load`: drives the bridge with callbacks, and follows every SMS to its other end.

pub mod driver;
pub mod options;
pub mod pictures;
pub mod report;
pub mod result;
pub mod target;
pub mod traffic;

use anyhow::Context as _;
use options::Options;
use report::RunReport;
use target::Target;

/// Drives, follows, and reports.
///
/// # Errors
/// When anything was lost or doubled, or nothing could be driven.
#[allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the table is what this command is for"
)]
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let mut target = Target::start(options).await?;
    let result = driver::drive(&options.traffic, &mut target).await?;
    let further = match &target {
        Target::Deployed(deployed) => deployed.figures().await?.tables(),
        _ => Vec::new(),
    };
    let report = RunReport::new(&result, further)?;
    match options.json {
        true => println!("{:#}", report.json()),
        false => println!("{}", report.text()),
    }
    if let Some(folder) = options.report.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&options.report, report.page()?)
        .with_context(|| format!("cannot write {}", options.report.display()))?;
    eprintln!("Charts: {}", options.report.display());
    result.judge()
}
