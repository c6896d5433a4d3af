//! `outbound-sender`: messages that Medic wants sent, from the `outbox` queue to Africa's Talking.

use std::rc::Rc;

use bridge::adapters::africas_talking::{AfricasTalkingApi, AfricasTalkingServer, SEND_TIMEOUT};
use bridge::adapters::aws::Aws;
use bridge::adapters::dynamodb_ledger::LedgerTable;
use bridge::adapters::lambda::{Error, serve_queue};
use bridge::adapters::secrets_manager::ManagedSecret;
use bridge::adapters::sqs_queue::SqsQueue;
use bridge::adapters::system::System;
use bridge::config::OutboundSenderConfig;
use bridge::handlers::monitors::BalanceMonitor;
use bridge::handlers::outbound_sender::OutboundSender;
use bridge::queue::dead_letter::DeadLetterQueue;
use bridge::secrets::NumberHash;
use bridge::secrets::OutsideCredentials;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let system = System::new("outbound-sender");
    system.silence_panics();
    system.noted(serve(&system).await)
}

async fn serve(system: &System) -> Result<(), Error> {
    let config = OutboundSenderConfig::from_env()?;
    let aws = Aws::from_environment()?;
    let server = AfricasTalkingServer::new(
        config.africastalking_username,
        config.africastalking_base_url.as_deref(),
    )?;
    let secrets = aws.secrets_manager();
    let secret = ManagedSecret::new(secrets.clone(), config.credentials_secret_arn);
    let credentials = OutsideCredentials::new(secret, system);
    let keys = ManagedSecret::new(secrets, config.incoming_key_secret_arn);
    let hashes = NumberHash::new(keys, system);
    let ledger = LedgerTable::new(
        aws.dynamodb(),
        config.ledger.table,
        config.ledger.retention,
        system,
    );
    let sqs = aws.sqs();
    let outbox = SqsQueue::new(sqs.clone(), config.outbox_queue_url);
    let dead_letters = SqsQueue::new(sqs, config.dead_letter_queue_url);
    let sender_ids = Rc::new(config.sender_ids);
    // The two secrets one after the other: a second connection would cost more than it gains.
    let secrets = async {
        credentials.warm().await;
        hashes.warm().await;
    };
    tokio::join!(secrets, ledger.warm());
    let balance = BalanceMonitor::default();
    serve_queue(system, async |records, deadline| {
        let handler = OutboundSender {
            ledger: &ledger,
            outbox: &outbox,
            dead_letters: DeadLetterQueue {
                queue: &dead_letters,
                is_fifo: false,
            },
            africas_talking: AfricasTalkingApi::open(&server, &credentials)?,
            hashes: &hashes,
            runtime: system,
            rules: config.rules,
            recipient_limit: config.recipient_limit,
            sender_ids: Rc::clone(&sender_ids),
            call_timeout: SEND_TIMEOUT,
        };
        let undone = handler.handle(&records, deadline).await;
        let account = &handler.africas_talking;
        balance.check(&ledger, account, &system, deadline).await;
        Ok(undone)
    })
    .await
}
