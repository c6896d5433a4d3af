//! The CPU time and memory that a process used; and giving it the share of a small function.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};

/// The share of a CPU that 128 MB get: 1,769 MB are one.
pub const SHARE_OF_128_MB: f64 = 128.0 / 1769.0;

/// The period in which Lambda gives a function its share, in microseconds: what Lambda does is not
/// published, and this is what others have measured.
const PERIOD_US: f64 = 20_000.0;

/// The CPU time of all threads of a process that are alive.
///
/// # Errors
/// When there is no such process.
pub fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let mut total = 0;
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).context("no such process")?;
    for task in tasks {
        // A thread can end meanwhile.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else {
            continue;
        };
        let nanoseconds = text
            .split_whitespace()
            .next()
            .and_then(|word| word.parse::<u64>().ok());
        total += nanoseconds.unwrap_or_default();
    }
    Ok(Duration::from_nanos(total))
}

/// The CPU time of a process once it rests: while it runs, the kernel has not counted all of it.
///
/// # Errors
/// When there is no such process.
pub async fn cpu_time_at_rest(pid: u32) -> anyhow::Result<Duration> {
    let mut before = cpu_time(pid)?;
    loop {
        tokio::time::sleep(Duration::from_millis(3)).await;
        let now = cpu_time(pid)?;
        if now == before {
            return Ok(now);
        }
        before = now;
    }
}

/// The most memory that a process has had, in bytes.
///
/// # Errors
/// When there is no such process.
pub fn peak_memory(pid: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(kilobytes.context("no VmHWM")? * 1024)
}

/// A cgroup that bounds the CPU time of who is put into it.
#[derive(Debug)]
pub struct Share {
    folder: PathBuf,
}

impl Share {
    /// One with the share of a function of 128 MB.
    ///
    /// # Errors
    /// When this machine lets nobody make cgroups.
    pub fn of_128_mb() -> anyhow::Result<Self> {
        let quota_us = PERIOD_US * SHARE_OF_128_MB;
        let name = format!("cht-africastalking-{}", std::process::id());
        let first = PathBuf::from("/sys/fs/cgroup/cpu").join(&name);
        if fs::create_dir(&first).is_ok() {
            let share = Self { folder: first };
            fs::write(
                share.folder.join("cpu.cfs_period_us"),
                format!("{PERIOD_US:.0}"),
            )?;
            fs::write(
                share.folder.join("cpu.cfs_quota_us"),
                format!("{quota_us:.0}"),
            )?;
            return Ok(share);
        }
        let second = PathBuf::from("/sys/fs/cgroup").join(&name);
        if fs::create_dir(&second).is_ok() {
            let share = Self { folder: second };
            fs::write(
                share.folder.join("cpu.max"),
                format!("{quota_us:.0} {PERIOD_US:.0}"),
            )?;
            return Ok(share);
        }
        bail!("no cgroup can be made here")
    }

    /// Puts a process into it, with all its threads.
    ///
    /// # Errors
    /// When it has ended.
    pub fn confine(&self, pid: u32) -> anyhow::Result<()> {
        fs::write(self.folder.join("cgroup.procs"), pid.to_string())?;
        Ok(())
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // It fails while somebody is in it; an empty cgroup left behind costs nothing.
        let _ = fs::remove_dir(&self.folder);
    }
}
