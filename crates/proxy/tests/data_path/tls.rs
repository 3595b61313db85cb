//! TLS between proxies: a client in the clear, a proxy that puts TLS on, one
//! that takes it off, and a server in the clear. Each of the two proxies is
//! this one or a real Envoy.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::certificates::{Authority, Identity, Leaf, Usage, Validity, self_signed};
use testkit::envoy::Envoy;

use super::backend::{Backend, Then, ok};
use super::client::Client;
use super::setup::{FILTERS, Proxy, cluster, manager, proxy};

const PACKAGE: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3";
const ALICE: &str = "spiffe://cluster.local/ns/default/sa/alice";
const BOB: &str = "spiffe://cluster.local/ns/default/sa/bob";

/// Whose proxy it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plane {
    Ours,
    Envoys,
}

/// The pairs that matter: one of ours is in each.
pub const PAIRS: [(Plane, Plane); 3] =
    [(Plane::Ours, Plane::Ours), (Plane::Ours, Plane::Envoys), (Plane::Envoys, Plane::Ours)];

/// A running proxy of either kind.
pub struct Running {
    pub addresses: BTreeMap<String, SocketAddr>,
    ours: Option<Proxy>,
    _envoy: Option<Envoy>,
}

impl Running {
    pub fn address(&self, listener: &str) -> SocketAddr {
        self.addresses[listener]
    }

    pub fn client(&self) -> Client {
        Client::connect(*self.addresses.values().next().expect("it listens"))
    }

    pub fn stats(&self) -> String {
        self.ours.as_ref().expect("it is ours").handle().stats_text()
    }
}

/// Starts a proxy with these listeners and clusters.
pub fn start(plane: Plane, listeners: &Value, clusters: &Value) -> Running {
    if plane == Plane::Ours {
        let ours = proxy(listeners.clone(), clusters.clone());
        let listening = ours.handle().listening().iter();
        let addresses = listening.map(|(name, address)| (name.to_string(), *address)).collect();
        return Running { addresses, ours: Some(ours), _envoy: None };
    }
    let envoy = Envoy::fixed(&json!({"listeners": listeners, "clusters": clusters})).expect("it starts");
    let wanted = listeners.as_array().map_or(0, Vec::len);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let deadline = Instant::now() + Duration::from_secs(30);
    let addresses = runtime.block_on(async {
        loop {
            let listening = envoy.admin("/listeners").await.expect("it answers");
            let parsed: BTreeMap<String, SocketAddr> = listening
                .lines()
                .filter_map(|line| {
                    let (name, address) = line.split_once("::")?;
                    Some((name.to_owned(), address.parse().ok()?))
                })
                .collect();
            if parsed.len() == wanted {
                break parsed;
            }
            assert!(Instant::now() < deadline, "Envoy does not listen: {}", envoy.log());
        }
    });
    Running { addresses, ours: None, _envoy: Some(envoy) }
}

/// What a side shows and whom it trusts.
pub fn common(identity: Option<&Identity>, root: &str, names: Value, alpn: Value) -> Value {
    let certificates: Vec<Value> = identity
        .iter()
        .map(|identity| {
            json!({"certificate_chain": {"inline_string": identity.certificate},
                "private_key": {"inline_string": identity.key}})
        })
        .collect();
    json!({"tls_certificates": certificates, "alpn_protocols": alpn,
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
        "validation_context": {"trusted_ca": {"inline_string": root}, "match_typed_subject_alt_names": names}})
}

pub fn exact(uri: &str) -> Value {
    json!([{"san_type": "URI", "matcher": {"exact": uri}}])
}

pub fn downstream(common: Value) -> Value {
    json!({"name": "tls", "typed_config": {"@type": format!("{PACKAGE}.DownstreamTlsContext"),
        "common_tls_context": common, "require_client_certificate": true}})
}

pub fn upstream(common: Value, sni: &str) -> Value {
    json!({"name": "tls", "typed_config": {"@type": format!("{PACKAGE}.UpstreamTlsContext"),
        "common_tls_context": common, "sni": sni}})
}

/// A listener on a free port with this filter and, maybe, TLS.
pub fn listener(name: &str, filter: Value, tls: Option<Value>) -> Value {
    let mut chain = json!({"filters": [{"name": "f", "typed_config": filter}]});
    if let Some(tls) = tls {
        chain["transport_socket"] = tls;
    }
    json!({"name": name, "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "traffic_direction": if name.starts_with("in") { "INBOUND" } else { "OUTBOUND" },
        "filter_chains": [chain]})
}

