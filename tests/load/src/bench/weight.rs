//! Cold start, first call, warm call, memory and package of each function, beside the floor and
//! Node.js: one after another in turns, so that whatever else the machine does hits all alike.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use sandbox::stack::FUNCTIONS;
use sandbox::tools::repository;
use serde_json::json;

use super::events::{event, median, succeeded};
use super::size::megabytes;
use crate::aws::{InMemoryAws, RecordedCall};
use crate::lambda::programs::Environments;
use crate::lambda::runtime::RunningFunction;
use crate::peers::Node;
use crate::process::{Share, cpu_time_at_rest, peak_memory};
use crate::serving::{self, Identity, Served};

/// Who is measured.
#[derive(Clone, Debug)]
pub enum Subject {
    /// The function itself: the folder of the five programs.
    Ours(PathBuf),
    /// The same calls, by hand.
    Floor(PathBuf),
    /// The same in Node.js.
    Node(Node),
}

/// The measurements of one program: medians.
#[derive(Clone, Debug, Default)]
pub struct Weight {
    /// From its start until it asks for the first event, in milliseconds.
    pub init_ms: f64,
    /// The first call, in milliseconds.
    pub first_ms: f64,
    /// CPU time of both, in milliseconds.
    pub cold_cpu_ms: f64,
    /// A later call, in milliseconds.
    pub warm_ms: f64,
    /// CPU time of a later call, in milliseconds.
    pub warm_cpu_ms: f64,
    /// The most memory, in MiB.
    pub memory_mib: f64,
    /// The first call at the share of 128 MB, in milliseconds; nothing where no cgroup can be made.
    pub first_at_share_ms: Option<f64>,
    /// The program, zipped, in MB.
    pub zip_mb: Option<f64>,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Cold starts of each.
    pub cold_starts: u64,
    /// Calls after a cold start.
    pub warm_calls: u64,
    /// Whether over HTTPS, as on AWS.
    pub tls: bool,
}

/// The world of one function.
struct Bench {
    aws: Arc<InMemoryAws>,
    environments: Environments,
    _server: Served,
    next: u64,
}

impl Bench {
    async fn new(identity: Option<&Identity>) -> anyhow::Result<Self> {
        let aws = InMemoryAws::new(Duration::ZERO);
        let server = match identity {
            Some(identity) => serving::tls(aws.routes(), identity).await?,
            None => serving::plain(aws.routes()).await?,
        };
        let scheme = if identity.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}", server.address);
        let environments = Environments {
            aws: url.clone(),
            medic: url.clone(),
            africas_talking: url,
            authority: identity.map(Identity::authority),
        };
        Ok(Self {
            aws,
            environments,
            _server: server,
            next: 1,
        })
    }

    async fn start(
        &self,
        function: &str,
        subject: &Subject,
    ) -> anyhow::Result<(RunningFunction, u32)> {
        let mut started = RunningFunction::new(function, Arc::clone(&self.aws.meter)).await?;
        let mut environment = self.environments.environment(function);
        let (program, arguments) = match subject {
            Subject::Ours(folder) => (folder.join(function), Vec::new()),
            Subject::Floor(program) => {
                let plan = plan_file(function).display().to_string();
                environment.push(("FLOOR_PLAN".to_owned(), plan));
                (program.clone(), Vec::new())
            }
            Subject::Node(node) => (
                node.program.clone(),
                vec![node.script.display().to_string()],
            ),
        };
        let pid = started.start(&program, &arguments, &environment).await?;
        Ok((started, pid))
    }

    async fn call(&mut self, function: &str, started: &RunningFunction) -> anyhow::Result<f64> {
        let before = started.times_asked();
        let ended = started
            .invoke(event(&self.aws, function, self.next)?)
            .await?;
        self.next += 1;
        let answer = ended
            .answer
            .map_err(|error| anyhow::anyhow!("{function} failed: {error}"))?;
        succeeded(&answer)
            .with_context(|| format!("{function} logged last: {}", started.last_log()))?;
        started.asked(before + 1).await;
        Ok(ended.took.as_secs_f64() * 1000.0)
    }
}

fn plan_file(function: &str) -> PathBuf {
    repository()
        .join("target/load")
        .join(format!("{function}.plan.json"))
}

/// The requests of a cold start and its first call, written down for the floor.
async fn write_plan(
    function: &str,
    ours: &Subject,
    bench: &mut Bench,
) -> anyhow::Result<(usize, usize)> {
    bench.aws.record();
    let (started, _) = bench.start(function, ours).await?;
    let init = bench.aws.recorded();
    bench.call(function, &started).await?;
    let all = bench.aws.recorded();
    let calls = |calls: &[RecordedCall]| {
        calls
            .iter()
            .map(|call| {
                json!({
                    "service": call.service, "target": call.target,
                    "body": call.body, "content_type": call.content_type,
                })
            })
            .collect::<Vec<_>>()
    };
    let (before, each) = all
        .split_at_checked(init.len())
        .context("calls were forgotten")?;
    let plan = json!({ "init": calls(before), "invoke": calls(each) });
    std::fs::create_dir_all(repository().join("target/load"))?;
    std::fs::write(plan_file(function), plan.to_string())?;
    Ok((before.len(), each.len()))
}

