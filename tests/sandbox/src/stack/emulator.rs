//! Runs the emulator of AWS in a process of its own.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use super::aws::{EmulatorClient, REGION};
use super::queue_clock::QueueClock;
use super::work_folder;
use crate::tools::Tool;

/// The bucket into which SAM puts the packages of the functions.
pub(super) const ARTIFACTS_BUCKET: &str = "artifacts";

/// It needs about a second on an idle machine.
const START_WITHIN: Duration = Duration::from_secs(60);
const CHECK_INTERVAL: Duration = Duration::from_millis(20);
/// Another process may take a free port before the emulator does.
const PORTS_TO_TRY: u32 = 5;
/// How long the process group may take to end after it was killed.
const END_WITHIN: Duration = Duration::from_secs(5);

/// A running emulator with nothing in it. Dropping it ends it, with all functions that it runs.
#[derive(Debug)]
pub struct Emulator {
    process: Child,
    /// The emulator lives for as long as this is open.
    lifeline: Option<ChildStdin>,
    aws: EmulatorClient,
    /// For its temporary files; gone when it ends.
    folder: PathBuf,
    queue_clock: Arc<QueueClock>,
    log_file: PathBuf,
}

impl Emulator {
    /// Starts an emulator on a free port of 127.0.0.1, which enforces IAM.
    ///
    /// # Errors
    /// When the tools cannot be installed, or the emulator does not start.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(None).await
    }

    /// Like [`Self::start`]; from [`Self::keep_from_now`] on, ledger and queues are written to this
    /// file, and once more at the end, however that comes about.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(state_file: Option<&Path>) -> anyhow::Result<Self> {
        super::prepare().await?;
        for _ in 0..PORTS_TO_TRY {
            if let Some(emulator) = Self::start_on(free_port()?, state_file).await? {
                emulator.aws.create_bucket(ARTIFACTS_BUCKET).await?;
                return Ok(emulator);
            }
        }
        bail!(
            "the emulator ended by itself {PORTS_TO_TRY} times; its logs are in {}",
            log_folder().display()
        );
    }

    /// Returns none when the emulator ended by itself, as it does when another process has the port.
    async fn start_on(port: u16, state_file: Option<&Path>) -> anyhow::Result<Option<Self>> {
        // Two emulators of one process must not share files, even if they have had the same port.
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("emulator-{}-{number}", std::process::id());
        let folder = work_folder().join(&name);
        fs::create_dir_all(&folder)?;
        fs::create_dir_all(log_folder())?;
        let log_file = log_folder().join(format!("{name}.log"));
        let log = File::create(&log_file)?;
        let url = format!("http://127.0.0.1:{port}");
        let queue_clock = Arc::new(QueueClock::new(&folder));
        let mut process = Command::new(Tool::Emulator.python())
            .arg("-c")
            .arg(include_str!("emulator.py"))
            // The functions inherit the emulator's environment. With an empty one, a variable that the
            // template forgot is missing here, too.
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("BIND_HOST", "127.0.0.1")
            // The host in queue URLs. The default is a name that would have to be resolved.
            .env("MINISTACK_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", port.to_string())
            // Without it the functions would call the real AWS.
            .env("AWS_ENDPOINT_URL", &url)
            .env("MINISTACK_REGION", REGION)
            // The functions may do what their roles allow, and no more.
            .env("AUTH", "true")
            .env("TMPDIR", &folder)
            .env(QueueClock::VARIABLE, queue_clock.file())
            .envs(state_file.map(|file| ("KEPT_STATE_FILE", file)))
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot run the emulator")?;
        let lifeline = process.stdin.take();
        let mut emulator = Self {
            process,
            lifeline,
            aws: EmulatorClient::new(url)?,
            folder,
            queue_clock,
            log_file,
        };
        let runs = emulator.answers_before_it_ends().await?;
        Ok(runs.then_some(emulator))
    }

    async fn answers_before_it_ends(&mut self) -> anyhow::Result<bool> {
        let begin = Instant::now();
        loop {
            if self.process.try_wait()?.is_some() {
                return Ok(false);
            }
            if self.aws.is_healthy().await {
                return Ok(true);
            }
            ensure!(
                begin.elapsed() < START_WITHIN,
                "the emulator does not come up; its log is {}",
                self.log_file.display()
            );
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
    }

    /// Everything that an earlier start has left is back: from now on what is here takes its place.
    ///
    /// # Errors
    /// When the emulator has ended.
    pub fn keep_from_now(&mut self) -> anyhow::Result<()> {
        let lifeline = self.lifeline.as_mut();
        let lifeline = lifeline.context("the emulator has no standard input")?;
        lifeline.write_all(b"k").context("the emulator has ended")
    }

    /// Returns when the emulator has ended by itself, which it never should.
    ///
    /// # Errors
    /// Always. The error says where the log is.
    pub async fn ended(&mut self) -> anyhow::Result<()> {
        while self.process.try_wait()?.is_none() {
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
        bail!(
            "the emulator has ended by itself; its log is {}",
            self.log_file.display()
        );
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> &str {
        self.aws.url()
    }

    /// A client for it.
    #[must_use]
    pub fn aws(&self) -> &EmulatorClient {
        &self.aws
    }

    /// The clock of its queues.
    #[must_use]
    pub fn queue_clock(&self) -> &Arc<QueueClock> {
        &self.queue_clock
    }

    /// The file of its own log and of the functions' output.
    #[must_use]
    pub fn log_file(&self) -> &Path {
        &self.log_file
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // The emulator kills its process group when this closes.
        drop(self.lifeline.take());
        let begin = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) {
            if begin.elapsed() > END_WITHIN {
                let _ = self.process.kill();
                let _ = self.process.wait();
                break;
            }
            std::thread::sleep(CHECK_INTERVAL);
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn log_folder() -> PathBuf {
    work_folder().join("logs")
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}
