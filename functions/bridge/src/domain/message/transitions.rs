//! Every transition of a message's row.

use std::time::Duration;

use super::{
    Acceptance, CHARGES_KEPT, Charge, ClaimToken, MessageRow, NextStep, OUTCOME_UNKNOWN, Sending,
    SendingRules, StatusRefusal, UnknownOutcomePolicy,
};
use crate::domain::failure_reason::FailureReason;
use crate::domain::ids::AtMessageId;
use crate::domain::quarantine::{MedicFailure, QUARANTINE};
use crate::domain::status::Status;
use crate::domain::time::Timestamp;

/// A call that is over for longer than this was noticed late.
const LATE: Duration = Duration::from_mins(1);

/// An unknown outcome that was noticed late waits so much longer for an acceptance or a report: more
/// than twice the longest wait of a record that the ledger did not take.
const AFTER_LEDGER_TROUBLE: Duration = Duration::from_mins(2);

impl MessageRow {
    /// The row after Medic took a status.
    #[must_use]
    pub fn after_reporting(mut self, reported: Status) -> Self {
        self.reported = Some(reported);
        self.refusal = None;
        self
    }

    /// Whether the status that it has now was set aside within the last hour.
    pub fn is_set_aside(&self, now: Timestamp) -> bool {
        let refusal = self.refused().filter(|refusal| refusal.times > 0);
        let refused_at = refusal.and_then(|refusal| refusal.at);
        refused_at.is_some_and(|at| now < at + QUARANTINE)
    }

    /// How often the status that it has now was set aside.
    pub fn times_set_aside(&self) -> u32 {
        self.refused().map_or(0, |refusal| refusal.times)
    }

    /// The row after Medic failed on the status that it has now, `progress` being how much it had taken by
    /// then. The status is set aside if that is more than at the failure before, or if Medic did not answer.
    #[must_use]
    pub fn after_refusal(mut self, failure: &MedicFailure, now: Timestamp, progress: u64) -> Self {
        let before = self.refused();
        let counted = before.map_or(progress, |before| before.progress);
        let times = before.map_or(0, |before| before.times);
        let times = match failure {
            _ if progress > counted => times.saturating_add(1),
            MedicFailure::Answer(_) => times,
            MedicFailure::NoAnswer => times.max(1),
        };
        self.refusal = Some(StatusRefusal {
            status: self.status,
            answer: FailureReason::new(failure.text()),
            at: Some(now),
            times,
            progress: progress.max(counted),
        });
        self
    }

    /// The row with its status to be reported again, whatever Medic took or refused before.
    #[must_use]
    pub fn to_be_reported_again(mut self) -> Self {
        self.reported = None;
        self.refusal = None;
        self
    }

    /// The row with its status joined with another. A reason comes with the status that it explains.
    #[must_use]
    pub fn raised(mut self, status: Status, reason: Option<FailureReason>) -> Self {
        let joined = self.status.join(status);
        if joined != self.status {
            self.status = joined;
            self.failure_reason = reason;
        }
        self
    }

    /// Decides what to do with a copy of the message. `checked` says whether matching reports were
    /// just searched.
    pub fn next_step(
        self,
        claim: &ClaimToken,
        rules: &SendingRules,
        now: Timestamp,
        checked: bool,
    ) -> NextStep {
        let expires = self.first_offered + rules.max_age;
        let expired = now >= expires;
        match &self.sending {
            Sending::Queued | Sending::Waiting { .. } if expired => NextStep::Write(self.expired()),
            Sending::Waiting { until, .. } if now < *until => {
                NextStep::WaitUntil((*until).min(expires))
            }
            Sending::Queued | Sending::Waiting { .. } => NextStep::Call(self.claimed(claim, now)),
            Sending::Calling { claim: holder, .. } if holder == claim => NextStep::CallNow(self),
            Sending::Calling { since, .. } => {
                let over = *since + rules.call_over_after;
                if now < over {
                    NextStep::WaitUntil(over)
                } else {
                    // Nobody came in time, perhaps because the ledger failed. An acceptance that only
                    // the queue could keep comes first.
                    let is_late = now.since(over) > LATE;
                    let more = if is_late {
                        AFTER_LEDGER_TROUBLE
                    } else {
                        Duration::ZERO
                    };
                    NextStep::Write(self.unknown(now + more))
                }
            }
            Sending::Unknown { since } => {
                let due = *since + rules.resend_after;
                let is_first = self.unknown_outcomes < 2;
                match rules.unknown_outcome {
                    _ if now < due => NextStep::WaitUntil(due),
                    _ if !checked => NextStep::CheckForMatchingReport,
                    UnknownOutcomePolicy::ResendOnce if is_first && !expired => {
                        NextStep::Call(self.claimed(claim, now))
                    }
                    UnknownOutcomePolicy::Hold if is_first && !expired => {
                        NextStep::WaitUntil(expires)
                    }
                    _ => NextStep::Write(self.failed(FailureReason::new(OUTCOME_UNKNOWN))),
                }
            }
            Sending::Accepted | Sending::Failed => NextStep::Done,
        }
    }

