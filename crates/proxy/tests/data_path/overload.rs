//! More than there is room for. Limits of the process are tried in a process
//! of its own: this test binary, told what to be by a further argument.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, setrlimit};
use serde_json::json;

use super::backend::{Backend, Then, ok};
use super::client::Client;
use super::setup::{cluster, listener, manager};

const MARK: &str = "few-descriptors:";

/// A proxy in a process with few descriptors.
pub struct Cramped {
    child: Child,
    pub address: SocketAddr,
}

impl Cramped {
    /// The memory of the process, in bytes.
    pub fn resident(&self) -> u64 {
        let path = format!("/proc/{}/statm", self.child.id());
        let text = std::fs::read_to_string(path).expect("it runs");
        let pages: u64 = text.split(' ').nth(1).and_then(|field| field.parse().ok()).expect("a number");
        pages * 4096
    }
}

/// What the endpoint of such a proxy speaks.
#[derive(Clone, Copy, PartialEq)]
pub enum Speaks {
    Http1,
    Http2,
}

impl Drop for Cramped {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn cramped(descriptors: u64, backend: SocketAddr) -> Cramped {
    apart(descriptors, backend, Speaks::Http1)
}

/// A proxy in a process of its own, in front of that endpoint.
pub fn apart(descriptors: u64, backend: SocketAddr, speaks: Speaks) -> Cramped {
    let speaks = if speaks == Speaks::Http2 { "2" } else { "1" };
    let binary = std::env::current_exe().expect("this test");
    let mut child = Command::new(binary)
        .args(["--exact", "overload::a_process_with_few_descriptors", "--nocapture"])
        .arg(format!("{MARK}{descriptors}:{speaks}:{backend}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let out = BufReader::new(child.stdout.take().expect("it is piped"));
    let address = out
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("listening on ")?.1.trim().parse().ok())
        .expect("it says where");
    Cramped { child, address }
}

/// What the process does; nothing in the one that runs the tests.
#[test]
fn a_process_with_few_descriptors() {
    let Some(order) = std::env::args().find_map(|word| word.strip_prefix(MARK).map(str::to_owned)) else {
        return;
    };
    let (descriptors, order) = order.split_once(':').expect("three words");
    let (speaks, backend) = order.split_once(':').expect("three words");
    let limit = Some(descriptors.parse().expect("a number"));
    setrlimit(Resource::Nofile, Rlimit { current: limit, maximum: limit }).expect("less is allowed");
    let backend = backend.parse().expect("an address");
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster": "up", "timeout": "5s"}}]);
    let up = match speaks {
        "2" => super::http2::http2_cluster("up", backend, json!({})),
        _ => cluster("up", &[backend]),
    };
    let proxy = super::setup::proxy(json!([listener(manager(routes))]), json!([up]));
    println!("listening on {}", proxy.address);
    // Until the test is done.
    let _ = std::io::stdin().read(&mut [0; 1]);
}

/// Whether the connection answers a request.
fn answers(stream: &mut TcpStream) -> bool {
    let mut byte = [0; 1];
    stream.set_read_timeout(Some(Duration::from_secs(20))).is_ok()
        && stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").is_ok()
        && matches!(stream.read(&mut byte), Ok(1))
}

fn processor_time(child: &Child) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("it runs");
    let (_, rest) = text.rsplit_once(") ").expect("its name ends");
    let mut fields = rest.split(' ').skip(11);
    let mut next = || fields.next().and_then(|field| field.parse::<u64>().ok()).expect("a number");
    // Hundredths of a second, in the program and in the kernel.
    next() + next()
}

#[test]
fn without_descriptors_the_newest_are_shed_and_the_others_served() {
    let backend = Backend::start(|_, _| Then::Answer(ok(b"x")));
    let cramped = cramped(160, backend.address);
    let mut first = Client::connect(cramped.address);
    assert_eq!(first.get("/", "").status, 200);
    let mut flood: Vec<TcpStream> =
        (0..400).map(|_| TcpStream::connect(cramped.address).expect("the kernel accepts")).collect();
    let served = flood.iter_mut().filter_map(|stream| answers(stream).then_some(())).count();
    assert!((8..100).contains(&served), "{served} of 400");
    // Who was there goes on.
    assert_eq!(first.get("/", "").status, 200);
    // With the flood still there, nothing spins.
    let before = (processor_time(&cramped.child), Instant::now());
    while before.1.elapsed() < Duration::from_millis(500) {
        assert_eq!(first.get("/", "").status, 200);
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let spent = processor_time(&cramped.child) - before.0;
    assert!(spent <= 10, "{spent} hundredths of a second");
    // And when it has gone, everybody is welcome again.
    drop(flood);
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let mut next = TcpStream::connect(cramped.address).expect("it listens");
        if answers(&mut next) {
            break;
        }
        assert!(Instant::now() < deadline, "nobody is served any more");
    }
}

#[test]
fn without_descriptors_at_all_nothing_dies() {
    let backend = Backend::start(|_, _| Then::Answer(ok(b"x")));
    // So few that connections to endpoints fail before the limit is reached.
    let cramped = cramped(48, backend.address);
    let mut flood: Vec<TcpStream> =
        (0..200).map(|_| TcpStream::connect(cramped.address).expect("the kernel accepts")).collect();
    for stream in &mut flood {
        let _ = answers(stream);
    }
    drop(flood);
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let mut next = TcpStream::connect(cramped.address).expect("it listens");
        if answers(&mut next) {
            break;
        }
        assert!(Instant::now() < deadline, "nobody is served any more");
    }
}
