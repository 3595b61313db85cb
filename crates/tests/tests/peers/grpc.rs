//! gRPC through two proxies: that of the client's workload and that of the
//! server's.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use h2::{RecvStream, SendStream};

use crate::stand::{Proxy, Side};

/// gRPC's own list, as far as it needs no account with anybody.
const CASES: [&str; 14] = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
    "timeout_on_sleeping_server",
];

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn interop_server() -> Result<(Running, SocketAddr)> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let server = Command::new(testkit::tools::grpc_interop("server")?)
        .args([format!("--port={}", address.port()), "--use_tls=false".to_owned()])
        .stderr(Stdio::null())
        .spawn()
        .context("start the server")?;
    let server = Running(server);
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(address).is_err() {
        ensure!(Instant::now() < deadline, "the server does not listen");
        std::thread::yield_now();
    }
    Ok((server, address))
}

#[test]
fn the_interop_cases_pass_through_two_proxies() -> Result<()> {
    let (_server, address) = interop_server()?;
    let inbound = Proxy::start(Side::Inbound, address)?;
    let outbound = Proxy::start(Side::Outbound, inbound.address)?;
    for case in CASES {
        let client = Command::new(testkit::tools::grpc_interop("client")?)
            .args(["--use_tls=false", "--server_host=127.0.0.1"])
            .arg(format!("--server_port={}", outbound.address.port()))
            .arg(format!("--test_case={case}"))
            .output()
            .context("start the client")?;
        if !client.status.success() {
            bail!("{case}: {}", String::from_utf8_lossy(&client.stderr));
        }
    }
    Ok(())
}

/// What two proxies and the sockets between hold at most of one direction:
/// the windows of a stream, what waits to be written, and what the kernel
/// takes.
const HELD: usize = 24 << 20;
/// What is sent each way.
const WHOLE: usize = 64 << 20;

/// Sends as the peer gives credit, and counts.
async fn pour(mut out: SendStream<Bytes>, sent: Arc<AtomicUsize>) -> Result<()> {
    let block = Bytes::from(vec![7; 32 << 10]);
    let mut left = WHOLE;
    while left > 0 {
        out.reserve_capacity(block.len());
        if out.capacity() == 0 {
            std::future::poll_fn(|context| out.poll_capacity(context))
                .await
                .context("the stream ended")??;
        }
        let size = out.capacity().min(block.len()).min(left);
        out.send_data(block.slice(..size), false)?;
        sent.fetch_add(size, Ordering::Relaxed);
        left -= size;
    }
    out.send_data(Bytes::new(), true)?;
    Ok(())
}

async fn drain(mut body: RecvStream, from: usize) -> Result<usize> {
    let mut received = from;
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        received += data.len();
    }
    Ok(received)
}

/// A server that pours and drains at once.
async fn pouring_server(received: Arc<AtomicUsize>) -> Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let received = received.clone();
            tokio::spawn(async move {
                let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    let Ok(out) = respond.send_response(http::Response::new(()), false) else { return };
                    tokio::spawn(pour(out, Arc::default()));
                    let received = received.clone();
                    tokio::spawn(async move {
                        let count = drain(request.into_body(), 0).await.unwrap_or_default();
                        received.store(count, Ordering::Release);
                    });
                }
            });
        }
    });
    Ok(address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_reader_that_stops_stops_its_writer_and_nobody_else() -> Result<()> {
    let arrived = Arc::new(AtomicUsize::new(0));
    let server = pouring_server(arrived.clone()).await?;
    let inbound = Proxy::start(Side::Inbound, server)?;
    let outbound = Proxy::start(Side::Outbound, inbound.address)?;
    let stream = tokio::net::TcpStream::connect(outbound.address).await?;
    let (sender, connection) = h2::client::handshake(stream).await?;
    tokio::spawn(connection);
    let mut sender = sender.ready().await?;
    let request = http::Request::post("http://h.test/s/Stream").body(())?;
    let (response, out) = sender.send_request(request, false)?;
    let sent = Arc::new(AtomicUsize::new(0));
    let pouring = tokio::spawn(pour(out, sent.clone()));
    let mut body = response.await?.into_body();
    // Nothing is read for as long as our own direction takes, which goes on.
    pouring.await??;
    while arrived.load(Ordering::Acquire) == 0 {
        tokio::task::yield_now().await;
    }
    ensure!(arrived.load(Ordering::Acquire) == WHOLE, "all of it came");
    // The other direction waits, and goes on when it is read.
    let first = body.data().await.context("something")??;
    body.flow_control().release_capacity(first.len())?;
    ensure!(drain(body, first.len()).await? == WHOLE, "all of it came back");
    // A writer whose reader does not read at all is stopped.
    let stopped = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let silent = stopped.local_addr()?;
    let inbound = Proxy::start(Side::Inbound, silent)?;
    let outbound = Proxy::start(Side::Outbound, inbound.address)?;
    let stream = tokio::net::TcpStream::connect(outbound.address).await?;
    let (sender, connection) = h2::client::handshake(stream).await?;
    tokio::spawn(connection);
    let (_response, out) =
        sender.ready().await?.send_request(http::Request::post("http://h.test/").body(())?, false)?;
    let sent = Arc::new(AtomicUsize::new(0));
    let pouring = tokio::spawn(pour(out, sent.clone()));
    let held = settled(&sent).await;
    pouring.abort();
    ensure!(held < HELD, "{held} bytes were taken for a reader that reads nothing");
    Ok(())
}

/// The count once it no longer grows.
async fn settled(count: &AtomicUsize) -> usize {
    let mut last = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = count.load(Ordering::Relaxed);
        if now == last && now > 0 {
            return now;
        }
        last = now;
    }
}
