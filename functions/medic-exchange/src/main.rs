//! `medic-exchange`: the `exchange` queue's messages to Medic, and what Medic wants sent to the
//! `outbox` queue.

use bridge::adapters::aws::{Aws, DYNAMODB, SECRETS_MANAGER, SQS};
use bridge::adapters::credentials::OutsideCredentials;
use bridge::adapters::environment::{duration_ms, required};
use bridge::adapters::lambda::{Error, serve_queue};
use bridge::adapters::ledger_table::LedgerTable;
use bridge::adapters::medic::{MedicApi, MedicServer};
use bridge::adapters::secret::ManagedSecret;
use bridge::adapters::sqs_queue::SqsQueue;
use bridge::adapters::system::System;
use bridge::medic_exchange::MedicExchange;
use bridge::parking::ParkingLot;
use bridge::watch::LedgerWatch;

const SECOND_MS: i64 = 1000;
const DAY_MS: i64 = 24 * 60 * 60 * SECOND_MS;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let system = System::new("medic-exchange");
    system.silence_panics();
    system.noted(serve(&system).await)
}

async fn serve(system: &System) -> Result<(), Error> {
    let aws = Aws::from_environment()?;
    let post_timeout_ms = duration_ms("MEDIC_TIMEOUT_SECONDS", SECOND_MS, 2..=60)?;
    let works_on_ms = duration_ms("MEDIC_WORKS_ON_SECONDS", SECOND_MS, 2..=600)?;
    let server = MedicServer::new(&required("MEDIC_URL")?, post_timeout_ms)?;
    let (sqs, dynamodb) = (aws.client(&SQS)?, aws.client(&DYNAMODB)?);
    let secrets = aws.client(&SECRETS_MANAGER)?;
    let secret = ManagedSecret::new(secrets, required("CREDENTIALS_SECRET_ARN")?);
    let credentials = OutsideCredentials::new(secret, system);
    let retention_ms = duration_ms("LEDGER_RETENTION_DAYS", DAY_MS, 90..=3650)?;
    let ledger = LedgerTable::new(
        dynamodb.clone(),
        required("LEDGER_TABLE")?,
        retention_ms,
        system,
    );
    let exchange = SqsQueue::new(sqs.clone(), required("EXCHANGE_QUEUE_URL")?);
    let outbox = SqsQueue::new(sqs.clone(), required("OUTBOX_QUEUE_URL")?);
    let parked = SqsQueue::new(sqs.clone(), required("EXCHANGE_PARKED_QUEUE_URL")?);
    tokio::join!(credentials.warm(), sqs.connect(), dynamodb.connect());
    let watch = LedgerWatch::default();
    serve_queue(system, async |records, deadline_ms| {
        let handler = MedicExchange {
            ledger: &ledger,
            exchange: &exchange,
            outbox: &outbox,
            parked: ParkingLot {
                queue: &parked,
                is_fifo: true,
            },
            medic: MedicApi::open(&server, &credentials)?,
            surroundings: system,
            post_timeout_ms,
            works_on_ms,
        };
        let undone = handler.handle(&records, deadline_ms).await;
        watch.look(&ledger, &system, deadline_ms).await;
        Ok(undone)
    })
    .await
}
