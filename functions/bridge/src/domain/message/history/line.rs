//! An event as a row has it: a line, `1700000203000 rose FAILED DeliveryFailure`. A row of up to a
//! kilobyte costs one write unit, and a larger one two.

use serde::Deserialize;

use super::{Event, What};
use crate::domain::failure_reason::FailureReason;
use crate::domain::ids::AtMessageId;
use crate::domain::status::Status;
use crate::domain::time::Timestamp;

/// What there can be in a row: a line, or the map that an event was in the first versions.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Stored {
    Line(String),
    Map {
        #[serde(rename = "at_ms")]
        at: Timestamp,
        #[serde(flatten)]
        what: What,
    },
}

/// The line is none of an event. Carries nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no event")]
pub(super) struct NotAnEvent;

impl TryFrom<Stored> for Event {
    type Error = NotAnEvent;

    fn try_from(stored: Stored) -> Result<Self, NotAnEvent> {
        match stored {
            Stored::Line(line) => event(&line).ok_or(NotAnEvent),
            Stored::Map { at, what } => Ok(Self { at, what }),
        }
    }
}

impl From<Event> for String {
    fn from(event: Event) -> Self {
        format!("{} {}", event.at.as_millis(), words(&event.what))
    }
}

fn words(what: &What) -> String {
    match what {
        What::Called => "called".to_owned(),
        What::Waiting { reason, until } => {
            format!("waiting {} {}", until.as_millis(), reason.as_str())
        }
        What::OutcomeUnknown { reason: None } => "outcome_unknown".to_owned(),
        What::OutcomeUnknown {
            reason: Some(reason),
        } => format!("outcome_unknown {}", reason.as_str()),
        What::Accepted { at_id: None } => "accepted".to_owned(),
        What::Accepted { at_id: Some(at_id) } => format!("accepted {}", at_id.as_str()),
        What::Matched { at_id } => format!("matched {}", at_id.as_str()),
        What::Lost { at_id } => format!("lost {}", at_id.as_str()),
        What::Rose {
            status,
            reason: None,
        } => format!("rose {}", status.medic_name()),
        What::Rose {
            status,
            reason: Some(reason),
        } => format!("rose {} {}", status.medic_name(), reason.as_str()),
        What::Reported { status } => format!("reported {}", status.medic_name()),
        What::Refused { status } => format!("refused {}", status.medic_name()),
        What::ToBeReportedAgain => "to_be_reported_again".to_owned(),
    }
}

/// The event of a line; none if this version writes no such line.
fn event(line: &str) -> Option<Event> {
    let (at, words) = line.split_once(' ')?;
    let (word, rest) = first_word(words);
    let what = match (word, rest) {
        ("called", None) => What::Called,
        ("waiting", Some(rest)) => {
            let (until, reason) = rest.split_once(' ')?;
            What::Waiting {
                reason: FailureReason::new(reason),
                until: instant(until)?,
            }
        }
        ("outcome_unknown", reason) => What::OutcomeUnknown {
            reason: reason.map(FailureReason::new),
        },
        ("accepted", at_id) => What::Accepted {
            at_id: at_id.map(AtMessageId::new).transpose().ok()?,
        },
        ("matched", Some(at_id)) => What::Matched {
            at_id: AtMessageId::new(at_id).ok()?,
        },
        ("lost", Some(at_id)) => What::Lost {
            at_id: AtMessageId::new(at_id).ok()?,
        },
        ("rose", Some(rest)) => {
            let (word, reason) = first_word(rest);
            What::Rose {
                status: status(word)?,
                reason: reason.map(FailureReason::new),
            }
        }
        ("reported", Some(word)) => What::Reported {
            status: status(word)?,
        },
        ("refused", Some(word)) => What::Refused {
            status: status(word)?,
        },
        ("to_be_reported_again", None) => What::ToBeReportedAgain,
        _ => return None,
    };
    Some(Event {
        at: instant(at)?,
        what,
    })
}

fn instant(milliseconds: &str) -> Option<Timestamp> {
    milliseconds.parse().ok().map(Timestamp::from_millis)
}

fn status(word: &str) -> Option<Status> {
    let mut all = Status::ALL.into_iter();
    all.find(|status| status.medic_name() == word)
}

/// The first word, and what follows it: an empty text is something else than nothing.
fn first_word(text: &str) -> (&str, Option<&str>) {
    match text.split_once(' ') {
        Some((word, rest)) => (word, Some(rest)),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_line_of_this_version_is_refused() {
        for line in [
            "",
            "1",
            "1 ",
            "called",
            "1 called again",
            "x called",
            "1  called",
            "1 waiting 5",
            "1 waiting soon HTTP 429",
            "1 matched",
            "1 matched  ",
            "1 lost",
            "1 rose",
            "1 rose sent",
            "1 reported SENT again",
            "1 refused",
            "1 to_be_reported_again SENT",
            "1 teleported",
        ] {
            assert!(
                serde_json::from_value::<Event>(line.into()).is_err(),
                "{line}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_event_is_the_same_when_its_line_is_read(
            at in any::<i64>(),
            until in any::<i64>(),
            text in ".{0,120}",
            id in "\\PC{1,60}",
            status in proptest::sample::select(Status::ALL.to_vec()),
        ) {
            let reason = FailureReason::new(&text);
            let mut whats = vec![
                What::Called,
                What::Waiting { reason: reason.clone(), until: Timestamp::from_millis(until) },
                What::OutcomeUnknown { reason: None },
                What::OutcomeUnknown { reason: Some(reason.clone()) },
                What::Accepted { at_id: None },
                What::Rose { status, reason: None },
                What::Rose { status, reason: Some(reason) },
                What::Reported { status },
                What::Refused { status },
                What::ToBeReportedAgain,
            ];
            if let Ok(at_id) = AtMessageId::new(id) {
                whats.push(What::Accepted { at_id: Some(at_id.clone()) });
                whats.push(What::Matched { at_id: at_id.clone() });
                whats.push(What::Lost { at_id });
            }
            for what in whats {
                let event = Event { at: Timestamp::from_millis(at), what };
                let stored = serde_json::to_string(&event).unwrap();
                prop_assert_eq!(serde_json::from_str::<Event>(&stored).unwrap(), event);
            }
        }
    }
}
