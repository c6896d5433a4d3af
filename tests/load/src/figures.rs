//! The table of figures in `tests/README.md`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::FutureExt as _;
use sandbox::tools::repository;
use time::OffsetDateTime;

use crate::bench::throughput::{self, MEDICS_OWN_A_MINUTE};
use crate::bench::weight::{self, Effort, Subject, Weight};
use crate::cost::{self, Sample};
use crate::lambda::programs;
use crate::{peers, prices};

/// The file with the table, from the repository's root.
const FILE: &str = "tests/README.md";

/// Where the table is in it.
const BEGIN: &str = "<!-- figures: written by `cargo bench --package load` -->";
const END: &str = "<!-- end of figures -->";

/// How much is measured.
const EFFORT: Effort = Effort {
    cold_starts: 9,
    warm_calls: 220,
    tls: true,
};
const SAMPLE: Sample = Sample {
    alone: 20,
    crowd: 300,
};
const BACKLOG: u64 = 100_000;

/// Measures everything, and writes it into that file unless it is only to be printed. `programs` is
/// a folder with the five programs and the floor; without it they are compiled.
///
/// # Errors
/// When something cannot be measured.
#[allow(clippy::print_stdout, reason = "the table is what this command is for")]
pub async fn run(is_dry: bool, programs: Option<PathBuf>) -> anyhow::Result<()> {
    let (programs, subjects) = tokio::task::block_in_place(|| subjects(programs))?;
    let mut text = heading(&subjects)?;
    print!("{text}");
    let parts = [
        weights(&subjects).boxed_local(),
        costs(&programs).boxed_local(),
        through(&programs).boxed_local(),
    ];
    for part in parts {
        let part = part.await?;
        println!("{part}");
        text.push_str(&part);
        text.push('\n');
    }
    if is_dry {
        return Ok(());
    }
    let file = repository().join(FILE);
    let readme = std::fs::read_to_string(&file)?;
    std::fs::write(file, with_figures(&readme, &text)?)?;
    Ok(())
}

fn subjects(programs: Option<PathBuf>) -> anyhow::Result<(PathBuf, Vec<Subject>)> {
    let (folder, floor) = match programs {
        Some(folder) => (folder.clone(), folder.join("floor")),
        None => (programs::build("release")?, peers::floor("release")?),
    };
    let mut subjects = vec![Subject::Ours(folder.clone()), Subject::Floor(floor)];
    subjects.extend(peers::node()?.map(Subject::Node));
    Ok((folder, subjects))
}

/// The README with other figures in it.
fn with_figures(readme: &str, figures: &str) -> anyhow::Result<String> {
    let (before, rest) = readme
        .split_once(BEGIN)
        .context("the README has no place for figures")?;
    let (_, after) = rest
        .split_once(END)
        .context("the README's figures have no end")?;
    Ok(format!("{before}{BEGIN}\n\n{figures}\n{END}{after}"))
}

