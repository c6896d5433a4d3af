//! The cost of AWS: the use of each service counted while the real programs work, times the list
//! prices.
//!
//! A message that comes alone costs most, for everything is then done for it alone; in a campaign
//! batches are shared. Both are measured: the one with one invocation at a time, the other with as
//! many side by side as the template allows. The usage of an idle minute is counted by itself and taken
//! off, so that it is in the idle month only.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use sandbox::africastalking::AfricasTalkingFault;
use sandbox::faults::Scope;
use sandbox::medic::MessageState;
use sandbox::tools::repository;

use crate::bench::events::{incoming_form, median, number};
use crate::local::{Local, Manners};
use crate::meter::{AwsCharge, Usage, add};
use crate::prices;

/// The polls of a month of thirty days.
const POLLS_A_MONTH: f64 = 30.0 * 24.0 * 60.0;

/// Lambda's pollers of a queue that is idle, each of which asks every twenty seconds. AWS says that
/// it begins with five for each mapping.
const POLLERS: f64 = 5.0;
const POLLER_REQUESTS_A_MONTH: f64 = POLLERS * 3.0 * POLLS_A_MONTH;

/// The credentials are read again after five minutes.
const SECRET_CALLS_A_MONTH: f64 = POLLS_A_MONTH / 5.0;

/// The ledger is asked after each poll what Medic has not been told: half a read unit.
const BACKLOG_READS_A_MONTH: f64 = POLLS_A_MONTH / 2.0;

/// With each poll, two queues are asked how many messages they have. Once a minute at the most, so that
/// the polls that are counted, which follow each other at once, have none.
const DEPTH_CHECKS_A_MONTH: f64 = 2.0 * POLLS_A_MONTH;

/// So many polls are counted for an idle month.
const POLLS_COUNTED: u32 = 11;

/// How long it may take until everything is done.
const TIME_LIMIT: Duration = Duration::from_secs(600);

/// The three reports of an SMS.
const REPORTS: [&str; 3] = ["Sent", "Submitted", "Success"];

/// How others answer while this is measured: AWS as it usually does within a region, Medic as seen,
/// Africa's Talking as seen.
#[must_use]
pub fn manners() -> Manners {
    Manners {
        aws: Duration::from_millis(8),
        medic: Duration::from_millis(50),
        medic_per_message: Duration::from_millis(100),
        africas_talking: Duration::from_millis(300),
    }
}

/// The usage for one SMS in and one out, alone and in a campaign, and in an idle month.
#[derive(Clone, Debug)]
pub struct Costs {
    /// For an SMS in that comes alone.
    pub incoming_alone: Usage,
    /// For one of many that come at once.
    pub incoming_in_a_crowd: Usage,
    /// For an SMS out, with three reports, each alone.
    pub outgoing_alone: Usage,
    /// For one of a campaign.
    pub outgoing_in_a_campaign: Usage,
    /// For a month in which nothing happens.
    pub idle_month: Usage,
}

/// How many messages are counted.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// One after the other.
    pub alone: u32,
    /// At once.
    pub crowd: u32,
}

/// Counts, with the programs in this folder.
///
/// # Errors
/// When a message does not get to where it belongs.
pub async fn measure(programs: &Path, sample: Sample, manners: Manners) -> anyhow::Result<Costs> {
    let mut counter = Counter::start(programs, manners).await?;
    let [incoming_alone, outgoing_alone] = counter.alone(sample.alone).await?;
    counter.local.go_on();
    let incoming_in_a_crowd = counter.incoming(sample.crowd).await?;
    let outgoing_in_a_campaign = counter.outgoing(sample.crowd).await?;
    Ok(Costs {
        incoming_alone,
        incoming_in_a_crowd,
        outgoing_alone,
        outgoing_in_a_campaign,
        idle_month: idle_month(&counter.idle)?,
    })
}

/// The usage for an SMS in and for one out that come alone, each the average of so many.
///
/// # Errors
/// When a message does not get to where it belongs.
pub async fn measure_alone(
    programs: &Path,
    count: u32,
    manners: Manners,
) -> anyhow::Result<[Usage; 2]> {
    Counter::start(programs, manners).await?.alone(count).await
}

