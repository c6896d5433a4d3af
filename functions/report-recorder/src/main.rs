//! `report-recorder`: delivery reports, from the `reports` queue into the ledger.

use bridge::adapters::aws::Aws;
use bridge::adapters::dynamodb_ledger::LedgerTable;
use bridge::adapters::lambda::{Error, serve_queue};
use bridge::adapters::sqs_queue::SqsQueue;
use bridge::adapters::system::System;
use bridge::config::ReportRecorderConfig;
use bridge::handlers::report_recorder::ReportRecorder;
use bridge::queue::dead_letter::DeadLetterQueue;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let system = System::new("report-recorder");
    system.silence_panics();
    system.noted(serve(&system).await)
}

async fn serve(system: &System) -> Result<(), Error> {
    let config = ReportRecorderConfig::from_env()?;
    let aws = Aws::from_environment()?;
    let sqs = aws.sqs();
    let handler = ReportRecorder {
        ledger: LedgerTable::new(
            aws.dynamodb(),
            config.ledger.table,
            config.ledger.retention,
            system,
        ),
        reports: SqsQueue::new(sqs.clone(), config.reports_queue_url),
        dead_letters: DeadLetterQueue {
            queue: SqsQueue::new(sqs, config.dead_letter_queue_url),
            is_fifo: false,
        },
        runtime: system,
        call_over_after: config.call_over_after,
    };
    handler.ledger.warm().await;
    serve_queue(system, async |records, _| {
        Ok(handler.handle(&records).await)
    })
    .await
}
