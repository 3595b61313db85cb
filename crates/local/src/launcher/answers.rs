//! Answers to what the world asks of the host.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use super::sockets;
use crate::channel::AsyncChannel;
use crate::host::{Answer, FromHost, Question};
use crate::processes;

/// How long a connection to the outside may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// Finds the answer and sends it.
pub(super) async fn answer(host: Arc<AsyncChannel>, world: u32, number: u64, question: Question) {
    let found = match question {
        Question::Dial(address) => dial(address).await,
        Question::Resolve(name) => resolve(name).await,
        Question::Listen(address) => listen(address),
        Question::HostPids(pids) => Ok((Answer::Pids(host_pids(world, &pids)), None)),
    };
    let (answer, descriptor) = match found {
        Ok((answer, descriptor)) => (Ok(answer), descriptor),
        Err(reason) => (Err(reason), None),
    };
    let descriptors: Vec<_> = descriptor.iter().map(AsFd::as_fd).collect();
    // A supervisor that is gone needs no answer.
    let _ = host.send(&FromHost::Answer { number, answer }, &descriptors).await;
}

type Found = Result<(Answer, Option<OwnedFd>), String>;

async fn dial(address: SocketAddr) -> Found {
    let connected = tokio::time::timeout(DIAL_TIMEOUT, TcpStream::connect(address)).await;
    let stream = connected
        .map_err(|_| format!("{address} did not answer within {} s", DIAL_TIMEOUT.as_secs()))?
        .and_then(TcpStream::into_std)
        .map_err(|error| format!("{address}: {error}"))?;
    Ok((Answer::Dialed, Some(stream.into())))
}

async fn resolve(name: String) -> Found {
    let looked_up = tokio::task::spawn_blocking(move || (name.as_str(), 0).to_socket_addrs()).await;
    let addresses = looked_up.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let unique: BTreeSet<_> = addresses.map(|address| address.ip()).collect();
    Ok((Answer::Addresses(unique.into_iter().collect()), None))
}

fn listen(wanted: SocketAddr) -> Found {
    let anywhere = SocketAddr::new(wanted.ip(), 0);
    let listener = sockets::listen_tcp(wanted)
        .or_else(|_| sockets::listen_tcp(anywhere))
        .map_err(|error| format!("{wanted}: {error}"))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    Ok((Answer::Listening(address), Some(listener.into())))
}

/// The host's number of each process of the world: all of them descend from the process that the launcher started.
fn host_pids(world: u32, wanted: &[u32]) -> BTreeMap<u32, u32> {
    let wanted: BTreeSet<u32> = wanted.iter().copied().collect();
    processes::descendants(world)
        .into_iter()
        .filter_map(|process| Some((*process.numbers.get(1)?, *process.numbers.first()?)))
        .filter(|(inside, _)| wanted.contains(inside))
        .collect()
}
