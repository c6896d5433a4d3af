//! What is under way to one number, in the recipient's row: the calls that are open, the SMS whose
//! message nobody knows, and which of the two belong together.
//!
//! Everything that could decide whose a report is changes this one row, so that a decision is a write on
//! the condition that nothing else has changed. An entry may outlive what it is of, or be of a claim that
//! came to nothing: whoever reads one asks the message's row.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::{AtMessageId, MedicMessageId};
use super::message::MessageRow;
use crate::domain::time::Timestamp;

/// No report is matched with an older call.
const LONGEST: Duration = Duration::from_hours(2 * 24 + 1);

/// A claim whose message's row does not have it after so long came to nothing, or its call is over.
const CLAIM_IS_OVER: Duration = Duration::from_mins(10);

/// At most so many of each kind are kept, the latest. The limit is for a storm.
pub const KEPT: usize = 50;

/// A call that is open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct OpenCall {
    /// Of this message.
    #[serde(rename = "of")]
    message: MedicMessageId,
    /// When it was claimed.
    #[serde(rename = "at")]
    called_at: Timestamp,
}

/// The decision whose an SMS is, which is still to be carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    /// Africa's Talking's id of the SMS.
    pub at_id: AtMessageId,
    /// The message.
    pub message: MedicMessageId,
    /// When the call that sent it was claimed.
    #[serde(rename = "called_at_ms")]
    pub called_at: Timestamp,
}

/// What is under way to a number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberCalls {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    open: Vec<OpenCall>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unmatched: Vec<AtMessageId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    decided: Vec<Match>,
    /// When a call was left out last, because there were too many.
    #[serde(
        rename = "left_out_at_ms",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    left_out_at: Option<Timestamp>,
}

impl NumberCalls {
    /// With the call of a message that is being claimed.
    #[must_use]
    pub fn opened(mut self, claimed: &MessageRow, now: Timestamp) -> Self {
        self.open.retain(|open| {
            let age = now.since(open.called_at);
            let is_known = claimed.unsettled_calls().any(|call| call == open.called_at);
            age < LONGEST && (open.message != claimed.id || is_known || age < CLAIM_IS_OVER)
        });
        for called_at in claimed.unsettled_calls() {
            let message = claimed.id.clone();
            let open = OpenCall { message, called_at };
            if !self.open.contains(&open) {
                self.open.push(open);
            }
        }
        let too_many = self.open.len().saturating_sub(KEPT);
        self.open.drain(..too_many);
        if too_many > 0 {
            self.left_out_at = Some(now);
        }
        self
    }

    /// Whether an open call may be missing, so that no match is certain.
    pub fn may_be_incomplete(&self, now: Timestamp) -> bool {
        self.left_out_at.is_some_and(|at| now.since(at) < LONGEST)
    }

    /// Without the calls of which this says that they are over. Without any call, no SMS can be matched.
    #[must_use]
    pub fn without(mut self, is_over: impl Fn(&MedicMessageId, Timestamp) -> bool) -> Self {
        self.open
            .retain(|open| !is_over(&open.message, open.called_at));
        if self.open.is_empty() {
            self.unmatched.clear();
        }
        self
    }

    /// When the first of a message's claims was, if one is listed.
    pub fn first_claim(&self, message: &MedicMessageId) -> Option<Timestamp> {
        let open = self.open.iter().filter(|open| open.message == *message);
        open.map(|open| open.called_at).min()
    }

    /// Without a call that is over.
    #[must_use]
    pub fn struck(self, message: &MedicMessageId, called_at: Timestamp) -> Self {
        self.without(|of, at| of == message && at == called_at)
    }

    /// With an SMS whose message nobody knows, if there is a call that could have sent it.
    #[must_use]
    pub fn with_unmatched(mut self, at_id: &AtMessageId) -> Self {
        if !self.open.is_empty() && !self.unmatched.contains(at_id) && self.unmatched.len() < KEPT {
            self.unmatched.push(at_id.clone());
        }
        self
    }