pub fn tcp(cluster: &str) -> Value {
    json!({"@type": format!("{FILTERS}.network.tcp_proxy.v3.TcpProxy"), "stat_prefix": "t", "cluster": cluster})
}

/// A connection manager that says everything about clients' certificates.
fn telling(routes: Value) -> Value {
    let mut manager = manager(routes);
    manager["forward_client_cert_details"] = json!("APPEND_FORWARD");
    manager["set_current_client_cert_details"] =
        json!({"subject": true, "cert": true, "chain": true, "uri": true, "dns": true});
    manager
}

fn everything_to(cluster: &str) -> Value {
    json!([{"match": {"prefix": "/"}, "route": {"cluster": cluster}}])
}

pub fn secured(name: &str, address: SocketAddr, tls: Value, http2: bool) -> Value {
    let mut cluster = cluster(name, &[address]);
    cluster["transport_socket"] = tls;
    if http2 {
        cluster["typed_extension_protocol_options"] = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": {"http2_protocol_options": {}}}});
    }
    cluster
}

/// An authority and two of its workloads.
pub struct Mesh {
    pub authority: Authority,
    pub alice: Identity,
    pub bob: Identity,
}

impl Mesh {
    pub fn new() -> Mesh {
        let authority = Authority::new("cluster.local").expect("an authority");
        let issue = |uri, name| {
            authority
                .issue(&Leaf {
                    uri: Some(uri),
                    common_name: Some(name),
                    hosts: &["a.test"],
                    ..Leaf::default()
                })
                .expect("a certificate")
        };
        let (alice, bob) = (issue(ALICE, "alice, \"the first\""), issue(BOB, "bob"));
        Mesh { authority, alice, bob }
    }

    /// Towards clients, as bob.
    pub fn server(&self, alpn: Value) -> Value {
        let names = json!([{"san_type": "URI", "matcher": {"prefix": "spiffe://cluster.local/"}}]);
        downstream(common(Some(&self.bob), &self.authority.root, names, alpn))
    }

    /// Towards bob, as alice.
    pub fn client(&self, alpn: Value) -> Value {
        upstream(
            common(Some(&self.alice), &self.authority.root, exact(BOB), alpn),
            "outbound_.80_._.bob.test",
        )
    }
}

/// What the server saw and the client got, without what differs by chance.
fn plain(text: &str, addresses: &[SocketAddr]) -> Vec<String> {
    let mut lines: Vec<String> = text
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| line.to_ascii_lowercase())
        .filter(|line| {
            !["x-request-id", "date:", "x-envoy-upstream-service-time", "content-length"]
                .iter()
                .any(|name| line.starts_with(name))
        })
        .map(|line| {
            addresses.iter().fold(line, |line, address| line.replace(&address.to_string(), "ADDRESS"))
        })
        .collect();
    lines.sort();
    lines
}

/// Two proxies with TLS between them.
struct Hops {
    first: Running,
    second: Running,
}

fn hops(mesh: &Mesh, planes: (Plane, Plane), backend: SocketAddr, http2: bool) -> Hops {
    let second = start(
        planes.1,
        &json!([listener("in", telling(everything_to("app")), Some(mesh.server(json!(["h2", "http/1.1"]))))]),
        &json!([cluster("app", &[backend])]),
    );
    let first = start(
        planes.0,
        &json!([listener("out", manager(everything_to("up")), None)]),
        &json!([secured("up", second.address("in"), mesh.client(json!([])), http2)]),
    );
    Hops { first, second }
}

#[test]
fn requests_pass_and_tell_what_they_tell_with_envoys() {
    let mesh = Mesh::new();
    let backend = Backend::echo();
    let large = "x".repeat(300_000);
    for http2 in [false, true] {
        let conversation = |planes: (Plane, Plane)| {
            let hops = hops(&mesh, planes, backend.address, http2);
            let addresses = [hops.first.address("out"), hops.second.address("in")];
            let mut client = hops.first.client();
            let mut told = Vec::new();
            for _ in 0..2 {
                let answer = client.get("/a?b=c", "x-own: 1\r\nx-forwarded-client-cert: By=me\r\n");
                assert_eq!(answer.status, 200, "{planes:?}: {} {}", answer.head, answer.body);
                told.push((plain(&answer.head, &addresses), plain(&answer.body, &addresses)));
            }
            client.send(format!(
                "POST /large HTTP/1.1\r\nHost: h.test\r\nContent-Length: {}\r\n\r\n{large}",
                large.len()
            ));
            let answer = client.response();
            assert!(answer.status == 200 && answer.body.ends_with(&large), "{planes:?}: {}", answer.head);
            told
        };
        let envoys = conversation((Plane::Envoys, Plane::Envoys));
        let certificate = envoys[0].1.iter().find(|line| line.starts_with("x-forwarded-client-cert"));
        assert!(certificate.is_some_and(|line| line.contains("alice")), "{envoys:?}");
        for planes in PAIRS {
            assert_eq!(conversation(planes), envoys, "{planes:?}, HTTP/2: {http2}");
        }
    }
}

