//! Posts the SMS of a run, and follows each to its other end.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use ops::terminal::Terminal;
use reqwest::Client;
use sandbox::medic::MessageState;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::result::{Followed, FollowedOutgoing, RunResult};
use super::target::{Planned, Target};
use super::traffic::{LoadTraffic, phone};
use crate::aws::now_ms;
use crate::bench::events::form;

/// How often it is looked where everything is.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How often Medic is asked what it wants sent while the last statuses are awaited, in checks.
const CHECKS_A_POLL: u32 = 5;

/// How long the answer to a callback may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(40);

/// How often somebody who reads a file instead of a terminal is told how far it is.
const NOTE_INTERVAL: Duration = Duration::from_secs(30);

/// A text that ends so gets a reply.
const WITH_REPLY: &str = ends::medic::WITH_REPLY;

/// The answer to the callback of the SMS at a place.
type CallbackAnswer = (usize, Duration, u16);

/// A run under way.
struct Driver<'a> {
    traffic: &'a LoadTraffic,
    /// The beginning of the ids of this run.
    run: u64,
    result: RunResult,
    client: Client,
    answers: UnboundedReceiver<CallbackAnswer>,
    answered: UnboundedSender<CallbackAnswer>,
    progress: ProgressBar,
    noted: Instant,
}

/// Posts everything, and follows it until all is at its end, or nothing has come about for too long.
///
/// # Errors
/// When the other ends cannot be seen.
pub async fn drive(traffic: &LoadTraffic, target: &mut Target) -> anyhow::Result<RunResult> {
    let (answered, answers) = unbounded_channel();
    let style = ProgressStyle::with_template("{bar:30} {msg}")?;
    let mut driver = Driver {
        traffic,
        run: now_ms() % 0x1_0000_0000,
        result: RunResult {
            has_replies: target.has_replies(),
            target: target.name(),
            ..RunResult::default()
        },
        client: sandbox::http::client(ANSWER_WITHIN)?,
        answers,
        answered,
        progress: ProgressBar::new(traffic.count + traffic.outgoing()).with_style(style),
        noted: Instant::now(),
    };
    driver.post_all(target).await?;
    driver.follow(target).await?;
    driver.progress.finish_and_clear();
    Ok(driver.result)
}

impl Driver<'_> {
    async fn post_all(&mut self, target: &mut Target) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / self.traffic.rate));
        let mut checked = Instant::now();
        let mut campaign = Vec::new();
        for n in 0..self.traffic.count.max(self.traffic.outgoing()) {
            ticks.tick().await;
            if n < self.traffic.count {
                self.post(n, target);
            }
            if n < self.traffic.outgoing() {
                campaign.push(self.plan(n, target));
            }
            if checked.elapsed() > CHECK_INTERVAL {
                self.check(target, std::mem::take(&mut campaign)).await?;
                checked = Instant::now();
            }
        }
        self.check(target, campaign).await
    }

    /// Posts the n-th callback, and does not wait for the answer.
    fn post(&mut self, n: u64, target: &Target) {
        let id = format!("{:08x}-aaaa-4bbb-8ccc-{n:012x}", self.run);
        let awaits_reply = self.traffic.replies_to(n);
        let text = match awaits_reply {
            true => format!("load {id} {WITH_REPLY}"),
            false => format!("load {id}"),
        };
        let from = phone(n);
        let fields = [
            ("from", from.as_str()),
            ("to", "20880"),
            ("id", id.as_str()),
            ("text", text.as_str()),
            ("date", "2026-11-01 08:09:10"),
            ("cost", "None"),
            ("networkCode", "99999"),
        ];
        let body = form(&fields);
        let place = self.result.messages.len();
        for time in 0..self.traffic.times(n) {
            let request = self
                .client
                .post(target.incoming_url())
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body.clone());
            let answered = self.answered.clone();
            self.result.callbacks += 1;
            tokio::spawn(async move {
                let begin = Instant::now();
                let status = request.send().await.map(|answer| answer.status().as_u16());
                // The run counts the answer to the first; without one there is no status.
                if time == 0 {
                    let _ = answered.send((place, begin.elapsed(), status.unwrap_or(0)));
                }
            });
        }
        self.result.messages.push(Followed {
            id,
            posted_ms: now_ms(),
            awaits_reply: awaits_reply && self.result.has_replies,
            ..Followed::default()
        });
    }

    /// The n-th SMS that Medic wants sent.
    fn plan(&mut self, n: u64, target: &Target) -> Planned {
        let id = format!("{:08x}-aaaa-4bbb-9ddd-{n:012x}", self.run);
        let expected = match target.is_to_fail(n) {
            true => MessageState::Failed,
            false => MessageState::Delivered,
        };
        let sms = FollowedOutgoing::new(id.clone(), now_ms(), expected);
        self.result.outgoing.push(sms);
        Planned {
            id,
            to: phone(n),
            expected,
        }
    }

    /// Has Medic want these sent, and looks where each SMS is.
    async fn check(&mut self, target: &mut Target, campaign: Vec<Planned>) -> anyhow::Result<()> {
        if !campaign.is_empty() {
            target.send(campaign).await?;
        }
        while let Ok((place, took, status)) = self.answers.try_recv() {
            if let Some(sms) = self.result.messages.get_mut(place) {
                sms.answer = Some((took, status));
            }
        }
        target.check(&mut self.result).await?;
        let [stored, sent, ended] = self.far();
        self.progress.set_position(u64::try_from(stored + ended)?);
        let far = format!(
            "in: {} posted, {stored} stored; out: {} due in Medic, {sent} sent, {ended} at their end",
            self.result.messages.len(),
            self.result.outgoing.len(),
        );
        if self.progress.is_hidden() && self.noted.elapsed() > NOTE_INTERVAL {
            Terminal::default().note(&far);
            self.noted = Instant::now();
        }
        self.progress.set_message(far);
        Ok(())
    }

    /// How many SMS that came in are stored, and how many that go out are sent and are at their end.
    fn far(&self) -> [usize; 3] {
        let stored = self.result.messages.iter();
        let stored = stored.filter(|sms| !sms.stored_ms.is_empty());
        let ended = self.result.outgoing.iter().filter(|sms| sms.has_ended());
        let sent = self.result.sent(|times| times > 0);
        [stored.count(), sent, ended.count()]
    }

    async fn follow(&mut self, target: &mut Target) -> anyhow::Result<()> {
        let mut changed = Instant::now();
        let mut before = self.far();
        let mut checks = 0;
        loop {
            self.check(target, Vec::new()).await?;
            let is_answered = self.result.messages.iter().all(|sms| sms.answer.is_some());
            let is_complete = is_answered && self.result.is_complete() && target.is_at_rest();
            let far = self.far();
            if far != before {
                (before, changed) = (far, Instant::now());
            }
            if is_complete || changed.elapsed() > self.traffic.wait {
                break;
            }
            checks += 1;
            if checks % CHECKS_A_POLL == 0 {
                target.poll().await?;
            }
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
        // A second delivery of a message shows a moment later.
        tokio::time::sleep(CHECK_INTERVAL).await;
        self.check(target, Vec::new()).await
    }
}
