//! The delivery reports on a message's SMS, in its row.

use super::MessageRow;
use crate::domain::delivery::{OwnReport, Report, add_report};
use crate::domain::ids::AtMessageId;

impl MessageRow {
    /// The row with these reports on one of its SMS, and its status joined with them.
    #[must_use]
    pub fn with_reports(mut self, at_id: &AtMessageId, reports: &[Report]) -> Self {
        for report in reports {
            let at_id = (self.at_ids.first() != Some(at_id)).then(|| at_id.clone());
            let report = report.clone();
            add_report(&mut self.reports, OwnReport { at_id, report });
        }
        let meanings = reports.iter().filter_map(Report::meaning);
        meanings.fold(self, |row, (status, reason)| row.raised(status, reason))
    }

    /// The reports on this SMS.
    pub fn reports_on(&self, at_id: &AtMessageId) -> Vec<Report> {
        let reports = self.reports.iter();
        let of_sms = reports.filter(|own| self.is_on(own, at_id));
        of_sms.map(|own| own.report.clone()).collect()
    }

    /// The row without one of its SMS, and without the reports on that.
    #[must_use]
    pub(super) fn without_sms(mut self, at_id: &AtMessageId) -> Self {
        let mut reports = std::mem::take(&mut self.reports);
        reports.retain(|own| !self.is_on(own, at_id));
        self.reports = reports;
        self.at_ids.retain(|id| id != at_id);
        self
    }

    fn is_on(&self, own: &OwnReport, at_id: &AtMessageId) -> bool {
        own.at_id.as_ref().or(self.at_ids.first()) == Some(at_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::MedicMessageId;
    use crate::domain::status::Status;
    use crate::domain::time::Timestamp;

    fn at_id(id: &str) -> AtMessageId {
        AtMessageId::new(id).unwrap()
    }

    fn report(status: &str) -> Report {
        Report {
            status: status.to_owned(),
            failure_reason: None,
            network_code: Some("63902".to_owned()),
            received_at: Timestamp::from_millis(1),
        }
    }

    fn row(at_ids: &[&str]) -> MessageRow {
        let id = MedicMessageId::new("uuid-1").unwrap();
        MessageRow {
            at_ids: at_ids.iter().copied().map(at_id).collect(),
            ..MessageRow::new(id, Timestamp::from_millis(0))
        }
    }

    #[test]
    fn a_repeated_report_changes_nothing() {
        let once = row(&["a"]).with_reports(&at_id("a"), &[report("Sent")]);
        assert_eq!(once.status, Status::Pending);
        let twice = once.clone().with_reports(&at_id("a"), &[report("Sent")]);
        assert_eq!(once, twice);
    }

    #[test]
    fn an_sms_that_is_lost_takes_its_reports_with_it_and_no_others() {
        let both = row(&["a", "b"])
            .with_reports(&at_id("a"), &[report("Sent")])
            .with_reports(&at_id("b"), &[report("Sent"), report("Success")]);
        assert_eq!(both.reports.len(), 3);
        assert_eq!(both.reports_on(&at_id("b")).len(), 2);
        for (lost, kept, count) in [("a", "b", 2), ("b", "a", 1)] {
            let left = both.clone().without_sms(&at_id(lost));
            assert_eq!(left.at_ids, [at_id(kept)]);
            assert_eq!(left.reports.len(), count);
            assert_eq!(left.reports_on(&at_id(kept)).len(), count);
        }
    }

    #[test]
    fn the_rows_bytes_are_few() {
        let row = row(&["a"]).with_reports(&at_id("a"), &[report("Sent")]);
        let stored = serde_json::to_value(&row.reports).unwrap();
        let short = serde_json::json!([{"is": "Sent", "net": "63902", "at": 1}]);
        assert_eq!(stored, short);
        assert_eq!(
            serde_json::from_value::<Vec<OwnReport>>(stored).unwrap(),
            row.reports
        );
    }
}
