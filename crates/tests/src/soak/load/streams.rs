//! Streams: they live for a while, and say something again and again, which
//! comes back. Each thing said counts as a request.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::{Bytes, BytesMut};
use h2::{RecvStream, SendStream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::Sender;
use super::http2::{Connection, head, is_unprocessed};
use crate::soak::servers::ECHO;

const WORDS: &[u8] = b"still here";

/// When a stream ends, and how often it speaks.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    /// The life of the first one.
    pub(super) first: Duration,
    /// The life of those after it.
    pub(super) life: Duration,
    pub(super) beat: Duration,
}

pub(super) async fn tcp(sender: Sender, address: SocketAddr, plan: Plan) {
    let mut life = plan.first;
    while !sender.is_stopped() {
        let Some(mut stream) = sender.count(TcpStream::connect(address)).await else { continue };
        let end = Instant::now() + std::mem::replace(&mut life, plan.life);
        let mut beat = tokio::time::interval(plan.beat);
        let mut is_whole = true;
        while is_whole && Instant::now() < end && !sender.is_stopped() {
            beat.tick().await;
            is_whole = sender.count(say_tcp(&mut stream)).await.is_some();
        }
        if is_whole {
            sender.count(end_tcp(stream)).await;
        }
    }
}

async fn say_tcp(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(WORDS).await.context("send")?;
    let mut back = [0; WORDS.len()];
    stream.read_exact(&mut back).await.context("read")?;
    ensure!(back == WORDS, "something else came back");
    Ok(())
}

async fn end_tcp(mut stream: TcpStream) -> Result<()> {
    stream.shutdown().await.context("end")?;
    let count = stream.read(&mut [0]).await.context("read the end")?;
    ensure!(count == 0, "more came back than was sent");
    Ok(())
}

pub(super) async fn http2(sender: Sender, address: SocketAddr, plan: Plan) {
    let connection = Connection::new(address);
    let mut life = plan.first;
    while !sender.is_stopped() {
        let opened = async {
            match open(&connection).await {
                Err(error) if is_unprocessed(&error) => {
                    sender.counts.again(&sender.kind);
                    open(&connection).await
                }
                other => other,
            }
        };
        let Some((mut up, mut down)) = sender.count(opened).await else { continue };
        let end = Instant::now() + std::mem::replace(&mut life, plan.life);
        let mut beat = tokio::time::interval(plan.beat);
        let mut is_whole = true;
        while is_whole && Instant::now() < end && !sender.is_stopped() {
            beat.tick().await;
            is_whole = sender.count(say_http2(&mut up, &mut down)).await.is_some();
        }
        if is_whole {
            sender.count(end_http2(up, down)).await;
        }
    }
}

async fn open(connection: &Connection) -> Result<(SendStream<Bytes>, RecvStream)> {
    let mut sender = connection.ready().await?;
    let (response, up) = sender.send_request(head(ECHO)?, false).context("send")?;
    let response = response.await.context("read the head")?;
    ensure!(response.status() == 200, "{}", response.status());
    Ok((up, response.into_body()))
}

async fn say_http2(up: &mut SendStream<Bytes>, down: &mut RecvStream) -> Result<()> {
    up.send_data(Bytes::from_static(WORDS), false).context("send")?;
    let mut back = BytesMut::new();
    while back.len() < WORDS.len() {
        let data = down.data().await.context("the stream ended")?.context("read")?;
        down.flow_control().release_capacity(data.len())?;
        back.extend_from_slice(&data);
    }
    ensure!(back == WORDS, "something else came back");
    Ok(())
}

async fn end_http2(mut up: SendStream<Bytes>, mut down: RecvStream) -> Result<()> {
    up.send_data(Bytes::new(), true).context("end")?;
    while let Some(data) = down.data().await {
        ensure!(data.context("read the end")?.is_empty(), "more came back than was sent");
    }
    Ok(())
}
