//! The conformance suite of HTTP/2, strictly, against each kind of port.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::stand::{Proxy, Side};

/// One case is not HTTP/2's alone: bytes that are no preface are looked at
/// as HTTP/1.1, which answers them with 400.
const MAY_FAIL: usize = 1;

/// A server that answers every request with some bytes.
async fn upstream() -> Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    if let Ok(mut body) = respond.send_response(http::Response::new(()), false) {
                        // The suite resets streams as it likes.
                        let _ = body.send_data(bytes::Bytes::from_static(&[b'x'; 200]), true);
                    }
                }
            });
        }
    });
    Ok(address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn every_port_speaks_http2_by_the_book() -> Result<()> {
    let h2spec = testkit::tools::h2spec()?;
    let upstream = upstream().await?;
    for side in [Side::Outbound, Side::Inbound, Side::Gateway] {
        let proxy = Proxy::start(side, upstream)?;
        let mut command = Command::new(&h2spec);
        command.args([
            "-h",
            "127.0.0.1",
            "-p",
            &proxy.address.port().to_string(),
            "--strict",
            "--timeout",
            "2",
        ]);
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let summary = text.lines().rfind(|line| line.contains(" tests, ")).context("a summary")?;
        let number = |word: &str| -> Option<usize> {
            summary.split(", ").find_map(|part| part.strip_suffix(word)?.trim().parse().ok())
        };
        let (all, passed) = (number("tests").context("a count")?, number("passed").context("a count")?);
        ensure!(all >= 146 && passed + MAY_FAIL >= all, "{side:?}: {summary}\n{text}");
    }
    Ok(())
}