/// Measures one function: ours, and each peer.
///
/// # Errors
/// When a program does not do what it should.
pub async fn function(
    function: &str,
    subjects: &[Subject],
    effort: Effort,
    identity: Option<&Identity>,
) -> anyhow::Result<Vec<Weight>> {
    let mut bench = Bench::new(identity).await?;
    let ours = subjects.first().context("nobody to measure")?;
    if function == "report-recorder" {
        prepare_ledger(&mut bench, ours, subjects, effort).await?;
    }
    write_plan(function, ours, &mut bench).await?;
    let mut samples = vec![Samples::default(); subjects.len()];
    for _ in 0..effort.cold_starts {
        for (subject, samples) in subjects.iter().zip(&mut samples) {
            samples.cold(function, subject, &mut bench).await?;
        }
    }
    for (subject, samples) in subjects.iter().zip(&mut samples) {
        samples
            .warm(function, subject, &mut bench, effort.warm_calls)
            .await?;
    }
    subjects
        .iter()
        .zip(samples)
        .map(|(subject, samples)| samples.weight(subject, function))
        .collect()
}

/// The recorder's reports are on SMS that the sender has sent.
async fn prepare_ledger(
    bench: &mut Bench,
    ours: &Subject,
    subjects: &[Subject],
    effort: Effort,
) -> anyhow::Result<()> {
    let (sender, _) = bench.start("outbound-sender", ours).await?;
    let peers = u64::try_from(subjects.len())?;
    let events = 1 + peers * (2 * effort.cold_starts + effort.warm_calls + 1);
    for _ in 0..events {
        bench.call("outbound-sender", &sender).await?;
    }
    bench.next = 1;
    Ok(())
}

#[derive(Clone, Debug, Default)]
struct Samples {
    init: Vec<f64>,
    first: Vec<f64>,
    cold_cpu: Vec<f64>,
    memory: Vec<f64>,
    first_at_share: Vec<f64>,
    warm: Vec<f64>,
    warm_cpu: Option<f64>,
}

/// Calls before the warm ones are measured: Node.js compiles what it runs often.
const WARM_UP_CALLS: u64 = 20;

impl Samples {
    async fn cold(
        &mut self,
        function: &str,
        subject: &Subject,
        bench: &mut Bench,
    ) -> anyhow::Result<()> {
        let begin = Instant::now();
        let (mut started, pid) = bench.start(function, subject).await?;
        self.init.push(begin.elapsed().as_secs_f64() * 1000.0);
        self.first.push(bench.call(function, &started).await?);
        self.cold_cpu
            .push(cpu_time_at_rest(pid).await?.as_secs_f64() * 1000.0);
        started.stop().await?;
        if let Ok(share) = Share::of_128_mb() {
            let (mut started, pid) = bench.start(function, subject).await?;
            cpu_time_at_rest(pid).await?;
            share.confine(pid)?;
            self.first_at_share
                .push(bench.call(function, &started).await?);
            started.stop().await?;
        }
        Ok(())
    }

    async fn warm(
        &mut self,
        function: &str,
        subject: &Subject,
        bench: &mut Bench,
        calls: u64,
    ) -> anyhow::Result<()> {
        let (mut started, pid) = bench.start(function, subject).await?;
        let calls = calls.saturating_sub(WARM_UP_CALLS).max(1);
        for _ in 0..WARM_UP_CALLS {
            bench.call(function, &started).await?;
        }
        let before = cpu_time_at_rest(pid).await?;
        for _ in 0..calls {
            self.warm.push(bench.call(function, &started).await?);
        }
        let used = cpu_time_at_rest(pid).await?.saturating_sub(before);
        self.warm_cpu = Some(used.as_secs_f64() * 1000.0 / f64::from(u32::try_from(calls)?));
        let bytes = u32::try_from(peak_memory(pid)? / 1024)?;
        self.memory.push(f64::from(bytes) / 1024.0);
        started.stop().await
    }

    fn weight(self, subject: &Subject, function: &str) -> anyhow::Result<Weight> {
        let zip_mb = match subject {
            Subject::Ours(folder) => Some(megabytes(&folder.join(function))?),
            Subject::Floor(program) => Some(megabytes(program)?),
            Subject::Node(_) => None,
        };
        Ok(Weight {
            init_ms: median(self.init),
            first_ms: median(self.first),
            cold_cpu_ms: median(self.cold_cpu),
            warm_ms: median(self.warm),
            warm_cpu_ms: self.warm_cpu.unwrap_or(f64::NAN),
            memory_mib: median(self.memory),
            first_at_share_ms: (!self.first_at_share.is_empty())
                .then(|| median(self.first_at_share)),
            zip_mb,
        })
    }
}

/// Measures all five.
///
/// # Errors
/// When a program does not do what it should.
pub async fn all(
    subjects: &[Subject],
    effort: Effort,
) -> anyhow::Result<Vec<(&'static str, Vec<Weight>)>> {
    let identity = match effort.tls {
        true => Some(Identity::make()?),
        false => None,
    };
    let mut measured = Vec::new();
    for name in FUNCTIONS {
        measured.push((
            name,
            function(name, subjects, effort, identity.as_ref()).await?,
        ));
    }
    Ok(measured)
}
