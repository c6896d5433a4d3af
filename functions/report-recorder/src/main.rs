//! `report-recorder`: delivery reports, from the `reports` queue into the ledger.

use bridge::adapters::aws::{Aws, DYNAMODB, SQS};
use bridge::adapters::environment::{call_over_after_ms, duration_ms, required};
use bridge::adapters::lambda::{Error, serve_queue};
use bridge::adapters::ledger_table::LedgerTable;
use bridge::adapters::sqs_queue::SqsQueue;
use bridge::adapters::system::System;
use bridge::parking::ParkingLot;
use bridge::report_recorder::ReportRecorder;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let system = System::new("report-recorder");
    system.silence_panics();
    system.noted(serve(&system).await)
}

async fn serve(system: &System) -> Result<(), Error> {
    let aws = Aws::from_environment()?;
    let (sqs, dynamodb) = (aws.client(&SQS)?, aws.client(&DYNAMODB)?);
    let handler = ReportRecorder {
        ledger: LedgerTable::new(
            dynamodb.clone(),
            required("LEDGER_TABLE")?,
            duration_ms("LEDGER_RETENTION_DAYS", 24 * 60 * 60 * 1000, 90..=3650)?,
            system,
        ),
        reports: SqsQueue::new(sqs.clone(), required("REPORTS_QUEUE_URL")?),
        parked: ParkingLot {
            queue: SqsQueue::new(sqs, required("REPORTS_PARKED_QUEUE_URL")?),
            is_fifo: false,
        },
        surroundings: system,
        call_over_after_ms: call_over_after_ms()?,
    };
    dynamodb.connect().await;
    serve_queue(system, async |records, _| {
        Ok(handler.handle(&records).await)
    })
    .await
}
