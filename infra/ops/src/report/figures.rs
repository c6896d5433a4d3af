//! The figures of a month, from the rows of the ledger.

use std::collections::BTreeMap;
use std::time::Duration;

use bridge::domain::ids::MedicMessageId;
use bridge::domain::message::MessageRow;
use bridge::domain::status::Status;
use bridge::domain::time::Timestamp;

use super::month::CalendarMonth;
use crate::cost::{charges_of, network_of};
use crate::terminal::format_time;

/// Africa's Talking's reason for a number that has opted out; its delivery reports write it with another
/// capital letter.
const OPTED_OUT: &str = "UserInBlacklist";

/// Where nothing is known of the network or the reason.
const UNKNOWN: &str = "unknown";

/// A month at a glance. A message counts in the month in which Medic first offered it, an SMS and its price in the
/// month in which Africa's Talking was called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonthlyFigures {
    /// The month.
    pub month: CalendarMonth,
    /// SMS that came in; none if CloudWatch does not say.
    pub sms_in: Option<u64>,
    /// Messages that Medic wanted sent.
    pub messages: u64,
    /// SMS that Africa's Talking accepted.
    pub sms_out: u64,
    /// Messages that were delivered.
    pub delivered: u64,
    /// Messages that failed, by reason and network; those to numbers that opted out are not among them.
    pub failed: BTreeMap<(String, String), u64>,
    /// Callbacks that said that somebody opted out; none if CloudWatch does not say.
    pub opt_outs: Option<u64>,
    /// Messages that were not sent because their recipient had opted out, the oldest first.
    pub not_sent_to_opted_out: Vec<(Timestamp, MedicMessageId)>,
    /// What was charged, in millionths, by currency.
    pub cost: BTreeMap<String, i64>,
    /// SMS without a price that can be read.
    pub without_price: u64,
    /// The day on which messages waited longest.
    pub slowest_day: Option<SlowestDay>,
}

/// The day with the longest median from Medic's offer to the call that Africa's Talking accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowestDay {
    /// The day of the offers, `2026-11-03`.
    pub day: String,
    /// Half of the messages waited for longer.
    pub median: Duration,
    /// The longest wait.
    pub longest: Duration,
}

impl MonthlyFigures {
    /// Counts the rows.
    pub fn of(month: CalendarMonth, messages: &[MessageRow]) -> Self {
        let mut figures = Self {
            month,
            sms_in: None,
            messages: 0,
            sms_out: 0,
            delivered: 0,
            failed: BTreeMap::new(),
            opt_outs: None,
            not_sent_to_opted_out: Vec::new(),
            cost: BTreeMap::new(),
            without_price: 0,
            slowest_day: None,
        };
        let mut waits: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
        for row in messages {
            figures.add_charges(row);
            if month.has(row.first_offered) {
                figures.add_message(row);
                if let Some(charge) = charges_of(row).first() {
                    let day = format_time(row.first_offered).chars().take(10).collect();
                    let wait = charge.called_at.since(row.first_offered);
                    waits.entry(day).or_default().push(wait);
                }
            }
        }
        figures.not_sent_to_opted_out.sort();
        figures.slowest_day = slowest(waits);
        figures
    }

    fn add_charges(&mut self, row: &MessageRow) {
        let charges = charges_of(row);
        for charge in charges
            .iter()
            .filter(|charge| self.month.has(charge.called_at))
        {
            self.sms_out += 1;
            match &charge.cost {
                Some(cost) if cost.unreadable.is_none() => {
                    let currency = cost.currency.clone().unwrap_or_default();
                    let sum = self.cost.entry(currency).or_default();
                    *sum = sum.saturating_add(cost.micros);
                }
                _ => self.without_price += 1,
            }
        }
    }

    fn add_message(&mut self, row: &MessageRow) {
        self.messages += 1;
        match row.status {
            Status::Delivered => self.delivered += 1,
            Status::Failed => {
                let reason = row.failure_reason.as_ref();
                let reason = reason.map_or(UNKNOWN, |reason| reason.as_str());
                if reason.eq_ignore_ascii_case(OPTED_OUT) {
                    let opted_out = (row.first_offered, row.id.clone());
                    self.not_sent_to_opted_out.push(opted_out);
                    return;
                }
                let mut ids = row.at_ids.iter().rev();
                let network = ids.find_map(|id| network_of(row, id));
                let network = network.unwrap_or_else(|| UNKNOWN.to_owned());
                let key = (reason.to_owned(), network);
                *self.failed.entry(key).or_default() += 1;
            }
            _ => {}
        }
    }

