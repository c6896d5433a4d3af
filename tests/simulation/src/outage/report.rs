//! The results of an outage, in numbers and in words.

use std::fmt;

use super::Outage;
use crate::meter::FunctionUsage;
use crate::promises::Breach;

/// The results.
#[derive(Debug)]
pub struct OutageReport {
    /// The outage that was tried.
    pub outage: Outage,
    /// The queue when Medic was back.
    pub waiting: Backlog,
    /// How it went from there.
    pub drain: OutageDrain,
    /// Every SMS by its end.
    pub ends: FinalCounts,
    /// The usage that AWS would have counted.
    pub costs: OutageCosts,
}

/// The messages in the queue when Medic was back.
#[derive(Debug)]
pub struct Backlog {
    /// SMS.
    pub sms: usize,
    /// Polls.
    pub polls: usize,
    /// How often the message was received that was received most; SQS puts it aside at a thousand.
    pub most_receives: u32,
}

/// From Medic's return until no SMS that waited was older than a minute.
#[derive(Debug)]
pub struct OutageDrain {
    /// Until the first POST, in milliseconds.
    pub first_post_ms: Option<i64>,
    /// Altogether, in milliseconds.
    pub took_ms: i64,
    /// POSTs.
    pub posts: usize,
    /// Those that brought no SMS: those of the polls, and the question whether Medic answers.
    pub empty_posts: usize,
    /// How long an SMS waited that came when Medic was back, in milliseconds.
    pub wait_at_return_ms: Option<i64>,
    /// How long one waited that came in the middle of it, in milliseconds.
    pub wait_in_the_middle_ms: Option<i64>,
}

/// How many SMS ended in which way.
#[derive(Debug)]
pub struct FinalCounts {
    /// Answered with a 200.
    pub accepted: usize,
    /// Of these, in Medic once.
    pub stored_once: usize,
    /// In Medic more than once.
    pub stored_twice: usize,
    /// Put aside.
    pub dead_letter: usize,
    /// Neither in Medic nor dead-lettered.
    pub lost: usize,
    /// Senders of whom the messages are not in Medic in their order.
    pub out_of_order: usize,
    /// Messages and polls older than two minutes that are still in the queue.
    pub left: usize,
    /// Every promise that was broken.
    pub breaches: Vec<Breach>,
}

/// Who used what.
#[derive(Debug)]
pub struct OutageCosts {
    /// `incoming-messages` during the outage, which is what it uses on any day.
    pub taking_in: FunctionUsage,
    /// `medic-exchange` during the outage: what the waiting cost.
    pub trying: FunctionUsage,
    /// `medic-exchange` during the drain.
    pub draining: FunctionUsage,
}

impl OutageReport {
    /// Whether every SMS is in Medic once and in order, and nothing is left.
    pub fn keeps_the_promises(&self) -> bool {
        let ends = &self.ends;
        let is_complete = ends.accepted > 0 && ends.stored_once == ends.accepted;
        is_complete && ends.out_of_order == 0 && ends.left == 0 && ends.breaches.is_empty()
    }
}

pub(super) fn seconds(milliseconds: i64) -> String {
    match milliseconds / 1000 {
        s if s < 120 => format!("{s} s"),
        s if s < 7200 => format!("{} min", s / 60),
        s => format!("{:.1} h", s as f64 / 3600.0),
    }
}

fn wait(milliseconds: Option<i64>) -> String {
    milliseconds.map_or_else(|| "for ever".to_owned(), seconds)
}

impl fmt::Display for OutageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outage {
            days,
            sms_per_second,
            senders,
            hangs,
        } = self.outage;
        let is = if hangs { "hangs" } else { "is away" };
        writeln!(
            f,
            "Medic {is} for {days} days, {sms_per_second} SMS a second from {senders} senders"
        )?;
        let waiting = &self.waiting;
        writeln!(
            f,
            "when it is back: {} SMS and {} polls wait, the first received {} times",
            waiting.sms, waiting.polls, waiting.most_receives
        )?;
        let drain = &self.drain;
        writeln!(
            f,
            "the drain: first POST after {}, over after {}, {} POSTs, {} of them without an SMS",
            wait(drain.first_post_ms),
            seconds(drain.took_ms),
            drain.posts,
            drain.empty_posts
        )?;
        writeln!(
            f,
            "a new SMS waits {} when it comes as Medic is back, {} in the middle of the drain",
            wait(drain.wait_at_return_ms),
            wait(drain.wait_in_the_middle_ms)
        )?;
        let ends = &self.ends;
        writeln!(
            f,
            "in the end: {} accepted, {} stored once, {} twice, {} dead-lettered, {} lost, {} senders out of order, {} left in the queue",
            ends.accepted,
            ends.stored_once,
            ends.stored_twice,
            ends.dead_letter,
            ends.lost,
            ends.out_of_order,
            ends.left
        )?;
        let costs = &self.costs;
        line(f, "taking SMS in, in these days", &costs.taking_in)?;
        line(f, "trying Medic, in these days", &costs.trying)?;
        line(f, "the drain", &costs.draining)?;
        for breach in ends.breaches.iter().take(10) {
            writeln!(f, "{breach:?}")?;
        }
        Ok(())
    }
}

pub(super) fn line(f: &mut fmt::Formatter<'_>, name: &str, usage: &FunctionUsage) -> fmt::Result {
    writeln!(
        f,
        "{name}: {} invocations, {} s of them, {} SQS requests, {} read units, {} write units, {} MB of log: {:.3} USD on x86_64, {:.3} on arm64",
        usage.invocations,
        usage.milliseconds / 1000,
        usage.sqs_fifo + usage.sqs_standard,
        usage.read_half_units as f64 / 2.0,
        usage.write_units,
        usage.log_bytes / 1_000_000,
        usage.usd_x86(),
        usage.usd_arm()
    )
}