/// A server that speaks first, then returns what it got when the client has
/// finished.
fn greeting() -> SocketAddr {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut all = Vec::new();
                let told = stream.write_all(b"hello\n").and_then(|()| stream.read_to_end(&mut all));
                // Who is gone gets no answer.
                let _ = told.and_then(|_| stream.write_all(&all));
            });
        }
    });
    address
}

#[test]
fn bytes_pass_in_both_directions_and_either_side_may_finish_first() {
    let mesh = Mesh::new();
    let server = greeting();
    let data: Vec<u8> = (0..3_000_000_u32).map(|number| b'a' + (number % 23) as u8).collect();
    for planes in PAIRS {
        let second = start(
            planes.1,
            &json!([listener("in", tcp("app"), Some(mesh.server(json!(["istio"]))))]),
            &json!([cluster("app", &[server])]),
        );
        let first = start(
            planes.0,
            &json!([listener("out", tcp("up"), None)]),
            &json!([secured("up", second.address("in"), mesh.client(json!(["istio"])), false)]),
        );
        let mut client = first.client();
        assert_eq!(client.bytes(6), "hello\n", "{planes:?}");
        client.send(&data).finish();
        assert!(client.rest().as_bytes() == data, "{planes:?}");
    }
}

/// A certificate that is shown, and whether it is taken.
struct Specimen {
    name: &'static str,
    identity: Option<Identity>,
    is_good: bool,
}

/// All the ways in which a certificate is not good, and one in which it is.
fn zoo(mesh: &Mesh, uri: &str, usage: Usage) -> Vec<Specimen> {
    let other = Authority::new("elsewhere").expect("an authority");
    let issue = |leaf: Leaf<'_>| mesh.authority.issue(&leaf).expect("a certificate");
    let good = || Leaf { uri: Some(uri), usages: &[Usage::Server, Usage::Client], ..Leaf::default() };
    let specimen = |name, identity, is_good| Specimen { name, identity: Some(identity), is_good };
    let wrong_usage: &[Usage] = if usage == Usage::Client { &[Usage::Server] } else { &[Usage::Client] };
    vec![
        specimen("good", issue(good()), true),
        specimen("any-usage", issue(Leaf { usages: &[], ..good() }), true),
        specimen("expired", issue(Leaf { validity: Validity::Past, ..good() }), false),
        specimen("not-yet-valid", issue(Leaf { validity: Validity::Future, ..good() }), false),
        specimen("other-authority", other.issue(&good()).expect("a certificate"), false),
        specimen("other-name", issue(Leaf { uri: Some("spiffe://elsewhere/ns/a/sa/b"), ..good() }), false),
        specimen("no-name", issue(Leaf { uri: None, common_name: Some("no-name"), ..good() }), false),
        specimen("name-of-another-kind", issue(Leaf { uri: None, hosts: &["a.test"], ..good() }), false),
        specimen("wrong-usage", issue(Leaf { usages: wrong_usage, ..good() }), false),
        specimen("usage-of-code", issue(Leaf { usages: &[Usage::Code], ..good() }), false),
        specimen("self-signed", self_signed(&good()).expect("a certificate"), false),
        specimen("revoked", issue(Leaf { serial: 66, ..good() }), false),
    ]
}

fn with_crl(mut common: Value, mesh: &Mesh) -> Value {
    common["validation_context"]["crl"] =
        json!({"inline_string": mesh.authority.revoke(&[66]).expect("a list")});
    common
}

