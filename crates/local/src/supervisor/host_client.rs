//! The supervisor's side of the channel to the launcher.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};

use crate::channel::{AsyncChannel, Received};
use crate::failure::Failure;
use crate::host::{Answer, FromHost, Question, ToHost};
use crate::progress::Progress;

/// Asks the launcher for what only the host has.
#[derive(Debug)]
pub(crate) struct HostClient {
    channel: AsyncChannel,
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Reply>>>,
    stop: watch::Sender<bool>,
}

#[derive(Debug)]
struct Reply {
    answer: Result<Answer, String>,
    descriptor: Option<OwnedFd>,
}

impl HostClient {
    /// A client on `channel`; it listens in a task of its own.
    pub(crate) fn start(channel: AsyncChannel) -> Arc<HostClient> {
        let client = Arc::new(HostClient {
            channel,
            next: AtomicU64::new(0),
            waiting: Mutex::default(),
            stop: watch::Sender::new(false),
        });
        tokio::spawn(listen(Arc::clone(&client)));
        client
    }

    /// Turns true when the mesh is to end in order.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Ends the mesh in order.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// A connection to an address outside of the mesh.
    pub(crate) async fn dial(&self, address: SocketAddr) -> Result<TcpStream, String> {
        match self.ask(Question::Dial(address)).await? {
            (Answer::Dialed, Some(descriptor)) => stream(descriptor).map_err(|error| error.to_string()),
            _ => Err(format!("no connection to {address} came from the host")),
        }
    }

    /// The addresses of a name, as the host knows it.
    pub(crate) async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, String> {
        match self.ask(Question::Resolve(name.to_owned())).await? {
            (Answer::Addresses(addresses), _) => Ok(addresses),
            _ => Err(format!("no addresses of `{name}` came from the host")),
        }
    }

    /// A listening socket on the host.
    pub(crate) async fn listen(&self, wanted: SocketAddr) -> Result<(SocketAddr, OwnedFd), String> {
        match self.ask(Question::Listen(wanted)).await? {
            (Answer::Listening(address), Some(descriptor)) => Ok((address, descriptor)),
            _ => Err(format!("no socket for {wanted} came from the host")),
        }
    }

    /// The host's numbers of processes of the world.
    pub(crate) async fn host_pids(&self, pids: Vec<u32>) -> Result<BTreeMap<u32, u32>, String> {
        match self.ask(Question::HostPids(pids)).await? {
            (Answer::Pids(pids), _) => Ok(pids),
            _ => Err("no process numbers came from the host".to_owned()),
        }
    }

    /// Tells the person who waits.
    pub(crate) async fn progress(&self, news: Progress) {
        // A launcher that is gone ends this process anyway.
        let _ = self.channel.send(&ToHost::Progress(news), &[]).await;
    }

    /// Tells the launcher that the world cannot be built.
    pub(crate) async fn failed(&self, failure: Failure) {
        let _ = self.channel.send(&ToHost::Failed(failure), &[]).await;
    }

    async fn ask(&self, question: Question) -> Result<(Answer, Option<OwnedFd>), String> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(number, sender);
        let gone = || "the launcher is gone".to_owned();
        self.channel.send(&ToHost::Ask { number, question }, &[]).await.map_err(|error| error.to_string())?;
        let reply = receiver.await.map_err(|_| gone())?;
        Ok((reply.answer?, reply.descriptor))
    }

    fn answered(&self, number: u64, reply: Reply) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
        if let Some(waiting) = waiting {
            // Whoever asked may have given up.
            let _ = waiting.send(reply);
        }
    }
}

async fn listen(client: Arc<HostClient>) {
    loop {
        match client.channel.receive::<FromHost>().await {
            Ok(Some(Received { message: FromHost::Answer { number, answer }, descriptors })) => {
                let descriptor = descriptors.into_iter().next();
                client.answered(number, Reply { answer, descriptor });
            }
            Ok(Some(Received { message: FromHost::Stop, .. })) => client.stop(),
            Ok(None) => {
                eprintln!("supervisor: the launcher is gone");
                std::process::exit(1);
            }
            Err(error) => {
                eprintln!("supervisor: the channel to the launcher: {error}");
                std::process::exit(1);
            }
        }
    }
}

/// A connected socket from the host, in the mode that tokio expects.
fn stream(descriptor: OwnedFd) -> std::io::Result<TcpStream> {
    let stream = std::net::TcpStream::from(descriptor);
    stream.set_nonblocking(true)?;
    TcpStream::from_std(stream)
}