    /// The row after Africa's Talking accepted the message in the call that began at this time. It
    /// applies in every state, because a response outweighs every assumption.
    #[must_use]
    pub fn after_acceptance(mut self, acceptance: &Acceptance, called_at: Timestamp) -> Self {
        self.sending = Sending::Accepted;
        self.open_calls.retain(|call| *call != called_at);
        if let Some(at_id) = &acceptance.at_id
            && !self.at_ids.contains(at_id)
        {
            self.at_ids.push(at_id.clone());
        }
        self.charge(acceptance, called_at);
        self.cost = acceptance.cost.clone().or(self.cost);
        self.parts = acceptance.parts.or(self.parts);
        self.raised(acceptance.status, None)
    }

    /// Adds the charge of an attempt, once, however often its response is recorded.
    fn charge(&mut self, acceptance: &Acceptance, called_at: Timestamp) {
        let known = self.charges.iter().any(|charge| {
            charge.at_id == acceptance.at_id
                && (charge.at_id.is_some() || charge.called_at == called_at)
        });
        if !known && self.charges.len() < CHARGES_KEPT {
            self.charges.push(Charge {
                at_id: acceptance.at_id.clone(),
                called_at,
                cost: acceptance.cost.clone(),
                parts: acceptance.parts,
            });
        }
    }

    /// Whether this id came in the response to a send request of its own.
    pub fn was_answered_with(&self, at_id: &AtMessageId) -> bool {
        let mut charges = self.charges.iter();
        charges.any(|charge| charge.at_id.as_ref() == Some(at_id))
    }

