//! The whole bridge on this machine, fast: the five programs, a Lambda and an AWS of this crate's
//! own, and the sandbox's stand-ins for Medic and Africa's Talking.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use sandbox::africastalking::{AfricasTalkingConfig, AfricasTalkingStandIn};
use sandbox::medic::{MedicConfig, MedicStandIn};
use serde_json::json;

use crate::aws::{INCOMING_KEY, InMemoryAws};
use crate::lambda::front::{self, INCOMING_PATH, REPORTS_PATH};
use crate::lambda::mapping::{self, Mapping};
use crate::lambda::programs::Environments;
use crate::lambda::runtime::RunningFunction;
use crate::meter::{AwsCharge, Usage};
use crate::serving::{self, Served};

/// How soon it is looked again whether something has come about.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// How everything outside answers.
#[derive(Clone, Debug, Default)]
pub struct Manners {
    /// How long a call to AWS takes.
    pub aws: Duration,
    /// How long Medic works on a POST.
    pub medic: Duration,
    /// How long Medic works on each new message.
    pub medic_per_message: Duration,
    /// How long Africa's Talking takes to answer.
    pub africas_talking: Duration,
}

/// The bridge, deployed on this machine. Dropping it ends it.
pub struct Local {
    /// AWS.
    pub aws: Arc<InMemoryAws>,
    /// Medic.
    pub medic: MedicStandIn,
    /// Africa's Talking.
    pub africas_talking: AfricasTalkingStandIn,
    /// The functions, in the order of [`sandbox::stack::FUNCTIONS`].
    pub functions: Vec<Arc<RunningFunction>>,
    mappings: Vec<Mapping>,
    front: Served,
    _aws_server: Served,
    polls: u64,
}

/// Each function, how many processes it has side by side, and the queue that wakes it: as many as
/// the template lets its mapping have.
const DEPLOYED: [(&str, usize, Option<&str>); 5] = [
    ("incoming-messages", 2, None),
    ("delivery-reports", 2, None),
    ("report-recorder", 2, Some("reports")),
    ("outbound-sender", 3, Some("outbox")),
    ("medic-exchange", 1, Some("exchange.fifo")),
];

impl Local {
    /// Starts it, with the programs in this folder.
    ///
    /// # Errors
    /// When something cannot be started.
    pub async fn start(programs: &Path, manners: Manners) -> anyhow::Result<Self> {
        let aws = InMemoryAws::new(manners.aws);
        let aws_server = serving::plain(aws.routes()).await?;
        let medic = MedicStandIn::start(MedicConfig {
            work_per_post: manners.medic,
            work_per_message: manners.medic_per_message,
            ..MedicConfig::default()
        })
        .await?;
        let africas_talking = AfricasTalkingStandIn::start(AfricasTalkingConfig {
            answer_delay: manners.africas_talking,
            balance_ten_thousandths: i64::MAX / 2,
            ..AfricasTalkingConfig::default()
        })
        .await?;
        let environments = Environments {
            aws: format!("http://{}", aws_server.address),
            medic: medic.url(),
            africas_talking: africas_talking.url(),
            authority: None,
        };
        let mut functions = Vec::new();
        for (name, processes, _) in DEPLOYED {
            let mut function = RunningFunction::new(name, Arc::clone(&aws.meter)).await?;
            let environment = environments.environment(name);
            for _ in 0..processes {
                function
                    .start(&programs.join(name), &[], &environment)
                    .await?;
            }
            functions.push(Arc::new(function));
        }
        let [incoming, reports, ..] = functions.as_slice() else {
            bail!("there are five functions");
        };
        let front = front::routes(Arc::clone(incoming), Arc::clone(reports), &aws.meter);
        let front = serving::plain(front).await?;
        let mut local = Self {
            aws,
            medic,
            africas_talking,
            functions,
            mappings: Vec::new(),
            front,
            _aws_server: aws_server,
            polls: 0,
        };
        let [incoming, reports] = local.callback_urls();
        local.africas_talking.set_callbacks(incoming, reports);
        local.go_on();
        Ok(local)
    }

    /// The two callback URLs, keys included: incoming messages, delivery reports.
    #[must_use]
    pub fn callback_urls(&self) -> [String; 2] {
        [INCOMING_PATH, REPORTS_PATH]
            .map(|path| format!("http://{}{path}?key={INCOMING_KEY}", self.front.address))
    }

