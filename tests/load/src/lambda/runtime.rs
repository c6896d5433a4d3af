//! The Lambda Runtime API: hands events to the processes of a function, and takes their answers.

use std::collections::HashMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as Segments, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};

use crate::aws::now_ms;
use crate::meter::{AwsCharge, Meter};
use crate::process::{SHARE_OF_128_MB, cpu_time};
use crate::serving::{self, Served};

/// The overhead that CloudWatch adds to each line, in bytes.
const LINE_BYTES: f64 = 26.0;

/// How long an invocation may take here.
const TIMEOUT: Duration = Duration::from_secs(300);

/// How an invocation ended.
#[derive(Debug)]
pub struct EndedInvocation {
    /// Its answer; an error's text when it failed.
    pub answer: Result<Value, String>,
    /// How long it took, from the event to the answer.
    pub took: Duration,
}

/// An event on its way to a process: its number, itself, and who waits for the answer.
type PendingEvent = (u64, Vec<u8>, oneshot::Sender<EndedInvocation>);

struct PendingInvocation {
    handed_out: Instant,
    answer: oneshot::Sender<EndedInvocation>,
}

struct FunctionState {
    function: String,
    meter: Arc<Meter>,
    events: tokio::sync::Mutex<mpsc::UnboundedReceiver<PendingEvent>>,
    waiting: Mutex<HashMap<u64, PendingInvocation>>,
    asked: watch::Sender<u64>,
    failure: Mutex<Option<String>>,
    log: Mutex<String>,
}

/// A function with its processes. Dropping it ends them.
pub struct RunningFunction {
    shared: Arc<FunctionState>,
    events: mpsc::UnboundedSender<PendingEvent>,
    last: Mutex<u64>,
    // Before the server: a process that outlives it says so.
    processes: Vec<Child>,
    server: Served,
}

impl RunningFunction {
    /// A function without a process yet.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn new(function: &str, meter: Arc<Meter>) -> anyhow::Result<Self> {
        let (events, receiver) = mpsc::unbounded_channel();
        let shared = Arc::new(FunctionState {
            function: function.to_owned(),
            meter,
            events: tokio::sync::Mutex::new(receiver),
            waiting: Mutex::default(),
            asked: watch::Sender::new(0),
            failure: Mutex::default(),
            log: Mutex::default(),
        });
        let routes = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{kind}", post(answered))
            .route("/2018-06-01/runtime/init/error", post(failed_to_start))
            .with_state(shared.clone());
        let server = serving::plain(routes).await?;
        let last = Mutex::new(0);
        Ok(Self {
            shared,
            events,
            last,
            server,
            processes: Vec::new(),
        })
    }

    /// Starts a process of it, and waits until it asks for its first event.
    ///
    /// # Errors
    /// When it cannot be started, or ends instead.
    pub async fn start(
        &mut self,
        program: &Path,
        arguments: &[String],
        environment: &[(String, String)],
    ) -> anyhow::Result<u32> {
        let mut asked = self.shared.asked.subscribe();
        let before = *asked.borrow_and_update();
        let mut process = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", self.server.address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", &self.shared.function)
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "")
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let pid = process.id().context("it has ended")?;
        self.count_log(process.stdout.take().context("no stdout")?);
        tokio::select! {
            ended = process.wait() => bail!(
                "{} ended at its start: {} {:?}",
                program.display(),
                ended?,
                self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner)
            ),
            asked = asked.wait_for(|asked| *asked > before) => { asked?; }
        }
        self.processes.push(process);
        Ok(pid)
    }

    /// The processes' ids.
    pub fn pids(&self) -> Vec<u32> {
        self.processes.iter().filter_map(Child::id).collect()
    }

    /// Ends all processes.
    ///
    /// # Errors
    /// When the system does not let them.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        for process in &mut self.processes {
            process.kill().await?;
        }
        self.processes.clear();
        Ok(())
    }

    /// Asks all processes to end, and waits until they have.
    ///
    /// # Errors
    /// When the system does not let them.
    pub async fn terminate(&mut self) -> anyhow::Result<()> {
        for mut process in self.processes.drain(..) {
            let pid = process.id().context("it has ended")?;
            Command::new("kill").arg(pid.to_string()).status().await?;
            process.wait().await?;
        }
        Ok(())
    }

    /// The CPU time of all processes.
    ///
    /// # Errors
    /// When one has ended.
    pub fn cpu_time(&self) -> anyhow::Result<Duration> {
        self.pids().into_iter().map(cpu_time).sum()
    }

    /// Waits until a process asks for its next event, and all that came after the last is done.
    pub async fn asked(&self, times: u64) {
        // It ends only with this function.
        let _ = self
            .shared
            .asked
            .subscribe()
            .wait_for(|asked| *asked >= times)
            .await;
    }

    /// How often a process has asked for an event.
    pub fn times_asked(&self) -> u64 {
        *self.shared.asked.borrow()
    }

    /// The latest log lines.
    pub fn last_log(&self) -> String {
        self.shared
            .log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Hands an event to a process that is free.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn invoke(&self, event: impl Into<Vec<u8>>) -> anyhow::Result<EndedInvocation> {
        let (answer, ended) = oneshot::channel();
        let id = {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            *last += 1;
            *last
        };
        self.events.send((id, event.into(), answer))?;
        let ended = tokio::time::timeout(TIMEOUT, ended).await;
        let ended =
            ended.with_context(|| format!("{} does not answer", self.shared.function))??;
        let meter = &self.shared.meter;
        meter.add(AwsCharge::Invocation, &self.shared.function, 1.0);
        let milliseconds = (ended.took.as_secs_f64() * 1000.0).ceil();
        meter.add(
            AwsCharge::FunctionMs,
            &format!("{}, waiting", self.shared.function),
            milliseconds,
        );
        Ok(ended)
    }

    /// Counts the milliseconds by which this CPU time makes an invocation longer at 128 MB's share of a
    /// CPU: here the processes have whole CPUs.
    pub fn count_throttling(&self, cpu: Duration) {
        let longer_ms = cpu.as_secs_f64() * 1000.0 * (1.0 / SHARE_OF_128_MB - 1.0);
        let what = format!("{}, computing", self.shared.function);
        self.shared
            .meter
            .add(AwsCharge::FunctionMs, &what, longer_ms);
    }

    fn count_log(&self, mut output: impl AsyncRead + Unpin + Send + 'static) {
        let shared = self.shared.clone();
        tokio::spawn(async move {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(length @ 1..) = output.read(&mut buffer).await {
                let read = buffer.get(..length).unwrap_or_default();
                let lines = read.iter().filter(|byte| **byte == b'\n').count();
                let count = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
                let bytes = count(length) + count(lines) * LINE_BYTES;
                shared
                    .meter
                    .add(AwsCharge::LogByte, &shared.function, bytes);
                *shared.log.lock().unwrap_or_else(PoisonError::into_inner) =
                    String::from_utf8_lossy(read).into_owned();
            }
        });
    }
}