    /// When its calls of unknown outcome began.
    pub fn unsettled_calls(&self) -> impl Iterator<Item = Timestamp> + '_ {
        self.open_calls.iter().copied().chain(self.called_at())
    }

    /// When the call under way began.
    pub fn called_at(&self) -> Option<Timestamp> {
        match self.sending {
            Sending::Calling { since, .. } => Some(since),
            _ => None,
        }
    }

    /// The row after a delivery report has shown that the call which began then had sent it, as the
    /// SMS with this id.
    #[must_use]
    pub fn after_match(mut self, at_id: &AtMessageId, called_at: Timestamp) -> Self {
        self.open_calls.retain(|call| *call != called_at);
        if !self.at_ids.contains(at_id) {
            self.at_ids.push(at_id.clone());
        }
        match &self.sending {
            // Another call is in flight, and its own outcome will settle the message.
            Sending::Calling { since, .. } if *since != called_at => self,
            _ => self.with_sending(Sending::Accepted),
        }
    }

    /// The row after a response showed that its matched SMS belongs to another message. Without
    /// another SMS the message fails as `outcome unknown`. A delivery stays, because a status never
    /// falls.
    #[must_use]
    pub fn after_losing(mut self, at_id: &AtMessageId) -> Self {
        self = self.without_sms(at_id);
        if self.at_ids.is_empty() && self.sending == Sending::Accepted {
            self.failed(FailureReason::new(OUTCOME_UNKNOWN))
        } else {
            self
        }
    }

    /// The row of a message that was claimed, and for which no request was sent.
    #[must_use]
    pub fn after_no_call(mut self, claim: &ClaimToken, now: Timestamp) -> Self {
        if self.is_claimed_by(claim) {
            self.attempts = self.attempts.saturating_sub(1);
            let reason = FailureReason::new("no time was left");
            self.unless_sent(Sending::Waiting { reason, until: now })
        } else {
            self
        }
    }

    /// The row after a final refusal. Without the claim it stays as it is.
    #[must_use]
    pub fn after_final_refusal(self, claim: &ClaimToken, reason: FailureReason) -> Self {
        if !self.is_claimed_by(claim) {
            self
        } else if self.at_ids.is_empty() {
            self.failed(reason)
        } else {
            self.with_sending(Sending::Accepted)
        }
    }

    /// The row after a call that surely sent nothing. Without the claim it stays as it is.
    #[must_use]
    pub fn after_not_sent(
        mut self,
        claim: &ClaimToken,
        reason: FailureReason,
        until: Timestamp,
    ) -> Self {
        if self.is_claimed_by(claim) {
            self.not_sent = self.not_sent.saturating_add(1);
            self.unless_sent(Sending::Waiting { reason, until })
        } else {
            self
        }
    }

    /// The row after a call that sent nothing, or for which no request was sent, for a reason that is
    /// not the message's own. It does not count against the message.
    #[must_use]
    pub fn after_outside_failure(
        self,
        claim: &ClaimToken,
        reason: FailureReason,
        until: Timestamp,
    ) -> Self {
        if self.is_claimed_by(claim) {
            self.unless_sent(Sending::Waiting { reason, until })
        } else {
            self
        }
    }

    /// The row of a message that has to wait before anything was tried, with the reason. It is let go at
    /// any time.
    #[must_use]
    pub fn waiting(self, reason: FailureReason, now: Timestamp) -> Self {
        match self.sending {
            Sending::Queued => self.with_sending(Sending::Waiting { reason, until: now }),
            _ => self,
        }
    }

    /// Whether nothing is left to send.
    pub fn is_settled(&self) -> bool {
        matches!(self.sending, Sending::Accepted | Sending::Failed)
    }

    /// Whether it may have been sent: one more call of unknown outcome can be its last.
    pub fn is_in_doubt(&self) -> bool {
        self.unknown_outcomes > 0 || matches!(self.sending, Sending::Calling { .. })
    }

    /// Whether it can show if Africa's Talking works again.
    pub fn can_be_pilot(&self, now: Timestamp) -> bool {
        match &self.sending {
            Sending::Waiting { until, .. } => now >= *until,
            _ => !self.is_settled(),
        }
    }

    /// The row after a call of unknown outcome. The wait for a matching report begins now, because
    /// the claim may be much older than the call.
    #[must_use]
    pub fn after_unknown_outcome(self, claim: &ClaimToken, now: Timestamp) -> Self {
        if self.is_claimed_by(claim) {
            self.unknown(now)
        } else {
            self
        }
    }

    /// The row of an unknown outcome, with the reason why it is unknown.
    #[must_use]
    pub fn with_unknown_outcome_reason(mut self, reason: &FailureReason) -> Self {
        if matches!(self.sending, Sending::Unknown { .. }) {
            self.unknown_outcome_reason = Some(reason.clone());
        }
        self
    }

    /// The row of a message that shall not be sent at all: one to no number, or one that the recipient limit
    /// stops.
    #[must_use]
    pub fn unsendable(self, reason: FailureReason) -> Self {
        match self.sending {
            Sending::Queued | Sending::Waiting { .. } => self.failed(reason),
            _ => self,
        }
    }

    /// The row of a message that no SMS can hold.
    #[must_use]
    pub fn too_long(self) -> Self {
        self.unsendable(FailureReason::new("the text is longer than an SMS can be"))
    }

    fn is_claimed_by(&self, claim: &ClaimToken) -> bool {
        matches!(&self.sending, Sending::Calling { claim: holder, .. } if holder == claim)
    }

    fn claimed(mut self, claim: &ClaimToken, now: Timestamp) -> Self {
        self.attempts = self.attempts.saturating_add(1);
        self.with_sending(Sending::Calling {
            claim: claim.clone(),
            since: now,
        })
    }

    fn unknown(mut self, since: Timestamp) -> Self {
        self.unknown_outcomes = self.unknown_outcomes.saturating_add(1);
        let called_at = self.called_at();
        self.open_calls.extend(called_at);
        self.unknown_outcome_reason = None;
        self.unless_sent(Sending::Unknown { since })
    }

    fn expired(self) -> Self {
        let reason = if self.unknown_outcomes > 0 {
            OUTCOME_UNKNOWN
        } else {
            "expired"
        };
        self.failed(FailureReason::new(reason))
    }

    pub(super) fn failed(self, reason: FailureReason) -> Self {
        self.with_sending(Sending::Failed)
            .raised(Status::Failed, Some(reason))
    }

    /// The row after a call that leaves the sending in this state, unless a report showed meanwhile
    /// that an earlier call had sent the message.
    fn unless_sent(self, sending: Sending) -> Self {
        let is_sent = !self.at_ids.is_empty();
        self.with_sending(if is_sent { Sending::Accepted } else { sending })
    }

    fn with_sending(mut self, sending: Sending) -> Self {
        self.sending = sending;
        self
    }
}
