//! The name server, asked over its own sockets.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use xds::istio::nds::NameInfo;

use super::answer::{Plan, datagram, plan};
use super::cache::Cache;
use super::*;

const RESOLVER: &str =
    "search default.svc.cluster.local svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n";

fn table() -> Table {
    let info = |ips: &[&str], registry: &str, shortname: &str, namespace: &str| NameInfo {
        ips: ips.iter().map(|ip| (*ip).to_owned()).collect(),
        registry: registry.to_owned(),
        shortname: shortname.to_owned(),
        namespace: namespace.to_owned(),
        alt_hosts: Vec::new(),
    };
    let table = BTreeMap::from([
        (
            "reviews.default.svc.cluster.local".to_owned(),
            info(&["10.96.0.7"], "Kubernetes", "reviews", "default"),
        ),
        (
            "web.shop.svc.cluster.local".to_owned(),
            info(&["10.96.0.8", "fd00::8"], "Kubernetes", "web", "shop"),
        ),
        ("db.example.com".to_owned(), info(&["240.240.3.4"], "External", "", "")),
        ("*.wild.example.com".to_owned(), info(&["10.1.1.1", "10.1.1.2"], "External", "", "")),
    ]);
    Table::new(&NameTable { table }, &Place::new("default", "default.svc.cluster.local", RESOLVER))
}

fn question(name: &str, record_type: RecordType) -> Message {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).expect("a name"), record_type));
    message.metadata.recursion_desired = true;
    message
}

fn told(message: &Message) -> Vec<String> {
    message.answers.iter().map(|record| record.data.to_string()).collect()
}

#[test]
fn the_mesh_is_known_by_every_name_that_a_resolver_would_find() {
    let table = table();
    for (name, expected) in [
        ("reviews.default.svc.cluster.local.", &["10.96.0.7"][..]),
        ("Reviews.Default.svc.cluster.local.", &["10.96.0.7"]),
        ("reviews.", &["10.96.0.7"]),
        ("reviews.default.", &["10.96.0.7"]),
        ("reviews.default.svc.", &["10.96.0.7"]),
        ("web.shop.", &["10.96.0.8"]),
        ("db.example.com.", &["240.240.3.4"]),
        ("db.example.com.default.svc.cluster.local.", &["db.example.com.", "240.240.3.4"]),
        ("a.b.wild.example.com.", &["10.1.1.1", "10.1.1.2"]),
    ] {
        match plan(&table, &question(name, RecordType::A), 0) {
            Plan::Reply(answer) => assert_eq!(told(&answer), expected, "{name}"),
            Plan::PassOn => panic!("{name} is passed on"),
        }
    }
    for name in ["web.", "wild.example.com.", "example.com.", "x.default.svc.cluster.local.", "."] {
        assert!(matches!(plan(&table, &question(name, RecordType::A), 0), Plan::PassOn), "{name}");
    }
}

#[test]
fn a_known_name_without_such_an_address_is_empty_and_others_are_passed_on() {
    let table = table();
    let Plan::Reply(answer) = plan(&table, &question("reviews.", RecordType::AAAA), 0) else {
        panic!("passed on")
    };
    assert_eq!((answer.metadata.response_code, answer.answers.len()), (ResponseCode::NoError, 0));
    let Plan::Reply(answer) = plan(&table, &question("web.shop.", RecordType::AAAA), 0) else {
        panic!("passed on")
    };
    assert_eq!(told(&answer), ["fd00::8"]);
    assert!(matches!(plan(&table, &question("reviews.", RecordType::SRV), 0), Plan::PassOn));
}

#[test]
fn addresses_take_turns_and_a_small_datagram_is_cut() {
    let request = question("x.wild.example.com.", RecordType::A);
    let Plan::Reply(answer) = plan(&table(), &request, 1) else { panic!("passed on") };
    assert_eq!(told(&answer), ["10.1.1.2", "10.1.1.1"]);
    let mut long = answer.clone();
    for last in 0..100 {
        let data = RData::A(A(Ipv4Addr::new(10, 2, 0, last)));
        long.add_answer(Record::from_rdata(request.queries[0].name.clone(), 30, data));
    }
    let bytes = datagram(&request, &long).expect("bytes");
    let cut = Message::from_vec(&bytes).expect("an answer");
    assert!(bytes.len() <= 512 && cut.metadata.truncation && cut.answers.is_empty());
}