async fn next(State(shared): State<Arc<FunctionState>>) -> Response {
    shared.asked.send_modify(|asked| *asked += 1);
    let Some((id, event, answer)) = shared.events.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let deadline_ms = now_ms() + u64::try_from(TIMEOUT.as_millis()).unwrap_or_default();
    let headers = [
        (
            "lambda-runtime-aws-request-id",
            format!("00000000-0000-0000-0000-{id:012}"),
        ),
        ("lambda-runtime-deadline-ms", deadline_ms.to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:us-east-1:000000000000:function:f".to_owned(),
        ),
        (
            "lambda-runtime-trace-id",
            "Root=1-00000000-000000000000000000000000".to_owned(),
        ),
        ("content-type", "application/json".to_owned()),
    ];
    let waiting = PendingInvocation {
        handed_out: Instant::now(),
        answer,
    };
    shared
        .waiting
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(id, waiting);
    (headers, event).into_response()
}

async fn answered(
    State(shared): State<Arc<FunctionState>>,
    Segments((id, kind)): Segments<(String, String)>,
    body: Bytes,
) -> StatusCode {
    let id: Option<u64> = id.rsplit('-').next().and_then(|id| id.parse().ok());
    let waiting = id.and_then(|id| {
        shared
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&id)
    });
    if let Some(PendingInvocation { handed_out, answer }) = waiting {
        let took = handed_out.elapsed();
        let text = || String::from_utf8_lossy(&body).into_owned();
        let result = match kind.as_str() {
            "response" => serde_json::from_slice(&body).map_err(|_| text()),
            _ => Err(text()),
        };
        // Who asked may have given up.
        let _ = answer.send(EndedInvocation {
            answer: result,
            took,
        });
    }
    StatusCode::ACCEPTED
}

async fn failed_to_start(State(shared): State<Arc<FunctionState>>, body: Bytes) -> StatusCode {
    let text = String::from_utf8_lossy(&body).into_owned();
    *shared
        .failure
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = Some(text);
    StatusCode::ACCEPTED
}
