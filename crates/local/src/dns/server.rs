//! The server on the cluster's DNS address.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;

use super::answer::{Plan, datagram, finish, malformed, plan};
use super::table::Table;
use crate::failure::{Failure, Step};
use crate::supervisor::host_client::HostClient;

const PORT: u16 = 53;

/// How long an idle TCP client may stay.
const IDLE: Duration = Duration::from_secs(10);

/// What every question needs.
#[derive(Clone)]
struct Server {
    table: watch::Receiver<Arc<Table>>,
    host: Arc<HostClient>,
}

/// Serves for ever, over UDP and TCP.
pub(crate) async fn serve(
    address: Ipv4Addr,
    table: watch::Receiver<Arc<Table>>,
    host: Arc<HostClient>,
) -> Result<(), Failure> {
    let step = format!("listen on {address}:{PORT} for DNS");
    let udp = UdpSocket::bind((address, PORT)).await.step(step.clone())?;
    let tcp = TcpListener::bind((address, PORT)).await.step(step)?;
    let server = Server { table, host };
    tokio::spawn(datagrams(udp, server.clone()));
    tokio::spawn(streams(tcp, server));
    Ok(())
}

impl Server {
    async fn answer(&self, request: &Message) -> Message {
        // The table's lock must not be held while the host is asked.
        let planned = plan(&self.table.borrow(), request);
        match planned {
            Plan::Reply(answer) => answer,
            Plan::Outside { answer, name } => {
                let found = self.host.resolve(name.to_ascii().trim_end_matches('.')).await;
                finish(answer, &name, found)
            }
        }
    }
}

async fn datagrams(socket: UdpSocket, server: Server) {
    let socket = Arc::new(socket);
    let mut buffer = vec![0; 4096];
    loop {
        // An error here is about an earlier answer that could not be delivered.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        match Message::from_vec(&buffer[..length]) {
            Ok(request) => {
                tokio::spawn(answer_datagram(Arc::clone(&socket), server.clone(), request, client));
            }
            Err(_) => {
                if let Some(bytes) = malformed(&buffer[..length]) {
                    let _ = socket.send_to(&bytes, client).await;
                }
            }
        }
    }
}

async fn answer_datagram(socket: Arc<UdpSocket>, server: Server, request: Message, client: SocketAddr) {
    let answer = server.answer(&request).await;
    if let Some(bytes) = datagram(&request, &answer) {
        // A client that is gone asks no more.
        let _ = socket.send_to(&bytes, client).await;
    }
}

async fn streams(listener: TcpListener, server: Server) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let server = server.clone();
                tokio::spawn(async move {
                    // A client that breaks off is its own concern.
                    let _ = answer_stream(stream, server).await;
                });
            }
            Err(error) => {
                tracing::warn!("dns: accept: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn answer_stream(mut stream: TcpStream, server: Server) -> std::io::Result<()> {
    loop {
        let Ok(length) = tokio::time::timeout(IDLE, stream.read_u16()).await else { return Ok(()) };
        let mut bytes = vec![0; usize::from(length?)];
        stream.read_exact(&mut bytes).await?;
        let reply = match Message::from_vec(&bytes) {
            Ok(request) => server.answer(&request).await.to_vec().ok(),
            Err(_) => malformed(&bytes),
        };
        let Some(reply) = reply else { return Ok(()) };
        let Ok(length) = u16::try_from(reply.len()) else { return Ok(()) };
        stream.write_all(&length.to_be_bytes()).await?;
        stream.write_all(&reply).await?;
    }
}
