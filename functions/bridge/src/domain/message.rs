//! A message that Medic wants sent: its row in the ledger, and every step that the row can take.
//!
//! Each step is a pure function from a row to the next one. The shell reads a row, takes a step and
//! writes the result on the condition that the row has not changed meanwhile.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::account::AccountTrouble;
use super::cost::Cost;
use super::history::Event;
use super::ids::{AtMessageId, MedicMessageId};
use super::status::Status;

/// Why a message failed: a short word or phrase for Medic and for people, never with personal data.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct FailureReason(String);

impl FailureReason {
    /// The reason, shortened to 100 characters and without control characters. When it has so many
    /// digits that a phone number could be in it, however that is written, every digit is masked:
    /// reasons come from outside, and are shown.
    pub fn new(reason: &str) -> Self {
        let short = reason.trim().chars().filter(|c| !c.is_control()).take(100);
        let kept: String = if reason.chars().filter(char::is_ascii_digit).count() >= 7 {
            short
                .map(|c| if c.is_ascii_digit() { '…' } else { c })
                .collect()
        } else {
            short.collect()
        };
        // A reason that is read again is cut no further.
        Self(kept.trim().to_owned())
    }

    /// The text of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for FailureReason {
    fn from(reason: String) -> Self {
        Self::new(&reason)
    }
}

impl From<FailureReason> for String {
    fn from(reason: FailureReason) -> Self {
        reason.0
    }
}

impl fmt::Debug for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The reason of a message of which nobody knows whether it was sent.
const OUTCOME_UNKNOWN: &str = "outcome unknown";

/// Who holds the right to call Africa's Talking for a message: new for each invocation and message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimToken(pub String);

/// Where the sending of a message stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Sending {
    /// Nothing was tried yet.
    Queued,
    /// It surely was not sent, and is tried again.
    Waiting {
        /// Why it was not sent.
        reason: FailureReason,
        /// Not before this time, in milliseconds since 1970.
        until_ms: i64,
    },
    /// An invocation is calling Africa's Talking, or died doing so.
    Calling {
        /// Whose call it is.
        claim: ClaimToken,
        /// When it was claimed, in milliseconds since 1970.
        since_ms: i64,
    },
    /// Nobody knows whether Africa's Talking has it.
    Unknown {
        /// When the wait for evidence begins, in milliseconds since 1970.
        since_ms: i64,
    },
    /// Africa's Talking has it.
    Accepted,
    /// It will not be sent.
    Failed,
}

/// So long after Medic refused a status, in milliseconds, it is told again if Medic asks: what it
/// offers and never hears of stands before what it offers next.
const TOLD_AGAIN_AFTER_MS: i64 = 60 * 60 * 1000;

/// What Medic said to a status that it refused while it took others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The status that it refused.
    pub status: Status,
    /// Its answer.
    pub answer: FailureReason,
    /// When it refused it last, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<i64>,
}

/// So many of Africa's Talking's charges are kept for a message: it is called twice at most, unless
/// answers come where none was expected any more.
const CHARGES_KEPT: usize = 8;

/// What Africa's Talking charged for an attempt that it accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// Its id for the SMS, if it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_id: Option<AtMessageId>,
    /// When the call began, in milliseconds since 1970.
    pub called_at_ms: i64,
    /// The price, if it named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// The number of parts, if it named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<u32>,
}

/// The ledger's row for one message of Medic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRow {
    /// Medic's id for it.
    pub id: MedicMessageId,
    /// When Medic first offered it, in milliseconds since 1970.
    pub first_offered_ms: i64,
    /// Where the sending stands.
    pub sending: Sending,
    /// A keyed hash of the number that it goes to, from the first call on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number_hash: Option<String>,
    /// When those calls began, in milliseconds since 1970, of which nobody knows the outcome still.
    #[serde(default)]
    pub open_calls: Vec<i64>,
    /// How often Africa's Talking was called for it.
    #[serde(default)]
    pub attempts: u32,
    /// After how many of them nobody knew whether it was sent.
    #[serde(default)]
    pub unknown_outcomes: u32,
    /// After how many of them it surely was not sent, through no fault of the account.
    #[serde(default)]
    pub not_sent: u32,
    /// The highest status it has reached.
    pub status: Status,
    /// Why it failed, when that is its status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<FailureReason>,
    /// The status that Medic was last told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Status>,
    /// Medic's refusal of a status, alarmed and left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// Africa's Talking's ids for it, one for each attempt that it accepted.
    #[serde(default)]
    pub at_ids: Vec<AtMessageId>,
    /// What Africa's Talking charged for the last attempt that it accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// Its number of parts by Africa's Talking's count, where it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<u32>,
    /// Its number of parts by our own count.
    #[serde(default)]
    pub segments: u32,
    /// As whom it is sent, from the first call on; none leaves the choice to Africa's Talking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_id: Option<String>,
    /// What Africa's Talking charged for each attempt that it accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub charges: Vec<Charge>,
    /// What came instead of an answer in the last call of which nobody knows the outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<FailureReason>,
    /// What happened to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Event>,
}

