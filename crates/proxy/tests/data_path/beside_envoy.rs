//! The same configuration in a real Envoy and here: the same requests come
//! to the same endpoints.

use std::net::SocketAddr;

use serde_json::{Value, json};
use testkit::envoy::Envoy;

use super::backend::{Backend, Then, ok};
use super::client::Client;
use super::setup::{listener, manager, proxy};

/// A real Envoy and the address of its one listener.
pub struct Real {
    envoy: Envoy,
    pub address: SocketAddr,
}

impl Real {
    /// What its admin endpoint says.
    pub async fn admin(&self, path: &str) -> String {
        self.envoy.admin(path).await.expect("it answers")
    }
}

/// Starts one.
pub fn real(listeners: Value, clusters: Value) -> Real {
    let envoy = Envoy::fixed(&json!({"listeners": listeners, "clusters": clusters})).expect("it starts");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let address = runtime.block_on(async {
        loop {
            let listening = envoy.admin("/listeners").await.expect("it answers");
            if let Some((_, address)) = listening.trim().split_once("::") {
                break address.parse().expect("an address");
            }
        }
    });
    Real { envoy, address }
}

/// Servers that answer with their number.
fn backends(count: usize) -> Vec<Backend> {
    let one = |number: usize| Backend::start(move |_, _| Then::Answer(ok(number.to_string().as_bytes())));
    (0..count).map(one).collect()
}

/// A cluster with these weights and other fields.
fn cluster(backends: &[Backend], weights: &[u32], extra: &Value) -> Value {
    with_keys(backends, weights, extra, false)
}

