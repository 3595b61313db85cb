//! Small servers behind the proxy.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A server on a thread of its own; it ends with the test's process.
pub struct Backend {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

/// What a server does after a request.
pub enum Then {
    /// Answers and waits for the next one.
    Answer(Vec<u8>),
    /// Answers and closes.
    AnswerAndClose(Vec<u8>),
    /// Closes without an answer.
    Close,
    /// Answers nothing and keeps the connection.
    Hang,
    /// Answers, and returns every later byte.
    Echo(Vec<u8>),
}

impl Backend {
    /// Answers each request, given as its head and body, by a function.
    pub fn start(answer: impl Fn(&str, &[u8]) -> Then + Send + Sync + 'static) -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (log, count) = (seen.clone(), connections.clone());
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let (log, answer) = (log.clone(), answer.clone());
                std::thread::spawn(move || serve(stream, &log, &*answer));
            }
        });
        Backend { address, seen, connections }
    }

    /// Answers every request with 200 and the request's own head.
    pub fn echo() -> Backend {
        Backend::start(|head, body| {
            let mut content = head.as_bytes().to_vec();
            content.extend_from_slice(body);
            Then::Answer(ok(&content))
        })
    }

    /// The heads of the requests so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no test panicked in it").clone()
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A 200 response with a body.
pub fn ok(body: &[u8]) -> Vec<u8> {
    let mut response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    response.extend_from_slice(body);
    response
}

/// A response without a body.
pub fn status(status: u16) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n").into_bytes()
}

fn serve(
    mut stream: TcpStream,
    log: &Mutex<Vec<String>>,
    answer: &(dyn Fn(&str, &[u8]) -> Then + Send + Sync),
) {
    let mut buffer = Vec::new();
    loop {
        let Some((head, body)) = read_request(&mut stream, &mut buffer) else { return };
        log.lock().expect("no test panicked in it").push(head.clone());
        match answer(&head, &body) {
            Then::Answer(bytes) => {
                if stream.write_all(&bytes).is_err() {
                    return;
                }
            }
            Then::AnswerAndClose(bytes) => {
                let _ = stream.write_all(&bytes);
                return;
            }
            Then::Close => return,
            Then::Hang => {
                let _ = stream.read(&mut [0; 1]);
                return;
            }
            Then::Echo(bytes) => {
                let _ = stream.write_all(&bytes);
                let mut chunk = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut chunk) {
                    let _ = stream.write_all(&chunk[..count]);
                }
                let _ = stream.shutdown(Shutdown::Write);
                return;
            }
        }
    }
}

fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    let end = loop {
        if let Some(end) = find(buffer, b"\r\n\r\n") {
            break end + 4;
        }
        fill(stream, buffer)?;
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    buffer.drain(..end);
    let lower = head.to_ascii_lowercase();
    let body = if let Some(length) = lower.split("content-length: ").nth(1) {
        let length: usize = length.split("\r\n").next()?.parse().ok()?;
        while buffer.len() < length {
            fill(stream, buffer)?;
        }
        buffer.drain(..length).collect()
    } else if lower.contains("transfer-encoding: chunked") {
        let end = loop {
            if let Some(end) = find(buffer, b"0\r\n\r\n") {
                break end + 5;
            }
            fill(stream, buffer)?;
        };
        buffer.drain(..end).collect()
    } else {
        Vec::new()
    };
    Some((head, body))
}

fn fill(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut chunk = [0; 65536];
    let count = stream.read(&mut chunk).ok().filter(|count| *count > 0)?;
    buffer.extend_from_slice(&chunk[..count]);
    Some(())
}

pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
