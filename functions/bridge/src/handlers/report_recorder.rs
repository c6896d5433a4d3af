//! `report-recorder`: finds the message of a delivery report, and raises its status in the ledger.

use std::ops::ControlFlow;
use std::time::Duration;

use crate::domain::backoff::Wait;
use crate::domain::delivery::{Report, SmsRow};
use crate::domain::ids::MedicMessageId;
use crate::domain::status::reported_status;
use crate::domain::time::Timestamp;
use crate::ledger::matching;
use crate::ledger::{self, Rows};
use crate::log::final_status::ended;
use crate::log::{LogEvent, Redacted};
use crate::ports::{Key, LedgerError, LedgerStore, Queue, Record, Row, Runtime};
use crate::queue::consumer::{Consumer, Disposition};
use crate::queue::dead_letter::{DeadLetterQueue, dead_letter_or_return};
use crate::retry::{CONFLICTING_WRITES, retry};
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
        let mut back_at = None;
        let owner = self.write(report).await?;
        if let Owner::Unknown(Some(number_hash)) = &owner {
            // It is unmatched yet. If it could settle an unknown outcome, the record is retried
            // when no response to a send request can come any more.
            let (sms, over) = (Some(&report.id), self.call_over_after);
            back_at = matching::settle(&self.ledger, number_hash, sms, over, &self.runtime).await?;
        }
        let recorded = |medic_id| LogEvent::ReportRecorded {
            at_id: Redacted::new(&report.id),
            medic_id,
            status,
        };
        self.runtime.record(match owner {
            Owner::Message {
                ended: Some(ended), ..
            } => ended,
            Owner::Message { id, .. } => recorded(Some(Redacted::new(&id))),
            Owner::Unknown(_) => recorded(None),
        });
        Ok(back_at)
    }

    /// Writes the report into the row of its message or, while nobody knows that,
    /// into the row of its id, on the condition that it has not changed. So the second writer of sender
    /// and recorder sees what the first one wrote.
    async fn write(&self, report: &DeliveryReport) -> Result<Owner, LedgerError> {
        retry(CONFLICTING_WRITES, &self.runtime, async || {
            match self.write_by_pointer(report).await {
                Ok(Ok(owner)) => ControlFlow::Break(Ok(owner)),
                Ok(Err(Moved)) => ControlFlow::Continue(LedgerError(
                    "an SMS is another message's again and again".to_owned(),
                )),
                Err(error) => ControlFlow::Break(Err(error)),
            }
        })
        .await
    }

    async fn write_by_pointer(
        &self,
        report: &DeliveryReport,
    ) -> Result<Result<Owner, Moved>, LedgerError> {
        let keys = [Key::Sms(report.id.clone())];
        let owner = ledger::change(&self.ledger, &self.runtime, &keys, |rows| {
            match rows.sms(&report.id).and_then(|sms| sms.message.clone()) {
                Some(owner) => (Vec::new(), Ok(owner)),
                None => {
                    let sms = with_report(rows, report);
                    let number_hash = sms.number_hash.clone();
                    (vec![Row::Sms(sms)], Err(number_hash))
                }
            }
        })
        .await?;
        let owner = match owner {
            Ok(owner) => owner,
            Err(number_hash) => return Ok(Ok(Owner::Unknown(number_hash))),
        };
        let keys = [Key::Message(owner.clone())];
        let written = ledger::change(&self.ledger, &self.runtime, &keys, |rows| {
            let Some(row) = rows.message(&owner) else {
                return (Vec::new(), Ok(None));
            };
            if !row.at_ids.contains(&report.id) {
                return (Vec::new(), Err(Moved));
            }
            let reported = row.clone().with_reports(&report.id, &[as_stored(report)]);
            let ended = ended(row.status, &reported, &report.id);
            (vec![Row::Message(reported)], Ok(ended))
        })
        .await?;
        Ok(written.map(|ended| Owner::Message { id: owner, ended }))
    }
}

/// Whose SMS a report is on.
enum Owner {
    /// This message's.
    Message {
        id: MedicMessageId,
        /// That the message has a final status by this report.
        ended: Option<LogEvent>,
    },
    /// Nobody knows. The keyed hash of its number.
    Unknown(Option<String>),
}

/// The SMS has become another message's since its pointer was read.
struct Moved;

fn with_report(rows: &Rows, report: &DeliveryReport) -> SmsRow {
    rows.sms(&report.id)
        .cloned()
        .unwrap_or_else(|| SmsRow::new(report.id.clone()))
        .with_report(as_stored(report), report.number_hash.clone())
}

fn as_stored(report: &DeliveryReport) -> Report {
    Report {
        status: report.status.clone(),
        failure_reason: report.failure_reason.clone(),
        network_code: report.network_code.clone(),
        received_at: report.received_at,
    }
}
