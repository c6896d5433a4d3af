//! The recipient limit: how many messages one recipient may get. It turns a storm, or a loop with a robot, into
//! a few messages, a `Failed` and an alarm.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::MedicMessageId;
use super::number_calls::NumberCalls;
use crate::domain::time::Timestamp;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// How many different texts are counted for one recipient. With more, the rarest are dropped, so
/// that a text of a storm is never dropped.
const TEXTS_COUNTED: usize = 40;

/// The limits for one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecipientLimits {
    /// Messages in an hour.
    pub messages_per_hour: u32,
    /// Messages with the same text in a day.
    pub same_text_per_day: u32,
}

/// A count, and when its window began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Window {
    #[serde(rename = "since_ms")]
    since: Timestamp,
    count: u32,
}

impl Window {
    /// The window, restarted when it is older than its length. Clocks differ, and a retried claim
    /// carries its first time, so a time shortly before the window counts as within it.
    fn at(self, now: Timestamp, length: Duration) -> Self {
        if is_within(now, self.since, length) {
            self
        } else {
            Self {
                since: now,
                count: 0,
            }
        }
    }
}

/// Whether two times are less than a length apart.
fn is_within(now: Timestamp, since: Timestamp, length: Duration) -> bool {
    now.since(since).max(since.since(now)) < length
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TextCount {
    text_hash: String,
    #[serde(flatten)]
    day: Window,
}

/// The ledger's row for one recipient, with the counts of its messages and the calls that are open. A
/// claim writes it before the message's row. So no message is sent that was not counted; and one that
/// is listed already, because its sender ended between the two writes, is not counted again in this hour.
/// After that it is: one too many, for a crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientRow {
    /// The keyed hash of the number.
    pub number_hash: String,
    #[serde(default)]
    hour: Window,
    #[serde(default)]
    texts: Vec<TextCount>,
    /// When the recipient limit last raised its alarm.
    #[serde(
        rename = "alarmed_at_ms",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    alarmed_at: Option<Timestamp>,
    /// What is under way to the number.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub calls: NumberCalls,
}

fn is_nothing(calls: &NumberCalls) -> bool {
    *calls == NumberCalls::default()
}

/// The decision of the recipient limit on one more message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitCheck {
    /// It may be sent, once this row is written.
    Passes(RecipientRow),
    /// It may not be sent.
    Exceeded {
        /// The row to write.
        row: RecipientRow,
        /// Which limit is exceeded.
        reason: &'static str,
        /// Whether to raise the alarm, which happens once a day for one recipient.
        alarm: bool,
    },
}

impl RecipientRow {
    /// The row of a recipient without recent messages.
    pub fn new(number_hash: String) -> Self {
        Self {
            number_hash,
            hour: Window::default(),
            texts: Vec::new(),
            alarmed_at: None,
            calls: NumberCalls::default(),
        }
    }

    /// Whether a claim of this message was counted in this hour already.
    pub fn has_counted(&self, message: &MedicMessageId, now: Timestamp) -> bool {
        let is_this_hour = is_within(now, self.hour.since, HOUR);
        let claim = self.calls.first_claim(message);
        is_this_hour && claim.is_some_and(|claim| claim >= self.hour.since)
    }

    /// Counts one more message with this text.
    pub fn count(
        mut self,
        text_hash: &str,
        limits: &RecipientLimits,
        now: Timestamp,
    ) -> LimitCheck {
        self.hour = self.hour.at(now, HOUR);
        for text in &mut self.texts {
            text.day = text.day.at(now, DAY);
        }
        self.texts.retain(|text| text.day.count > 0);
        let same_text = self.texts.iter().find(|text| text.text_hash == text_hash);
        if self.hour.count >= limits.messages_per_hour {
            return self.exceeded(
                "recipient limit: too many messages to this recipient in an hour",
                now,
            );
        }
        if same_text.is_some_and(|text| text.day.count >= limits.same_text_per_day) {
            return self.exceeded(
                "recipient limit: the same text to this recipient too often in a day",
                now,
            );
        }
        self.hour.count = self.hour.count.saturating_add(1);
        self.count_text(text_hash, now);
        LimitCheck::Passes(self)
    }