/// The usage of work that is done so many times, for one time.
async fn counted(
    local: &mut Local,
    times: u32,
    work: impl AsyncFnOnce(&mut Local) -> anyhow::Result<()>,
) -> anyhow::Result<Usage> {
    local.usage(&local.cpu_times()?)?;
    let (cpu, kept) = (local.cpu_times()?, local.aws.ledger_byte_months());
    work(local).await?;
    let mut usage = Usage::new();
    add(&mut usage, &local.usage(&cpu)?, 1.0 / f64::from(times));
    let grown = (local.aws.ledger_byte_months() - kept) / f64::from(times);
    usage.insert((AwsCharge::LedgerByteMonth, "ledger".to_owned()), grown);
    Ok(usage)
}

/// The typical usage: the median of each item. Work that a process does when it begins, every half minute
/// or every hour falls on a few of many, more of them on a slow machine, and is in none of the medians.
fn usual(usages: &[Usage]) -> Usage {
    let items: BTreeSet<_> = usages.iter().flat_map(Usage::keys).collect();
    let amounts = |item| usages.iter().map(move |usage| usage.get(item));
    items
        .into_iter()
        .map(|item| {
            let amounts = amounts(item).map(|amount| amount.copied().unwrap_or_default());
            (item.clone(), median(amounts.collect()))
        })
        .collect()
}

async fn poll(local: &mut Local) -> anyhow::Result<()> {
    local.poll()?;
    local.rest(TIME_LIMIT).await
}

struct Counter {
    local: Local,
    idle: Usage,
    incoming: u32,
    outgoing: u32,
}

impl Counter {
    /// Starts everything, with one invocation at a time.
    async fn start(programs: &Path, manners: Manners) -> anyhow::Result<Self> {
        let mut local = Local::start(programs, manners).await?;
        local.pause();
        local
            .africas_talking
            .fault(AfricasTalkingFault::ReportsNone, Scope::UntilCleared)
            .await;
        let mut polls = Vec::new();
        for _ in 0..POLLS_COUNTED {
            polls.push(counted(&mut local, 1, poll).await?);
        }
        Ok(Self {
            local,
            idle: usual(&polls),
            incoming: 0,
            outgoing: 0,
        })
    }

    /// For an SMS in and for one out: each of so many is begun when the one before it is at its end.
    async fn alone(&mut self, count: u32) -> anyhow::Result<[Usage; 2]> {
        let (mut incoming, mut outgoing) = (Vec::new(), Vec::new());
        for _ in 0..count {
            incoming.push(self.incoming(1).await?);
            outgoing.push(self.outgoing(1).await?);
        }
        Ok([usual(&incoming), usual(&outgoing)])
    }

    /// For one of so many SMS that come in together.
    async fn incoming(&mut self, count: u32) -> anyhow::Result<Usage> {
        let first = self.incoming;
        self.incoming += count;
        let stored = self.local.medic.stored_count();
        let usage = counted(&mut self.local, count, async |local| {
            let client = sandbox::http::client(TIME_LIMIT)?;
            let [url, _] = local.callback_urls();
            for n in first..first + count {
                let request = client
                    .post(&url)
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(incoming_form(n.into()));
                ensure!(
                    request.send().await?.status().is_success(),
                    "a callback was refused"
                );
            }
            local.rest(TIME_LIMIT).await
        })
        .await?;
        let stored = self.local.medic.stored_count() - stored;
        ensure!(
            stored == usize::try_from(count)?,
            "{stored} of {count} were stored"
        );
        Ok(usage)
    }

    /// For one of so many SMS that Medic wants sent together.
    async fn outgoing(&mut self, count: u32) -> anyhow::Result<Usage> {
        let first = self.outgoing;
        self.outgoing += count;
        let mut polled = 0;
        let mut usage = counted(&mut self.local, count, async |local| {
            polled = outgoing_to_the_end(local, first, count).await?;
            Ok(())
        })
        .await?;
        // The minute's polls are in the idle month already.
        add(
            &mut usage,
            &self.idle,
            -f64::from(polled) / f64::from(count),
        );
        Ok(usage)
    }
}

/// Has messages sent and reported on until Medic knows that they are delivered; how often it was
/// polled for that.
async fn outgoing_to_the_end(local: &mut Local, first: u32, count: u32) -> anyhow::Result<u32> {
    let mut ids = Vec::new();
    for n in first..first + count {
        let text = format!("Please come to the clinic, your number is {n}");
        ids.push(local.medic.queue(&number(u64::from(n)), &text)?);
    }
    let accepted = local.africas_talking.accepted().len();
    let mut polled = 1;
    poll(local).await?;
    let sent: Vec<String> = local
        .africas_talking
        .accepted()
        .iter()
        .skip(accepted)
        .map(|sms| sms.id.clone())
        .collect();
    ensure!(
        sent.len() == ids.len(),
        "{} of {} were sent",
        sent.len(),
        ids.len()
    );
    for status in REPORTS {
        // The next minute's poll tells what has come about since the last.
        poll(local).await?;
        polled += 1;
        for id in &sent {
            local.africas_talking.report(id, status, None).await;
        }
        local.rest(TIME_LIMIT).await?;
    }
    poll(local).await?;
    polled += 1;
    for id in ids {
        let state = local.medic.state_of(&id);
        ensure!(
            state == Some(MessageState::Delivered),
            "a message ended as {state:?}"
        );
    }
    Ok(polled)
}

