//! How much gets through, and how fast.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::future::join_all;
use sandbox::africastalking::AfricasTalkingFault;
use sandbox::faults::Scope;
use sandbox::medic::MessageState;
use serde_json::json;
use tokio::sync::Semaphore;

use super::events::{event, incoming_form, number};
use crate::aws::{InMemoryAws, now_ms};
use crate::lambda::programs::Environments;
use crate::lambda::runtime::RunningFunction;
use crate::latency::{histogram, milliseconds};
use crate::local::{Local, Manners};
use crate::process::peak_memory;
use crate::serving;

/// How long a measurement may take.
const TIME_LIMIT: Duration = Duration::from_secs(900);

/// How many SMS Medic's own integration sends in a minute.
pub const MEDICS_OWN_A_MINUTE: f64 = 25.0;

/// Callbacks at a rate.
#[derive(Clone, Copy, Debug)]
pub struct Webhooks {
    /// As many as came in a second.
    pub rate: f64,
    /// Half of them took no longer, the queue's answer included, in milliseconds.
    pub p50_ms: f64,
    /// Nearly all took no longer, the queue's answer included, in milliseconds.
    pub p99_ms: f64,
    /// CPU time of a call, in milliseconds.
    pub cpu_ms: f64,
}

/// Callbacks of both kinds at a rate, one event at a time in each of so many processes, as on AWS.
///
/// # Errors
/// When one is not answered with 200.
pub async fn webhooks(
    programs: &Path,
    processes: usize,
    rate: u32,
    time: Duration,
) -> anyhow::Result<Webhooks> {
    let aws = InMemoryAws::new(Duration::ZERO);
    let server = serving::plain(aws.routes()).await?;
    let environments = Environments::all_at(&format!("http://{}", server.address));
    let mut functions = Vec::new();
    for name in ["incoming-messages", "delivery-reports"] {
        let mut function = RunningFunction::new(name, Arc::clone(&aws.meter)).await?;
        for _ in 0..processes {
            function
                .start(&programs.join(name), &[], &environments.environment(name))
                .await?;
        }
        functions.push((name, Arc::new(function)));
    }
    let cpu = |functions: &[(&str, Arc<RunningFunction>)]| {
        functions
            .iter()
            .map(|(_, function)| function.cpu_time())
            .sum::<anyhow::Result<Duration>>()
    };
    let before = cpu(&functions)?;
    let begin = Instant::now();
    let count = rate * u32::try_from(time.as_secs())?;
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let mut calls = Vec::new();
    for n in 0..count {
        ticks.tick().await;
        let (name, function) = functions
            .get(usize::try_from(n % 2)?)
            .context("two functions")?;
        let (event, function) = (event(&aws, name, u64::from(n))?, Arc::clone(function));
        calls.push(tokio::spawn(async move { function.invoke(event).await }));
    }
    let mut took = Vec::new();
    for ended in join_all(calls).await {
        let ended = ended??;
        let answer = ended.answer.map_err(anyhow::Error::msg)?;
        ensure!(
            answer.get("statusCode") == Some(&json!(200)),
            "a callback was answered {answer}"
        );
        took.push(ended.took);
    }
    let seconds = begin.elapsed().as_secs_f64();
    let used = cpu(&functions)?.saturating_sub(before);
    let took = histogram(took)?;
    Ok(Webhooks {
        rate: f64::from(count) / seconds,
        p50_ms: milliseconds(took.value_at_quantile(0.5)),
        p99_ms: milliseconds(took.value_at_quantile(0.99)),
        cpu_ms: used.as_secs_f64() * 1000.0 / f64::from(count),
    })
}