/// What Africa's Talking said when it accepted a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acceptance {
    /// Its id for the SMS; none when it gave `None`, and its reports can then not be followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_id: Option<AtMessageId>,
    /// How far the SMS has come by its word.
    pub status: Status,
    /// What it cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// Its number of parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<u32>,
}

/// What to do with a message whose outcome is unknown and stays so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownOutcomePolicy {
    /// Send it once more. Two of the same SMS are possible, none is not.
    ResendOnce,
    /// Never send it again. None is possible, two are not.
    Hold,
}

/// The text is no policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must be `resend-once` or `hold`")]
pub struct NotAPolicy;

impl FromStr for UnknownOutcomePolicy {
    type Err = NotAPolicy;

    fn from_str(text: &str) -> Result<Self, NotAPolicy> {
        match text {
            "resend-once" => Ok(Self::ResendOnce),
            "hold" => Ok(Self::Hold),
            _ => Err(NotAPolicy),
        }
    }
}

/// The rules of sending, from the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendingRules {
    /// What to do when the outcome is unknown.
    pub unknown_outcome: UnknownOutcomePolicy,
    /// How long an unknown outcome waits for evidence, in milliseconds.
    pub resend_after_ms: i64,
    /// How old a message may get, since it was first offered, before it expires, in milliseconds.
    pub max_age_ms: i64,
    /// After how long a call must have ended one way or the other, in milliseconds: the function's
    /// time-out and some more for clocks that differ.
    pub call_over_after_ms: i64,
}

/// What to do with a copy of a message that came out of the `outbox`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// Write this row; if that succeeds, the claim is ours: call Africa's Talking.
    Call(MessageRow),
    /// The claim is ours already: call Africa's Talking.
    CallNow(MessageRow),
    /// Write this row and look again.
    Write(MessageRow),
    /// Look whether a delivery report shows that it was sent, and then look again.
    LookForEvidence,
    /// Let the copy wait until this time, in milliseconds since 1970.
    WaitUntil(i64),
    /// Nothing is left to do: the copy can go.
    Done,
}

impl MessageRow {
    /// However a row begins, it begins so: nothing tried, `Unsent`, nothing told.
    pub fn new(id: MedicMessageId, first_offered_ms: i64) -> Self {
        Self {
            id,
            first_offered_ms,
            sending: Sending::Queued,
            number_hash: None,
            open_calls: Vec::new(),
            attempts: 0,
            unknown_outcomes: 0,
            not_sent: 0,
            status: Status::Unsent,
            failure_reason: None,
            told: None,
            refusal: None,
            at_ids: Vec::new(),
            cost: None,
            parts: None,
            segments: 0,
            sender_id: None,
            charges: Vec::new(),
            doubt: None,
            history: Vec::new(),
        }
    }

    /// Whether Medic has still to be told its status: such rows are in the sparse index.
    pub fn is_untold(&self) -> bool {
        self.told != Some(self.status) && !self.is_refused()
    }

    /// Whether Africa's Talking has it, and has reported no end of it.
    pub fn is_unreported(&self) -> bool {
        self.sending == Sending::Accepted && self.status < Status::Failed
    }

    /// Whether Medic refused the status that it has now.
    pub fn is_refused(&self) -> bool {
        let refusal = self.refusal.as_ref();
        refusal.is_some_and(|refusal| refusal.status == self.status)
    }

    /// The row after Medic was told a status with success.
    #[must_use]
    pub fn after_telling(mut self, told: Status) -> Self {
        self.told = Some(told);
        self.refusal = None;
        self
    }

    /// Whether Medic refused the status that it has now, and that so lately that it is not asked again,
    /// though it offers the message again.
    pub fn is_refused_lately(&self, now_ms: i64) -> bool {
        let refusal = self.refusal.as_ref().filter(|_| self.is_refused());
        let refused_at_ms = refusal.and_then(|refusal| refusal.at_ms);
        refused_at_ms.is_some_and(|at_ms| now_ms < at_ms.saturating_add(TOLD_AGAIN_AFTER_MS))
    }

