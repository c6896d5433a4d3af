//! Writes the history of a message. It follows from what each write of the row changes, and is a part of
//! that write, so that no transition can leave it out.

use super::history::{Event, What};
use super::{MessageRow, Sending};
use crate::domain::ids::AtMessageId;
use crate::domain::time::Timestamp;

/// The number of events that are kept. A message that is retried for ten days has hundreds.
const EVENTS_KEPT: usize = 32;

/// How many of them are the first events. The others are the last ones.
const FIRST_EVENTS_KEPT: usize = 8;

impl MessageRow {
    /// The row with the steps from `before` to it added to its history.
    #[must_use]
    pub fn remembering(mut self, before: Option<&Self>, now: Timestamp) -> Self {
        let happened = match before {
            Some(before) => changes(before, &self),
            None => {
                // Only the exchange tells Medic anything: a row that begins has been told nothing.
                let mut begun = Self::new(self.id.clone(), self.first_offered);
                begun.reported = self.reported;
                changes(&begun, &self)
            }
        };
        for what in happened {
            if self.history.len() >= EVENTS_KEPT {
                self.history.remove(FIRST_EVENTS_KEPT);
            }
            self.history.push(Event { at: now, what });
        }
        self
    }
}

/// The steps between two states of a row.
fn changes(before: &MessageRow, after: &MessageRow) -> Vec<What> {
    let mut changes = Vec::new();
    let charges = after.charges.iter();
    let accepted: Vec<Option<&AtMessageId>> = charges
        .filter(|charge| !before.charges.contains(charge))
        .map(|charge| charge.at_id.as_ref())
        .collect();
    if after.sending != before.sending {
        changes.extend(change_of_sending(after));
    }
    changes.extend(accepted.iter().map(|at_id| What::Accepted {
        at_id: at_id.cloned(),
    }));
    let is_new = |id: &&AtMessageId| !before.at_ids.contains(id) && !accepted.contains(&Some(*id));
    let matched = after.at_ids.iter().filter(is_new);
    changes.extend(matched.map(|id| What::Matched { at_id: id.clone() }));
    let lost = before.at_ids.iter().filter(|id| !after.at_ids.contains(id));
    changes.extend(lost.map(|id| What::Lost { at_id: id.clone() }));
    if after.status != before.status {
        changes.push(What::Rose {
            status: after.status,
            reason: after.failure_reason.clone(),
        });
    }
    changes.extend(change_of_reporting(before, after));
    changes
}

fn change_of_sending(after: &MessageRow) -> Option<What> {
    match &after.sending {
        Sending::Calling { .. } => Some(What::Called),
        Sending::Waiting { reason, until } => Some(What::Waiting {
            reason: reason.clone(),
            until: *until,
        }),
        Sending::Unknown { .. } => Some(What::OutcomeUnknown {
            reason: after.unknown_outcome_reason.clone(),
        }),
        // An id, a charge or a status says more.
        Sending::Queued | Sending::Accepted | Sending::Failed => None,
    }
}

