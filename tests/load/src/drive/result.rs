//! What became of every SMS of a run.

use std::time::Duration;

use anyhow::ensure;
use sandbox::medic::MessageState;

/// An SMS that comes in.
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

impl Followed {
    /// Whether the bridge answered for it: a 2xx.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.answer
            .is_some_and(|(_, status)| (200..300).contains(&status))
    }

    fn is_lost(&self) -> bool {
        let reply_is_lost =
            self.awaits_reply && (self.replied_ms.is_empty() || self.reported_ms.is_none());
        self.is_accepted() && (self.stored_ms.is_empty() || reply_is_lost)
    }
}

/// An SMS that Medic wants sent, by itself and not as a reply.
#[derive(Clone, Debug)]
pub struct FollowedOutgoing {
    /// Medic's id of it.
    pub id: String,
    /// When Medic began to want it sent, in milliseconds since 1970.
    pub queued_ms: u64,
    /// Whether the bridge was offered it.
    pub offered: bool,
    /// When Africa's Talking took it; more than one time is one too many.
    pub sent_ms: Vec<u64>,
    /// What Medic shows.
    pub state: MessageState,
    /// When it came to that, in milliseconds since 1970.
    pub state_ms: u64,
    /// What Medic is to show in the end. Nothing, where nobody knows.
    pub expected: Option<MessageState>,
}

impl FollowedOutgoing {
    /// One that Medic has just begun to want sent.
    #[must_use]
    pub fn new(id: String, queued_ms: u64, expected: MessageState) -> Self {
        Self {
            id,
            queued_ms,
            offered: false,
            sent_ms: Vec::new(),
            state: MessageState::Pending,
            state_ms: queued_ms,
            expected: Some(expected),
        }
    }

    /// Whether Medic shows what it is to show.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        match self.expected {
            Some(expected) => self.state == expected,
            None => matches!(self.state, MessageState::Delivered | MessageState::Failed),
        }
    }
}

/// The result of a run.
#[derive(Clone, Debug, Default)]
pub struct RunResult {
    /// Every SMS that came in.
    pub messages: Vec<Followed>,
    /// Every SMS that Medic wanted sent.
    pub outgoing: Vec<FollowedOutgoing>,
    /// Whether the way back, the reply, could be followed.
    pub has_replies: bool,
    /// How many callbacks were posted for SMS that come in, repeats included.
    pub callbacks: usize,
    /// Delivery reports that the run itself posted, repeats included.
    pub reports: Option<PostedReports>,
    /// How many POSTs Medic had at the same time at most.
    pub posts_at_once: Option<usize>,
    /// Where it was driven.
    pub target: String,
}

/// The delivery reports that a run posted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PostedReports {
    /// Answered with a 2xx.
    pub accepted: usize,
    /// Not answered with a 2xx at any of some attempts.
    pub refused: usize,
}

impl RunResult {
    /// Those that the bridge answered for: a 2xx.
    pub fn accepted(&self) -> impl Iterator<Item = &Followed> {
        self.messages.iter().filter(|sms| sms.is_accepted())
    }

    /// How many were accepted and are not stored, or were not replied to, or whose delivery was not
    /// reported; and how many that Medic wanted sent never were.
    #[must_use]
    pub fn lost(&self) -> usize {
        let incoming = self.messages.iter().filter(|sms| sms.is_lost()).count();
        incoming + self.sent(|times| times == 0)
    }

    /// How many were stored, replied to or sent more than once.
    #[must_use]
    pub fn doubled(&self) -> usize {
        let is_doubled = |sms: &&Followed| sms.stored_ms.len() > 1 || sms.replied_ms.len() > 1;
        self.messages.iter().filter(is_doubled).count() + self.sent(|times| times > 1)
    }

    /// How many were sent and have not the status in Medic that they should have.
    #[must_use]
    pub fn wrong(&self) -> usize {
        let is_wrong = |sms: &&FollowedOutgoing| !sms.sent_ms.is_empty() && !sms.has_ended();
        self.outgoing.iter().filter(is_wrong).count()
    }

    /// How many that Medic wanted sent were sent so many times.
    pub fn sent(&self, is_counted: impl Fn(usize) -> bool) -> usize {
        let sent = self.outgoing.iter().map(|sms| sms.sent_ms.len());
        sent.filter(|times| is_counted(*times)).count()
    }

    /// Whether every SMS is where it belongs, once.
    ///
    /// # Errors
    /// When anything was lost or doubled, has a wrong status, or nothing was accepted.
    pub fn judge(&self) -> anyhow::Result<()> {
        let (lost, doubled, wrong) = (self.lost(), self.doubled(), self.wrong());
        ensure!(
            lost == 0 && doubled == 0 && wrong == 0,
            "{lost} lost, {doubled} doubled, {wrong} with a wrong status"
        );
        ensure!(
            self.messages.is_empty() || self.accepted().next().is_some(),
            "no callback was accepted"
        );
        Ok(())
    }

    /// Whether nothing is awaited any more.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.lost() == 0 && self.wrong() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing(sent: &[u64], state: MessageState, expected: MessageState) -> FollowedOutgoing {
        FollowedOutgoing {
            sent_ms: sent.to_vec(),
            state,
            ..FollowedOutgoing::new("a".to_owned(), 1, expected)
        }
    }

    #[test]
    fn what_is_sent_never_or_twice_and_what_has_another_status_is_counted() {
        use MessageState::{Delivered, Failed, Sent};
        let result = RunResult {
            outgoing: vec![
                outgoing(&[2], Delivered, Delivered),
                outgoing(&[], Sent, Delivered),
                outgoing(&[2, 3], Failed, Failed),
                outgoing(&[2], Sent, Delivered),
                outgoing(&[2], Failed, Delivered),
            ],
            ..RunResult::default()
        };
        assert_eq!((result.lost(), result.doubled(), result.wrong()), (1, 1, 2));
        assert!(!result.is_complete());
    }
}
