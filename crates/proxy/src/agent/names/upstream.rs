//! Asking the pod's own name servers.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::dial;

/// How long one server may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often each is asked.
const ROUNDS: usize = 2;

/// Source ports of our own questions.
///
/// A client's question to the same server is translated by its source port: one of ours from the same port would be
/// taken for it and come back to us. Clients take ports from the kernel's range, which ends below this one.
const SOURCE_PORTS: std::ops::RangeInclusive<u16> = 61_000..=65_535;

/// How often a port that is taken is replaced by another.
const PORT_TRIES: usize = 16;

/// How a question came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// In a datagram.
    Udp,
    /// On a connection.
    Tcp,
}

/// The pod's own name servers.
#[derive(Debug, Clone)]
pub struct Upstream {
    servers: Vec<SocketAddr>,
    tos: Option<u32>,
}

impl Upstream {
    /// These servers; connections to them carry the mark.
    pub fn new(servers: Vec<SocketAddr>, tos: Option<u32>) -> Upstream {
        Upstream { servers, tos }
    }

    /// The first answer that one of them gives.
    pub async fn ask(&self, request: &Message, bytes: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let first = fastrand::usize(..self.servers.len().max(1));
        let order = (0..self.servers.len() * ROUNDS).map(|step| (first + step) % self.servers.len());
        for at in order {
            let server = self.servers[at];
            // A number that the client did not choose: nobody who saw its question can guess ours.
            let id = fastrand::u16(..);
            let mut question = bytes.to_vec();
            question.get_mut(..2)?.copy_from_slice(&id.to_be_bytes());
            let answered = match transport {
                Transport::Udp => timeout(PATIENCE, self.datagram(server, request, &question, id)).await,
                Transport::Tcp => timeout(PATIENCE, self.stream(server, request, &question, id)).await,
            };
            match answered {
                Ok(Ok(mut answer)) => {
                    answer.get_mut(..2)?.copy_from_slice(&request.metadata.id.to_be_bytes());
                    return Some(answer);
                }
                Ok(Err(error)) => tracing::debug!("name server {server}: {error}"),
                Err(_) => tracing::debug!("name server {server}: no answer"),
            }
        }
        None
    }

    async fn datagram(
        &self,
        server: SocketAddr,
        request: &Message,
        question: &[u8],
        id: u16,
    ) -> io::Result<Vec<u8>> {
        let socket = socket_for(server).await?;
        dial::mark(&SockRef::from(&socket), server, self.tos)?;
        socket.connect(server).await?;
        socket.send(question).await?;
        let mut buffer = vec![0; usize::from(u16::MAX)];
        loop {
            let length = socket.recv(&mut buffer).await?;
            if is_answer(&buffer[..length], request, id) {
                buffer.truncate(length);
                return Ok(buffer);
            }
        }
    }

    async fn stream(
        &self,
        server: SocketAddr,
        request: &Message,
        question: &[u8],
        id: u16,
    ) -> io::Result<Vec<u8>> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, "not the answer to our question");
        let mut stream = dial::connect(server, self.tos).await?;
        let length = u16::try_from(question.len()).map_err(|_| invalid())?;
        stream.write_all(&[&length.to_be_bytes()[..], question].concat()).await?;
        let mut answer = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut answer).await?;
        if is_answer(&answer, request, id) { Ok(answer) } else { Err(invalid()) }
    }
}

/// A socket whose port no client of the pod uses.
async fn socket_for(server: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    for _ in 0..PORT_TRIES {
        match UdpSocket::bind((any, fastrand::u16(SOURCE_PORTS))).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            bound => return bound,
        }
    }
    UdpSocket::bind((any, 0)).await
}

/// Whether bytes answer this very question.
fn is_answer(bytes: &[u8], request: &Message, id: u16) -> bool {
    let Ok(answer) = Message::from_vec(bytes) else { return false };
    answer.metadata.id == id
        && answer.metadata.message_type == MessageType::Response
        && (answer.queries == request.queries || answer.queries.is_empty())
}
