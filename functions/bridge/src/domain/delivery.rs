//! An SMS with an id of Africa's Talking: the message that it belongs to, and the reports on it.

use serde::{Deserialize, Serialize};

use super::failure_reason::FailureReason;
use super::ids::{AtMessageId, MedicMessageId};
use super::message::MessageRow;
use super::status::{Status, reported_status};
use crate::domain::time::Timestamp;

/// How many different reports of one SMS are kept. Eight statuses are known, and some come with a
/// reason. The limit is for a caller that invents statuses.
const MAX_REPORTS: usize = 32;

/// A delivery report on one SMS, stored as it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Africa's Talking's name of the status.
    pub status: String,
    /// Africa's Talking's reason of a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<FailureReason>,
    /// The operator's code, `63902` or `99999`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_code: Option<String>,
    /// When the callback came.
    #[serde(rename = "received_at_ms")]
    pub received_at: Timestamp,
}

impl Report {
    /// The message's status by this report, and the reason of a failure. `None` for an unknown
    /// status.
    pub fn meaning(&self) -> Option<(Status, Option<FailureReason>)> {
        let status = reported_status(&self.status)?;
        let reason = (status == Status::Failed).then(|| {
            self.failure_reason
                .clone()
                .unwrap_or_else(|| FailureReason::new(&self.status))
        });
        Some((status, reason))
    }
}

/// The ledger's row for an id of Africa's Talking.
///
/// The sender writes the message, the recorder writes the reports, each on the condition that the
/// row has not changed. So the second one sees both, and a report that beats the response to its
/// own send request is not lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmsRow {
    /// Africa's Talking's id.
    pub id: AtMessageId,
    /// Medic's message; `None` until a send request returned this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MedicMessageId>,
    /// Every different report, in the order of arrival.
    #[serde(default)]
    pub reports: Vec<Report>,
    /// A keyed hash of the number that was reported on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number_hash: Option<String>,
}

impl SmsRow {
    /// The row of a new id, without a message and without reports.
    pub fn new(id: AtMessageId) -> Self {
        Self {
            id,
            message: None,
            reports: Vec::new(),
            number_hash: None,
        }
    }

    /// The row with this report added. A repeated report changes nothing.
    #[must_use]
    pub fn with_report(mut self, report: Report, number_hash: Option<String>) -> Self {
        let known = self.reports.iter().any(|seen| {
            seen.status == report.status && seen.failure_reason == report.failure_reason
        });
        if !known && self.reports.len() < MAX_REPORTS {
            self.reports.push(report);
        }
        self.number_hash = self.number_hash.or(number_hash);
        self
    }

    /// The row as one of this message, unless it belongs to another one already.
    #[must_use]
    pub fn belonging_to(mut self, message: &MedicMessageId) -> Self {
        self.message.get_or_insert_with(|| message.clone());
        self
    }
}

/// The message's row, with its status joined with all reports on the SMS.
pub fn raised_by_reports(row: MessageRow, sms: &SmsRow) -> MessageRow {
    sms.reports
        .iter()
        .filter_map(Report::meaning)
        .fold(row, |row, (status, reason)| row.raised(status, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(status: &str) -> Report {
        Report {
            status: status.to_owned(),
            failure_reason: None,
            network_code: None,
            received_at: Timestamp::from_millis(1),
        }
    }

    fn row() -> SmsRow {
        SmsRow::new(AtMessageId::new("ATXid_1").unwrap())
    }

    #[test]
    fn a_repeated_report_changes_nothing() {
        let once = row().with_report(report("Success"), None);
        let twice = once.clone().with_report(report("Success"), None);
        assert_eq!(once, twice);
    }

    #[test]
    fn an_unknown_status_is_kept_and_means_nothing() {
        let row = row().with_report(report("Teleported"), None);
        assert_eq!(row.reports.len(), 1);
        assert_eq!(row.reports[0].meaning(), None);
    }

    #[test]
    fn a_failure_without_a_reason_gives_its_own_word() {
        let (status, reason) = report("Expired").meaning().unwrap();
        assert_eq!(status, Status::Failed);
        assert_eq!(reason.unwrap().as_str(), "Expired");
    }

    #[test]
    fn an_id_stays_the_message_that_it_was_given_to() {
        let first = MedicMessageId::new("uuid-1").unwrap();
        let second = MedicMessageId::new("uuid-2").unwrap();
        let row = row().belonging_to(&first).belonging_to(&second);
        assert_eq!(row.message, Some(first));
    }

    #[test]
    fn invented_words_do_not_grow_the_row_for_ever() {
        let row = (0..100).fold(row(), |row, n| {
            row.with_report(report(&format!("W{n}")), None)
        });
        assert_eq!(row.reports.len(), MAX_REPORTS);
    }
}
