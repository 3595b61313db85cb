//! Network namespaces of a test's own, and the programs that furnish them.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use anyhow::{Context as _, Result, ensure};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::Pid;

/// Says that a process is inside of a world of its own already.
pub const INSIDE: &str = "--inside";

/// Starts this program again with the same arguments where it may make
/// namespaces and links; its exit code.
pub fn enter() -> Result<std::process::ExitCode> {
    let itself = std::env::current_exe().context("find this program")?;
    let status = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child", "--"])
        .arg(itself)
        .arg(INSIDE)
        .args(std::env::args_os().skip(1))
        .status()
        .context("start `unshare`, of the package util-linux")?;
    Ok(match status.code() {
        Some(code) => std::process::ExitCode::from(u8::try_from(code).unwrap_or(1)),
        None => std::process::ExitCode::FAILURE,
    })
}

/// A thread in a network namespace; the namespace ends with it and with the
/// sockets and processes that came of it.
pub struct Namespace {
    work: mpsc::Sender<Job>,
    thread: Pid,
}

type Job = Box<dyn FnOnce() + Send>;

impl Namespace {
    /// Makes one, with nothing in it.
    pub fn make(name: &str) -> Result<Self> {
        let (work, jobs) = mpsc::channel::<Job>();
        let (ready, made) = mpsc::channel();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let made = unshare(CloneFlags::CLONE_NEWNET).map(|()| nix::unistd::gettid());
            let failed = made.is_err();
            if ready.send(made).is_err() || failed {
                return;
            }
            jobs.into_iter().for_each(|job| job());
        })?;
        let thread = made.recv().context("the thread ended")?.context("make a network namespace")?;
        Ok(Self { work, thread })
    }

    /// Its name for `ip link … netns`.
    pub fn thread(&self) -> Pid {
        self.thread
    }

    /// Runs something in the namespace: sockets that it opens, and processes
    /// and threads that it starts, belong there.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let (answer, result) = mpsc::channel();
        let job = Box::new(move || {
            // Who asked waits.
            let _ = answer.send(job());
        });
        self.work.send(job).ok().context("the thread of the namespace ended")?;
        result.recv().context("the thread of the namespace ended")
    }
}

/// Runs lines of `ip`.
pub fn ip(commands: &str) -> Result<()> {
    feed("ip", &["-batch", "-"], commands)
}

/// Runs a program on that input; it must succeed.
pub fn feed(program: &str, arguments: &[&str], input: &str) -> Result<()> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start `{program}`"))?;
    child.stdin.take().context("its input")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{program}: {}\n{input}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
