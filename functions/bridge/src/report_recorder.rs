//! `report-recorder`: finds out whose report it is, and raises that message's status in the ledger.

use futures_util::future::join_all;

use crate::domain::message::MessageRow;
use crate::domain::sms::{Report, SmsRow};
use crate::domain::status::reported_status;
use crate::journal::{Entry, Shown};
use crate::ledger::{self, Rows};
use crate::parking::{ParkingLot, give_back, park_or_give_back};
use crate::ports::{Key, LedgerError, LedgerStore, Queue, Record, Row, Surroundings};
use crate::queue_messages::{DeliveryReport, decode};

/// The handler, with all that it needs.
#[derive(Debug)]
pub struct ReportRecorder<L, Q, S> {
    /// What is known of every message.
    pub ledger: L,
    /// The queue that the records come from.
    pub reports: Q,
    /// Where it puts what cannot be processed.
    pub parked: ParkingLot<Q>,
    /// Time, chance and a log.
    pub surroundings: S,
}

impl<L: LedgerStore, Q: Queue, S: Surroundings> ReportRecorder<L, Q, S> {
    /// Records a batch of reports, side by side: they commute. Returns the message ids of what goes
    /// back into the queue.
    pub async fn handle(&self, records: &[Record]) -> Vec<String> {
        let done = join_all(records.iter().map(|record| self.take(record))).await;
        let undone: Vec<(&Record, i64)> = records
            .iter()
            .zip(done)
            .filter(|(_, done)| !done)
            .map(|(record, _)| (record, 0))
            .collect();
        give_back(&self.reports, &undone, &self.surroundings).await
    }

    async fn take(&self, record: &Record) -> bool {
        let report: DeliveryReport = match decode(&record.body) {
            Ok(report) => report,
            Err(error) => {
                let category = error.to_string();
                return park_or_give_back(&self.parked, record, &category, "", &self.surroundings)
                    .await;
            }
        };
        match self.record(&report).await {
            Ok(()) => true,
            Err(error) => {
                self.surroundings.record(Entry::LedgerTrouble {
                    error: Shown::new(&error),
                });
                false
            }
        }
    }

    async fn record(&self, report: &DeliveryReport) -> Result<(), LedgerError> {
        let status = reported_status(&report.status);
        if status.is_none() {
            self.surroundings.record(Entry::UnknownReportStatus {
                at_id: Shown::new(&report.id),
            });
        }
        // First the report, on the condition that the row is still as it was read: whoever of the
        // sender and the recorder writes second finds what the other wrote.
        let sms_key = Key::Sms(report.id.clone());
        let sms = ledger::change(&self.ledger, std::slice::from_ref(&sms_key), |rows| {
            let sms = with_report(rows, report);
            (vec![Row::Sms(sms.clone())], sms)
        })
        .await?;
        if let Some(message) = &sms.message {
            let message_key = Key::Message(message.clone());
            ledger::change(&self.ledger, &[message_key], |rows| {
                let raised = rows
                    .message(message)
                    .map(|row| Row::Message(raised_by_reports(row.clone(), &sms)));
                (raised.into_iter().collect(), ())
            })
            .await?;
        }
        self.surroundings.record(Entry::ReportRecorded {
            at_id: Shown::new(&report.id),
            message: sms.message.as_ref().map(|id| Shown::new(id)),
            status,
        });
        Ok(())
    }
}

fn with_report(rows: &Rows, report: &DeliveryReport) -> SmsRow {
    rows.sms(&report.id)
        .cloned()
        .unwrap_or_else(|| SmsRow::new(report.id.clone()))
        .with_report(
            Report {
                status: report.status.clone(),
                failure_reason: report.failure_reason.clone(),
                network_code: report.network_code.clone(),
                received_at_ms: report.received_at_ms,
            },
            report.number_hash.clone(),
        )
}

/// The message's row, its status joined with everything that was reported of the SMS.
pub fn raised_by_reports(row: MessageRow, sms: &SmsRow) -> MessageRow {
    sms.reports
        .iter()
        .filter_map(Report::meaning)
        .fold(row, |row, (status, reason)| row.raised(status, reason))
}
