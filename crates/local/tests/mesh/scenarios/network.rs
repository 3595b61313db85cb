//! Names, addresses, doors.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::{OUTSIDE, OUTSIDE_NAME, mesh};

/// A Deployment of two servers behind a Service, and a client; the client is also the gateway.
pub const TWO: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: alpha}
spec: {selector: {app: alpha}, ports: [{name: http, port: 80, targetPort: web}]}
---
apiVersion: v1
kind: Service
metadata: {name: headless}
spec: {clusterIP: None, selector: {app: alpha}, ports: [{name: http, port: 9080}]}
---
apiVersion: v1
kind: Service
metadata: {name: nobody}
spec: {selector: {app: nobody}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: alpha}
spec:
  replicas: 2
  selector: {matchLabels: {app: alpha}}
  template:
    metadata: {labels: {app: alpha}}
    spec:
      containers:
      - name: app
        image: lateen/lateen
        args: [serve, $(HOSTNAME), "9080"]
        ports: [{name: web, containerPort: 9080}]
        readinessProbe: {httpGet: {path: /, port: web}}
---
apiVersion: v1
kind: Pod
metadata: {name: beta, labels: {istio: ingressgateway}}
spec:
  containers:
  - name: app
    image: lateen/lateen
    args: [serve, beta, "8080"]
    readinessProbe: {tcpSocket: {port: 8080}}
"#;

/// Answers of `count` calls.
fn answers(mesh: &crate::session::Session, from: &str, url: &str, count: usize) -> BTreeSet<String> {
    let script = format!("for i in $(seq {count}); do curl -sS -m 5 {url} || exit 1; done");
    mesh.ok(from, &["sh", "-c", &script]).lines().map(str::to_owned).collect()
}

pub fn names_services_and_doors_work() {
    let mesh = mesh(TWO);
    // The packet filter draws at random: with 40 calls one of two is missed once in 10^12 runs.
    let seen = answers(&mesh, "beta", "http://alpha/", 40);
    let names: BTreeSet<&str> = seen.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names.len(), 2, "{seen:?}");
    let address = mesh.pod("beta").address.to_string();
    assert!(seen.iter().all(|line| line.contains(&format!("peer={address}"))), "{seen:?}");

    let itself = answers(&mesh, "alpha", "http://alpha.default.svc.cluster.local/", 40);
    let names: BTreeSet<&str> = itself.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names.len(), 2, "a pod reaches itself by its Service: {itself:?}");

    let found = mesh.ok("beta", &["getent", "ahostsv4", "headless"]);
    let addresses: BTreeSet<&str> = found.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(addresses.len(), 2, "{found}");

    let began = Instant::now();
    assert_ne!(mesh.run("beta", &["getent", "hosts", "no-such-service"]).1, 0);
    let refused = mesh.run("beta", &["curl", "-sS", "-m", "5", "http://nobody/"]);
    assert_eq!(refused.1, 7, "a Service without pods refuses: {refused:?}");
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "unknown names and empty Services are answered at once"
    );

    assert_eq!(fetch(mesh.doors.gateway).split(' ').next(), Some("beta"));
    let services: Vec<serde_json::Value> =
        mesh.cluster().into_iter().filter(|object| object["kind"] == "Service").collect();
    let alpha = services.iter().find(|object| object["metadata"]["name"] == "alpha").expect("alpha");
    assert!(alpha["spec"]["clusterIP"].as_str().is_some_and(|address| address.starts_with("10.96.")));
}

/// The body that a server gives.
fn fetch(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    write!(stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("a request");
    // The end of our side is passed on, and the answer still comes.
    stream.shutdown(std::net::Shutdown::Write).expect("an end");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned()
}

pub fn the_outside_is_reached() {
    let listener = TcpListener::bind((OUTSIDE, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                // The end of a connection whose client has seen enough.
                while let Ok(length @ 1..) = stream.read(&mut bytes) {
                    if bytes[..length].ends_with(b"\r\n\r\n") {
                        let body = "x".repeat(3_000_000);
                        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                        let _ = stream
                            .write_all(head.as_bytes())
                            .and_then(|()| stream.write_all(body.as_bytes()));
                    }
                }
            });
        }
    });
    let mesh = mesh(TWO);
    for host in [OUTSIDE, OUTSIDE_NAME] {
        let url = format!("http://{host}:{port}/");
        let size =
            mesh.ok("beta", &["curl", "-sS", "-m", "5", "-o", "/dev/null", "-w", "%{size_download}", &url]);
        assert_eq!(size, "3000000", "{url}");
    }
    let closed = TcpListener::bind((OUTSIDE, 0)).expect("a port").local_addr().expect("an address");
    let refused = mesh.run("beta", &["curl", "-sS", "-m", "5", &format!("http://{closed}/")]);
    assert_ne!(refused.1, 0, "{refused:?}");
    assert_ne!(refused.1, 28, "nothing waits for its timeout: {refused:?}");
}

pub fn gateways_open_doors() {
    let gateway = r#"
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: web}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 8080, name: http, protocol: HTTP}, hosts: ["*"]}
  - {port: {number: 8081, name: more, protocol: HTTP}, hosts: ["*"]}
"#;
    let beta_listens_twice = TWO.replace(
        "    args: [serve, beta, \"8080\"]\n",
        "    args: [serve, beta, \"8080\"]\n  - {name: second, image: lateen/lateen, args: [serve, second, \"8081\"]}\n",
    );
    let order = beta_listens_twice.replace(
        "  - {name: second, image: lateen/lateen, args: [serve, second, \"8081\"]}\n    readinessProbe: {tcpSocket: {port: 8080}}\n",
        "    readinessProbe: {tcpSocket: {port: 8080}}\n  - {name: second, image: lateen/lateen, args: [serve, second, \"8081\"]}\n",
    );
    let mesh = mesh(&order);
    assert!(mesh.status().doors.is_empty());
    mesh.put(&format!("{order}{gateway}"));
    mesh.until("a door opens", |status| status.doors.len() == 1);
    let (port, address) = mesh.status().doors[0];
    assert_eq!(port, 8081);
    assert!(fetch(address).starts_with("second "));
    mesh.put(&order);
    mesh.until("the door closes", |status| status.doors.is_empty());
    assert!(TcpStream::connect(address).is_err());
}
