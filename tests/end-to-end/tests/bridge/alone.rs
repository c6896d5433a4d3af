//! A function's program alone, with a Lambda runtime and an AWS of the test's own: for events that
//! no HTTP client can make, and for queues that fail in ways in which no emulator does.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use futures_util::stream;
use sandbox::stack;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::deployed::MARK;
use crate::driving::CallbackRoute;

/// Longer than the functions' own time-out: an answer that takes longer never comes.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// How the queues treat what is put into them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queues {
    /// They take it.
    Take,
    /// They take it when [`Alone::let_go`] is called.
    TakeLater,
    /// They refuse it for what it is.
    RefuseTheMessage,
    /// They do not exist.
    DoNotExist,
    /// They answer 500.
    Fail,
    /// They are throttled.
    AreThrottled,
    /// They answer with something that is no answer of SQS.
    TalkNonsense,
    /// They hang up.
    HangUp,
    /// They never answer.
    Hang,
}

/// How an invocation ended: with an answer or with an error.
type InvocationResult = Result<Vec<u8>, Vec<u8>>;

struct ServerState {
    queues: Queues,
    secret: Option<String>,
    secret_reads: AtomicUsize,
    sends: AtomicUsize,
    let_go: Notify,
    events: tokio::sync::Mutex<mpsc::UnboundedReceiver<(usize, Vec<u8>)>>,
    answers: Mutex<HashMap<usize, oneshot::Sender<InvocationResult>>>,
    log: Mutex<Vec<String>>,
}

/// A function's program that runs. Dropping it ends it.
pub struct Alone {
    shared: Arc<ServerState>,
    events: mpsc::UnboundedSender<(usize, Vec<u8>)>,
    given: AtomicUsize,
    process: Child,
    server: JoinHandle<()>,
}

/// The key of a function that runs alone.
pub fn key() -> String {
    format!("{MARK}-key-alone")
}

impl Alone {
    /// Starts the function of a callback.
    pub async fn start(callback: CallbackRoute, queues: Queues) -> anyhow::Result<Self> {
        let secret = json!({ "key": key() }).to_string();
        Self::start_with(callback, queues, Some(secret)).await
    }

    /// Starts it with another secret, or with one that cannot be had.
    pub async fn start_with(
        callback: CallbackRoute,
        queues: Queues,
        secret: Option<String>,
    ) -> anyhow::Result<Self> {
        stack::prepare().await?;
        let (events, receiver) = mpsc::unbounded_channel();
        let shared = Arc::new(ServerState {
            queues,
            secret,
            secret_reads: AtomicUsize::new(0),
            sends: AtomicUsize::new(0),
            let_go: Notify::new(),
            events: tokio::sync::Mutex::new(receiver),
            answers: Mutex::default(),
            log: Mutex::default(),
        });
        let routes = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{kind}", post(answered))
            .route("/2018-06-01/runtime/init/error", post(failed_to_start))
            .route("/", post(aws))
            .with_state(shared.clone());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(async {
            let _ = axum::serve(listener, routes).await;
        });
        let mut process = Command::new(stack::program(callback.function()))
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", callback.function())
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "")
            .env("AWS_ENDPOINT_URL", format!("http://{address}"))
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "none")
            .env("AWS_SECRET_ACCESS_KEY", "none")
            .env("INCOMING_KEY_SECRET_ARN", "the-key")
            .env(
                "EXCHANGE_QUEUE_URL",
                format!("http://{address}/exchange.fifo"),
            )
            .env(
                "EXCHANGE_DEAD_LETTER_QUEUE_URL",
                format!("http://{address}/dead-letter.fifo"),
            )
            .env("REPORTS_QUEUE_URL", format!("http://{address}/reports"))
            .env(
                "REPORTS_DEAD_LETTER_QUEUE_URL",
                format!("http://{address}/dead-letter"),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        keep_lines(&shared, process.stdout.take().context("no stdout")?);
        keep_lines(&shared, process.stderr.take().context("no stderr")?);
        Ok(Self {
            shared,
            events,
            given: AtomicUsize::new(0),
            process,
            server,
        })
    }

    /// Gives it an event, byte by byte as it is here. What comes back is its answer.
    pub async fn invoke(&self, event: impl Into<Vec<u8>>) -> anyhow::Result<Value> {
        let id = self.given.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.shared.answers.lock().unwrap().insert(id, sender);
        self.events.send((id, event.into()))?;
        let answer = tokio::time::timeout(ANSWER_WITHIN, receiver)
            .await
            .with_context(|| format!("no answer; it has logged {:?}", self.log()))??;
        match answer {
            Ok(answer) => Ok(serde_json::from_slice(&answer)?),
            Err(error) => bail!("an error: {}", String::from_utf8_lossy(&error)),
        }
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> anyhow::Result<bool> {
        Ok(self.process.try_wait()?.is_none())
    }

    /// The lines that it has printed.
    pub fn log(&self) -> Vec<String> {
        self.shared.log.lock().unwrap().clone()
    }

    /// How often it has read the secret.
    pub fn secret_reads(&self) -> usize {
        self.shared.secret_reads.load(Ordering::Relaxed)
    }

    /// How often it has asked a queue to take something.
    pub fn sends(&self) -> usize {
        self.shared.sends.load(Ordering::Relaxed)
    }

    /// Lets one message go that [`Queues::TakeLater`] holds.
    pub fn let_go(&self) {
        self.shared.let_go.notify_one();
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The answer's HTTP status, if it is one that API Gateway understands.
pub fn status_of(answer: &Value) -> anyhow::Result<u64> {
    let status = answer["statusCode"].as_u64();
    let status = status.with_context(|| format!("no status: {answer}"))?;
    ensure!((200..600).contains(&status), "{answer}");
    ensure!(
        answer["body"].is_string() && answer["headers"].is_object(),
        "{answer}"
    );
    Ok(status)
}

fn keep_lines(shared: &Arc<ServerState>, output: impl AsyncRead + Unpin + Send + 'static) {
    let shared = shared.clone();
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            shared.log.lock().unwrap().push(line);
        }
    });
}

