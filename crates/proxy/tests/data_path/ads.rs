//! Configuration from a control plane.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use proxy::start::{ProxyOptions, XdsAddress, start};
use proxy::static_config::StaticConfig;
use serde_json::{Value, json};
use testkit::certificates::Identity;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Status;
use tonic::codegen::http;
use tonic_prost::ProstCodec;
use xds::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource};
use xds::type_url::{CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET};

use super::backend::Backend;
use super::client::Client;
use super::setup::{FILTERS, manager, nobody};
use super::tls::{self, Mesh};

type Responses = UnboundedSender<Result<DeltaDiscoveryResponse, Status>>;

/// A control plane that says what the test tells it to.
struct Server {
    address: SocketAddr,
    requests: Mutex<UnboundedReceiver<(DeltaDiscoveryRequest, Responses)>>,
    seen: Mutex<VecDeque<DeltaDiscoveryRequest>>,
    responses: Mutex<Option<Responses>>,
    runtime: tokio::runtime::Runtime,
}

#[derive(Clone)]
struct Service(UnboundedSender<(DeltaDiscoveryRequest, Responses)>);

impl tonic::server::NamedService for Service {
    const NAME: &'static str = "envoy.service.discovery.v3.AggregatedDiscoveryService";
}

type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl<B> tower_service::Service<http::Request<B>> for Service
where
    B: tonic::codegen::Body + Send + 'static,
    B::Error: Into<tonic::codegen::StdError> + Send + 'static,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = Answer<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let method = self.clone();
        Box::pin(async move {
            let codec = ProstCodec::<DeltaDiscoveryResponse, DeltaDiscoveryRequest>::default();
            Ok(tonic::server::Grpc::new(codec).streaming(method, request).await)
        })
    }
}

impl tonic::server::StreamingService<DeltaDiscoveryRequest> for Service {
    type Response = DeltaDiscoveryResponse;
    type ResponseStream = UnboundedReceiverStream<Result<DeltaDiscoveryResponse, Status>>;
    type Future = Answer<Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: tonic::Request<tonic::Streaming<DeltaDiscoveryRequest>>) -> Self::Future {
        let (responses, received) = unbounded_channel();
        let requests = self.0.clone();
        tokio::spawn(async move {
            let mut incoming = request.into_inner();
            while let Some(Ok(request)) = incoming.next().await {
                let _ = requests.send((request, responses.clone()));
            }
        });
        Box::pin(async move { Ok(tonic::Response::new(UnboundedReceiverStream::new(received))) })
    }
}

impl Server {
    fn start() -> Server {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        listener.set_nonblocking(true).expect("it can be");
        let (sender, requests) = unbounded_channel();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("it listens");
            let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
            tonic::transport::Server::builder()
                .add_service(Service(sender))
                .serve_with_incoming(incoming)
                .await
        });
        Server {
            address,
            requests: Mutex::new(requests),
            seen: Mutex::default(),
            responses: Mutex::default(),
            runtime,
        }
    }

    /// The next request that satisfies a test; others are kept.
    fn request(&self, wanted: impl Fn(&DeltaDiscoveryRequest) -> bool) -> DeltaDiscoveryRequest {
        let mut seen = self.seen.lock().expect("no panic");
        if let Some(at) = seen.iter().position(&wanted) {
            return seen.remove(at).expect("it is there");
        }
        let mut requests = self.requests.lock().expect("no panic");
        self.runtime.block_on(async {
            loop {
                let next = tokio::time::timeout(Duration::from_secs(20), requests.recv()).await;
                let (request, responses) = next.expect("it comes in time").expect("the server runs");
                *self.responses.lock().expect("no panic") = Some(responses);
                if wanted(&request) {
                    return request;
                }
                seen.push_back(request);
            }
        })
    }

    fn asks_for(&self, type_url: &str) -> DeltaDiscoveryRequest {
        self.request(|request| request.type_url == type_url && request.response_nonce.is_empty())
    }

    /// Sends resources and waits for the answer.
    fn send(&self, type_url: &str, nonce: &str, resources: Vec<Resource>) -> DeltaDiscoveryRequest {
        let response = DeltaDiscoveryResponse {
            type_url: type_url.to_owned(),
            nonce: nonce.to_owned(),
            resources,
            ..DeltaDiscoveryResponse::default()
        };
        let responses = self.responses.lock().expect("no panic").clone().expect("there is a stream");
        responses.send(Ok(response)).expect("it is open");
        self.request(|request| request.response_nonce == nonce)
    }

    /// Ends the stream.
    fn hang_up(&self) {
        let responses = self.responses.lock().expect("no panic").take().expect("there is a stream");
        responses.send(Err(Status::unavailable("the control plane ends"))).expect("it is open");
        let mut requests = self.requests.lock().expect("no panic");
        while requests.try_recv().is_ok() {}
    }
}

