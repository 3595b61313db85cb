//! The sockets on which questions come.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType, ResponseCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinHandle;

use super::Counters;
use super::answer::{Plan, datagram, error, malformed, plan};
use super::cache::Cache;
use super::table::Table;
use crate::name_servers::{NameServers, Transport};
use crate::sockets::Sockets;

/// Questions that are worked on at once; more are refused.
const AT_ONCE: usize = 512;

/// Connections that are open at once.
const CONNECTIONS: usize = 128;

/// How long an idle connection may stay.
const IDLE: Duration = Duration::from_secs(10);

/// Longest question that is read.
const LONGEST_QUESTION: usize = 4096;

/// What every question needs.
#[derive(Clone)]
struct Server {
    table: watch::Receiver<Arc<Table>>,
    upstream: NameServers,
    cache: Arc<Mutex<Cache>>,
    counters: Arc<Counters>,
    questions: Arc<Semaphore>,
}

/// Opened sockets.
pub struct Opened {
    udp: UdpSocket,
    tcp: TcpListener,
}

/// How often another free port is tried, when the one that the system gave is
/// taken by somebody else for TCP.
const OTHER_PORTS: usize = 32;

/// Opens the sockets; with port 0, both on the same free one.
pub fn bind(address: SocketAddr, sockets: &Sockets) -> io::Result<Opened> {
    let mut opened = bind_once(address, sockets);
    for _ in 0..OTHER_PORTS {
        match &opened {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && address.port() == 0 => {
                opened = bind_once(address, sockets);
            }
            _ => break,
        }
    }
    opened
}

fn bind_once(address: SocketAddr, sockets: &Sockets) -> io::Result<Opened> {
    let udp = UdpSocket::from_std(sockets.datagrams(address)?)?;
    let tcp = sockets.listener(udp.local_addr()?, std::net::TcpListener::bind)?;
    tcp.set_nonblocking(true)?;
    Ok(Opened { udp, tcp: TcpListener::from_std(tcp)? })
}

#[cfg(test)]
impl Opened {
    /// Where they are.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }
}

/// Answers until the tasks are ended.
pub fn serve(
    opened: Opened,
    table: watch::Receiver<Arc<Table>>,
    upstream: NameServers,
    counters: Arc<Counters>,
) -> Vec<JoinHandle<()>> {
    let server = Server {
        table,
        upstream,
        cache: Arc::default(),
        counters,
        questions: Arc::new(Semaphore::new(AT_ONCE)),
    };
    let Opened { udp, tcp } = opened;
    vec![tokio::spawn(datagrams(udp, server.clone())), tokio::spawn(streams(tcp, server))]
}

impl Server {
    /// The answer to a question, parsed where it was made here.
    async fn answer(&self, request: &Message, bytes: &[u8], transport: Transport) -> Reply {
        Counters::increment(&self.counters.requests);
        // The table's lock must not be held while others are asked.
        let planned = plan(&self.table.borrow(), request, fastrand::usize(..));
        match planned {
            Plan::Reply(answer) => Reply::Made(answer),
            Plan::PassOn => self.pass_on(request, bytes, transport).await,
        }
    }

    async fn pass_on(&self, request: &Message, bytes: &[u8], transport: Transport) -> Reply {
        if let Some(answer) = self.cache().find(request, Instant::now()) {
            return Reply::Made(answer);
        }
        Counters::increment(&self.counters.upstream_requests);
        let Some(answered) = self.upstream.ask(request, bytes, transport).await else {
            Counters::increment(&self.counters.upstream_failures);
            return Reply::Made(error(request, ResponseCode::ServFail));
        };
        if let Ok(answer) = Message::from_vec(&answered) {
            self.cache().keep(request, &answer, Instant::now());
        }
        Reply::PassedOn(answered)
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer.
enum Reply {
    /// Made here.
    Made(Message),
    /// As somebody else gave it.
    PassedOn(Vec<u8>),
}

async fn datagrams(socket: UdpSocket, server: Server) {
    let socket = Arc::new(socket);
    let mut buffer = vec![0; LONGEST_QUESTION];
    loop {
        // An error here is about an earlier answer that could not be delivered.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        let bytes = &buffer[..length];
        match (question(bytes), Arc::clone(&server.questions).try_acquire_owned()) {
            (Ok(request), Ok(permit)) => {
                let (socket, server, bytes) = (Arc::clone(&socket), server.clone(), bytes.to_vec());
                tokio::spawn(answer_datagram(socket, server, request, bytes, client, permit));
            }
            (Ok(request), Err(_)) => {
                if let Some(bytes) = datagram(&request, &error(&request, ResponseCode::ServFail)) {
                    let _ = socket.send_to(&bytes, client).await;
                }
            }
            (Err(Some(reply)), _) => drop(socket.send_to(&reply, client).await),
            (Err(None), _) => {}
        }
    }
}

/// A question, or what is said to bytes that are none. An answer is never
/// answered.
pub(super) fn question(bytes: &[u8]) -> Result<Message, Option<Vec<u8>>> {
    match Message::from_vec(bytes) {
        Ok(message) if message.metadata.message_type == MessageType::Query => Ok(message),
        Ok(_) => Err(None),
        Err(_) => Err(malformed(bytes)),
    }
}

async fn answer_datagram(
    socket: Arc<UdpSocket>,
    server: Server,
    request: Message,
    bytes: Vec<u8>,
    client: SocketAddr,
    _permit: OwnedSemaphorePermit,
) {
    let reply = match server.answer(&request, &bytes, Transport::Udp).await {
        Reply::Made(answer) => datagram(&request, &answer),
        Reply::PassedOn(bytes) => Some(bytes),
    };
    if let Some(bytes) = reply {
        // A client that is gone asks no more.
        let _ = socket.send_to(&bytes, client).await;
    }
}

async fn streams(listener: TcpListener, server: Server) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let server = server.clone();
                tokio::spawn(async move {
                    // A client that breaks off is its own concern.
                    let _ = answer_stream(stream, server).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!("name server: accept: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn answer_stream(mut stream: TcpStream, server: Server) -> io::Result<()> {
    loop {
        let Ok(bytes) = tokio::time::timeout(IDLE, read(&mut stream)).await else { return Ok(()) };
        let bytes = bytes?;
        let reply = match question(&bytes) {
            Ok(request) => match server.answer(&request, &bytes, Transport::Tcp).await {
                Reply::Made(answer) => answer.to_vec().ok(),
                Reply::PassedOn(bytes) => Some(bytes),
            },
            Err(reply) => reply,
        };
        let Some(reply) = reply else { return Ok(()) };
        let Ok(length) = u16::try_from(reply.len()) else { return Ok(()) };
        stream.write_all(&[&length.to_be_bytes()[..], &reply].concat()).await?;
    }
}

async fn read(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = usize::from(stream.read_u16().await?);
    if length > LONGEST_QUESTION {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}
