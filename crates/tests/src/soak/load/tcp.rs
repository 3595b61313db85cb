//! TCP: a connection for each request, closed by halves.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Sender;

pub(super) async fn send(sender: Sender, address: SocketAddr, period: Duration) {
    let request = || {
        let sender = sender.clone();
        async move {
            sender.count(request(address)).await;
        }
    };
    sender.keep_sending(period, request).await;
}

async fn request(address: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect(address).await.context("connect")?;
    let text = [b'y'; 500];
    stream.write_all(&text).await.context("send")?;
    stream.shutdown().await.context("end")?;
    let mut back = Vec::new();
    stream.read_to_end(&mut back).await.context("read")?;
    ensure!(back == text, "{} of {} bytes came back", back.len(), text.len());
    Ok(())
}