    /// From now on no queue is worked off but in [`Self::rest`], one batch after the other.
    pub fn pause(&mut self) {
        self.mappings.clear();
    }

    /// From now on queues are worked off, side by side.
    pub fn go_on(&mut self) {
        self.mappings = self
            .woken_by_queues()
            .map(|(function, batches, queue)| Mapping::start(&self.aws, queue, function, batches))
            .collect();
    }

    /// Each function that a queue wakes, with how many batches at a time, and by which queue.
    fn woken_by_queues(
        &self,
    ) -> impl Iterator<Item = (&Arc<RunningFunction>, usize, &'static str)> {
        let functions = DEPLOYED.iter().zip(&self.functions);
        functions
            .filter_map(|((_, batches, queue), function)| Some((function, *batches, (*queue)?)))
    }

    /// A function.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn function(&self, name: &str) -> anyhow::Result<&Arc<RunningFunction>> {
        let place = DEPLOYED.iter().position(|(function, ..)| *function == name);
        place
            .and_then(|place| self.functions.get(place))
            .context("no such function")
    }

    /// The minute's poll.
    ///
    /// # Errors
    /// When the queue does not take it.
    pub fn poll(&mut self) -> anyhow::Result<()> {
        self.polls += 1;
        let body = json!({ "v": 1, "kind": "poll", "id": self.polls.to_string() }).to_string();
        self.aws.send("exchange.fifo", &body)?;
        self.aws
            .meter
            .add(AwsCharge::ScheduledPoll, "schedule", 1.0);
        self.aws.meter.add(
            AwsCharge::FifoQueueRequest,
            "schedule: send exchange.fifo",
            1.0,
        );
        Ok(())
    }

    /// Waits until nothing is under way any more. While nobody else works off the queues, it does: one
    /// batch at a time, always of the first queue that has one, so that no two invocations meet and
    /// the same happens on a slow machine as on a fast one.
    ///
    /// # Errors
    /// When it does not come about in time.
    pub async fn rest(&self, time_limit: Duration) -> anyhow::Result<()> {
        let at_rest = self.until("the queues are empty", time_limit, |local| {
            let mut queues = local.woken_by_queues();
            queues.all(|(_, _, queue)| local.aws.depth(queue).0 == 0)
        });
        if self.mappings.is_empty() {
            tokio::select! {
                at_rest = at_rest => at_rest,
                never = self.work_off() => match never {},
            }
        } else {
            at_rest.await
        }
    }

    async fn work_off(&self) -> Infallible {
        let mapping = mapping::alone();
        loop {
            let mut worked = false;
            for (function, _, queue) in self.woken_by_queues() {
                worked = mapping::one_batch(&self.aws, queue, function, &mapping).await;
                if worked {
                    break;
                }
            }
            if !worked {
                tokio::time::sleep(mapping::CHECK_INTERVAL).await;
            }
        }
    }

    /// Waits for something.
    ///
    /// # Errors
    /// When it does not come about in time.
    pub async fn until(
        &self,
        what: &str,
        time_limit: Duration,
        condition: impl Fn(&Self) -> bool,
    ) -> anyhow::Result<()> {
        let waiting = async {
            while !condition(self) {
                tokio::time::sleep(CHECK_INTERVAL).await;
            }
        };
        let waited = tokio::time::timeout(time_limit, waiting).await;
        waited.with_context(|| {
            let depths = ["exchange.fifo", "outbox", "reports"].map(|queue| self.aws.depth(queue));
            let logs: Vec<String> = self
                .functions
                .iter()
                .map(|function| function.last_log())
                .collect();
            format!("it did not come about that {what}; queues {depths:?}; logged last: {logs:#?}")
        })
    }

    /// The usage since the last call, including the time by which 128 MB's share of a CPU makes the
    /// invocations longer.
    ///
    /// # Errors
    /// When a function has ended.
    pub fn usage(&self, cpu_before: &[Duration]) -> anyhow::Result<Usage> {
        for (function, before) in self.functions.iter().zip(cpu_before) {
            function.count_throttling(function.cpu_time()?.saturating_sub(*before));
        }
        Ok(self.aws.meter.take())
    }

    /// The CPU time of each function until now.
    ///
    /// # Errors
    /// When a function has ended.
    pub fn cpu_times(&self) -> anyhow::Result<Vec<Duration>> {
        self.functions
            .iter()
            .map(|function| function.cpu_time())
            .collect()
    }
}
