//! Proofs of identity for a pod's proxy: one end of a socket goes with the pod, by descriptor, and whoever has it may
//! ask for one proof after another, all of the pod's own service account.
//!
//! Neither arguments, environment nor files ever hold a proof, and a proxy that is started again asks for a new one.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use resources::Object;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::task::spawn_local;

use crate::supervisor::Credentials;

/// The container that is given the socket.
pub(crate) const CONTAINER: &str = "istio-proxy";

/// The longest question.
const LONGEST: u64 = 64;

/// Between two proofs; who asks more often waits.
const PAUSE: Duration = Duration::from_millis(50);

/// A new proof, in one line, each time it is called.
pub(crate) type Proofs = Rc<dyn Fn() -> String>;

/// The proofs of a pod that has a proxy.
pub(crate) fn of(pod: &Object, given: &Credentials) -> Option<Proofs> {
    let spec = &pod.as_pod()?.spec;
    let has_proxy =
        spec.containers.iter().chain(&spec.init_containers).any(|container| container.name == CONTAINER);
    let (given, namespace, account) =
        (given.clone(), pod.key.namespace.clone(), spec.service_account().to_owned());
    has_proxy.then(|| Rc::new(move || given(&namespace, &account)) as Proofs)
}

/// Answers on one end of a socket until the other, which is returned, is closed everywhere.
pub(crate) fn offer(proofs: Proofs) -> std::io::Result<OwnedFd> {
    let (own, pods) = UnixStream::pair()?;
    own.set_nonblocking(true)?;
    let own = tokio::net::UnixStream::from_std(own)?;
    spawn_local(async move {
        // Its end is the end of the pod.
        let _ = answer(own, &proofs).await;
    });
    Ok(pods.into())
}

async fn answer(mut socket: tokio::net::UnixStream, proofs: &Proofs) -> std::io::Result<()> {
    let (read, mut write) = socket.split();
    let mut questions = BufReader::new(read);
    loop {
        let mut question = String::new();
        (&mut questions).take(LONGEST).read_line(&mut question).await?;
        if question != "token\n" {
            return Ok(());
        }
        write.write_all(proofs().as_bytes()).await?;
        write.write_all(b"\n").await?;
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests;