    fn count_text(&mut self, text_hash: &str, now: Timestamp) {
        if let Some(text) = self
            .texts
            .iter_mut()
            .find(|text| text.text_hash == text_hash)
        {
            text.day.count = text.day.count.saturating_add(1);
            return;
        }
        if self.texts.len() >= TEXTS_COUNTED {
            let least = self
                .texts
                .iter()
                .min_by_key(|text| (text.day.count, text.day.since));
            if let Some(least) = least.map(|text| text.text_hash.clone()) {
                self.texts.retain(|text| text.text_hash != least);
            }
        }
        self.texts.push(TextCount {
            text_hash: text_hash.to_owned(),
            day: Window {
                since: now,
                count: 1,
            },
        });
    }

    fn exceeded(mut self, reason: &'static str, now: Timestamp) -> LimitCheck {
        let alarm = self
            .alarmed_at
            .is_none_or(|alarmed_at| !is_within(now, alarmed_at, DAY));
        if alarm {
            self.alarmed_at = Some(now);
        }
        LimitCheck::Exceeded {
            row: self,
            reason,
            alarm,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: RecipientLimits = RecipientLimits {
        messages_per_hour: 5,
        same_text_per_day: 3,
    };

    /// Sends a text at each of these times; how many pass, and how many alarms there are.
    fn send(texts: impl Iterator<Item = (i64, String)>, limits: &RecipientLimits) -> (u32, u32) {
        let mut row = RecipientRow::new("hash".to_owned());
        let (mut passed, mut alarms) = (0, 0);
        for (now, text) in texts {
            row = match row.count(&text, limits, Timestamp::from_millis(now)) {
                LimitCheck::Passes(row) => {
                    passed += 1;
                    row
                }
                LimitCheck::Exceeded { row, alarm, .. } => {
                    alarms += u32::from(alarm);
                    row
                }
            };
        }
        (passed, alarms)
    }

    #[test]
    fn a_loop_with_a_robot_ends_at_the_recipient_limit_and_alarms_once() {
        let loop_of_a_day = (0..1_000).map(|n| (n * 10_000, format!("answer {n}")));
        // 10,000 s are three windows of an hour.
        assert_eq!(send(loop_of_a_day, &LIMITS), (15, 1));
    }

    #[test]
    fn the_same_message_every_five_minutes_for_a_week_ends_at_the_recipient_limit() {
        let week = (0..2_016).map(|n| (n * 300_000, "Please come".to_owned()));
        let (passed, alarms) = send(week, &LIMITS);
        assert_eq!((passed, alarms), (21, 7));
    }

    #[test]
    fn a_sender_whose_clock_is_a_little_behind_does_not_begin_a_new_window() {
        let texts = (0..20).map(|n| (1_000_000 - n * 7, format!("text {n}")));
        assert_eq!(send(texts, &LIMITS), (5, 1));
    }

    #[test]
    fn ordinary_traffic_passes() {
        let day = (0..40).map(|n| (n * 30 * 60_000, format!("text {}", n / 2)));
        assert_eq!(send(day, &LIMITS), (40, 0));
    }

    #[test]
    fn what_storms_is_not_forgotten_behind_many_other_texts() {
        let limits = RecipientLimits {
            messages_per_hour: 10_000,
            same_text_per_day: 2,
        };
        let texts = (0..300).flat_map(|n| [(n, "storm".to_owned()), (n, format!("other {n}"))]);
        let (passed, _) = send(texts, &limits);
        assert_eq!(passed, 302);
    }

    proptest! {
        #[test]
        fn no_hour_and_no_text_gets_more_than_its_limit_in_its_window(
            steps in proptest::collection::vec((0_u64..600_000, 0_u8..4), 0..200)
        ) {
            let mut row = RecipientRow::new("hash".to_owned());
            let mut now = Timestamp::from_millis(0);
            let mut passed: Vec<(Timestamp, u8)> = Vec::new();
            for (later, text) in steps {
                now = now + Duration::from_millis(later);
                row = match row.count(&text.to_string(), &LIMITS, now) {
                    LimitCheck::Passes(row) => { passed.push((now, text)); row }
                    LimitCheck::Exceeded { row, .. } => row,
                };
            }
            // Two windows can touch: twice the limit is the most that any stretch of time can hold.
            for (start, text) in &passed {
                let in_hour = passed.iter().filter(|(at, _)| (*start..*start + HOUR).contains(at)).count();
                let same = passed.iter().filter(|(at, t)| (*start..*start + DAY).contains(at) && t == text).count();
                prop_assert!(in_hour <= 10 && same <= 6);
            }
        }
    }
}