fn resource<M: prost::Message + prost::Name + Default>(name: &str, version: &str, json: Value) -> Resource {
    let message: M = xds::json::decode(&json).expect("a test's own JSON");
    Resource {
        name: name.to_owned(),
        version: version.to_owned(),
        resource: Some(xds::any::pack(&message)),
        ..Resource::default()
    }
}

fn listener(port: u16, filter: &str) -> Resource {
    resource::<xds::envoy::config::listener::v3::Listener>(
        "l",
        filter,
        json!({"name": "l",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": {
            "@type": format!("{FILTERS}.network.http_connection_manager.v3.HttpConnectionManager"),
            "stat_prefix": "h", "rds": {"route_config_name": "r", "config_source": {"ads": {}}},
            "http_filters": [
                {"name": "x", "typed_config": {"@type": format!("{FILTERS}.http.{filter}")}},
                {"name": "router", "typed_config": {"@type": format!("{FILTERS}.http.router.v3.Router")}}]}}]}]}),
    )
}

fn clusters(name: &str) -> Resource {
    resource::<xds::envoy::config::cluster::v3::Cluster>(
        name,
        "1",
        json!({"name": name, "type": "EDS",
        "eds_cluster_config": {"eds_config": {"ads": {}}}}),
    )
}

fn endpoints(name: &str, address: SocketAddr) -> Resource {
    resource::<xds::envoy::config::endpoint::v3::ClusterLoadAssignment>(
        name,
        "1",
        json!({"cluster_name": name,
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"socket_address":
            {"address": address.ip().to_string(), "port_value": address.port()}}}}]}]}),
    )
}