fn said(program: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new(program)
        .current_dir(repository())
        .args(arguments)
        .output();
    let output = output.with_context(|| format!("cannot run {program}"))?;
    ensure!(
        output.status.success(),
        "{program} {} failed",
        arguments.join(" ")
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn heading(subjects: &[Subject]) -> anyhow::Result<String> {
    let now = OffsetDateTime::now_utc();
    let commit = said("git", &["rev-parse", "--short=10", "HEAD"])?;
    let changed = match said("git", &["status", "--porcelain", "--untracked-files=no"])?.is_empty()
    {
        true => "",
        false => " with changes",
    };
    let cpu = std::fs::read_to_string("/proc/cpuinfo")?;
    let cpu = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or_default();
    let cpu = cpu.trim_start_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism()?;
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let load = load.split_whitespace().next().unwrap_or_default();
    let node = subjects.iter().find_map(|subject| match subject {
        Subject::Node(node) => Some(format!("Node.js {}", node.version)),
        _ => None,
    });
    Ok(format!(
        "Measured on {} at commit {commit}{changed}, on {cores} cores of {cpu}, with a load of {load} from others; {}.\n\n",
        now.date(),
        node.unwrap_or_else(|| "no Node.js to compare with".to_owned()),
    ))
}

async fn weights(subjects: &[Subject]) -> anyhow::Result<String> {
    let measured = weight::all(subjects, EFFORT).await?;
    let mut text = String::from(
        "| function | cold CPU, ms | floor | Node.js | warm CPU, ms | floor | Node.js | first call at 128 MB, ms | floor | Node.js | memory, MiB | zip, MB |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (name, weights) in &measured {
        let three = |value: &dyn Fn(&Weight) -> f64, digits: usize| {
            let cells = (0..3).map(|who| match weights.get(who).map(value) {
                Some(value) if value.is_finite() => format!("{value:.digits$}"),
                _ => String::new(),
            });
            cells.collect::<Vec<_>>().join(" | ")
        };
        let ours = weights.first().context("nobody was measured")?;
        // Writing into a string cannot fail.
        let _ = writeln!(
            text,
            "| `{name}` | {} | {} | {} | {:.1} | {:.2} |",
            three(&|weight| weight.cold_cpu_ms, 1),
            three(&|weight| weight.warm_cpu_ms, 2),
            three(&|weight| weight.first_at_share_ms.unwrap_or(f64::NAN), 0),
            ours.memory_mib,
            ours.zip_mb.unwrap_or(f64::NAN),
        );
    }
    text.push('\n');
    text.push_str(&targets(&measured));
    Ok(text)
}

/// A target for a function, besides the comparison with the floor and Node.js.
struct FigureTarget {
    what: &'static str,
    target: &'static str,
    /// Whether only the webhooks are held to it.
    of_webhooks: bool,
    measured: fn(&[Weight]) -> Option<f64>,
}

const TARGETS: [FigureTarget; 7] = [
    FigureTarget {
        what: "cold CPU, times that of the floor",
        target: "at most 2",
        of_webhooks: false,
        measured: |weights| Some(weights.first()?.cold_cpu_ms / weights.get(1)?.cold_cpu_ms),
    },
    FigureTarget {
        what: "Node.js's cold CPU, times ours",
        target: "at least 25",
        of_webhooks: false,
        measured: |weights| Some(weights.get(2)?.cold_cpu_ms / weights.first()?.cold_cpu_ms),
    },
    FigureTarget {
        what: "warm CPU, times that of the floor",
        target: "at most 3",
        of_webhooks: true,
        measured: |weights| Some(weights.first()?.warm_cpu_ms / weights.get(1)?.warm_cpu_ms),
    },
    FigureTarget {
        what: "Node.js's warm CPU, times ours",
        target: "at least 6",
        of_webhooks: true,
        measured: |weights| Some(weights.get(2)?.warm_cpu_ms / weights.first()?.warm_cpu_ms),
    },
    FigureTarget {
        what: "first call at 128 MB, ms",
        target: "at most 20",
        of_webhooks: false,
        measured: |weights| weights.first()?.first_at_share_ms,
    },
    FigureTarget {
        what: "memory, MiB",
        target: "at most 10",
        of_webhooks: false,
        measured: |weights| Some(weights.first()?.memory_mib),
    },
    FigureTarget {
        what: "zip, MB",
        target: "at most 3.5",
        of_webhooks: false,
        measured: |weights| weights.first()?.zip_mb,
    },
];

fn targets(measured: &[(&str, Vec<Weight>)]) -> String {
    let names: Vec<String> = measured
        .iter()
        .map(|(name, _)| format!("`{name}`"))
        .collect();
    let mut text = format!("| figure | target | {} |\n|---|---|", names.join(" | "));
    text.push_str(&"---|".repeat(names.len()));
    text.push('\n');
    for target in &TARGETS {
        let cells = measured.iter().map(|(name, weights)| {
            let is_webhook = matches!(*name, "incoming-messages" | "delivery-reports");
            let value = (target.measured)(weights).filter(|_| is_webhook || !target.of_webhooks);
            value.map_or_else(String::new, |value| format!("{value:.1}"))
        });
        let cells: Vec<String> = cells.collect();
        // Writing into a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} |",
            target.what,
            target.target,
            cells.join(" | ")
        );
    }
    text
}

async fn through(programs: &Path) -> anyhow::Result<String> {
    let webhooks = throughput::webhooks(programs, 2, 520, Duration::from_secs(20)).await?;
    let most = throughput::webhooks_at_most(programs, 2, 10_000).await?;
    let (reply, reply_p99) = throughput::auto_reply(programs, 100).await?;
    let drain = throughput::drain(programs, 0, 2_000).await?;
    let mixed = throughput::drain(programs, 1_000, 1_000).await?;
    let [early, late, rate] = throughput::backlog(programs, BACKLOG).await?;
    let times = drain.sent_a_minute / MEDICS_OWN_A_MINUTE;
    let rows = [
        (
            "callbacks, two processes of each webhook, 520 a second offered",
            "500 a second, p99 under 5 ms",
            format!(
                "{:.0} a second, p50 {:.1} ms, p99 {:.1} ms with the queue's answer, {:.2} ms of CPU each",
                webhooks.rate, webhooks.p50_ms, webhooks.p99_ms, webhooks.cpu_ms
            ),
        ),
        (
            "callbacks, two processes of one webhook, as fast as they go",
            "",
            format!("{most:.0} a second"),
        ),
        (
            "from a callback to the reply's request to Africa's Talking, everybody else answering at once",
            "under 50 ms",
            format!("{reply:.0} ms, p99 {reply_p99:.0} ms"),
        ),
        (
            "2,000 outgoing messages, Africa's Talking after 300 ms, Medic after 150 ms",
            "40 times Medic's own 25 a minute",
            format!(
                "{:.0} a minute, {times:.0} times; all reported as delivered after {:.0} s",
                drain.sent_a_minute, drain.reported_after_s
            ),
        ),
        (
            "requests to Medic for 1,000 in and 1,000 out with their statuses",
            "at most 250, one in flight",
            format!("{}, {} in flight", mixed.posts, mixed.in_flight),
        ),
        (
            "a backlog of 100,000 incoming messages",
            "constant memory",
            format!(
                "{early:.1} MiB after a tenth, {late:.1} MiB after all, {rate:.0} a second with a Medic that answers at once"
            ),
        ),
    ];
    let mut text = String::from("| through-put | target | measured |\n|---|---|---|\n");
    for (what, target, measured) in rows {
        let _ = writeln!(text, "| {what} | {target} | {measured} |");
    }
    Ok(text)
}

async fn costs(programs: &Path) -> anyhow::Result<String> {
    let costs = cost::measure(programs, SAMPLE, cost::manners()).await?;
    let mut text = String::from(
        "| AWS, USD | target | measured | the two dearest items |\n|---|---|---|---|\n",
    );
    let targets = ["0.50", "0.50", "2.80", "2.40", "3.60"];
    for ((title, usage, times), target) in costs.titled().into_iter().zip(targets) {
        let total = prices::total(usage) * times;
        let dearest: Vec<String> = prices::dearest(usage)
            .into_iter()
            .take(2)
            .map(|(item, usd)| format!("{item}: {:.2}", usd * times))
            .collect();
        let _ = writeln!(
            text,
            "| {title} | at most {target} | {total:.3} | {} |",
            dearest.join("; ")
        );
    }
    let _ = writeln!(
        text,
        "\nPrices of {}; Africa's Talking's own apart. After AWS's always-free amounts, the month without any costs an \
         account that has nothing else {:.2}.",
        prices::AS_OF,
        prices::total_after_free_amounts(&costs.idle_month)
    );
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_figures_of_a_readme_change() {
        let readme = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let new = with_figures(&readme, "new").unwrap();
        assert_eq!(new, format!("a\n{BEGIN}\n\nnew\n{END}\nb\n"));
        assert!(with_figures("a", "new").is_err());
    }

    #[test]
    fn the_readme_has_a_place_for_them() {
        let readme = std::fs::read_to_string(repository().join(FILE)).unwrap();
        assert!(with_figures(&readme, "new").is_ok());
    }
}
