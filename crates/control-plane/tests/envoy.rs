//! A real Envoy under the control plane: it accepts everything, holds what it
//! should, and routes by it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use config_store::State;
use control_plane::{ControlPlane, Options};
use resources::Object;
use serde_json::{Value, json};
use testkit::envoy::{Envoy, Form, Network};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Long enough for a slow machine; nothing waits for it when all is well.
const LIMIT: Duration = Duration::from_secs(30);

/// A control plane and the objects it serves.
struct Plane {
    store: watch::Sender<Arc<State>>,
    plane: ControlPlane,
}

impl Plane {
    async fn start(objects: Vec<Arc<Object>>) -> Self {
        let (store, receiver) = watch::channel(Arc::new(state(1, objects)));
        let address = "127.0.0.1:0".parse().expect("an address");
        let options = Options { xds: Some(address), monitoring: Some(address), ..Options::default() };
        let plane = ControlPlane::start(receiver, &options).await.expect("it listens");
        Self { store, plane }
    }

    fn envoy(&self, node: &Value, form: Form, network: Network) -> Envoy {
        let address = self.plane.xds_address().expect("it listens");
        Envoy::start(node, address, form, network).expect("Envoy starts")
    }

    /// Replaces all objects and waits until every proxy holds them.
    async fn apply(&self, objects: Vec<Arc<Object>>) {
        let revision = self.store.borrow().revision + 1;
        self.store.send_replace(Arc::new(state(revision, objects)));
        let delivery = self.plane.wait_for(revision, LIMIT).await;
        assert_eq!(delivery.missing, [], "{delivery:?}");
    }