/// From the callback to the request to Africa's Talking, in milliseconds: the median and the 99th of
/// a hundred. Medic and Africa's Talking answer at once: it is all our own.
///
/// # Errors
/// When a reply does not leave.
pub async fn auto_reply(programs: &Path, count: u64) -> anyhow::Result<(f64, f64)> {
    let local = Local::start(programs, Manners::default()).await?;
    local
        .africas_talking
        .fault(AfricasTalkingFault::ReportsNone, Scope::UntilCleared)
        .await;
    local
        .medic
        .set_auto_reply_with(|stored| Some(format!("Thank you: {}", stored.id)));
    let client = sandbox::http::client(TIME_LIMIT)?;
    let [url, _] = local.callback_urls();
    let mut took = Vec::new();
    for n in 0..=count {
        let began_ms = now_ms();
        let request = client
            .post(&url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(incoming_form(n));
        ensure!(
            request.send().await?.status().is_success(),
            "the callback was refused"
        );
        let replies = usize::try_from(n + 1)?;
        local
            .until("a reply leaves", TIME_LIMIT, |local| {
                local.africas_talking.accepted().len() == replies
            })
            .await?;
        local.rest(TIME_LIMIT).await?;
        let requests = local.africas_talking.requests();
        let asked_ms = requests.last().context("no request")?.at_ms.unsigned_abs();
        // The first finds every connection closed.
        if n > 0 {
            took.push(Duration::from_millis(asked_ms.saturating_sub(began_ms)));
        }
    }
    let took = histogram(took)?;
    let [median, p99] = [0.5, 0.99].map(|share| milliseconds(took.value_at_quantile(share)));
    Ok((median, p99))
}

/// Messages that Medic wants sent, worked off.
#[derive(Clone, Copy, Debug)]
pub struct Drain {
    /// As many as Africa's Talking accepted in a minute.
    pub sent_a_minute: f64,
    /// How long it took until Medic knew that all were delivered, in seconds.
    pub reported_after_s: f64,
    /// The POSTs that Medic got.
    pub posts: usize,
    /// As many of them as were in flight at once, at most.
    pub in_flight: usize,
}

/// Has `outgoing` messages sent while `incoming` come in, all of them there at the beginning, with
/// two reports each, until Medic knows that all were delivered.
///
/// # Errors
/// When a message does not get to where it belongs, exactly once.
pub async fn drain(programs: &Path, incoming: u64, outgoing: u64) -> anyhow::Result<Drain> {
    let manners = Manners {
        medic: Duration::from_millis(150),
        africas_talking: Duration::from_millis(300),
        ..Manners::default()
    };
    let mut local = Local::start(programs, manners).await?;
    local.pause();
    for n in 0..incoming {
        local.aws.send("exchange.fifo", &incoming_body(n))?;
    }
    let mut ids = Vec::new();
    for n in 0..outgoing {
        let text = format!("Please come to the clinic, your number is {n}");
        ids.push(local.medic.queue(&number(n), &text)?);
    }
    let all = usize::try_from(outgoing)?;
    let begin = Instant::now();
    local.poll()?;
    local.go_on();
    local
        .until("all are sent", TIME_LIMIT, |local| {
            local.africas_talking.accepted().len() >= all
        })
        .await?;
    let sent_after = begin.elapsed();
    while !ids
        .iter()
        .all(|id| local.medic.state_of(id) == Some(MessageState::Delivered))
    {
        ensure!(
            begin.elapsed() < TIME_LIMIT,
            "not all are delivered in time"
        );
        local.rest(TIME_LIMIT).await?;
        local.poll()?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let reported_after_s = begin.elapsed().as_secs_f64();
    ensure!(
        local.africas_talking.accepted().len() == all,
        "a message was sent twice"
    );
    ensure!(
        local.medic.stored_count() == usize::try_from(incoming)?,
        "not all came in once"
    );
    ensure!(
        local.medic.duplicates().is_empty(),
        "a message is stored twice"
    );
    Ok(Drain {
        sent_a_minute: f64::from(u32::try_from(outgoing)?) * 60.0 / sent_after.as_secs_f64(),
        reported_after_s,
        posts: local.medic.posts().len(),
        in_flight: local.medic.max_in_flight(),
    })
}

fn incoming_body(n: u64) -> String {
    json!({
        "v": 1, "kind": "incoming", "id": format!("ec9adc86-51d5-4bc8-8eb0-{n:012x}"),
        "from": number(n), "content": "My child has a fever since Monday, what shall I do?",
        "sent_at_ms": now_ms(), "received_at_ms": now_ms(),
    })
    .to_string()
}

/// The most memory of `medic-exchange` after a tenth of a backlog and after all of it, in MiB, and
/// how many messages it took in a second from a Medic that answers at once.
///
/// # Errors
/// When a message is not stored once.
pub async fn backlog(programs: &Path, count: u64) -> anyhow::Result<[f64; 3]> {
    let mut local = Local::start(programs, Manners::default()).await?;
    local.pause();
    for n in 0..count {
        local.aws.send("exchange.fifo", &incoming_body(n))?;
    }
    let pid = local
        .function("medic-exchange")?
        .pids()
        .first()
        .copied()
        .context("no process")?;
    let mebibytes = || anyhow::Ok(f64::from(u32::try_from(peak_memory(pid)? / 1024)?) / 1024.0);
    let begin = Instant::now();
    local.go_on();
    let left = usize::try_from(count - count / 10)?;
    local
        .until("a tenth is stored", TIME_LIMIT, |local| {
            local.aws.depth("exchange.fifo").0 <= left
        })
        .await?;
    let after_a_tenth = mebibytes()?;
    local.rest(TIME_LIMIT).await?;
    let seconds = begin.elapsed().as_secs_f64();
    let stored = local.medic.stored_count();
    ensure!(
        u64::try_from(stored)? == count,
        "{stored} of {count} are stored"
    );
    Ok([
        after_a_tenth,
        mebibytes()?,
        f64::from(u32::try_from(count)?) / seconds,
    ])
}

/// As many callbacks as the processes answer in a second when they never wait for one.
///
/// # Errors
/// When one is not answered.
pub async fn webhooks_at_most(
    programs: &Path,
    processes: usize,
    count: u32,
) -> anyhow::Result<f64> {
    let aws = InMemoryAws::new(Duration::ZERO);
    let server = serving::plain(aws.routes()).await?;
    let environments = Environments::all_at(&format!("http://{}", server.address));
    let name = "incoming-messages";
    let mut function = RunningFunction::new(name, Arc::clone(&aws.meter)).await?;
    for _ in 0..processes {
        function
            .start(&programs.join(name), &[], &environments.environment(name))
            .await?;
    }
    let room = Arc::new(Semaphore::new(processes * 2));
    let function = Arc::new(function);
    let begin = Instant::now();
    let mut calls = Vec::new();
    for n in 0..count {
        let place = Arc::clone(&room).acquire_owned().await?;
        let (event, function) = (event(&aws, name, u64::from(n))?, Arc::clone(&function));
        calls.push(tokio::spawn(async move {
            let ended = function.invoke(event).await;
            drop(place);
            ended
        }));
    }
    for ended in join_all(calls).await {
        ended??.answer.map_err(anyhow::Error::msg)?;
    }
    Ok(f64::from(count) / begin.elapsed().as_secs_f64())
}
