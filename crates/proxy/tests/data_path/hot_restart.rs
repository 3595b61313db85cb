//! One data path after the other takes the same sockets, under constant load.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use proxy::hot_restart::{self, Successor};
use proxy::sockets::Sockets;
use proxy::start::Handle;
use serde_json::json;
use tokio::sync::oneshot;

use super::backend::{Backend, Then};
use super::setup::{cluster, listener, manager, proxy_on};

/// Replacements while the load goes on.
const RESTARTS: usize = 50;

/// Workers of each data path in turn: sockets are fewer, as many, or more.
const WORKERS: [usize; 3] = [2, 1, 3];

/// How long anything may take that has to happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A data path that can be replaced.
struct Generation {
    handle: Handle,
    sockets: Arc<Sockets>,
    successor: oneshot::Receiver<Successor>,
}

impl Generation {
    fn start(number: usize, backend: SocketAddr, sockets: Sockets, path: &Path) -> Generation {
        let sockets = Arc::new(sockets);
        let routes = json!([{"match": {"prefix": "/"}, "name": "root", "route": {"cluster": "up", "timeout": "0s",
            "upgrade_configs": [{"upgrade_type": "websocket"}]}}]);
        let (listeners, clusters) = (json!([listener(manager(routes))]), json!([cluster("up", &[backend])]));
        let handle = proxy_on(listeners, clusters, WORKERS[number % WORKERS.len()], sockets.clone());
        let successor = hot_restart::listen(path, sockets.clone(), None).expect("a place to listen");
        Generation { handle, sockets, successor }
    }

    /// What an agent does when another has taken over; the data path then ends with its last connection.
    fn replaced(self, limit: Duration) -> JoinHandle<Duration> {
        let successor = self.successor.blocking_recv().expect("a successor");
        self.handle.retire();
        until("nothing accepts", || self.handle.has_retired());
        self.sockets.release();
        successor.released();
        let began = Instant::now();
        std::thread::spawn(move || {
            while self.handle.active_connections() > 0 && began.elapsed() < limit {
                std::thread::park_timeout(Duration::from_millis(5));
            }
            self.handle.stop();
            began.elapsed()
        })
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// Clients with a beat of their own, and what went wrong for them.
struct Load {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    failures: Arc<Mutex<Vec<String>>>,
    clients: Vec<JoinHandle<()>>,
}

/// Whether a client keeps its connection.
#[derive(Clone, Copy, PartialEq)]
enum Habit {
    Keeps,
    Leaves,
}

impl Load {
    fn start(address: SocketAddr) -> Load {
        let (stop, sent, failures) = (
            Arc::<AtomicBool>::default(),
            Arc::<AtomicUsize>::default(),
            Arc::<Mutex<Vec<String>>>::default(),
        );
        let habits = [Habit::Keeps, Habit::Keeps, Habit::Keeps, Habit::Keeps, Habit::Leaves, Habit::Leaves];
        let clients = habits.map(|habit| {
            let (stop, sent, failures) = (stop.clone(), sent.clone(), failures.clone());
            std::thread::spawn(move || {
                let mut connection = None;
                while !stop.load(Ordering::Relaxed) {
                    sent.fetch_add(1, Ordering::Relaxed);
                    if let Err(error) = request(address, &mut connection, habit) {
                        failures.lock().expect("no panic").push(error.to_string());
                        connection = None;
                    }
                    std::thread::park_timeout(Duration::from_millis(8));
                }
            })
        });
        Load { stop, sent, failures, clients: clients.into() }
    }

    fn finish(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("no panic");
        }
        let failures = self.failures.lock().expect("no panic").clone();
        (self.sent.load(Ordering::Relaxed), failures)
    }
}

/// One request; the connection goes when the server says so, or by habit.
fn request(address: SocketAddr, connection: &mut Option<TcpStream>, habit: Habit) -> io::Result<()> {
    let mut stream = match connection.take() {
        Some(stream) => stream,
        None => TcpStream::connect(address)?,
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h.test\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while !answer.ends_with(b"\r\n\r\nfine") {
        match stream.read(&mut buffer)? {
            0 => return Err(io::Error::other(format!("cut after {:?}", String::from_utf8_lossy(&answer)))),
            length => answer.extend_from_slice(&buffer[..length]),
        }
    }
    let answer = String::from_utf8_lossy(&answer).to_ascii_lowercase();
    if !answer.starts_with("http/1.1 200 ") {
        return Err(io::Error::other(answer));
    }
    if habit == Habit::Keeps && !answer.contains("connection: close") {
        *connection = Some(stream);
    }
    Ok(())
}

/// A stream that lives through all replacements.
struct Stream(TcpStream);

impl Stream {
    fn open(address: SocketAddr) -> Stream {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let upgrade =
            b"GET /chat HTTP/1.1\r\nHost: h.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        stream.write_all(upgrade).expect("sent");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a head");
            head.extend(byte);
        }
        assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
        Stream(stream)
    }

