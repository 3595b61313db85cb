//! Bytes from the server on a few connections, counted and thrown away.

use std::io::Read as _;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};

use super::{Figures, Plan};

pub(super) fn run(plan: &Plan) -> Result<Figures> {
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(plan.seconds);
    let readers: Vec<_> = (0..plan.connections)
        .map(|_| {
            let address = plan.address;
            thread::spawn(move || read(TcpStream::connect(address).context("connect")?, end))
        })
        .collect();
    let mut bytes = 0;
    for reader in readers {
        bytes += reader.join().map_err(|_| anyhow!("a reader panicked"))??;
    }
    Ok(Figures { requests: 1, bytes, ..Figures::default() })
}

fn read(mut stream: TcpStream, end: Instant) -> Result<u64> {
    let mut buffer = vec![0; 256 * 1024];
    let mut bytes = 0;
    while Instant::now() < end {
        match stream.read(&mut buffer).context("read")? {
            0 => return Err(anyhow!("the proxy closed a stream after {bytes} bytes")),
            length => bytes += length as u64,
        }
    }
    Ok(bytes)
}
