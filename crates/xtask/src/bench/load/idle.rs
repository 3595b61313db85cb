//! Many connections that were used once and stay open.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use anyhow::{Context as _, Result, ensure};

use super::super::poll::head_end;
use super::{Plan, request};

/// Says `open` when all are, and keeps them until standard input ends.
pub(super) fn run(plan: &Plan) -> Result<()> {
    let request = request(&plan.host, false);
    let mut kept = Vec::with_capacity(plan.connections);
    for number in 0..plan.connections {
        let mut stream = TcpStream::connect(plan.address)
            .with_context(|| format!("connect, with {number} connections open"))?;
        stream.write_all(&request).context("send a request")?;
        answer(&mut stream)?;
        kept.push(stream);
    }
    println!("open");
    // Whoever started this closes it when he has measured.
    std::io::stdin().read_to_end(&mut Vec::new()).context("wait for the end")?;
    drop(kept);
    Ok(())
}

fn answer(stream: &mut TcpStream) -> Result<()> {
    let mut bytes = vec![0; 4096];
    let mut length = 0;
    loop {
        let read = stream.read(&mut bytes[length..]).context("read an answer")?;
        ensure!(read > 0, "the proxy closed a connection");
        length += read;
        // The server's answer is 1 KiB behind its head.
        if head_end(&bytes[..length]).is_some_and(|end| length >= end + 1024) {
            return Ok(());
        }
    }
}