async fn next(State(shared): State<Arc<ServerState>>) -> Response {
    let Some((id, event)) = shared.events.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let deadline_ms = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
        .saturating_add(Duration::from_secs(15))
        .as_millis();
    let headers = [
        ("lambda-runtime-aws-request-id", id.to_string()),
        ("lambda-runtime-deadline-ms", deadline_ms.to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:alone".to_owned(),
        ),
        ("content-type", "application/json".to_owned()),
    ];
    (headers, event).into_response()
}

async fn answered(
    State(shared): State<Arc<ServerState>>,
    Path((id, kind)): Path<(usize, String)>,
    body: Bytes,
) -> StatusCode {
    let waiting = shared.answers.lock().unwrap().remove(&id);
    if let Some(waiting) = waiting {
        let body = body.to_vec();
        let _ = waiting.send(if kind == "response" {
            Ok(body)
        } else {
            Err(body)
        });
    }
    StatusCode::ACCEPTED
}

async fn failed_to_start(State(shared): State<Arc<ServerState>>, body: Bytes) -> StatusCode {
    let line = format!("failed to start: {}", String::from_utf8_lossy(&body));
    shared.log.lock().unwrap().push(line);
    StatusCode::ACCEPTED
}

/// All of AWS that the two webhooks use.
async fn aws(State(shared): State<Arc<ServerState>>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers
        .get("x-amz-target")
        .and_then(|target| target.to_str().ok());
    match target {
        Some("secretsmanager.GetSecretValue") => {
            shared.secret_reads.fetch_add(1, Ordering::Relaxed);
            match &shared.secret {
                Some(secret) => aws_json(200, &json!({ "ARN": "a", "SecretString": secret })),
                None => aws_error(400, "AccessDeniedException"),
            }
        }
        Some("AmazonSQS.SendMessage") => {
            shared.sends.fetch_add(1, Ordering::Relaxed);
            send_message(&shared, &body).await
        }
        other => panic!("the function called {other:?}"),
    }
}

async fn send_message(shared: &ServerState, body: &[u8]) -> Response {
    let taken = json!({ "MessageId": "m", "MD5OfMessageBody": "" });
    assert!(
        body.is_ascii(),
        "SQS refuses some characters outside of ASCII"
    );
    match shared.queues {
        Queues::Take => aws_json(200, &taken),
        Queues::TakeLater => {
            shared.let_go.notified().await;
            aws_json(200, &taken)
        }
        Queues::RefuseTheMessage => aws_error(400, "com.amazonaws.sqs#InvalidMessageContents"),
        Queues::DoNotExist => aws_error(400, "com.amazonaws.sqs#QueueDoesNotExist"),
        Queues::Fail => aws_error(500, "InternalFailure"),
        Queues::AreThrottled => aws_error(400, "ThrottlingException"),
        Queues::TalkNonsense => (StatusCode::OK, "<html>hello</html>").into_response(),
        Queues::HangUp => {
            let broken = Err::<Bytes, _>(std::io::Error::other("hung up"));
            Body::from_stream(stream::iter([broken])).into_response()
        }
        Queues::Hang => std::future::pending().await,
    }
}

fn aws_json(status: u16, answer: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    let headers = [("content-type", "application/x-amz-json-1.0")];
    (status, headers, answer.to_string()).into_response()
}

fn aws_error(status: u16, kind: &str) -> Response {
    aws_json(
        status,
        &json!({ "__type": kind, "message": "a message of AWS" }),
    )
}