/// The same; endpoints may have keys that hashes know them by.
fn with_keys(backends: &[Backend], weights: &[u32], extra: &Value, named: bool) -> Value {
    let endpoints: Vec<Value> = backends
        .iter()
        .zip(weights)
        .enumerate()
        .map(|(number, (backend, weight))| {
            json!({"load_balancing_weight": weight, "metadata": {"filter_metadata":
                {"envoy.lb": if named { json!({"hash_key": format!("host-{number}")}) } else { json!({}) }}},
                "endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": backend.address.port()}}}})
        })
        .collect();
    let mut cluster = json!({"name": "up", "type": "STATIC", "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "up", "endpoints": [{"lb_endpoints": endpoints}]}});
    cluster.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    cluster
}

#[test]
fn consistent_hashes_choose_what_envoy_chooses() {
    let backends = backends(5);
    let even = [1, 1, 1, 1, 1];
    let uneven = [1, 4, 2, 7, 3];
    let ring = |config: Value| json!({"lb_policy": "RING_HASH", "ring_hash_lb_config": config});
    let table = [
        (ring(json!({})), even, false),
        (ring(json!({})), uneven, true),
        (ring(json!({"minimum_ring_size": 100, "maximum_ring_size": 3000})), uneven, false),
        (ring(json!({"minimum_ring_size": 1000, "maximum_ring_size": 1003})), uneven, false),
        (ring(json!({"hash_function": "MURMUR_HASH_2"})), even, false),
        (json!({"lb_policy": "MAGLEV"}), even, false),
        (json!({"lb_policy": "MAGLEV", "maglev_lb_config": {"table_size": 251}}), uneven, true),
    ];
    let route = json!({"cluster": "up", "hash_policy": [
        {"header": {"header_name": "user"}, "terminal": false},
        {"query_parameter": {"name": "q"}},
        {"cookie": {"name": "c"}}]});
    let listeners = || json!([listener(manager(json!([{"match": {"prefix": "/"}, "route": route}])))]);
    for (extra, weights, named) in table {
        let clusters = json!([with_keys(&backends, &weights, &extra, named)]);
        let real = real(listeners(), clusters.clone());
        let ours = proxy(listeners(), clusters);
        let (mut theirs, mut ours) = (Client::connect(real.address), ours.client());
        let differences: Vec<String> = (0..150)
            .filter_map(|number| {
                let (path, headers) = match number % 4 {
                    0 => ("/".to_owned(), format!("user: u{number}\r\n")),
                    1 => (format!("/?q=v{number}"), format!("user: u{number}\r\n")),
                    2 => (format!("/?q=v{number}"), format!("cookie: a=b; c=w{number}\r\n")),
                    _ => ("/".to_owned(), format!("user: z{number}\r\nuser: a{number}\r\n")),
                };
                let (real, own) = (theirs.get(&path, &headers), ours.get(&path, &headers));
                (real.body != own.body).then(|| format!("{path} {headers:?}: {} {}", real.body, own.body))
            })
            .collect();
        assert!(
            differences.is_empty(),
            "{extra}: {} differ, first {:?}",
            differences.len(),
            differences.first()
        );
    }
}

#[test]
fn cookies_are_made_as_envoy_makes_them() {
    let backends = backends(3);
    let route = json!({"cluster": "up", "hash_policy": [{"cookie": {"name": "c", "ttl": "60s", "path": "/x",
        "attributes": [{"name": "SameSite", "value": "Strict"}]}}]});
    let listeners = || json!([listener(manager(json!([{"match": {"prefix": "/"}, "route": route}])))]);
    let clusters = json!([cluster(&backends, &[1, 1, 1], &json!({"lb_policy": "MAGLEV"}))]);
    let real = real(listeners(), clusters.clone());
    let ours = proxy(listeners(), clusters);
    let shape = |client: &mut Client| {
        let answer = client.get("/", "");
        let cookie = answer.header("set-cookie").expect("it is made").to_owned();
        let (name, rest) = cookie.split_once("=\"").expect("a quoted value");
        let (value, attributes) = rest.split_once('"').expect("a quoted value");
        let again = client.get("/", &format!("cookie: {name}={value}\r\n"));
        assert_eq!(again.body, answer.body);
        assert_eq!(again.header("set-cookie"), None);
        (name.to_owned(), value.len(), attributes.to_owned())
    };
    assert_eq!(shape(&mut Client::connect(real.address)), shape(&mut ours.client()));
}

#[test]
fn too_much_is_refused_with_envoys_words() {
    let hanging = Backend::start(|_, _| Then::Hang);
    let listeners =
        || json!([listener(manager(json!([{"match": {"prefix": "/"}, "route": {"cluster": "up"}}])))]);
    let clusters = json!([cluster(
        &[hanging],
        &[1],
        &json!({"circuit_breakers": {"thresholds": [{"max_requests": 0}]}})
    )]);
    let real = real(listeners(), clusters.clone());
    let ours = proxy(listeners(), clusters);
    let answer = |client: &mut Client| {
        let answer = client.get("/", "");
        (answer.status, answer.header("x-envoy-overloaded").map(str::to_owned), answer.body)
    };
    assert_eq!(answer(&mut Client::connect(real.address)), answer(&mut ours.client()));
}

#[test]
fn copies_look_like_envoys() {
    let main = backends(1);
    let route = json!({"cluster": "up", "request_mirror_policies": [{"cluster": "copy"}]});
    let listeners = || json!([listener(manager(json!([{"match": {"prefix": "/"}, "route": route}])))]);
    let seen_by = |start: &dyn Fn(Value, Value) -> (SocketAddr, Box<dyn std::any::Any>)| {
        let copy = Backend::echo();
        let mut second = cluster(std::slice::from_ref(&copy), &[1], &json!({}));
        second["name"] = json!("copy");
        let (address, _running) = start(listeners(), json!([cluster(&main, &[1], &json!({})), second]));
        let mut client = Client::connect(address);
        client.send("POST /p HTTP/1.1\r\nHost: h.test:81\r\nContent-Length: 3\r\nx-own: 1\r\n\r\nabc");
        assert_eq!(client.response().status, 200);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while copy.seen().is_empty() {
            assert!(std::time::Instant::now() < deadline, "no copy comes");
            std::thread::yield_now();
        }
        let head = copy.seen().remove(0).to_ascii_lowercase();
        let mut lines: Vec<String> = head
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with("x-request-id"))
            // Each says its own address.
            .map(|line| match line.split_once("x-forwarded-for: ") {
                Some((_, address)) => format!("x-forwarded-for: {} hop", address.split(',').count()),
                None => line.to_owned(),
            })
            .collect();
        lines.sort();
        lines
    };
    let theirs = seen_by(&|listeners, clusters| {
        let real = real(listeners, clusters);
        (real.address, Box::new(real))
    });
    let ours = seen_by(&|listeners, clusters| {
        let ours = proxy(listeners, clusters);
        (ours.address, Box::new(ours))
    });
    assert_eq!(ours, theirs);
}
