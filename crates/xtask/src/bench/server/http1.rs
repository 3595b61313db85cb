//! The server behind the proxy: 1 KiB for every request, on kept connections.

use std::collections::HashMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use anyhow::{Context as _, Result};

use super::super::poll::{Poll, head_end};

const LISTENER: u64 = 0;

struct Connection {
    stream: TcpStream,
    pending: Vec<u8>,
}

/// Serves until the process is ended.
pub(super) fn run(address: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address).context("listen")?;
    listener.set_nonblocking(true)?;
    let answer = answer();
    let mut poll = Poll::new()?;
    poll.add(&listener, LISTENER)?;
    let mut connections: HashMap<u64, Connection> = HashMap::new();
    let mut next = LISTENER + 1;
    loop {
        let ready: Vec<u64> = poll.wait(None)?.collect();
        for token in ready {
            if token == LISTENER {
                if let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    stream.set_nodelay(true)?;
                    poll.add(&stream, next)?;
                    connections.insert(next, Connection { stream, pending: Vec::new() });
                    next += 1;
                }
            } else if let Some(connection) = connections.get_mut(&token)
                && !serve(connection, &answer)
            {
                connections.remove(&token);
            }
        }
    }
}

/// Whether the connection lives on.
fn serve(connection: &mut Connection, answer: &[u8]) -> bool {
    let mut buffer = [0; 16 * 1024];
    match connection.stream.read(&mut buffer) {
        Ok(0) => return false,
        Ok(length) => connection.pending.extend_from_slice(&buffer[..length]),
        Err(error) => return error.kind() == ErrorKind::WouldBlock,
    }
    while let Some(end) = head_end(&connection.pending) {
        connection.pending.drain(..end);
        if connection.stream.write_all(answer).is_err() {
            return false;
        }
    }
    true
}

fn answer() -> Vec<u8> {
    let body = "x".repeat(1024);
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}