#[test]
fn of_clients_only_the_good_ones_get_in() {
    let mesh = Mesh::new();
    let backend = Backend::start(|_, _| Then::Answer(ok(b"in")));
    let mut zoo = zoo(&mesh, ALICE, Usage::Client);
    zoo.push(Specimen { name: "none", identity: None, is_good: false });
    let prefix = json!([{"san_type": "URI", "matcher": {"prefix": "spiffe://cluster.local/"}}]);
    let context = with_crl(common(Some(&mesh.bob), &mesh.authority.root, prefix, json!(["http/1.1"])), &mesh);
    for planes in [PAIRS[0], PAIRS[1], PAIRS[2], (Plane::Envoys, Plane::Envoys)] {
        let second = start(
            planes.1,
            &json!([listener("in", telling(everything_to("app")), Some(downstream(context.clone())))]),
            &json!([cluster("app", &[backend.address])]),
        );
        let clusters: Vec<Value> = zoo
            .iter()
            .map(|specimen| {
                let context = common(specimen.identity.as_ref(), &mesh.authority.root, exact(BOB), json!([]));
                secured(specimen.name, second.address("in"), upstream(context, ""), false)
            })
            .collect();
        let first =
            start(planes.0, &json!([listener("out", manager(by_path(&zoo)), None)]), &json!(clusters));
        for specimen in &zoo {
            let answer = first.client().get(&format!("/{}", specimen.name), "");
            let expected = if specimen.is_good { 200 } else { 503 };
            assert_eq!(answer.status, expected, "{planes:?}: {}: {}", specimen.name, answer.body);
        }
    }
}

/// A route to each specimen's cluster.
fn by_path(zoo: &[Specimen]) -> Value {
    let routes = zoo.iter().map(|specimen| {
        json!({"match": {"path": format!("/{}", specimen.name)}, "route": {"cluster": specimen.name}})
    });
    routes.collect()
}

#[test]
fn of_servers_only_the_good_ones_are_spoken_to() {
    let mesh = Mesh::new();
    let backend = Backend::start(|_, _| Then::Answer(ok(b"in")));
    let zoo = zoo(&mesh, BOB, Usage::Server);
    for planes in [PAIRS[0], PAIRS[1], PAIRS[2], (Plane::Envoys, Plane::Envoys)] {
        let listeners: Vec<Value> = zoo
            .iter()
            .map(|specimen| {
                let context = common(specimen.identity.as_ref(), &mesh.authority.root, json!([]), json!([]));
                listener(specimen.name, telling(everything_to("app")), Some(downstream(context)))
            })
            .collect();
        let second = start(planes.1, &json!(listeners), &json!([cluster("app", &[backend.address])]));
        let context = with_crl(common(Some(&mesh.alice), &mesh.authority.root, exact(BOB), json!([])), &mesh);
        let clusters: Vec<Value> = zoo
            .iter()
            .map(|specimen| {
                let tls = upstream(context.clone(), "");
                secured(specimen.name, second.address(specimen.name), tls, false)
            })
            .collect();
        let first =
            start(planes.0, &json!([listener("out", manager(by_path(&zoo)), None)]), &json!(clusters));
        for specimen in &zoo {
            let answer = first.client().get(&format!("/{}", specimen.name), "");
            let expected = if specimen.is_good { 200 } else { 503 };
            assert_eq!(answer.status, expected, "{planes:?}: {}: {}", specimen.name, answer.body);
        }
    }
}

/// A server that refuses whatever comes, in HTTP and in the clear.
fn refusing() -> SocketAddr {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let read = stream.read(&mut [0; 4096]);
            // Who is gone gets no answer.
            let _ = read.and_then(|_| stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
            let _ = stream.shutdown(std::net::Shutdown::Write);
        }
    });
    address
}