fn idle_month(poll: &Usage) -> anyhow::Result<Usage> {
    let mut month = Usage::new();
    add(&mut month, poll, POLLS_A_MONTH);
    let template = std::fs::read_to_string(repository().join("infra/template.yaml"))?;
    let resources = |kind: &str| {
        let lines = template
            .lines()
            .filter(|line| line.trim() == format!("Type: {kind}"));
        u32::try_from(lines.count())
            .map(f64::from)
            .context("too many")
    };
    let mut count = |charge, what: &str, amount| month.insert((charge, what.to_owned()), amount);
    count(
        AwsCharge::AlarmMonth,
        "alarms",
        resources("AWS::CloudWatch::Alarm")?,
    );
    count(
        AwsCharge::SecretMonth,
        "secrets",
        resources("AWS::SecretsManager::Secret")?,
    );
    count(
        AwsCharge::SecretCall,
        "medic-exchange: its credentials, every five minutes",
        SECRET_CALLS_A_MONTH,
    );
    count(
        AwsCharge::ReadUnit,
        "medic-exchange: its looks at the backlog",
        BACKLOG_READS_A_MONTH,
    );
    count(
        AwsCharge::StandardQueueRequest,
        "medic-exchange: its checks of the queues",
        DEPTH_CHECKS_A_MONTH,
    );
    count(
        AwsCharge::FifoQueueRequest,
        "mapping: idle pollers",
        POLLER_REQUESTS_A_MONTH,
    );
    count(
        AwsCharge::StandardQueueRequest,
        "mappings: idle pollers",
        2.0 * POLLER_REQUESTS_A_MONTH,
    );
    Ok(month)
}

impl Costs {
    /// Each usage with its title, and how many times it is to be counted.
    pub(crate) fn titled(&self) -> [(&'static str, &Usage, f64); 5] {
        [
            ("100,000 SMS in, each alone", &self.incoming_alone, 1e5),
            (
                "100,000 SMS in, many at once",
                &self.incoming_in_a_crowd,
                1e5,
            ),
            (
                "100,000 SMS out, three reports each, each alone",
                &self.outgoing_alone,
                1e5,
            ),
            (
                "100,000 SMS out, three reports each, in campaigns",
                &self.outgoing_in_a_campaign,
                1e5,
            ),
            ("A month without any", &self.idle_month, 1.0),
        ]
    }
}

/// A table for people.
#[must_use]
pub fn table(costs: &Costs) -> String {
    let mut text = format!("Prices: {}\n", prices::AS_OF);
    for (title, usage, times) in costs.titled() {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "\n{title}: {:.2} USD", prices::total(usage) * times);
        for (item, usd) in prices::dearest(usage) {
            let _ = writeln!(text, "  {:>6.3}  {item}", usd * times);
        }
    }
    let after = prices::total_after_free_amounts(&costs.idle_month);
    let _ = writeln!(
        text,
        "\nSuch a month of an account that has nothing else, after AWS's always-free amounts: {after:.2} USD"
    );
    text
}

/// Every single item, for who wants to know where it goes.
#[must_use]
pub fn all_items(costs: &Costs) -> String {
    let mut text = String::from("USD, how many for one (or for the month), what");
    for (title, usage, times) in costs.titled() {
        let _ = write!(text, "\n{title}\n{}", items(usage, times));
    }
    text
}

fn items(usage: &Usage, times: f64) -> String {
    let mut items: Vec<_> = usage.iter().collect();
    items.sort_by(|((a, _), x), ((b, _), y)| {
        (*y * prices::price(*b)).total_cmp(&(*x * prices::price(*a)))
    });
    let mut text = String::new();
    for ((charge, what), amount) in items {
        let usd = amount * prices::price(*charge) * times;
        let _ = writeln!(text, "  {usd:>7.4}  {amount:>9.3}  {charge:?}  {what}");
    }
    text
}
