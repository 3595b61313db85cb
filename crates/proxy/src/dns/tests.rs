//! Names are resolved as the host's files say, and what was found stays.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU8, Ordering};

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::unbounded_channel;

use super::resolver_file::{ResolverFile, in_hosts};
use super::*;

#[test]
fn the_resolvers_configuration_is_read_as_resolvers_read_it() {
    let file = ResolverFile::parse(
        "# a comment\nnameserver 10.96.0.10\nnameserver fd00::1\nsearch default.svc.cluster.local cluster.local.\noptions edns0 ndots:2\n",
    );
    assert_eq!(file.servers.len(), 2);
    assert_eq!(file.candidates("db"), ["db.default.svc.cluster.local.", "db.cluster.local.", "db."]);
    assert_eq!(file.candidates("a.example.com")[0], "a.example.com.");
    assert_eq!(file.candidates("db."), ["db."]);
    let hosts = "127.0.0.1 localhost\n10.0.0.7 db.test Other # db.comment\nbroken db.test\n::1 localhost\n";
    assert_eq!(in_hosts(hosts, "other"), ["10.0.0.7".parse::<IpAddr>().expect("an address")]);
    assert_eq!(in_hosts(hosts, "localhost").len(), 2);
    assert!(in_hosts(hosts, "db.comment").is_empty());
}

#[test]
fn pauses_follow_answers_and_grow_after_failures() {
    let seconds = Duration::from_secs;
    let refresh = Refresh {
        rate: seconds(60),
        respects_ttl: true,
        jitter: Duration::from_millis(100),
        after_failure: Some((seconds(5), seconds(12))),
    };
    assert_eq!(pause(&refresh, Some(seconds(20)), 0, 0.0), seconds(20));
    assert_eq!(pause(&refresh, Some(seconds(20)), 0, 0.5), Duration::from_millis(20_050));
    assert_eq!(pause(&refresh, None, 0, 0.0), seconds(60), "the hosts file says no time");
    assert_eq!(pause(&refresh, Some(Duration::ZERO), 0, 0.0), seconds(60));
    assert_eq!(
        pause(&Refresh { respects_ttl: false, ..refresh.clone() }, Some(seconds(20)), 0, 0.0),
        seconds(60)
    );
    let failed = |failures, random| pause(&refresh, Some(seconds(20)), failures, random);
    assert_eq!([1, 2, 3, 9].map(|failures| failed(failures, 1.0)), [5, 10, 12, 12].map(seconds));
    assert_eq!(failed(2, 0.0), seconds(1), "never at once");
    assert_eq!(pause(&Refresh { after_failure: None, ..refresh }, None, 3, 1.0), seconds(60));
}

/// What a name server does.
#[derive(Clone, Copy)]
enum Mood {
    Answers = 0,
    Refuses = 1,
    KnowsNothing = 2,
}

/// A name server whose mood changes, and the files that lead to it.
struct Scene {
    mood: Arc<AtomicU8>,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn start() -> (Scene, SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let address = socket.local_addr().expect("an address");
        let mood = Arc::<AtomicU8>::default();
        let shared = mood.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
                let request = Message::from_vec(&buffer[..length]).expect("a question");
                let question = request.queries[0].clone();
                let mut answer = Message::response(request.metadata.id, OpCode::Query);
                answer.add_queries([question.clone()]);
                match shared.load(Ordering::SeqCst) {
                    0 if question.query_type == RecordType::A => {
                        let data = RData::A(A(Ipv4Addr::new(192, 0, 2, 1)));
                        answer.add_answer(Record::from_rdata(question.name, 1, data));
                    }
                    1 => answer.metadata.response_code = ResponseCode::ServFail,
                    2 => answer.metadata.response_code = ResponseCode::NXDomain,
                    _ => {}
                }
                socket.send_to(&answer.to_vec().expect("bytes"), client).await.expect("sent");
            }
        });
        (Scene { mood, folder: tempfile::tempdir().expect("a folder") }, address)
    }

    fn set(&self, mood: Mood) {
        self.mood.store(mood as u8, Ordering::SeqCst);
    }

    /// Files that lead to the name server.
    fn files(&self, server: SocketAddr) -> Files {
        let files = Files {
            resolver: self.folder.path().join("resolv.conf"),
            hosts: self.folder.path().join("hosts"),
        };
        std::fs::write(&files.resolver, format!("nameserver {server}\n")).expect("a file");
        std::fs::write(&files.hosts, "10.0.0.7 fixed.test\n").expect("a file");
        files
    }
}

fn cluster(family: &str) -> Arc<Cluster> {
    let wire = serde_json::json!({"name": "c", "type": "STRICT_DNS", "connect_timeout": "1s",
        "dns_refresh_rate": "0.05s", "dns_lookup_family": family,
        "load_assignment": {"cluster_name": "c", "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": {"socket_address": {"address": "db.test", "port_value": 80}}}}]}]}});
    let wire = xds::json::decode(&wire).expect("a test's own cluster");
    Arc::new(Cluster::compile(&wire).expect("it compiles"))
}

#[tokio::test]
async fn addresses_stay_while_nobody_answers_and_go_when_somebody_says_so() {
    let (scene, server) = Scene::start().await;
    let (sender, mut found) = unbounded_channel();
    let known = Known::default();
    let task = |cluster| Task { cluster, tos: None, files: scene.files(server), known: known.clone() };
    let running = tokio::spawn(task(cluster("V4_ONLY")).run(sender.clone()));
    let mut next = async || found.recv().await.expect("it goes on").addresses[0].1.clone();
    let address = vec![IpAddr::from([192, 0, 2, 1])];
    assert_eq!(next().await, address);

    scene.set(Mood::Refuses);
    for _ in 0..4 {
        assert_eq!(next().await, address, "what was found stays");
    }
    // The cluster comes anew while nobody answers.
    running.abort();
    let running = tokio::spawn(task(cluster("V4_ONLY")).run(sender));
    for _ in 0..4 {
        assert_eq!(next().await, address, "what was found stays");
    }
    scene.set(Mood::KnowsNothing);
    while !next().await.is_empty() {}
    scene.set(Mood::Answers);
    while next().await != address {}
    running.abort();
}

#[tokio::test]
async fn the_hosts_own_names_come_first_and_families_are_chosen() {
    let (scene, server) = Scene::start().await;
    let files = scene.files(server);
    let fixed = lookup("fixed.test", DnsFamily::PreferV6, &files, None).await.expect("found");
    assert_eq!(fixed, Found { addresses: vec![IpAddr::from([10, 0, 0, 7])], time: None });
    let found = lookup("db.test", DnsFamily::PreferV6, &files, None).await.expect("found");
    assert_eq!(found.addresses, [IpAddr::from([192, 0, 2, 1])], "IPv4 where there is no IPv6");
    assert_eq!(found.time, Some(Duration::from_secs(1)));
    let found = lookup("db.test", DnsFamily::V6, &files, None).await.expect("an answer");
    assert!(found.addresses.is_empty());
    scene.set(Mood::Refuses);
    lookup("db.test", DnsFamily::All, &files, None).await.expect_err("a refusal");
}
