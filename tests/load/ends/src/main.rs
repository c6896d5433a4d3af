//! `ends`: the two ends of a load test, as a Lambda function.
#![allow(
    clippy::print_stdout,
    reason = "what is printed is the log of a load test, and the calls are made up"
)]

use std::time::{Duration, Instant};

use bridge::adapters::aws::Aws;
use bridge::config::required;
use ends::africastalking::AfricasTalkingEnd;
use ends::call::RecordedRequest;
use ends::medic::MedicEnd;
use ends::table::{CallTable, CallTableError};
use lambda_http::{Body, Error, Request, RequestExt as _, Response, run, service_fn};
use models::http::{ServerOutcome, ServerRequest, ServerResponse};
use serde_json::json;
use tokio::sync::Mutex;

/// The paths of Africa's Talking. All others are Medic's.
const AFRICASTALKING: &str = "/version1/";

struct EndsServer {
    medic: Mutex<MedicEnd>,
    africastalking: Mutex<AfricasTalkingEnd>,
    work_per_message: Duration,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let aws = Aws::from_environment()?;
    let table = CallTable::new(aws.dynamodb(), required("CALLS_TABLE")?);
    let work_ms = required("MEDIC_MILLISECONDS_PER_MESSAGE")?.parse()?;
    let medic = MedicEnd::new(
        table.clone(),
        &required("MEDIC_USERNAME")?,
        &required("MEDIC_PASSWORD")?,
    );
    let africastalking = AfricasTalkingEnd::new(
        table,
        &required("AFRICASTALKING_USERNAME")?,
        &required("AFRICASTALKING_API_KEY")?,
    );
    let ends = EndsServer {
        medic: Mutex::new(medic),
        africastalking: Mutex::new(africastalking),
        work_per_message: Duration::from_millis(work_ms),
    };
    let ends = &ends;
    run(service_fn(|request: Request| async move {
        Ok::<_, Error>(ends.serve(&request).await)
    }))
    .await
}

impl EndsServer {
    async fn serve(&self, request: &Request) -> Response<String> {
        let began = Instant::now();
        let request = RecordedRequest::of(&to_model(request));
        let (method, path) = (request.method.clone(), request.path.clone());
        let outcome = self.answer(request).await;
        let response = match outcome {
            Ok(ServerOutcome::Response(response)) => response,
            Ok(ServerOutcome::Silence | ServerOutcome::Closed) => {
                plain(502, "The model gives no answer.")
            }
            Err(error) => plain(500, &error.to_string()),
        };
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let line = json!({
            "method": method, "path": path, "status": response.status, "took_ms": took_ms,
        });
        println!("{line}");
        to_lambda(&response)
    }

    async fn answer(&self, request: RecordedRequest) -> Result<ServerOutcome, CallTableError> {
        if request.path.starts_with(AFRICASTALKING) {
            self.africastalking.lock().await.answer(request).await
        } else {
            let mut medic = self.medic.lock().await;
            medic.answer(request, self.work_per_message).await
        }
    }
}

fn plain(status: u16, text: &str) -> ServerResponse {
    ServerResponse::new(status, "text/plain", text)
}

fn to_model(request: &Request) -> ServerRequest {
    let headers = request.headers().iter().filter_map(|(name, value)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    });
    let body = match request.body() {
        Body::Text(text) => text.clone().into_bytes(),
        Body::Binary(bytes) => bytes.clone(),
        _ => Vec::new(),
    };
    ServerRequest {
        method: request.method().as_str().to_owned(),
        path: request.raw_http_path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body,
    }
}

fn to_lambda(response: &ServerResponse) -> Response<String> {
    let mut answer = Response::builder().status(response.status);
    if let Some(content_type) = response.content_type {
        answer = answer.header("content-type", content_type);
    }
    if let Some(location) = response.location {
        answer = answer.header("location", location);
    }
    let body = String::from_utf8_lossy(&response.body).into_owned();
    answer.body(body).unwrap_or_default()
}