    /// The row after Medic refused this status while it took others.
    #[must_use]
    pub fn after_refusal(mut self, status: Status, answer: &str, now_ms: i64) -> Self {
        self.refusal = Some(Refusal {
            status,
            answer: FailureReason::new(answer),
            at_ms: Some(now_ms),
        });
        self
    }

    /// The row with its status to be told once more, whatever Medic was told or has refused.
    #[must_use]
    pub fn to_be_told_again(mut self) -> Self {
        self.told = None;
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

    /// What a copy of the message has to do now. `looked` says whether evidence for an unknown
    /// outcome was looked for just now.
    pub fn next_step(
        self,
        claim: &ClaimToken,
        rules: &SendingRules,
        now_ms: i64,
        looked: bool,
    ) -> NextStep {
        let expires_ms = self.first_offered_ms.saturating_add(rules.max_age_ms);
        let expired = now_ms >= expires_ms;
        match &self.sending {
            Sending::Queued | Sending::Waiting { .. } if expired => NextStep::Write(self.expired()),
            Sending::Waiting { until_ms, .. } if now_ms < *until_ms => {
                NextStep::WaitUntil((*until_ms).min(expires_ms))
            }
            Sending::Queued | Sending::Waiting { .. } => {
                NextStep::Call(self.claimed(claim, now_ms))
            }
            Sending::Calling { claim: holder, .. } if holder == claim => NextStep::CallNow(self),
            Sending::Calling { since_ms, .. } => {
                let over_ms = since_ms.saturating_add(rules.call_over_after_ms);
                if now_ms < over_ms {
                    NextStep::WaitUntil(over_ms)
                } else {
                    // While the ledger was away nothing could be learned. An answer in hand waits in
                    // its queue by a hundredth of its age, and comes first.
                    let late_ms = now_ms.saturating_sub(over_ms);
                    let since_ms = now_ms.saturating_add(late_ms / 50);
                    NextStep::Write(self.unknown(since_ms))
                }
            }
            Sending::Unknown { since_ms } => {
                let due_ms = since_ms.saturating_add(rules.resend_after_ms);
                let is_first = self.unknown_outcomes < 2;
                match rules.unknown_outcome {
                    _ if now_ms < due_ms => NextStep::WaitUntil(due_ms),
                    _ if !looked => NextStep::LookForEvidence,
                    UnknownOutcomePolicy::ResendOnce if is_first && !expired => {
                        NextStep::Call(self.claimed(claim, now_ms))
                    }
                    UnknownOutcomePolicy::Hold if is_first && !expired => {
                        NextStep::WaitUntil(expires_ms)
                    }
                    _ => NextStep::Write(self.failed(FailureReason::new(OUTCOME_UNKNOWN))),
                }
            }
            Sending::Accepted | Sending::Failed => NextStep::Done,
        }
    }

    /// The row after Africa's Talking accepted it in the call that began then, in whatever state the
    /// row is by now: an answer in hand outweighs every guess.
    #[must_use]
    pub fn after_acceptance(mut self, acceptance: &Acceptance, called_at_ms: i64) -> Self {
        self.sending = Sending::Accepted;
        self.open_calls.retain(|call| *call != called_at_ms);
        if let Some(at_id) = &acceptance.at_id
            && !self.at_ids.contains(at_id)
        {
            self.at_ids.push(at_id.clone());
        }
        self.charge(acceptance, called_at_ms);
        self.cost = acceptance.cost.clone().or(self.cost);
        self.parts = acceptance.parts.or(self.parts);
        self.raised(acceptance.status, None)
    }

    /// Notes what an attempt cost; once, however often its answer is written down.
    fn charge(&mut self, acceptance: &Acceptance, called_at_ms: i64) {
        let known = self.charges.iter().any(|charge| {
            charge.at_id == acceptance.at_id
                && (charge.at_id.is_some() || charge.called_at_ms == called_at_ms)
        });
        if !known && self.charges.len() < CHARGES_KEPT {
            self.charges.push(Charge {
                at_id: acceptance.at_id.clone(),
                called_at_ms,
                cost: acceptance.cost.clone(),
                parts: acceptance.parts,
            });
        }
    }

    /// When those of its calls began that could still turn out to have sent it.
    pub fn unsettled_calls(&self) -> impl Iterator<Item = i64> + '_ {
        self.open_calls.iter().copied().chain(self.called_at_ms())
    }

    /// When the call under way began, in milliseconds since 1970.
    pub fn called_at_ms(&self) -> Option<i64> {
        match self.sending {
            Sending::Calling { since_ms, .. } => Some(since_ms),
            _ => None,
        }
    }