#[test]
fn failures_say_what_to_mend() {
    let mesh = Mesh::new();
    let in_the_clear = refusing();
    let expired = mesh
        .authority
        .issue(&Leaf { uri: Some(BOB), validity: Validity::Past, ..Leaf::default() })
        .expect("a certificate");
    let stranger = Authority::new("elsewhere").expect("an authority");
    let unknown = stranger.workload(BOB).expect("a certificate");
    let own =
        |identity: &Identity| downstream(common(Some(identity), &mesh.authority.root, json!([]), json!([])));
    let http = || telling(everything_to("app"));
    let second = start(
        Plane::Ours,
        &json!([
            listener("expired", http(), Some(own(&expired))),
            listener("unknown", http(), Some(own(&unknown))),
            listener("carol", http(), Some(own(&mesh.alice))),
            listener("good", http(), Some(own(&mesh.bob))),
        ]),
        &json!([cluster("app", &[in_the_clear])]),
    );
    let as_alice = || mesh.client(json!([]));
    let anonymous = upstream(common(None, &mesh.authority.root, exact(BOB), json!([])), "");
    let no_secret = {
        let mut context = common(None, &mesh.authority.root, exact(BOB), json!([]));
        context["tls_certificate_sds_secret_configs"] = json!([{"name": "never"}]);
        upstream(context, "")
    };
    let table = [
        ("plain", in_the_clear, as_alice(), "the server spoke plaintext (HTTP)"),
        ("expired", second.address("expired"), as_alice(), "certificate expired at 2022-01-01"),
        ("unknown", second.address("unknown"), as_alice(), "signed by an unknown CA"),
        (
            "carol",
            second.address("carol"),
            as_alice(),
            "sa/alice`, not for `spiffe://cluster.local/ns/default/sa/bob`",
        ),
        ("anonymous", second.address("good"), anonymous, "it wants a certificate from us"),
        ("no-secret", second.address("good"), no_secret, "Secret is not supplied by SDS: `never`"),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log");
    let routes: Vec<Value> = table
        .iter()
        .map(|(name, ..)| json!({"match": {"path": format!("/{name}")}, "route": {"cluster": name}}))
        .collect();
    let clusters: Vec<Value> =
        table.iter().map(|(name, address, tls, _)| secured(name, *address, tls.clone(), false)).collect();
    let mut http = manager(json!(routes));
    http["access_log"] = json!([{"name": "file", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": log,
        "log_format": {"text_format_source": {"inline_string": "%PATH% %UPSTREAM_TRANSPORT_FAILURE_REASON%\n"}}}}]);
    let first = start(Plane::Ours, &json!([listener("out", http, None)]), &json!(clusters));
    for (name, ..) in &table {
        assert_eq!(first.client().get(&format!("/{name}"), "").status, 503, "{name}");
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    let lines = loop {
        let text = std::fs::read_to_string(&log).unwrap_or_default();
        if text.lines().count() == table.len() {
            break text;
        }
        assert!(Instant::now() < deadline, "lines are missing: {text}");
        std::thread::yield_now();
    };
    for (name, .., reason) in &table {
        let line = lines.lines().find(|line| line.starts_with(&format!("/{name} "))).expect("a line");
        assert!(line.contains(&reason.replace(' ', "_")), "{line}");
    }
    let stats = first.stats();
    for expected in [
        "envoy_cluster_ssl_fail_verify_san{cluster_name=\"carol\"} 1",
        "envoy_cluster_ssl_fail_verify_error{cluster_name=\"expired\"} 1",
        "envoy_cluster_ssl_connection_error{cluster_name=\"plain\"} 1",
    ] {
        assert!(stats.contains(expected), "{expected} in {stats}");
    }
    assert!(second.stats().contains("envoy_listener_ssl_fail_verify_no_cert"), "{}", second.stats());
}

#[test]
fn metrics_name_who_was_proved() {
    let mesh = Mesh::new();
    let backend = Backend::echo();
    let stats = || json!({"name": "istio.stats", "typed_config": {"@type": "type.googleapis.com/stats.PluginConfig"}});
    let with_stats = |mut manager: Value| {
        manager["http_filters"].as_array_mut().expect("a list").insert(0, stats());
        manager
    };
    let second = start(
        Plane::Ours,
        &json!([listener(
            "in",
            with_stats(telling(everything_to("app"))),
            Some(mesh.server(json!(["http/1.1"])))
        )]),
        &json!([cluster("app", &[backend.address])]),
    );
    let first = start(
        Plane::Ours,
        &json!([listener("out", with_stats(manager(everything_to("up"))), None)]),
        &json!([secured("up", second.address("in"), mesh.client(json!([])), false)]),
    );
    let mut client = first.client();
    // The second request is answered when the first is written down.
    assert_eq!((client.get("/", "").status, client.get("/", "").status), (200, 200));
    let requests = |running: &Running| {
        let stats = running.stats();
        let line = stats.lines().find(|line| line.starts_with("istio_requests_total{"));
        line.expect("a series").to_owned()
    };
    for (running, security) in [(&first, "unknown"), (&second, "mutual_tls")] {
        let line = requests(running);
        for part in [
            format!("source_principal=\"{ALICE}\""),
            format!("destination_principal=\"{BOB}\""),
            format!("connection_security_policy=\"{security}\""),
        ] {
            assert!(line.contains(&part), "{part} in {line}");
        }
    }
}
