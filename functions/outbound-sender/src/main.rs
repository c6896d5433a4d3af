//! `outbound-sender`: messages that Medic wants sent, from the `outbox` queue to Africa's Talking.

use std::rc::Rc;

use bridge::adapters::africas_talking::{AfricasTalkingApi, AfricasTalkingServer, SEND_TIMEOUT_MS};
use bridge::adapters::aws::{Aws, DYNAMODB, SECRETS_MANAGER, SQS};
use bridge::adapters::credentials::OutsideCredentials;
use bridge::adapters::environment::{
    ConfigError, call_over_after_ms, duration_ms, optional, parsed, required,
};
use bridge::adapters::lambda::{Error, serve_queue};
use bridge::adapters::ledger_table::LedgerTable;
use bridge::adapters::number_hash::NumberHash;
use bridge::adapters::secret::ManagedSecret;
use bridge::adapters::sqs_queue::SqsQueue;
use bridge::adapters::system::System;
use bridge::domain::fuse::FuseLimits;
use bridge::domain::message::SendingRules;
use bridge::domain::sender_ids::SenderIds;
use bridge::outbound_sender::OutboundSender;
use bridge::parking::ParkingLot;
use bridge::watch::BalanceWatch;

const SECOND_MS: i64 = 1000;
const HOUR_MS: i64 = 60 * 60 * SECOND_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let system = System::new("outbound-sender");
    system.silence_panics();
    system.noted(serve(&system).await)
}

async fn serve(system: &System) -> Result<(), Error> {
    let aws = Aws::from_environment()?;
    let rules = SendingRules {
        unknown_outcome: parsed("UNKNOWN_OUTCOME_POLICY")?,
        resend_after_ms: duration_ms("RESEND_AFTER_SECONDS", SECOND_MS, 120..=86_400)?,
        max_age_ms: duration_ms("MESSAGE_MAX_AGE_HOURS", HOUR_MS, 1..=240)?,
        call_over_after_ms: call_over_after_ms()?,
    };
    let fuse = FuseLimits {
        messages_an_hour: parsed("FUSE_MESSAGES_AN_HOUR")?,
        same_text_a_day: parsed("FUSE_SAME_TEXT_A_DAY")?,
    };
    let sender_ids = SenderIds::parse(&optional("SENDER_IDS").unwrap_or_default())
        .map(Rc::new)
        .map_err(|error| ConfigError::wrong("SENDER_IDS", &error))?;
    let server = AfricasTalkingServer::new(
        required("AFRICASTALKING_USERNAME")?,
        optional("AFRICASTALKING_BASE_URL").as_deref(),
    )?;
    let (sqs, dynamodb) = (aws.client(&SQS)?, aws.client(&DYNAMODB)?);
    let secrets = aws.client(&SECRETS_MANAGER)?;
    let secret = ManagedSecret::new(secrets.clone(), required("CREDENTIALS_SECRET_ARN")?);
    let credentials = OutsideCredentials::new(secret, system);
    let retention_ms = duration_ms("LEDGER_RETENTION_DAYS", DAY_MS, 90..=3650)?;
    let ledger = LedgerTable::new(
        dynamodb.clone(),
        required("LEDGER_TABLE")?,
        retention_ms,
        system,
    );
    let outbox = SqsQueue::new(sqs.clone(), required("OUTBOX_QUEUE_URL")?);
    let parked = SqsQueue::new(sqs, required("OUTBOX_PARKED_QUEUE_URL")?);
    let keys = ManagedSecret::new(secrets, required("INCOMING_KEY_SECRET_ARN")?);
    let hashes = NumberHash::new(keys, system);
    // The two secrets one after the other: a second connection would cost more than it gains.
    let secrets = async {
        credentials.warm().await;
        hashes.warm().await;
    };
    tokio::join!(secrets, dynamodb.connect());
    let balance = BalanceWatch::default();
    serve_queue(system, async |records, deadline_ms| {
        let handler = OutboundSender {
            ledger: &ledger,
            outbox: &outbox,
            parked: ParkingLot {
                queue: &parked,
                is_fifo: false,
            },
            africas_talking: AfricasTalkingApi::open(&server, &credentials)?,
            hashes: &hashes,
            surroundings: system,
            rules,
            fuse,
            sender_ids: Rc::clone(&sender_ids),
            call_timeout_ms: SEND_TIMEOUT_MS,
        };
        let undone = handler.handle(&records, deadline_ms).await;
        let account = &handler.africas_talking;
        balance.look(&ledger, account, &system, deadline_ms).await;
        Ok(undone)
    })
    .await
}
