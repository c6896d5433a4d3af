//! `delivery-reports`: a delivery report, from Africa's Talking's callback into the `reports`
//! queue.

use bridge::adapters::aws::{Aws, SECRETS_MANAGER, SQS};
use bridge::adapters::environment::required;
use bridge::adapters::lambda::{Error, serve_http};
use bridge::adapters::secret::ManagedSecret;
use bridge::adapters::sqs_queue::SqsQueue;
use bridge::adapters::system::System;
use bridge::callbacks::{CallbackHandler, IncomingKeys};
use bridge::journal::Callback;
use bridge::parking::ParkingLot;
use bridge::ports::Clock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let system = System::new("delivery-reports");
    system.silence_panics();
    system.noted(serve(&system).await)
}

async fn serve(system: &System) -> Result<(), Error> {
    let aws = Aws::from_environment()?;
    let sqs = aws.client(&SQS)?;
    let secrets = aws.client(&SECRETS_MANAGER)?;
    let secret = ManagedSecret::new(secrets, required("INCOMING_KEY_SECRET_ARN")?);
    let handler = CallbackHandler {
        callback: Callback::DeliveryReport,
        queue: SqsQueue::new(sqs.clone(), required("REPORTS_QUEUE_URL")?),
        parked: ParkingLot {
            queue: SqsQueue::new(sqs.clone(), required("REPORTS_PARKED_QUEUE_URL")?),
            is_fifo: false,
        },
        keys: IncomingKeys::new(secret),
        surroundings: system,
    };
    tokio::join!(handler.keys.warm(system.now_ms()), sqs.connect());
    serve_http(async |request| handler.handle(&request).await).await
}