    /// How many messages failed for another reason than that their recipient had opted out.
    pub fn failed_in_all(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Messages whose end is not known yet.
    pub fn without_an_end(&self) -> u64 {
        let opted_out = u64::try_from(self.not_sent_to_opted_out.len()).unwrap_or(u64::MAX);
        let ended = self.delivered + self.failed_in_all() + opted_out;
        self.messages.saturating_sub(ended)
    }
}

fn slowest(waits: BTreeMap<String, Vec<Duration>>) -> Option<SlowestDay> {
    let days = waits.into_iter().filter_map(|(day, mut waits)| {
        waits.sort_unstable();
        Some(SlowestDay {
            day,
            median: *waits.get(waits.len() / 2)?,
            longest: *waits.last()?,
        })
    });
    days.max_by_key(|day| (day.median, day.longest))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use bridge::domain::cost::Cost;
    use bridge::domain::delivery::Report;
    use bridge::domain::failure_reason::FailureReason;
    use bridge::domain::ids::AtMessageId;
    use bridge::domain::message::Charge;

    const HOUR: Duration = Duration::from_hours(1);

    fn november() -> CalendarMonth {
        "2026-11".parse().unwrap()
    }

    /// A message that was offered so many hours after the month began, and its end.
    fn row(id: &str, hours: u32, status: Status, reason: Option<&str>) -> MessageRow {
        let offered = november().begin() + HOUR.saturating_mul(hours);
        let mut row = MessageRow::new(MedicMessageId::new(id).unwrap(), offered);
        row.status = status;
        row.failure_reason = reason.map(FailureReason::new);
        row
    }

    /// The same, accepted after so long.
    fn accepted(mut row: MessageRow, wait: Duration, cost: Option<&str>) -> MessageRow {
        let at_id = AtMessageId::new(format!("ATXid_{}", row.id.as_str())).unwrap();
        row.at_ids.push(at_id.clone());
        row.charges.push(Charge {
            at_id: Some(at_id),
            called_at: row.first_offered + wait,
            cost: cost.and_then(Cost::parse),
            parts: None,
        });
        row
    }

    /// The same, with a report that names this network.
    fn reported(row: MessageRow, network: &str) -> MessageRow {
        let at_id = row.at_ids[0].clone();
        let report = Report {
            status: "Failed".to_owned(),
            failure_reason: None,
            network_code: Some(network.to_owned()),
            received_at: row.first_offered + HOUR,
        };
        row.with_reports(&at_id, &[report])
    }

    /// The figures of one message of each kind.
    pub fn example() -> MonthlyFigures {
        let minute = Duration::from_mins(1);
        let mut late = row("late", 30 * 24 - 1, Status::Sent, None);
        // Offered in November and sent in December.
        late = accepted(late, HOUR * 2, Some("KES 0.8000"));
        let mut before = row("before", 0, Status::Delivered, None);
        before.first_offered = november().begin() - minute;
        let failed = row("c", 31, Status::Failed, Some("DeliveryFailure"));
        let failed = reported(accepted(failed, minute, None), "63902");
        let rows = [
            accepted(
                row("a", 1, Status::Delivered, None),
                minute,
                Some("KES 0.8000"),
            ),
            accepted(row("b", 30, Status::Delivered, None), HOUR, Some("UGX 20")),
            failed,
            row("d", 32, Status::Failed, Some("expired")),
            row("e", 40, Status::Failed, Some("UserInBlacklist")),
            row("f", 33, Status::Failed, Some("UserInBlackList")),
            late,
            accepted(before, minute * 2, Some("KES 0.8000")),
        ];
        MonthlyFigures::of(november(), &rows)
    }

    #[test]
    fn a_message_counts_when_it_was_offered_and_money_when_it_was_spent() {
        let figures = example();
        assert_eq!((figures.messages, figures.sms_out), (7, 4));
        assert_eq!((figures.delivered, figures.failed_in_all()), (2, 2));
        assert_eq!(figures.without_an_end(), 1);
        let cost = BTreeMap::from([
            ("KES".to_owned(), 1_600_000),
            ("UGX".to_owned(), 20_000_000),
        ]);
        assert_eq!((figures.cost, figures.without_price), (cost, 1));
    }

    #[test]
    fn failures_are_by_reason_and_network_and_numbers_that_opted_out_are_apart() {
        let figures = example();
        let failed: Vec<_> = figures
            .failed
            .iter()
            .map(|((reason, network), count)| (reason.as_str(), network.as_str(), *count))
            .collect();
        assert_eq!(
            failed,
            [("DeliveryFailure", "63902", 1), ("expired", "unknown", 1)]
        );
        let opted_out = figures.not_sent_to_opted_out.iter();
        let opted_out: Vec<_> = opted_out.map(|(_, id)| id.as_str()).collect();
        assert_eq!(opted_out, ["f", "e"]);
    }

    #[test]
    fn the_slowest_day_is_the_one_on_which_half_of_the_messages_waited_longest() {
        let slowest = example().slowest_day.unwrap();
        assert_eq!(slowest.day, "2026-11-30");
        assert_eq!((slowest.median, slowest.longest), (HOUR * 2, HOUR * 2));
        let nothing = MonthlyFigures::of(november(), &[]);
        assert_eq!(nothing.slowest_day, None);
    }
}