    fn echo(&mut self, text: &str) -> io::Result<String> {
        self.0.write_all(text.as_bytes())?;
        let mut back = vec![0; text.len()];
        self.0.read_exact(&mut back)?;
        Ok(String::from_utf8_lossy(&back).into_owned())
    }
}

fn backend() -> Backend {
    Backend::start(|head, _| {
        if head.to_ascii_lowercase().contains("upgrade: websocket") {
            let switch =
                "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
            return Then::Echo(switch.into());
        }
        Then::Answer("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine".into())
    })
}

fn replace(old: Generation, number: usize, backend: SocketAddr, path: &Path) -> (Generation, Generation) {
    let (predecessor, sockets) = hot_restart::take_over(path).expect("sockets").expect("a predecessor");
    let new = Generation::start(number, backend, sockets, path);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // The old one hears of it and lets go while the new one waits.
    std::thread::spawn(move || runtime.block_on(predecessor.release()).expect("released"));
    (old, new)
}

#[test]
fn restarts_under_load_fail_no_request_and_cut_no_stream() {
    let backend = backend();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hot-restart.sock");
    let mut current = Generation::start(0, backend.address, Sockets::default(), &path);
    let address = current.handle.listening()[0].1;
    let mut stream = Stream::open(address);
    let load = Load::start(address);
    let mut ending = Vec::new();
    for number in 1..=RESTARTS {
        let before = load.sent.load(Ordering::Relaxed);
        let (old, new) = replace(current, number, backend.address, &path);
        ending.push(old.replaced(PATIENCE));
        current = new;
        assert_eq!(current.handle.listening()[0].1, address, "the same socket");
        until("requests go on", || load.sent.load(Ordering::Relaxed) > before + 50);
        assert_eq!(stream.echo("still here").expect("an echo"), "still here");
    }
    let (sent, failures) = load.finish();
    assert!(failures.is_empty(), "{} of {sent}: {:?}", failures.len(), &failures[..failures.len().min(3)]);
    assert!(sent > RESTARTS * 50, "{sent}");

    // Who holds a stream waits for it, the others were done long before.
    let first = ending.remove(0);
    assert!(!first.is_finished(), "the stream's own data path serves it");
    for old in ending {
        assert!(old.join().expect("no panic") < PATIENCE, "an idle data path ends");
    }
    drop(stream);
    assert!(first.join().expect("no panic") < PATIENCE);
    current.handle.stop();
}

#[test]
fn a_stream_that_never_ends_is_cut_when_the_time_is_over() {
    let backend = backend();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hot-restart.sock");
    let old = Generation::start(0, backend.address, Sockets::default(), &path);
    let mut stream = Stream::open(old.handle.listening()[0].1);
    let (old, new) = replace(old, 1, backend.address, &path);
    let limit = Duration::from_millis(300);
    let ending = old.replaced(limit);
    assert_eq!(stream.echo("a while").expect("an echo"), "a while");
    assert!(ending.join().expect("no panic") >= limit);
    assert!(stream.echo("gone").is_err());
    new.handle.stop();
}
