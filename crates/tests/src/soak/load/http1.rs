//! HTTP/1.1: every third request has a body, every tenth closes its
//! connection.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Sender;
use crate::soak::servers::FINE;

/// Connections that wait for their next request.
type Idle = Arc<Mutex<VecDeque<TcpStream>>>;

pub(super) async fn send(sender: Sender, address: SocketAddr, period: Duration) {
    let idle = Idle::default();
    let number = AtomicU64::new(0);
    let request = || {
        let (sender, idle) = (sender.clone(), Arc::clone(&idle));
        let number = number.fetch_add(1, Ordering::Relaxed);
        async move {
            sender.count(request(address, &idle, number)).await;
        }
    };
    sender.keep_sending(period, request).await;
}

async fn request(address: SocketAddr, idle: &Idle, number: u64) -> Result<()> {
    let (mut stream, is_fresh) = match waiting(idle) {
        Some(stream) => (stream, false),
        None => (TcpStream::connect(address).await.context("connect")?, true),
    };
    stream.set_nodelay(true)?;
    let closes = number % 10 == 9;
    let connection = if closes { "connection: close\r\n" } else { "" };
    let text = match number % 3 {
        0 => format!(
            "POST / HTTP/1.1\r\nhost: web:8080\r\n{connection}content-length: 2000\r\n\r\n{}",
            "x".repeat(2000)
        ),
        _ => format!("GET / HTTP/1.1\r\nhost: web:8080\r\n{connection}\r\n"),
    };
    let what = if is_fresh { "on a new connection" } else { "on a kept connection" };
    stream.write_all(text.as_bytes()).await.with_context(|| format!("send {what}"))?;
    let answer = read(&mut stream).await.with_context(|| format!("read {what}"))?;
    ensure!(answer.body == FINE.as_bytes(), "another body");
    if !closes && !answer.closes {
        idle.lock().unwrap_or_else(PoisonError::into_inner).push_back(stream);
    }
    Ok(())
}

/// A connection that the other side has not closed.
fn waiting(idle: &Idle) -> Option<TcpStream> {
    loop {
        let stream = idle.lock().unwrap_or_else(PoisonError::into_inner).pop_front()?;
        match stream.try_read(&mut [0]) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Some(stream),
            _ => {}
        }
    }
}

struct Answer {
    body: Vec<u8>,
    closes: bool,
}

async fn read(stream: &mut TcpStream) -> Result<Answer> {
    let mut buffer = Vec::new();
    let head = loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            bail!("closed after {} bytes", buffer.len());
        }
    };
    let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
    let status = text.lines().next().unwrap_or_default().to_owned();
    let length: Option<usize> =
        text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    let length = length.with_context(|| format!("no length: {text}"))?;
    while buffer.len() < head + length {
        if stream.read_buf(&mut buffer).await? == 0 {
            bail!("closed within the body");
        }
    }
    let body = buffer[head..].to_vec();
    ensure!(status.starts_with("http/1.1 200 "), "{status}: {}", String::from_utf8_lossy(&body));
    Ok(Answer { body, closes: text.contains("connection: close") })
}
