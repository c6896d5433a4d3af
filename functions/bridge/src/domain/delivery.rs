//! An SMS with an id of Africa's Talking: the message that it belongs to, or the reports on it while
//! nobody knows whose they are.

use serde::{Deserialize, Serialize};

use super::failure_reason::FailureReason;
use super::ids::{AtMessageId, MedicMessageId};
use super::status::{Status, reported_status};
use crate::domain::time::Timestamp;

/// How many different reports are kept in a row. Eight statuses are known, and some come with a
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

    /// Whether it says the same.
    fn repeats(&self, other: &Self) -> bool {
        self.status == other.status && self.failure_reason == other.failure_reason
    }
}

/// A delivery report in the row of its message. The names are short, so that the row of a usual message
/// stays below the kilobyte of one write unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredReport", into = "StoredReport")]
pub struct OwnReport {
    /// Africa's Talking's id of the SMS. `None` for the first of the message's ids.
    pub at_id: Option<AtMessageId>,
    /// The report.
    pub report: Report,
}

#[derive(Serialize, Deserialize)]
struct StoredReport {
    #[serde(rename = "is")]
    status: String,
    #[serde(rename = "why", default, skip_serializing_if = "Option::is_none")]
    failure_reason: Option<FailureReason>,
    #[serde(rename = "net", default, skip_serializing_if = "Option::is_none")]
    network_code: Option<String>,
    #[serde(rename = "at")]
    received_at: Timestamp,
    #[serde(rename = "of", default, skip_serializing_if = "Option::is_none")]
    at_id: Option<AtMessageId>,
}

impl From<StoredReport> for OwnReport {
    fn from(stored: StoredReport) -> Self {
        Self {
            at_id: stored.at_id,
            report: Report {
                status: stored.status,
                failure_reason: stored.failure_reason,
                network_code: stored.network_code,
                received_at: stored.received_at,
            },
        }
    }
}

impl From<OwnReport> for StoredReport {
    fn from(own: OwnReport) -> Self {
        Self {
            status: own.report.status,
            failure_reason: own.report.failure_reason,
            network_code: own.report.network_code,
            received_at: own.report.received_at,
            at_id: own.at_id,
        }
    }
}

/// Adds a report to those of a message. A repeated one changes nothing.
pub fn add_report(reports: &mut Vec<OwnReport>, own: OwnReport) {
    let known = reports
        .iter()
        .any(|seen| seen.at_id == own.at_id && seen.report.repeats(&own.report));
    if !known && reports.len() < MAX_REPORTS {
        reports.push(own);
    }
}

/// The ledger's row for an id of Africa's Talking: the pointer to its message or, until a message is
/// known, the reports on it.
///
/// The sender writes the pointer, the recorder writes the reports, each on the condition that the
/// row has not changed. So the second one sees the first, and a report that beats the response to its
/// own send request is not lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmsRow {
    /// Africa's Talking's id.
    pub id: AtMessageId,
    /// Medic's message; `None` until a send request returned this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MedicMessageId>,
    /// Every different report that came before the message was known, in the order of arrival. The others
    /// are in the message's row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
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
        let known = self.reports.iter().any(|seen| seen.repeats(&report));
        if !known && self.reports.len() < MAX_REPORTS {
            self.reports.push(report);
        }
        self.number_hash = self.number_hash.or(number_hash);
        self
    }

    /// The row as the pointer to this message, whose row has the reports.
    #[must_use]
    pub fn pointing_to(self, message: &MedicMessageId) -> Self {
        Self {
            message: Some(message.clone()),
            ..Self::new(self.id)
        }
    }
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
    fn a_pointer_has_nothing_but_the_message() {
        let message = MedicMessageId::new("uuid-1").unwrap();
        let pointer = row()
            .with_report(report("Success"), Some("hash".to_owned()))
            .pointing_to(&message);
        assert_eq!(pointer.message, Some(message));
        assert!(pointer.reports.is_empty() && pointer.number_hash.is_none());
    }

    #[test]
    fn invented_words_do_not_grow_the_row_for_ever() {
        let row = (0..100).fold(row(), |row, n| {
            row.with_report(report(&format!("W{n}")), None)
        });
        assert_eq!(row.reports.len(), MAX_REPORTS);
    }
}
