//! `cargo load`: drives the bridge with callbacks, and follows every SMS to its other end.

pub mod options;
pub mod pictures;
pub mod report;
pub mod target;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::future::join_all;
use indicatif::{ProgressBar, ProgressStyle};

use crate::aws::now_ms;
use crate::bench::events::{form, number};
use options::Options;
use target::Target;

/// How often it is looked where everything is.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How often Medic is asked what it wants sent while the last statuses are awaited, in looks.
const CHECKS_A_POLL: u32 = 5;

/// How long the answer to a callback may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(40);

/// A text that ends so gets a reply.
const WITH_REPLY: &str = "reply";

/// An SMS of this run.
#[derive(Clone, Debug, Default)]
pub struct Followed {
    /// Its id.
    pub id: String,
    /// When its callback was posted first, in milliseconds since 1970.
    pub posted_ms: u64,
    /// How long the answer took, and its HTTP status; nothing without an answer.
    pub answer: Option<(Duration, u16)>,
    /// Whether Medic replies to it, and the reply can be followed.
    pub awaits_reply: bool,
    /// When Medic stored it, in milliseconds since 1970; more than one time is one too many.
    pub stored_ms: Vec<u64>,
    /// When Africa's Talking took the reply to it; more than one time is one too many.
    pub replied_ms: Vec<u64>,
    /// When Medic was told that the reply was delivered.
    pub reported_ms: Option<u64>,
}

/// The result of a run.
#[derive(Clone, Debug)]
pub struct RunResult {
    /// Every SMS.
    pub messages: Vec<Followed>,
    /// Whether the way back, the reply, could be followed.
    pub has_replies: bool,
    /// How many callbacks were posted, repeats included.
    pub callbacks: usize,
    /// Where it was driven.
    pub target: String,
}

impl RunResult {
    /// Those for which the bridge answered for: a 2xx.
    pub fn accepted(&self) -> impl Iterator<Item = &Followed> {
        self.messages.iter().filter(|sms| {
            sms.answer
                .is_some_and(|(_, status)| (200..300).contains(&status))
        })
    }

    /// How many were accepted and are not stored, or were not replied to, or whose delivery was not
    /// told.
    #[must_use]
    pub fn lost(&self) -> usize {
        let is_lost = |sms: &&Followed| {
            sms.stored_ms.is_empty()
                || sms.awaits_reply && (sms.replied_ms.is_empty() || sms.reported_ms.is_none())
        };
        self.accepted().filter(is_lost).count()
    }

    /// How many were stored or replied to more than once.
    #[must_use]
    pub fn doubled(&self) -> usize {
        let is_doubled = |sms: &&Followed| sms.stored_ms.len() > 1 || sms.replied_ms.len() > 1;
        self.messages.iter().filter(is_doubled).count()
    }
}

/// Drives, follows, and reports.
///
/// # Errors
/// When anything was lost or doubled, or nothing could be driven.
#[allow(clippy::print_stdout, reason = "the table is what this command is for")]
pub async fn run(options: &Options) -> anyhow::Result<()> {
    let mut target = Target::start(options).await?;
    let mut outcome = post_all(options, &target).await?;
    follow(options, &mut target, &mut outcome).await?;
    println!("{}", report::table(&outcome)?);
    if let Some(folder) = options.report.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(&options.report, report::page(&outcome)?)
        .with_context(|| format!("cannot write {}", options.report.display()))?;
    println!("Charts: {}", options.report.display());
    let (lost, doubled) = (outcome.lost(), outcome.doubled());
    ensure!(lost == 0 && doubled == 0, "{lost} lost, {doubled} doubled");
    ensure!(
        outcome.accepted().next().is_some(),
        "no callback was accepted"
    );
    Ok(())
}

async fn post_all(options: &Options, target: &Target) -> anyhow::Result<RunResult> {
    let client = sandbox::http::client(ANSWER_WITHIN)?;
    let run = now_ms() % 0x1_0000_0000;
    let url: Arc<str> = target.url().into();
    let messages = Arc::new(Mutex::new(vec![
        Followed::default();
        usize::try_from(options.count)?
    ]));
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / options.rate));
    let mut posting = Vec::new();
    let progress = progress("posted", options.count)?;
    for n in 0..options.count {
        ticks.tick().await;
        let id = format!("{run:08x}-0000-4000-8000-{n:012x}");
        // A repeat is what Africa's Talking makes of an answer that it did not hear.
        // Which SMS get a reply has nothing to do with which come twice.
        let awaits_reply = n * 37 % 100 < u64::from(options.replies_percent);
        let text = match awaits_reply {
            true => format!("load {id} {WITH_REPLY}"),
            false => format!("load {id}"),
        };
        let awaits_reply = awaits_reply && target.has_replies();
        let times = if n % 100 < u64::from(options.repeats_percent) {
            2
        } else {
            1
        };
        for time in 0..times {
            let (client, url, messages) = (client.clone(), url.clone(), messages.clone());
            let (id, text) = (id.clone(), text.clone());
            posting.push(tokio::spawn(async move {
                let posted_ms = now_ms();
                let begin = Instant::now();
                let fields = [
                    ("from", number(n)),
                    ("to", "20880".to_owned()),
                    ("id", id.clone()),
                    ("text", text),
                    ("date", "2026-11-01 08:09:10".to_owned()),
                    ("cost", "None".to_owned()),
                    ("networkCode", "99999".to_owned()),
                ];
                let fields: Vec<(&str, &str)> = fields
                    .iter()
                    .map(|(name, value)| (*name, value.as_str()))
                    .collect();
                let request = client
                    .post(url.as_ref())
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(form(&fields));
                let status = request.send().await.map(|answer| answer.status().as_u16());
                let took = begin.elapsed();
                let mut messages = messages.lock().unwrap_or_else(PoisonError::into_inner);
                let place = usize::try_from(n).ok().and_then(|n| messages.get_mut(n));
                if time == 0
                    && let Some(sms) = place
                {
                    *sms = Followed {
                        id,
                        posted_ms,
                        awaits_reply,
                        answer: status.ok().map(|status| (took, status)),
                        ..Followed::default()
                    };
                }
            }));
        }
        progress.inc(1);
    }
    let callbacks = posting.len();
    join_all(posting).await;
    progress.finish();
    let messages = messages
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    Ok(RunResult {
        messages,
        has_replies: target.has_replies(),
        callbacks,
        target: target.name(),
    })
}

async fn follow(
    options: &Options,
    target: &mut Target,
    outcome: &mut RunResult,
) -> anyhow::Result<()> {
    let accepted = outcome.accepted().count();
    let progress = progress("arrived", u64::try_from(accepted)?)?;
    let begin = Instant::now();
    let mut looks = 0;
    loop {
        target.check(&mut outcome.messages).await?;
        let lost = outcome.lost();
        progress.set_position(u64::try_from(accepted.saturating_sub(lost))?);
        if lost == 0 || begin.elapsed() > options.wait {
            break;
        }
        looks += 1;
        if looks % CHECKS_A_POLL == 0 {
            target.poll().await?;
        }
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
    // A second delivery of a message shows a moment later.
    tokio::time::sleep(CHECK_INTERVAL).await;
    target.check(&mut outcome.messages).await?;
    progress.finish();
    Ok(())
}

/// A bar that grows, when standard error is a terminal.
fn progress(what: &'static str, of: u64) -> anyhow::Result<ProgressBar> {
    let style = ProgressStyle::with_template("{bar:30} {pos} of {len} {msg}")?;
    Ok(ProgressBar::new(of).with_style(style).with_message(what))
}
