//! The socket that takes commands to run in pods: a request with three descriptors, and later an exit code.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_local;

use crate::channel::{AsyncChannel, Channel, Received};
use crate::failure::{Failure, Step};
use crate::kubelet::pod_task::Execution;
use crate::kubelet::summary::find;
use crate::kubelet::{PodSummary, Request};

/// What a client wants to run; its standard input, output and error come along.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ExecRequest {
    /// The pod, Deployment or Service.
    pub(crate) workload: String,
    /// Its namespace.
    pub(crate) namespace: String,
    /// The container; the pod's default one when not said.
    pub(crate) container: Option<String>,
    /// The command.
    pub(crate) command: Vec<String>,
}

/// Serves the socket that the launcher opened.
pub(super) fn serve(
    socket: OwnedFd,
    pods: watch::Receiver<Arc<Vec<PodSummary>>>,
    requests: mpsc::UnboundedSender<Request>,
) -> Result<(), Failure> {
    // A socket for messages, not for bytes; accepting is the same.
    let listener = std::os::unix::net::UnixListener::from(socket);
    listener.set_nonblocking(true).step("take over the socket for commands")?;
    let listener = UnixListener::from_std(listener).step("take over the socket for commands")?;
    spawn_local(async move {
        loop {
            match listener.accept().await.and_then(|(client, _)| client.into_std()) {
                Ok(client) => {
                    spawn_local(attend(client.into(), pods.clone(), requests.clone()));
                }
                Err(error) => {
                    tracing::warn!("socket for commands: accept: {error}");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
    });
    Ok(())
}

async fn attend(
    client: OwnedFd,
    pods: watch::Receiver<Arc<Vec<PodSummary>>>,
    requests: mpsc::UnboundedSender<Request>,
) {
    let Ok(channel) = Channel::from(client).into_async() else { return };
    let channel = Rc::new(channel);
    let Ok(Some(Received { message, descriptors })) = channel.receive::<ExecRequest>().await else { return };
    let known = Arc::clone(&pods.borrow());
    let outcome = tokio::select! {
        outcome = run(message, descriptors, &known, &requests) => outcome,
        // A client says nothing more: whatever comes is its end. The command ends with the other branch.
        () = end_of(&channel) => return,
    };
    // The client may be gone.
    let _ = channel.send(&outcome, &[]).await;
}

async fn end_of(channel: &AsyncChannel) {
    while let Ok(Some(_)) = channel.receive::<serde_json::Value>().await {}
}

async fn run(
    request: ExecRequest,
    streams: Vec<OwnedFd>,
    pods: &[PodSummary],
    requests: &mpsc::UnboundedSender<Request>,
) -> Result<i32, String> {
    if streams.len() != 3 || request.command.is_empty() {
        return Err("a command and three descriptors are needed".to_owned());
    }
    let pod = find(pods, &request.namespace, &request.workload)?;
    let container = request.container.unwrap_or_else(|| pod.default_container.clone());
    let (outcome, waiting) = oneshot::channel();
    let execution = Execution { container, command: request.command, streams, outcome };
    let name = (pod.namespace.clone(), pod.name.clone());
    let ended = || "the mesh ends".to_owned();
    requests.send(Request::Execute { pod: name, execution }).map_err(|_| ended())?;
    waiting.await.map_err(|_| format!("pod `{}` ended", pod.name))?
}
