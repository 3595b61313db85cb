//! Zeros for whoever connects, as fast as they are taken.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use anyhow::{Context as _, Result};

pub(super) fn run(address: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address).context("listen")?;
    for stream in listener.incoming() {
        let stream = stream.context("accept")?;
        thread::spawn(move || pour(stream));
    }
    Ok(())
}

fn pour(mut stream: TcpStream) {
    let zeros = vec![0; 256 * 1024];
    while stream.write_all(&zeros).is_ok() {}
}
