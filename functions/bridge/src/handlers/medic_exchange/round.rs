//! One invocation with a right to POST, and how far it got.

use super::batch::Batch;
use super::reports::Reports;
use super::stop::Stop;
use crate::domain::ids::IncomingId;
use crate::domain::isolation::Isolation;
use crate::domain::time::Timestamp;

/// One invocation with a right to POST.
pub(super) struct Round<'a> {
    pub(super) deadline: Timestamp,
    pub(super) batch: Batch<'a>,
    pub(super) isolation: Isolation,
    pub(super) reports: Reports,
    /// Whether there was any POST.
    pub(super) has_posted: bool,
    /// Whether one was taken.
    pub(super) was_taken: bool,
    /// How many POSTs may bring only statuses and questions.
    pub(super) status_posts_left: u32,
    /// How many POSTs of statuses that failed before may be taken besides.
    pub(super) failed_posts_left: u32,
    /// Messages during which an earlier invocation may have been killed are looked for, and the attempt
    /// at each message is marked.
    pub(super) marks_attempts: bool,
    /// Whether they were looked for.
    pub(super) has_looked_for_unfinished: bool,
    /// The messages whose attempt is marked.
    pub(super) marked: Vec<IncomingId>,
}

impl Round<'_> {
    /// Whether messages may go now: their attempts that never ended are known, or do not matter.
    pub(super) fn knows_unfinished(&self) -> bool {
        !self.marks_attempts || self.has_looked_for_unfinished
    }

    /// The work is over, unless messages are left that failed alone and have to wait.
    pub(super) fn ended(&self, work: Work) -> Result<Work, Stop> {
        match self.batch.waiting_messages().is_empty() {
            true => Ok(work),
            false => Err(Stop::Kept),
        }
    }
}

/// Whether there is more to do than was done.
pub(super) enum Work {
    Done,
    More,
}