#[test]
fn answers_are_kept_as_long_as_they_hold() {
    let mut cache = Cache::default();
    let start = Instant::now();
    let request = question("example.org.", RecordType::A);
    let answer = |ttl: u32| {
        let mut answer = Message::response(1, OpCode::Query);
        answer.add_queries(request.queries.iter().cloned());
        let data = RData::A(A(Ipv4Addr::new(192, 0, 2, 1)));
        answer.add_answer(Record::from_rdata(request.queries[0].name.clone(), ttl, data));
        answer
    };
    cache.keep(&request, &answer(0), start);
    assert!(cache.find(&request, start).is_none(), "a time of 0 is for one use");
    cache.keep(&request, &answer(10), start);
    let found = cache.find(&request, start + Duration::from_secs(4)).expect("kept");
    assert_eq!((found.metadata.id, found.answers[0].ttl), (4711, 6));
    assert!(cache.find(&request, start + Duration::from_secs(10)).is_none());
    assert!(cache.find(&question("example.org.", RecordType::AAAA), start).is_none());

    let mut missing = answer(10);
    missing.answers.clear();
    missing.metadata.response_code = ResponseCode::NXDomain;
    cache.keep(&request, &missing, start + Duration::from_secs(20));
    assert!(cache.find(&request, start + Duration::from_secs(21)).is_none(), "nobody says for how long");
    let name = Name::from_ascii("org.").expect("a name");
    let zone = RData::SOA(SOA::new(name.clone(), name.clone(), 1, 1, 1, 1, 5));
    missing.authorities.push(Record::from_rdata(name, 300, zone));
    cache.keep(&request, &missing, start + Duration::from_secs(20));
    assert!(cache.find(&request, start + Duration::from_secs(24)).is_some());
    assert!(cache.find(&request, start + Duration::from_secs(25)).is_none());
}

#[test]
fn the_cache_stays_small() {
    let mut cache = Cache::default();
    let now = Instant::now();
    for number in 0..1500 {
        let request = question(&format!("host-{number}.example.org."), RecordType::A);
        let mut answer = Message::response(1, OpCode::Query);
        let data = RData::A(A(Ipv4Addr::new(192, 0, 2, 1)));
        answer.add_answer(Record::from_rdata(request.queries[0].name.clone(), 30, data));
        cache.keep(&request, &answer, now);
        assert!(cache.find(&request, now).is_some(), "the latest is there");
    }
    let kept =
        |number| cache.find(&question(&format!("host-{number}.example.org."), RecordType::A), now).is_some();
    assert_eq!((0..1500).filter(|number| kept(*number)).count(), 1000);
}

/// A name server that answers with one address and how often it was asked.
async fn other_server() -> (SocketAddr, Arc<AtomicU64>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let address = socket.local_addr().expect("an address");
    let asked = Arc::<AtomicU64>::default();
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
            count.fetch_add(1, Ordering::Relaxed);
            let request = Message::from_vec(&buffer[..length]).expect("a question");
            let mut answer = Message::response(request.metadata.id, OpCode::Query);
            answer.add_queries(request.queries.iter().cloned());
            let data = RData::A(A(Ipv4Addr::new(192, 0, 2, 99)));
            answer.add_answer(Record::from_rdata(request.queries[0].name.clone(), 60, data));
            // What does not answer our question is passed over.
            let mut wrong = answer.clone();
            wrong.metadata.id = wrong.metadata.id.wrapping_add(1);
            for message in [wrong, answer] {
                socket.send_to(&message.to_vec().expect("bytes"), client).await.expect("sent");
            }
        }
    });
    (address, asked)
}

