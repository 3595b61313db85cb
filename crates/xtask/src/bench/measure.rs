//! What a process cost, as the kernel counts it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};

/// CPU time of all threads that the process has now.
pub(super) fn cpu(pid: u32) -> Result<Duration> {
    let mut total = Duration::ZERO;
    for thread in threads(pid)? {
        let text = std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat"))
            .context("read schedstat")?;
        let nanoseconds =
            text.split_whitespace().next().and_then(|field| field.parse().ok()).context("schedstat")?;
        total += Duration::from_nanos(nanoseconds);
    }
    Ok(total)
}

/// Resident memory.
pub(super) fn resident_mib(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).context("read the process's status")?;
    let kib: f64 = text
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|field| field.parse().ok())
        .context("the status tells no VmRSS")?;
    Ok(kib / 1024.0)
}

/// Keeps every thread of the process on one CPU.
pub(super) fn pin(pid: u32, cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    for thread in threads(pid)? {
        let thread =
            Pid::from_raw(i32::try_from(thread).context("a thread id")?).context("a thread id is not 0")?;
        sched_setaffinity(Some(thread), &set).context("pin a thread")?;
    }
    Ok(())
}

fn threads(pid: u32) -> Result<Vec<u32>> {
    let mut threads = Vec::new();
    for entry in
        std::fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid} is gone"))?
    {
        if let Some(thread) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
            threads.push(thread);
        }
    }
    Ok(threads)
}
