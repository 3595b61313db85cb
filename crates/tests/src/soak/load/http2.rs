//! HTTP/2 on a few connections, each given up when the other side asks for
//! that.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::Sender;
use crate::soak::servers::FINE;

const CONNECTIONS: usize = 4;

pub(super) async fn send(sender: Sender, address: SocketAddr, period: Duration) {
    let connections: Arc<Vec<Connection>> =
        Arc::new((0..CONNECTIONS).map(|_| Connection::new(address)).collect());
    let number = AtomicU64::new(0);
    let request = || {
        let (sender, connections) = (sender.clone(), Arc::clone(&connections));
        let number = number.fetch_add(1, Ordering::Relaxed);
        async move {
            let connection = &connections[number as usize % CONNECTIONS];
            sender.count(request(&sender, connection, number)).await;
        }
    };
    sender.keep_sending(period, request).await;
}

/// A connection, opened again when it takes no more requests.
pub(super) struct Connection {
    address: SocketAddr,
    open: Mutex<Option<SendRequest<Bytes>>>,
}

impl Connection {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, open: Mutex::new(None) }
    }

    /// Where the next request can be sent.
    pub(super) async fn ready(&self) -> Result<SendRequest<Bytes>> {
        let mut open = self.open.lock().await;
        if let Some(sender) = open.take()
            && let Ok(ready) = sender.ready().await
        {
            *open = Some(ready.clone());
            // A copy has to ask for itself.
            if let Ok(ready) = ready.ready().await {
                return Ok(ready);
            }
        }
        let stream = TcpStream::connect(self.address).await.context("connect")?;
        stream.set_nodelay(true)?;
        let (sender, connection) = h2::client::handshake(stream).await.context("shake hands")?;
        // How it ends is told by its requests.
        tokio::spawn(async move { drop(connection.await) });
        *open = Some(sender.clone());
        sender.ready().await.context("a new connection")
    }
}

/// A request as the mesh wants it.
pub(super) fn head(path: &str) -> Result<Request<()>> {
    Ok(Request::post(format!("http://web:8081{path}")).version(http::Version::HTTP_2).body(())?)
}

/// A request that the server says it did nothing with is sent again, once: a
/// good-bye may meet it on its way (RFC 9113, 8.7).
async fn request(sender: &Sender, connection: &Connection, number: u64) -> Result<()> {
    match attempt(connection, number).await {
        Err(error) if is_unprocessed(&error) => {
            sender.counts.again(&sender.kind);
            attempt(connection, number).await
        }
        other => other,
    }
}

/// Whether the server has said good-bye before it came to the request.
pub(super) fn is_unprocessed(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<h2::Error>();
    error.is_some_and(|error| {
        error.is_remote() && error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR)
    })
}

async fn attempt(connection: &Connection, number: u64) -> Result<()> {
    let mut sender = connection.ready().await?;
    let has_body = number.is_multiple_of(3);
    let (response, mut body) = sender.send_request(head("/two")?, !has_body).context("send")?;
    if has_body {
        body.send_data(Bytes::from_static(&[b'x'; 2000]), true).context("send the body")?;
    }
    let (head, mut body) = response.await.context("read the head")?.into_parts();
    let mut text = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.context("read the body")?;
        body.flow_control().release_capacity(data.len())?;
        text.extend_from_slice(&data);
    }
    ensure!(head.status == 200, "{}: {}", head.status, String::from_utf8_lossy(&text));
    ensure!(text == FINE.as_bytes(), "another body");
    Ok(())
}
