//! `medic-exchange`: the `exchange` queue's messages to Medic, and what Medic wants sent to the
//! `outbox` queue.

use bridge::adapters::aws::Aws;
use bridge::adapters::dynamodb_ledger::LedgerTable;
use bridge::adapters::lambda::{Error, serve_queue};
use bridge::adapters::medic::{MedicApi, MedicServer};
use bridge::adapters::secrets_manager::ManagedSecret;
use bridge::adapters::sqs_queue::SqsQueue;
use bridge::adapters::system::System;
use bridge::config::MedicExchangeConfig;
use bridge::handlers::medic_exchange::MedicExchange;
use bridge::handlers::monitors::LedgerMonitor;
use bridge::queue::dead_letter::DeadLetterQueue;
use bridge::secrets::OutsideCredentials;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let system = System::new("medic-exchange");
    system.silence_panics();
    system.noted(serve(&system).await)
}

async fn serve(system: &System) -> Result<(), Error> {
    let config = MedicExchangeConfig::from_env()?;
    let aws = Aws::from_environment()?;
    let server = MedicServer::new(&config.medic_url, config.post_timeout)?;
    let secret = ManagedSecret::new(aws.secrets_manager(), config.credentials_secret_arn);
    let credentials = OutsideCredentials::new(secret, system);
    let ledger = LedgerTable::new(
        aws.dynamodb(),
        config.ledger.table,
        config.ledger.retention,
        system,
    );
    let sqs = aws.sqs();
    let exchange = SqsQueue::new(sqs.clone(), config.exchange_queue_url.clone());
    let outbox = SqsQueue::new(sqs.clone(), config.outbox_queue_url);
    let dead_letters = SqsQueue::new(sqs, config.dead_letter_queue_url);
    tokio::join!(
        credentials.warm(),
        aws.connect(&config.exchange_queue_url),
        ledger.warm()
    );
    let monitor = LedgerMonitor::default();
    serve_queue(system, async |records, deadline| {
        let handler = MedicExchange {
            ledger: &ledger,
            exchange: &exchange,
            outbox: &outbox,
            dead_letters: DeadLetterQueue {
                queue: &dead_letters,
                is_fifo: true,
            },
            medic: MedicApi::open(&server, &credentials)?,
            runtime: system,
            post_timeout: config.post_timeout,
            grace: config.grace,
        };
        let undone = handler.handle(&records, deadline).await;
        monitor.check(&ledger, &system, deadline).await;
        Ok(undone)
    })
    .await
}
