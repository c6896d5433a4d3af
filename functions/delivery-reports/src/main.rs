//! `delivery-reports`: a delivery report, from Africa's Talking's callback into the `reports`
//! queue.

use bridge::adapters::aws::Aws;
use bridge::adapters::lambda::{Error, serve_http};
use bridge::adapters::secrets_manager::ManagedSecret;
use bridge::adapters::sqs_queue::SqsQueue;
use bridge::adapters::system::System;
use bridge::config::WebhookConfig;
use bridge::handlers::webhook::CallbackHandler;
use bridge::log::Callback;
use bridge::ports::Clock;
use bridge::queue::dead_letter::DeadLetterQueue;
use bridge::secrets::IncomingKeys;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let system = System::new("delivery-reports");
    system.silence_panics();
    system.noted(serve(&system).await)
}

async fn serve(system: &System) -> Result<(), Error> {
    let config = WebhookConfig::of_delivery_reports()?;
    let aws = Aws::from_environment()?;
    let sqs = aws.sqs();
    let secret = ManagedSecret::new(aws.secrets_manager(), config.incoming_key_secret_arn);
    let handler = CallbackHandler {
        callback: Callback::DeliveryReport,
        opt_out_text: config.opt_out_text,
        queue: SqsQueue::new(sqs.clone(), config.queue_url.clone()),
        dead_letters: DeadLetterQueue {
            queue: SqsQueue::new(sqs, config.dead_letter_queue_url),
            is_fifo: false,
        },
        keys: IncomingKeys::new(secret),
        runtime: system,
    };
    tokio::join!(
        handler.keys.warm(system.now()),
        aws.connect(&config.queue_url)
    );
    serve_http(system, async |request| handler.handle(&request).await).await
}