    /// With these decisions.
    #[must_use]
    pub fn with_decided(mut self, decided: Vec<Match>) -> Self {
        self.decided.extend(decided);
        self
    }

    /// Without a decision that is carried out.
    #[must_use]
    pub fn after_match(mut self, carried_out: &Match) -> Self {
        self.decided.retain(|decided| decided != carried_out);
        self.unmatched.retain(|at_id| *at_id != carried_out.at_id);
        self.struck(&carried_out.message, carried_out.called_at)
    }

    /// Without a decision that an answer has overtaken.
    #[must_use]
    pub fn without_decision(mut self, overtaken: &Match) -> Self {
        self.decided.retain(|decided| decided != overtaken);
        self
    }

    /// A decision that is still to be carried out.
    pub fn next_decided(&self) -> Option<&Match> {
        self.decided.first()
    }

    /// The messages with an open call, each once.
    pub fn messages(&self) -> Vec<MedicMessageId> {
        let mut messages: Vec<_> = self.open.iter().map(|open| open.message.clone()).collect();
        messages.sort_unstable();
        messages.dedup();
        messages
    }

    /// The SMS whose message nobody knows.
    pub fn unmatched(&self) -> &[AtMessageId] {
        &self.unmatched
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::message::{ClaimToken, Sending};

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u32) -> Timestamp {
        Timestamp::from_millis(0) + SECOND.saturating_mul(seconds)
    }

    fn claimed(id: &str, since: Timestamp) -> MessageRow {
        let id = MedicMessageId::new(id).unwrap();
        MessageRow {
            sending: Sending::Calling {
                claim: ClaimToken("a".to_owned()),
                since,
            },
            ..MessageRow::new(id, Timestamp::from_millis(0))
        }
    }

    fn at_id(id: &str) -> AtMessageId {
        AtMessageId::new(id).unwrap()
    }

    #[test]
    fn a_claim_of_another_sender_is_kept_until_it_must_be_over() {
        let calls = NumberCalls::default().opened(&claimed("m", at(1)), at(1));
        let both = calls.opened(&claimed("m", at(2)), at(2));
        assert_eq!(both.open.len(), 2);
        assert_eq!(both.first_claim(&claimed("m", at(1)).id), Some(at(1)));
        let later = both.opened(&claimed("m", at(700)), at(700));
        assert_eq!(later.open.len(), 1);
    }

    #[test]
    fn without_a_call_no_sms_is_listed() {
        let calls = NumberCalls::default().with_unmatched(&at_id("x"));
        assert!(calls.unmatched().is_empty());
        let row = claimed("m", at(1));
        let calls = calls.opened(&row, at(1)).with_unmatched(&at_id("x"));
        assert_eq!(calls.unmatched(), [at_id("x")]);
        assert_eq!(calls.struck(&row.id, at(1)), NumberCalls::default());
    }

    #[test]
    fn a_match_that_is_carried_out_leaves_nothing() {
        let row = claimed("m", at(1));
        let decided = Match {
            at_id: at_id("x"),
            message: row.id.clone(),
            called_at: at(1),
        };
        let calls = NumberCalls::default()
            .opened(&row, at(1))
            .with_unmatched(&at_id("x"))
            .with_decided(vec![decided.clone()]);
        assert_eq!(calls.next_decided(), Some(&decided));
        assert_eq!(calls.after_match(&decided), NumberCalls::default());
    }

    #[test]
    fn a_storm_does_not_grow_the_row_for_ever() {
        let calls = (0..200).fold(NumberCalls::default(), |calls, n| {
            calls.opened(&claimed(&format!("m-{n}"), at(n)), at(n))
        });
        assert_eq!(calls.open.len(), KEPT);
        assert!(calls.may_be_incomplete(at(200)));
        let late = calls.opened(&claimed("m", at(200_000)), at(200_000));
        assert_eq!(late.open.len(), 1);
    }
}
