//! Back within a minute: how long it takes from the end of some trouble until messages flow again.
//!
//! Each row of [`ROWS`] is staged for each seed in a world of its own, with the real handlers and
//! without any other fault. The seed decides when the trouble begins, how much longer than its row
//! says it lasts, and all jitter.

mod report;
mod rows;
mod staging;
mod traffic;

use std::time::Duration;

pub use report::{markdown, table, to_json, write};
pub use rows::{ROWS, RecoveryLimits, RecoveryRow, Trouble};

/// Seeds are measured side by side.
const THREADS: u64 = 2;

/// How long something took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecoveryTime {
    /// So long.
    Took(Duration),
    /// Longer than anybody looked.
    Never,
}

impl RecoveryTime {
    /// Whether it was no longer than this.
    pub fn is_within(self, limit: Duration) -> bool {
        self <= Self::Took(limit)
    }
}

/// The figures of one seed, from the end of the trouble on. Those that a row does not measure are missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeasuredRecovery {
    /// Until the first that had waited went through: an incoming message, an outgoing one and a
    /// delivery report, the latest of the three.
    pub first: Option<RecoveryTime>,
    /// Until what came right after the end went through.
    pub new: Option<RecoveryTime>,
    /// Until all that had waited went through.
    pub all: Option<RecoveryTime>,
}

/// The figure of one column over all seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveryFigure {
    /// In the middle of the seeds.
    pub median: RecoveryTime,
    /// The longest.
    pub worst: RecoveryTime,
    /// The seed of the longest.
    pub worst_seed: u64,
    /// How long it may be, if that is promised.
    pub limit: Option<Duration>,
}

impl RecoveryFigure {
    /// Whether the worst is within the limit.
    pub fn is_within_its_limit(&self) -> bool {
        self.limit.is_none_or(|limit| self.worst.is_within(limit))
    }

    fn of(
        measured: impl Iterator<Item = (u64, Option<RecoveryTime>)>,
        limit: Option<Duration>,
    ) -> Option<Self> {
        let waits = measured.filter_map(|(seed, wait)| Some((wait?, seed)));
        let mut waits: Vec<(RecoveryTime, u64)> = waits.collect();
        waits.sort_unstable();
        let (median, _) = *waits.get(waits.len() / 2)?;
        let (worst, worst_seed) = *waits.last()?;
        Some(Self {
            median,
            worst,
            worst_seed,
            limit,
        })
    }
}

/// The figures of one row.
#[derive(Clone, Copy, Debug)]
pub struct RecoveryFigures {
    /// The row.
    pub row: &'static RecoveryRow,
    /// How many seeds were measured.
    pub seeds: u64,
    /// The first of each kind that had waited.
    pub first: Option<RecoveryFigure>,
    /// The messages that came right after the end.
    pub new: Option<RecoveryFigure>,
    /// All that had waited.
    pub all: Option<RecoveryFigure>,
}

impl RecoveryFigures {
    /// Whether every figure of the row is within its limit, and there is a figure for each limit.
    pub fn are_within_their_limits(&self) -> bool {
        let limits = &self.row.limits;
        let columns = [
            (limits.first, self.first),
            (limits.new, self.new),
            (limits.all, self.all),
        ];
        columns.iter().all(|(limit, figure)| match figure {
            Some(figure) => figure.is_within_its_limit(),
            None => limit.is_none(),
        })
    }
}

/// Measures a row with so many seeds, from 1 on.
pub fn measure(row: &'static RecoveryRow, seeds: u64) -> RecoveryFigures {
    let measured: Vec<(u64, MeasuredRecovery)> = std::thread::scope(|scope| {
        let threads = (0..THREADS).map(|thread| {
            scope.spawn(move || {
                let own = (1..=seeds).filter(|seed| seed % THREADS == thread);
                let measured = own.map(|seed| (seed, measure_one(row, seed)));
                measured.collect::<Vec<_>>()
            })
        });
        let threads: Vec<_> = threads.collect();
        let measured = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        measured.flat_map(|one| one.expect("it ends")).collect()
    });
    let column = |of: fn(&MeasuredRecovery) -> Option<RecoveryTime>, limit| {
        RecoveryFigure::of(measured.iter().map(|(seed, one)| (*seed, of(one))), limit)
    };
    RecoveryFigures {
        row,
        seeds,
        first: column(|one| one.first, row.limits.first),
        new: column(|one| one.new, row.limits.new),
        all: column(|one| one.all, row.limits.all),
    }
}

/// Measures a row with one seed.
pub fn measure_one(row: &RecoveryRow, seed: u64) -> MeasuredRecovery {
    staging::run(row, seed)
}
