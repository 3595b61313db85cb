//! `lateen exec`, `lateen logs`: inside a pod.

use std::os::fd::AsFd as _;
use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use local::{Follow, Logs as LogQuery};

use crate::failure::{Failure, Outcome};

/// Runs a command inside a pod.
#[derive(Args, Debug)]
#[command(after_help = "Example: lateen exec ratings -- curl -sS productpage:9080/productpage")]
pub struct Exec {
    /// Pod, Deployment or `svc/NAME`.
    workload: String,
    /// Container; the pod's first one by default.
    #[arg(short, long)]
    container: Option<String>,
    /// Its namespace.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// The command.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// Shows a container's log.
#[derive(Args, Debug)]
#[command(after_help = "Example: lateen logs productpage -c istio-proxy -f")]
pub struct Logs {
    /// Pod, Deployment or `svc/NAME`.
    workload: String,
    /// Container; the pod's first one by default.
    #[arg(short, long)]
    container: Option<String>,
    /// Its namespace.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Go on with what comes.
    #[arg(short, long)]
    follow: bool,
    /// Only so many of the last lines.
    #[arg(long)]
    tail: Option<usize>,
}

/// Runs `lateen exec`; its exit code is the command's.
pub fn exec(arguments: &Exec, home: &Path) -> Outcome {
    let own = |stream: std::os::fd::BorrowedFd<'_>| stream.try_clone_to_owned().context("share a stream");
    let streams =
        [own(std::io::stdin().as_fd())?, own(std::io::stdout().as_fd())?, own(std::io::stderr().as_fd())?];
    let exec = local::Exec {
        workload: arguments.workload.clone(),
        namespace: arguments.namespace.clone(),
        container: arguments.container.clone(),
        command: arguments.command.clone(),
    };
    match local::exec(home, exec, streams)? {
        0 => Ok(()),
        code => Err(Failure::Said(u8::try_from(code).unwrap_or(1))),
    }
}

/// Runs `lateen logs`.
pub fn logs(arguments: &Logs, home: &Path) -> Outcome {
    let query = LogQuery {
        workload: arguments.workload.clone(),
        namespace: arguments.namespace.clone(),
        container: arguments.container.clone(),
        follow: if arguments.follow { Follow::Yes } else { Follow::No },
        tail: arguments.tail,
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
    runtime.block_on(local::logs(home, &query, &mut std::io::stdout().lock()))?;
    Ok(())
}
