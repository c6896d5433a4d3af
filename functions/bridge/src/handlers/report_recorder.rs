//! `report-recorder`: finds the message of a delivery report, and raises its status in the ledger.

use std::time::Duration;

use crate::domain::backoff::Wait;
use crate::domain::delivery::{Report, SmsRow, raised_by_reports};
use crate::domain::status::reported_status;
use crate::domain::time::Timestamp;
use crate::ledger::matching;
use crate::ledger::{self, Rows};
use crate::log::final_status::ended;
use crate::log::{LogEvent, Redacted};
use crate::ports::{Key, LedgerError, LedgerStore, Queue, Record, Row, Runtime};
use crate::queue::consumer::{Consumer, Disposition};
use crate::queue::dead_letter::{DeadLetterQueue, dead_letter_or_return};
use crate::wire::queue_messages::{DeliveryReport, decode};

/// The handler and its ports.
#[derive(Debug)]
pub struct ReportRecorder<L, Q, S> {
    /// The ledger with the rows of messages.
    pub ledger: L,
    /// The queue of the records.
    pub reports: Q,
    /// The queue for records that cannot be processed.
    pub dead_letters: DeadLetterQueue<Q>,
    /// The clock, the random numbers and the log.
    pub runtime: S,
    /// After how long a send request has surely ended.
    pub call_over_after: Duration,
}

impl<L: LedgerStore, Q: Queue, S: Runtime> ReportRecorder<L, Q, S> {
    /// Records a batch of reports concurrently, because their order does not matter. Returns the
    /// message ids of the records that go back to the queue.
    pub async fn handle(&self, records: &[Record]) -> Vec<String> {
        let consumer = Consumer {
            queue: &self.reports,
            dead_letters: &self.dead_letters,
            ledger: &self.ledger,
            runtime: &self.runtime,
        };
        let records: Vec<&Record> = records.iter().collect();
        consumer
            .process(&records, async |record| self.take(record).await)
            .await
    }

    async fn take(&self, record: &Record) -> Disposition {
        let report: DeliveryReport = match decode(&record.body) {
            Ok(report) => report,
            Err(error) => {
                let category = error.to_string();
                let dead_letters =
                    dead_letter_or_return(&self.dead_letters, record, &category, "", &self.runtime)
                        .await;
                return match dead_letters {
                    true => Disposition::Done,
                    false => Disposition::Return(Wait::Retry),
                };
            }
        };
        match self.record(&report).await {
            Ok(None) => Disposition::Done,
            Ok(Some(until)) => Disposition::Return(Wait::Until(until)),
            Err(error) => {
                self.runtime.record(LogEvent::LedgerFailed {
                    error: Redacted::new(&error),
                });
                Disposition::Return(Wait::Retry)
            }
        }
    }

    /// Records the report. Returns until when to wait, if it could still settle an unknown outcome.
    async fn record(&self, report: &DeliveryReport) -> Result<Option<Timestamp>, LedgerError> {
        let status = reported_status(&report.status);
        if status.is_none() {
            self.runtime.record(LogEvent::UnknownReportStatus {
                at_id: Redacted::new(&report.id),
            });
        }
        // The report is written first, on the condition that the row has not changed. So the second
        // writer of sender and recorder sees what the first one wrote.
        let sms_key = Key::Sms(report.id.clone());
        let sms = ledger::change(
            &self.ledger,
            &self.runtime,
            std::slice::from_ref(&sms_key),
            |rows| {
                let sms = with_report(rows, report);
                (vec![Row::Sms(sms.clone())], sms)
            },
        )
        .await?;
        let mut back_at = None;
        if let Some(message) = &sms.message {
            let message_key = Key::Message(message.clone());
            let ended = ledger::change(&self.ledger, &self.runtime, &[message_key], |rows| {
                let Some(row) = rows.message(message) else {
                    return (Vec::new(), None);
                };
                let raised = raised_by_reports(row.clone(), &sms);
                let ended = ended(row.status, &raised, &sms);
                (vec![Row::Message(raised)], ended)
            })
            .await?;
            if let Some(ended) = ended {
                self.runtime.record(ended);
            }
        } else if let Some(number_hash) = &sms.number_hash {
            // It is unmatched yet. If it could settle an unknown outcome, the record is retried
            // when no response to a send request can come any more.
            let over = self.call_over_after;
            back_at =
                matching::settle(&self.ledger, number_hash, &sms_key, over, &self.runtime).await?;
        }
        self.runtime.record(LogEvent::ReportRecorded {
            at_id: Redacted::new(&report.id),
            medic_id: sms.message.as_ref().map(Redacted::new),
            status,
        });
        Ok(back_at)
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
                received_at: report.received_at,
            },
            report.number_hash.clone(),
        )
}