fn routes(cluster: &str) -> Resource {
    resource::<xds::envoy::config::route::v3::RouteConfiguration>(
        "r",
        cluster,
        json!({"name": "r", "virtual_hosts": [
        {"name": "v", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": cluster}}]}]}),
    )
}

#[test]
fn configuration_arrives_is_acknowledged_and_survives_the_control_plane() {
    let server = Server::start();
    let (one, two) = (Backend::echo(), Backend::echo());
    let handle = start(ProxyOptions {
        node: xds::json::decode(&json!({"id": "sidecar~10.44.0.2~a.default~default.svc.cluster.local"}))
            .expect("a node"),
        xds: Some(XdsAddress::Tcp(server.address.to_string())),
        concurrency: 2,
        ..ProxyOptions::default()
    })
    .expect("it starts");

    let first = server.asks_for(CLUSTER);
    let node = first.node.expect("the first request introduces");
    assert!(
        node.extensions
            .iter()
            .any(|extension| extension.type_urls.iter().any(|url| url.ends_with("stats.PluginConfig")))
    );
    assert!(server.send(CLUSTER, "c1", vec![clusters("one")]).error_detail.is_none());
    assert_eq!(server.asks_for(ENDPOINT).resource_names_subscribe, ["one"]);
    assert!(!handle.ready(), "the cluster waits for its endpoints");
    server.send(ENDPOINT, "e1", vec![endpoints("one", one.address)]);
    server.asks_for(LISTENER);
    let address = nobody();
    assert!(
        server.send(LISTENER, "l1", vec![listener(address.port(), "cors.v3.Cors")]).error_detail.is_none()
    );
    assert_eq!(server.asks_for(ROUTE).resource_names_subscribe, ["r"]);
    assert!(std::net::TcpStream::connect(address).is_err(), "the listener waits for its routes");
    server.send(ROUTE, "r1", vec![routes("one")]);
    // The acknowledgement says that it is in use.
    assert_eq!(Client::connect(address).get("/", "").status, 200);
    assert_eq!(one.seen().len(), 1);
    until(|| handle.ready());

    // A route to a cluster that does not exist yet, then the cluster.
    let mut open = Client::connect(address);
    assert_eq!(open.get("/", "").status, 200);
    server.send(ROUTE, "r2", vec![routes("two")]);
    assert_eq!(open.get("/", "").status, 503);
    server.send(CLUSTER, "c2", vec![clusters("two")]);
    assert_eq!(server.asks_for(ENDPOINT).resource_names_subscribe, ["two"]);
    server.send(ENDPOINT, "e2", vec![endpoints("two", two.address)]);
    assert_eq!(open.get("/", "").status, 200);
    assert_eq!((one.seen().len(), two.seen().len()), (2, 1));

    // What guards access and is not known is refused; what was good stays.
    let refusal = server.send(LISTENER, "l2", vec![listener(address.port(), "rbac.v3.RBAC")]);
    let detail = refusal.error_detail.expect("it is refused");
    assert!(detail.message.contains("guards access"), "{}", detail.message);
    assert_eq!(open.get("/", "").status, 200);

    // The control plane goes; what it said stays, and the next one is told.
    server.hang_up();
    for _ in 0..20 {
        assert_eq!(open.get("/", "").status, 200);
    }
    let again = server.request(|request| request.type_url == CLUSTER && request.node.is_some());
    let held: Vec<_> = again.initial_resource_versions.keys().collect();
    assert_eq!(held, ["one", "two"]);
    assert_eq!(open.get("/", "").status, 200);
    handle.stop();
}

/// A certificate over SDS, as the control plane sends it to gateways.
fn certificate(name: &str, version: &str, identity: &Identity) -> Resource {
    resource::<xds::envoy::extensions::transport_sockets::tls::v3::Secret>(
        name,
        version,
        json!({"name": name, "tls_certificate": {
            "certificate_chain": {"inline_string": identity.certificate},
            "private_key": {"inline_string": identity.key}}}),
    )
}

#[test]
fn secrets_arrive_when_a_cluster_names_them_and_are_shown_to_nobody() {
    let server = Server::start();
    let (mesh, backend) = (Mesh::new(), Backend::echo());
    let bob = tls::as_bob(&mesh, backend.address);
    let routes = json!([{"match": {"prefix": "/"}, "route": {"cluster": "up"}}]);
    let static_resources = json!({"listeners": [tls::listener("out", manager(routes), None)]});
    let config =
        StaticConfig::from_json(&json!({"static_resources": static_resources})).expect("a configuration");
    let handle = start(ProxyOptions {
        node: xds::json::decode(&json!({"id": "router~10.44.0.2~a.default~default.svc.cluster.local"}))
            .expect("a node"),
        xds: Some(XdsAddress::Tcp(server.address.to_string())),
        static_resources: config.resources,
        admin: Some(SocketAddr::from(([127, 0, 0, 2], 0))),
        concurrency: 1,
        ..ProxyOptions::default()
    })
    .expect("it starts");
    let address = handle.listening().first().expect("it listens").1;
    server.asks_for(CLUSTER);
    let mut context = tls::common(None, &mesh.authority.root, json!([]), json!([]));
    context["tls_certificate_sds_secret_configs"] =
        json!([{"name": "kubernetes://a", "sds_config": {"ads": {}}}]);
    let up = tls::secured("up", bob.address("in"), tls::upstream(context, ""), false);
    let up = resource::<xds::envoy::config::cluster::v3::Cluster>("up", "1", up);
    assert!(server.send(CLUSTER, "c1", vec![up]).error_detail.is_none());
    assert_eq!(server.asks_for(SECRET).resource_names_subscribe, ["kubernetes://a"]);
    let status = || Client::connect(address).get("/", "").status;
    assert_eq!(status(), 503, "without a secret there is no connection");
    server.send(SECRET, "s1", vec![certificate("kubernetes://a", "1", &mesh.alice)]);
    assert_eq!(status(), 200);
    // One that cannot be used is refused, and the one before stays.
    let broken = Identity { key: "none".to_owned(), ..mesh.alice.clone() };
    let refusal = server.send(SECRET, "s2", vec![certificate("kubernetes://a", "2", &broken)]);
    let detail = refusal.error_detail.expect("it is refused");
    assert!(detail.message.contains("private key"), "{}", detail.message);
    assert_eq!(status(), 200);
    let mut admin = Client::connect(handle.admin().expect("it has one"));
    admin.send("GET /config_dump HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let dump = admin.response().body;
    assert!(dump.contains("kubernetes://a") && !dump.contains("PRIVATE KEY"), "{dump}");
    handle.stop();
}

fn until(done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(20), "it takes too long");
        std::thread::yield_now();
    }
}