fn change_of_reporting(before: &MessageRow, after: &MessageRow) -> Option<What> {
    match (&after.refusal, after.reported) {
        (Some(refusal), _) if before.refusal != after.refusal => Some(What::Refused {
            status: refusal.status,
        }),
        (_, Some(status)) if before.reported != after.reported => Some(What::Reported { status }),
        (None, None) if before.reported.is_some() || before.refusal.is_some() => {
            Some(What::ToBeReportedAgain)
        }
        (None, Some(_)) if before.refusal.is_some() && before.reported == after.reported => {
            Some(What::ToBeReportedAgain)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::failure_reason::FailureReason;
    use crate::domain::ids::MedicMessageId;
    use crate::domain::message::{Acceptance, ClaimToken};
    use crate::domain::quarantine::MedicFailure;
    use crate::domain::status::Status;

    fn row() -> MessageRow {
        MessageRow::new(
            MedicMessageId::new("uuid-1").unwrap(),
            Timestamp::from_millis(0),
        )
    }

    fn at_id(id: &str) -> AtMessageId {
        AtMessageId::new(id).unwrap()
    }

    fn calling(row: MessageRow, since: Timestamp) -> MessageRow {
        MessageRow {
            sending: Sending::Calling {
                claim: ClaimToken("a".to_owned()),
                since,
            },
            ..row
        }
    }

    fn acceptance(id: &str) -> Acceptance {
        Acceptance {
            at_id: Some(at_id(id)),
            status: Status::Pending,
            cost: None,
            parts: None,
        }
    }

    fn lines(row: &MessageRow) -> Vec<String> {
        serde_json::from_value(serde_json::to_value(&row.history).unwrap()).unwrap()
    }

    fn words(row: &MessageRow) -> Vec<String> {
        let lines = lines(row).into_iter();
        lines
            .map(|line| line.split(' ').nth(1).unwrap().to_owned())
            .collect()
    }

    #[test]
    fn a_usual_life_is_shown_in_order() {
        let begun = row().remembering(None, Timestamp::from_millis(1));
        let called = calling(begun.clone(), Timestamp::from_millis(2))
            .remembering(Some(&begun), Timestamp::from_millis(2));
        let accepted = called
            .clone()
            .after_acceptance(&acceptance("ATXid_1"), Timestamp::from_millis(2));
        let accepted = accepted.remembering(Some(&called), Timestamp::from_millis(3));
        let reported = accepted.clone().after_reporting(Status::Pending);
        let reported = reported.remembering(Some(&accepted), Timestamp::from_millis(4));
        let sent = reported
            .clone()
            .raised(Status::Sent, None)
            .remembering(Some(&reported), Timestamp::from_millis(5));
        let reported = sent
            .clone()
            .after_reporting(Status::Sent)
            .remembering(Some(&sent), Timestamp::from_millis(6));
        let done = reported
            .clone()
            .raised(Status::Delivered, None)
            .remembering(Some(&reported), Timestamp::from_millis(7));
        let done = done
            .clone()
            .after_reporting(Status::Delivered)
            .remembering(Some(&done), Timestamp::from_millis(8));
        assert_eq!(
            lines(&done),
            [
                "2 called",
                "3 accepted ATXid_1",
                "3 rose PENDING",
                "4 reported PENDING",
                "5 rose SENT",
                "6 reported SENT",
                "7 rose DELIVERED",
                "8 reported DELIVERED"
            ]
        );
    }

    #[test]
    fn an_unknown_outcome_and_what_settles_it_are_shown() {
        let before = calling(row(), Timestamp::from_millis(7));
        let unknown = before
            .clone()
            .after_unknown_outcome(&ClaimToken("a".to_owned()), Timestamp::from_millis(9));
        let unknown = unknown
            .with_unknown_outcome_reason(&FailureReason::new("no answer"))
            .remembering(Some(&before), Timestamp::from_millis(9));
        let matched = unknown
            .clone()
            .after_match(&at_id("ATXid_1"), Timestamp::from_millis(7));
        let matched = matched.remembering(Some(&unknown), Timestamp::from_millis(10));
        let lost = matched
            .clone()
            .after_losing(&at_id("ATXid_1"))
            .remembering(Some(&matched), Timestamp::from_millis(11));
        assert_eq!(words(&lost), ["outcome_unknown", "matched", "lost", "rose"]);
        let reason = FailureReason::new("no answer");
        let first = &lost.history[0].what;
        assert_eq!(
            *first,
            What::OutcomeUnknown {
                reason: Some(reason)
            }
        );
    }

    #[test]
    fn an_answer_that_was_noted_twice_is_shown_and_charged_once() {
        let before = calling(row(), Timestamp::from_millis(7));
        let once = before
            .clone()
            .after_acceptance(&acceptance("ATXid_1"), Timestamp::from_millis(7))
            .remembering(Some(&before), Timestamp::from_millis(8));
        let twice = once
            .clone()
            .after_acceptance(&acceptance("ATXid_1"), Timestamp::from_millis(7));
        assert_eq!(once, twice);
        assert_eq!(once.charges.len(), 1);
    }

    #[test]
    fn a_refusal_and_what_puts_it_back_are_shown() {
        let before = row();
        let failure = MedicFailure::NoAnswer;
        let refused = before
            .clone()
            .after_refusal(&failure, Timestamp::from_millis(1), 0)
            .remembering(Some(&before), Timestamp::from_millis(1));
        let again = refused
            .clone()
            .to_be_reported_again()
            .remembering(Some(&refused), Timestamp::from_millis(2));
        assert_eq!(words(&again), ["refused", "to_be_reported_again"]);
        assert!(again.is_unreported());
    }

    #[test]
    fn a_long_life_keeps_its_beginning_and_its_end() {
        let mut current = row();
        for n in 0..100 {
            let mut next = current.clone();
            next.sending = Sending::Waiting {
                reason: FailureReason::new("HTTP 429"),
                until: Timestamp::from_millis(n),
            };
            current = next.remembering(Some(&current), Timestamp::from_millis(n));
        }
        let times = current.history.iter().map(|event| event.at.as_millis());
        let times: Vec<i64> = times.collect();
        assert_eq!(times.len(), EVENTS_KEPT);
        assert!(
            times.starts_with(&[0, 1, 2, 3, 4, 5, 6, 7, 76]),
            "{times:?}"
        );
        assert!(times.ends_with(&[98, 99]), "{times:?}");
    }
}