    /// Waits until `count` proxies are connected and hold the newest state.
    async fn settled(&self, count: usize, envoy: &Envoy) {
        let deadline = tokio::time::Instant::now() + LIMIT;
        loop {
            let status = self.plane.status();
            let holds = status.proxies.iter().filter(|proxy| proxy.holds(status.generation)).count();
            if holds >= count {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{status:#?}\n{}", envoy.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn assert_nothing_refused(&self) {
        for proxy in self.plane.status().proxies {
            let refused: Vec<_> = proxy.rejections().collect();
            assert!(refused.is_empty(), "{}: {refused:#?}", proxy.name);
        }
    }
}

fn state(revision: u64, objects: Vec<Arc<Object>>) -> State {
    let objects = objects.into_iter().map(|object| (object.key.clone(), object)).collect();
    State { revision, objects, problems: Vec::new() }
}

fn sample(names: &[&str]) -> String {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/bookinfo");
    let read = |name: &&str| std::fs::read_to_string(samples.join(name)).expect("a sample");
    names.iter().map(read).collect::<Vec<String>>().join("\n---\n")
}

fn sidecar(pod: &str, app: &str) -> Value {
    json!({
        "id": format!("sidecar~10.44.0.1~{pod}.default~default.svc.cluster.local"),
        "cluster": format!("{app}.default"),
        "metadata": {
            "NAMESPACE": "default",
            "LABELS": {"app": app, "version": "v1"},
            "WORKLOAD_NAME": format!("{app}-v1"),
        },
    })
}

#[tokio::test]
async fn sidecar_accepts_bookinfo_in_both_forms() {
    for form in [Form::Delta, Form::StateOfTheWorld] {
        let base = ["platform/kube/bookinfo.yaml", "networking/bookinfo-gateway.yaml"];
        let plane = Plane::start(testkit::cluster::run(&sample(&base))).await;
        let envoy = plane.envoy(&sidecar("productpage-v1-0", "productpage"), form, Network::Own);
        plane.settled(1, &envoy).await;
        plane.assert_nothing_refused();
        for change in [
            "destination-rule-all",
            "virtual-service-all-v1",
            "virtual-service-reviews-test-v2",
            "virtual-service-ratings-test-delay",
            "virtual-service-reviews-90-10",
        ] {
            let change = format!("networking/{change}.yaml");
            let rules = "networking/destination-rule-all.yaml";
            let names: Vec<&str> = base.iter().copied().chain([rules, &change]).collect();
            plane.apply(testkit::cluster::run(&sample(&names))).await;
            plane.assert_nothing_refused();
        }
        let dump = envoy.config_dump().await.expect("a dump");
        let names = |part: &str, list: &str, pointer: &str| -> Vec<String> {
            let items = dump[part][list].as_array().into_iter().flatten();
            items.filter_map(|item| item.pointer(pointer)?.as_str()).map(str::to_owned).collect()
        };
        let clusters = names("ClustersConfigDump", "dynamic_active_clusters", "/cluster/name");
        for cluster in [
            "outbound|9080||reviews.default.svc.cluster.local",
            "outbound|9080|v2|reviews.default.svc.cluster.local",
            "inbound|9080||",
            "PassthroughCluster",
            "BlackHoleCluster",
            "InboundPassthroughCluster",
        ] {
            assert!(clusters.iter().any(|name| name == cluster), "no {cluster} in {clusters:?}");
        }
        let listeners = names("ListenersConfigDump", "dynamic_listeners", "/active_state/listener/name");
        assert_eq!(listeners.len(), 3, "{listeners:?}");
        let routes = names("RoutesConfigDump", "dynamic_route_configs", "/route_config/name");
        assert_eq!(routes, ["9080"]);
        same_as_istiods_pages(&plane, &dump).await;
        let log = envoy.log();
        assert!(
            !log.contains("rejected") && !log.contains("[error]") && !log.contains("deprecated"),
            "{log}"
        );
    }
}

/// What the control plane shows of a proxy is what the proxy shows of itself.
async fn same_as_istiods_pages(plane: &Plane, own: &Value) {
    let address = plane.plane.monitoring_address().expect("it listens");
    let page = async |path: &str| -> Value {
        let answer = get(address, path, &[]).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        serde_json::from_str(&answer.body).expect("JSON")
    };
    let status = &page("/debug/syncz").await[0];
    assert_eq!(status["proxy"], "productpage-v1-0.default");
    for word in ["cluster", "listener", "route", "endpoint"] {
        let (sent, acked) = (&status[format!("{word}_sent")], &status[format!("{word}_acked")]);
        assert!(sent.is_string() && sent == acked, "{status}");
    }
    let dump = page("/debug/config_dump?proxyID=productpage-v1-0.default").await;
    let routes = own["RoutesConfigDump"]["dynamic_route_configs"].as_array().expect("routes");
    let names = |routes: &[Value]| -> Vec<Value> {
        routes.iter().map(|route| route["route_config"]["name"].clone()).collect()
    };
    let shown = dump["configs"][2]["dynamic_route_configs"].as_array().expect("routes");
    assert_eq!(names(shown), names(routes));
    assert_eq!(get(address, "/debug/config_dump?proxyID=nobody.default", &[]).await.status, 404);
}

/// A web server that says who it is and repeats the request; `/slow` takes a
/// second.
async fn backend(name: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                while let Some(head) = read_head(&mut stream).await {
                    if head.starts_with("GET /slow") {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                    let body = format!("{name}\n{head}");
                    let reply = format!(
                        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nx-from: {name}\r\n\r\n{body}",
                        body.len()
                    );
                    if stream.write_all(reply.as_bytes()).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    port
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

/// An answer: status, head and body.
#[derive(Debug, Clone)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    /// Which backend it came from.
    fn from(&self) -> &str {
        self.body.lines().next().unwrap_or_default()
    }
}

async fn get(address: SocketAddr, path: &str, headers: &[&str]) -> Answer {
    let mut stream = TcpStream::connect(address).await.expect("the gateway listens");
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let request = format!("GET {path} HTTP/1.1\r\nhost: shop.test\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut text = Vec::new();
    stream.read_to_end(&mut text).await.expect("it answers");
    let text = String::from_utf8_lossy(&text).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// A gateway on `port`, and a service `shop` with a pod for each version.
fn shop(port: u16, versions: &[(&str, u16)]) -> String {
    let mut text = format!(
        "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: front}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - port: {{number: {port}, name: http, protocol: HTTP}}
    hosts: [shop.test]
---
apiVersion: v1
kind: Service
metadata: {{name: shop}}
spec:
  clusterIP: 10.96.9.9
  selector: {{app: shop}}
  ports: [{{name: http, port: 80, targetPort: web}}]
"
    );
    for (version, port) in versions {
        text.push_str(&format!(
            "
---
apiVersion: v1
kind: Pod
metadata: {{name: shop-{version}, labels: {{app: shop, version: {version}}}}}
spec: {{containers: [{{name: shop, image: shop, ports: [{{name: web, containerPort: {port}}}]}}]}}
status: {{phase: Running, podIP: 127.0.0.1, conditions: [{{type: Ready, status: 'True'}}]}}
"
        ));
    }
    text
}

const SUBSETS: &str = "
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: shop}
spec:
  host: shop
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
";

fn rules(http: &str) -> String {
    format!(
        "
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: shop}}
spec:
  hosts: [shop.test]
  gateways: [front]
  http:
{http}"
    )
}

/// A port that nothing listens on now.
async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("an address").port()
}

fn router() -> Value {
    json!({
        "id": "router~127.0.0.1~gateway-0.default~default.svc.cluster.local",
        "cluster": "gateway.default",
        "metadata": {"NAMESPACE": "default", "LABELS": {"istio": "ingressgateway"}, "WORKLOAD_NAME": "gateway"},
    })
}

#[tokio::test]
async fn gateway_routes_as_the_rules_say() {
    let (v1, v2, port) = (backend("v1").await, backend("v2").await, free_port().await);
    let base = shop(port, &[("v1", v1), ("v2", v2)]) + SUBSETS;
    let rules_1 = rules(
        "
  - match: [{headers: {end-user: {exact: jason}}}]
    route: [{destination: {host: shop, subset: v2}}]
  - match: [{uri: {prefix: /abort}}]
    fault: {abort: {httpStatus: 418, percentage: {value: 100}}}
    route: [{destination: {host: shop}}]
  - match: [{uri: {prefix: /delay}}]
    fault: {delay: {fixedDelay: 300ms, percentage: {value: 100}}}
    route: [{destination: {host: shop}}]
  - match: [{uri: {prefix: /slow}}]
    timeout: 200ms
    retries: {attempts: 0}
    route: [{destination: {host: shop}}]
  - match: [{uri: {exact: /old}}]
    redirect: {uri: /new, authority: else.test, redirectCode: 302}
  - match: [{uri: {exact: /direct}}]
    directResponse: {status: 207, body: {string: hello}}
  - match: [{uri: {prefix: /rewrite/}}]
    rewrite: {uri: /to/, authority: inner.test}
    headers:
      request: {set: {x-set: one}, remove: [x-gone]}
      response: {add: {x-out: two}}
    route: [{destination: {host: shop, subset: v1}}]
  - match: [{queryParams: {v: {exact: '2'}}}]
    route: [{destination: {host: shop, subset: v2}}]
  - route:
    - {destination: {host: shop, subset: v1}, weight: 75}
    - {destination: {host: shop, subset: v2}, weight: 25}
",
    );
    let plane = Plane::start(testkit::cluster::run(&(base.clone() + &rules_1))).await;
    let envoy = plane.envoy(&router(), Form::Delta, Network::Shared);
    plane.settled(1, &envoy).await;
    plane.assert_nothing_refused();
    let address: SocketAddr = format!("127.0.0.1:{port}").parse().expect("an address");

    assert_eq!(get(address, "/", &["end-user: jason"]).await.from(), "v2");
    assert_eq!(get(address, "/abort", &[]).await.status, 418);
    let before = tokio::time::Instant::now();
    assert_eq!(get(address, "/delay", &[]).await.status, 200);
    // Envoy's timers count from the beginning of a turn of its loop.
    assert!(before.elapsed() >= Duration::from_millis(280), "after {:?}", before.elapsed());
    assert_eq!(get(address, "/slow", &[]).await.status, 504);
    let redirect = get(address, "/old", &[]).await;
    assert_eq!(redirect.status, 302);
    assert!(redirect.head.contains("location: http://else.test/new"), "{}", redirect.head);
    let direct = get(address, "/direct", &[]).await;
    assert_eq!((direct.status, direct.body.as_str()), (207, "hello"));
    let rewritten = get(address, "/rewrite/x?q=1", &["x-gone: yes"]).await;
    assert_eq!(rewritten.from(), "v1");
    assert!(rewritten.body.contains("GET /to/x?q=1 HTTP/1.1"), "{}", rewritten.body);
    assert!(rewritten.body.contains("host: inner.test") && rewritten.body.contains("x-set: one"));
    assert!(!rewritten.body.contains("x-gone") && rewritten.head.contains("x-out: two"));
    assert_eq!(get(address, "/?v=2", &[]).await.from(), "v2");
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..400 {
        *counts.entry(get(address, "/", &[]).await.from().to_owned()).or_default() += 1;
    }
    // Five standard deviations of 400 draws.
    assert!((257..=343).contains(&counts["v1"]), "{counts:?}");

    let stats = envoy.admin("/stats/prometheus").await.expect("statistics");
    let line = stats
        .lines()
        .find(|line| line.contains("istio_requests_total") && line.contains("destination_version=\"v2\""))
        .unwrap_or_else(|| panic!("no istio_requests_total in {stats}"));
    for label in [
        "reporter=\"source\"",
        "source_workload=\"gateway\"",
        "source_workload_namespace=\"default\"",
        "destination_workload=\"shop-v2\"",
        "destination_app=\"shop\"",
        "destination_service=\"shop.default.svc.cluster.local\"",
        "destination_service_name=\"shop\"",
        "destination_service_namespace=\"default\"",
        "request_protocol=\"http\"",
        "response_code=\"200\"",
        "destination_canonical_revision=\"v2\"",
    ] {
        assert!(line.contains(label), "{label} is not in {line}");
    }
    assert!(stats.contains("istio_request_duration_milliseconds_bucket"));
    assert!(envoy.log().contains("\"GET /abort HTTP/1.1\" 418 FI"), "{}", envoy.log());
}

#[tokio::test]
async fn changes_fail_no_request() {
    let (v1, v2, port) = (backend("v1").await, backend("v2").await, free_port().await);
    let base = shop(port, &[("v1", v1), ("v2", v2)]);
    let whole = base.clone() + &rules("  - route: [{destination: {host: shop}}]\n");
    let only = |version: &str| {
        base.clone()
            + SUBSETS
            + &rules(&format!("  - route: [{{destination: {{host: shop, subset: {version}}}}}]\n"))
    };
    let plane = Plane::start(testkit::cluster::run(&whole)).await;
    let envoy = plane.envoy(&router(), Form::Delta, Network::Shared);
    plane.settled(1, &envoy).await;
    let address: SocketAddr = format!("127.0.0.1:{port}").parse().expect("an address");
    let load = tokio::spawn(async move {
        let mut statuses: BTreeMap<u16, u32> = BTreeMap::new();
        loop {
            let status = get(address, "/", &[]).await.status;
            *statuses.entry(status).or_default() += 1;
            if statuses.values().sum::<u32>() >= 3000 {
                return statuses;
            }
        }
    });
    while !load.is_finished() {
        // The rule and the clusters it names come and go together.
        plane.apply(testkit::cluster::run(&only("v1"))).await;
        assert_eq!(get(address, "/", &[]).await.from(), "v1");
        plane.apply(testkit::cluster::run(&only("v2"))).await;
        assert_eq!(get(address, "/", &[]).await.from(), "v2");
        plane.apply(testkit::cluster::run(&whole)).await;
    }
    plane.assert_nothing_refused();
    assert_eq!(load.await.expect("the load ends"), BTreeMap::from([(200, 3000)]));
}

#[tokio::test]
async fn refused_resource_keeps_the_last_good_one_and_is_named() {
    let (v1, port) = (backend("v1").await, free_port().await);
    let base = shop(port, &[("v1", v1)]);
    let good = base.clone() + &rules("  - route: [{destination: {host: shop}}]\n");
    let plane = Plane::start(testkit::cluster::run(&good)).await;
    let envoy = plane.envoy(&router(), Form::Delta, Network::Shared);
    plane.settled(1, &envoy).await;
    let address: SocketAddr = format!("127.0.0.1:{port}").parse().expect("an address");
    assert_eq!(get(address, "/", &[]).await.status, 200);

    // RE2 repeats nothing more than a thousand times.
    let bad = base.clone()
        + &rules("  - match: [{uri: {regex: 'x{1001}'}}]\n    route: [{destination: {host: shop}}]\n");
    let revision = plane.store.borrow().revision + 1;
    plane.store.send_replace(Arc::new(state(revision, testkit::cluster::run(&bad))));
    let delivery = plane.plane.wait_for(revision, LIMIT).await;
    assert_eq!(delivery.missing.len(), 1, "{delivery:?}");
    assert!(delivery.missing[0].why.contains(&format!("http.{port}")), "{delivery:?}");
    assert_eq!(get(address, "/", &[]).await.status, 200);

    plane.apply(testkit::cluster::run(&good)).await;
    plane.assert_nothing_refused();
}
