//! What runs in the test's pods.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::ExitCode;

/// A server that answers every request with a line about itself and the client.
pub fn serve(name: &str, port: &str) -> ExitCode {
    let listener = TcpListener::bind(format!("0.0.0.0:{port}")).expect("a port");
    println!("{name} listens");
    for stream in listener.incoming() {
        let name = name.to_owned();
        std::thread::spawn(move || {
            let Ok(mut stream) = stream else { return };
            let peer = stream.peer_addr().map(|peer| peer.ip().to_string()).unwrap_or_default();
            let mut reader = BufReader::new(stream.try_clone().expect("a copy"));
            loop {
                let mut first = String::new();
                if reader.read_line(&mut first).unwrap_or(0) == 0 {
                    return;
                }
                let mut header = String::new();
                while reader.read_line(&mut header).is_ok_and(|length| length > 2) {
                    header.clear();
                }
                println!("{} from {peer}", first.trim());
                let uid = rustix::process::getuid().as_raw();
                let body = format!("{name} peer={peer} uid={uid}\n");
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                if stream.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        });
    }
    ExitCode::SUCCESS
}