    /// The row after a delivery report has shown that the call which began then had sent it, as the
    /// SMS with this id.
    #[must_use]
    pub fn after_adoption(mut self, at_id: &AtMessageId, called_at_ms: i64) -> Self {
        self.open_calls.retain(|call| *call != called_at_ms);
        if !self.at_ids.contains(at_id) {
            self.at_ids.push(at_id.clone());
        }
        match &self.sending {
            // Another call is under way: its own outcome will settle it.
            Sending::Calling { since_ms, .. } if *since_ms != called_at_ms => self,
            _ => self.with_sending(Sending::Accepted),
        }
    }

    /// The row after the sender of another message has shown that this SMS, adopted here, is that
    /// message's. Its status cannot go back; nothing else of it is known any more.
    #[must_use]
    pub fn after_losing(mut self, at_id: &AtMessageId) -> Self {
        self.at_ids.retain(|id| id != at_id);
        if self.at_ids.is_empty() && self.sending == Sending::Accepted {
            self.failed(FailureReason::new(OUTCOME_UNKNOWN))
        } else {
            self
        }
    }

    /// The row of a message that was claimed and then not even tried.
    #[must_use]
    pub fn after_no_call(mut self, claim: &ClaimToken, now_ms: i64) -> Self {
        if self.is_claimed_by(claim) {
            self.attempts = self.attempts.saturating_sub(1);
            let reason = FailureReason::new("no time was left");
            self.with_sending(Sending::Waiting {
                reason,
                until_ms: now_ms,
            })
        } else {
            self
        }
    }

    /// The row after a final refusal; only the call that holds the claim may say so.
    #[must_use]
    pub fn after_final_refusal(self, claim: &ClaimToken, reason: FailureReason) -> Self {
        if self.is_claimed_by(claim) {
            self.failed(reason)
        } else {
            self
        }
    }

    /// The row after a call that surely sent nothing; only the call that holds the claim may say so.
    #[must_use]
    pub fn after_not_sent(
        mut self,
        claim: &ClaimToken,
        reason: FailureReason,
        until_ms: i64,
    ) -> Self {
        if self.is_claimed_by(claim) {
            self.not_sent = self.not_sent.saturating_add(1);
            self.with_sending(Sending::Waiting { reason, until_ms })
        } else {
            self
        }
    }

    /// The row after a call that met trouble of the whole account: nothing was sent, and the message
    /// is not to blame.
    #[must_use]
    pub fn after_account_trouble(
        self,
        claim: &ClaimToken,
        trouble: AccountTrouble,
        until_ms: i64,
    ) -> Self {
        if self.is_claimed_by(claim) {
            let reason = FailureReason::new(&format!("held: {}", trouble.words()));
            self.with_sending(Sending::Waiting { reason, until_ms })
        } else {
            self
        }
    }

    /// The row after a call of which nobody knows what it did. The wait for evidence begins now and
    /// not with the claim: the claim may be long past, and the call a moment ago.
    #[must_use]
    pub fn after_unknown_outcome(self, claim: &ClaimToken, now_ms: i64) -> Self {
        if self.is_claimed_by(claim) {
            self.unknown(now_ms)
        } else {
            self
        }
    }

    /// The row of which nobody knows the outcome, with what came instead of an answer.
    #[must_use]
    pub fn doubted(mut self, reason: &FailureReason) -> Self {
        if matches!(self.sending, Sending::Unknown { .. }) {
            self.doubt = Some(reason.clone());
        }
        self
    }

    /// The row of a message that shall not be sent at all: one to no number, or one that the fuse
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

    fn claimed(mut self, claim: &ClaimToken, now_ms: i64) -> Self {
        self.attempts = self.attempts.saturating_add(1);
        self.with_sending(Sending::Calling {
            claim: claim.clone(),
            since_ms: now_ms,
        })
    }

    fn unknown(mut self, since_ms: i64) -> Self {
        self.unknown_outcomes = self.unknown_outcomes.saturating_add(1);
        let called_at_ms = self.called_at_ms();
        self.open_calls.extend(called_at_ms);
        self.doubt = None;
        self.with_sending(Sending::Unknown { since_ms })
    }

    fn expired(self) -> Self {
        let reason = if self.unknown_outcomes > 0 {
            OUTCOME_UNKNOWN
        } else {
            "expired"
        };
        self.failed(FailureReason::new(reason))
    }

    fn failed(self, reason: FailureReason) -> Self {
        self.with_sending(Sending::Failed)
            .raised(Status::Failed, Some(reason))
    }

    fn with_sending(mut self, sending: Sending) -> Self {
        self.sending = sending;
        self
    }
}

#[cfg(test)]
mod tests;