async fn ask(server: SocketAddr, bytes: &[u8]) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    socket.send_to(bytes, server).await.expect("sent");
    let mut buffer = [0; 1500];
    let received = tokio::time::timeout(Duration::from_secs(5), socket.recv(&mut buffer)).await;
    Message::from_vec(&buffer[..received.expect("in time").expect("an answer")]).expect("a message")
}

#[tokio::test]
async fn questions_are_answered_over_udp_and_tcp_and_passed_on_once() {
    let (other, asked) = other_server().await;
    let sockets =
        server::bind("127.0.0.1:0".parse().expect("an address"), &Sockets::default()).expect("sockets");
    let address = sockets.address().expect("an address");
    let (_sender, tables) = watch::channel(Arc::new(table()));
    let counters = Arc::<Counters>::default();
    let upstream = Upstream::new(vec![other], None);
    let tasks = server::serve(sockets, tables, upstream, Arc::clone(&counters));

    let bytes = question("reviews.", RecordType::A).to_vec().expect("bytes");
    let answer = ask(address, &bytes).await;
    assert_eq!((answer.metadata.id, told(&answer)), (4711, vec!["10.96.0.7".to_owned()]));
    assert!(answer.metadata.authoritative && answer.metadata.recursion_available);

    let bytes = question("example.org.", RecordType::A).to_vec().expect("bytes");
    for _ in 0..3 {
        let answer = ask(address, &bytes).await;
        assert_eq!((answer.metadata.id, told(&answer)), (4711, vec!["192.0.2.99".to_owned()]));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1, "the second is answered from what is kept");

    let mut stream = TcpStream::connect(address).await.expect("a connection");
    for _ in 0..2 {
        let framed = [&(bytes.len() as u16).to_be_bytes()[..], &bytes].concat();
        stream.write_all(&framed).await.expect("sent");
        let mut answer = vec![0; usize::from(stream.read_u16().await.expect("a length"))];
        stream.read_exact(&mut answer).await.expect("an answer");
        assert_eq!(told(&Message::from_vec(&answer).expect("a message")), ["192.0.2.99"]);
    }
    let text = counters.text();
    assert!(text.contains("istio_agent_dns_requests_total 6\n"), "{text}");
    assert!(text.contains("istio_agent_dns_upstream_requests_total 1\n"), "{text}");
    for task in tasks {
        task.abort();
    }
}

#[tokio::test]
async fn nonsense_is_refused_and_no_server_is_a_failure() {
    let sockets =
        server::bind("127.0.0.1:0".parse().expect("an address"), &Sockets::default()).expect("sockets");
    let address = sockets.address().expect("an address");
    let (_sender, tables) = watch::channel(Arc::new(table()));
    let tasks = server::serve(sockets, tables, Upstream::new(Vec::new(), None), Arc::default());
    let bytes = question("example.org.", RecordType::A).to_vec().expect("bytes");
    assert_eq!(ask(address, &bytes).await.metadata.response_code, ResponseCode::ServFail);
    // A name that points at itself.
    let mut looping = bytes[..12].to_vec();
    looping.extend([0xc0, 12, 0, 1, 0, 1]);
    assert_eq!(ask(address, &looping).await.metadata.response_code, ResponseCode::FormErr);
    assert_eq!(ask(address, &bytes[..20]).await.metadata.response_code, ResponseCode::FormErr);
    let mut noise = vec![0; 60];
    for round in 0..2000 {
        let mut random = fastrand::Rng::with_seed(round);
        noise.fill_with(|| random.u8(..));
        let _ = server::question(&noise);
    }
    // Still there.
    assert_eq!(ask(address, &bytes).await.metadata.response_code, ResponseCode::ServFail);
    for task in tasks {
        task.abort();
    }
}

#[test]
fn the_pods_name_servers_are_those_of_its_resolver() {
    let own = "127.0.0.1:53".parse().expect("an address");
    let text = "nameserver 10.96.0.10\nnameserver 127.0.0.1\nnameserver fd00::10\noptions ndots:5\n";
    let found = name_servers(text, own);
    assert_eq!(found, ["10.96.0.10:53".parse().expect("v4"), "[fd00::10]:53".parse().expect("v6")]);
}
