//! What a proxy would do with a request, and because of which objects.

mod request;
mod view;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use routing::cluster::Cluster;
use routing::compile::{Changes, compile};
use routing::config::Config;
use routing::decision::{self, Forwarding, Outcome};
use routing::filter_chain::{ConnectionInfo, FilterChain, Terminal};
use routing::hcm::HttpConnectionManager;
use routing::listener::Listener;
use routing::route::{Forward, Target};
use translation::node::Node;
use translation::snapshot::Snapshot;
use xds::origin::Origin;
use xds::resource::ResourceSet;
use xds::{any, type_url};

pub use request::{Request, RequestError};
pub use view::{Answer, Destination, EndpointView, Explanation, Faults, Place, Retries};

/// The port that outbound connections are redirected to.
const OUTBOUND_CAPTURE_PORT: u16 = 15001;

/// Where the proxy stands on the request's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A sidecar that takes what its application sends.
    Outbound,
    /// A gateway that listens itself.
    Gateway,
}

/// Turns an origin into the file and line where it stands.
pub type Locate<'a> = &'a dyn Fn(&Origin) -> Option<(String, u32)>;

/// What `node` holds of `snapshot`, compiled as its proxy compiles it.
pub fn compiled(snapshot: &Snapshot, node: &Node) -> Config {
    let set = translation::generate(snapshot, node);
    let changes = Changes {
        listeners: decoded(&set, type_url::LISTENER),
        clusters: decoded(&set, type_url::CLUSTER),
        routes: decoded(&set, type_url::ROUTE),
        endpoints: decoded(&set, type_url::ENDPOINT),
        ..Changes::default()
    };
    compile(&Config::default(), &changes).config
}

/// Every message of a type; what was generated can be decoded.
fn decoded<M: prost::Message + prost::Name + Default>(set: &ResourceSet, type_url: &str) -> Vec<M> {
    let named = set.get(type_url).into_iter().flat_map(|named| named.values());
    named.filter_map(|resource| any::unpack(&resource.body).ok()).collect()
}

/// The answer for a client without a proxy: the connection goes where its
/// address says.
pub fn nowhere(destination: SocketAddr) -> Explanation {
    Explanation::to(destination)
}

/// Asks `config` about `request`, whose host resolved to `destination`.
pub fn explain(
    config: &Config,
    side: Side,
    request: &Request,
    destination: SocketAddr,
    locate: Locate<'_>,
) -> Explanation {
    let mut explanation = Explanation::to(destination);
    let Some(arrived_at) = arrived_at(config, side, destination) else {
        explanation.answer = Answer::NotListening;
        return explanation;
    };
    let Some((listener, chain)) = accepted(config, arrived_at, destination) else {
        explanation.listener = Some(arrived_at.name.to_string());
        explanation.answer = Answer::Closed;
        return explanation;
    };
    explanation.listener = Some(listener.name.to_string());
    explanation.filter_chain = Some(chain.name.to_string()).filter(|name| !name.is_empty());
    explanation.answer = match &chain.terminal {
        Terminal::Http(manager) => http(config, manager, request, locate, &mut explanation),
        Terminal::Tcp(proxy) => Answer::Tcp {
            destinations: destinations(
                config,
                proxy.clusters.iter().map(|(name, weight)| (&**name, u64::from(*weight))),
                destination,
                locate,
            ),
        },
        Terminal::Close => Answer::Closed,
    };
    explanation
}

fn arrived_at(config: &Config, side: Side, destination: SocketAddr) -> Option<&Arc<Listener>> {
    match side {
        Side::Outbound => {
            config.listener_for(SocketAddr::from((Ipv4Addr::UNSPECIFIED, OUTBOUND_CAPTURE_PORT)))
        }
        Side::Gateway => config.listener_for(destination),
    }
}

/// The chain of a plain HTTP/1.1 connection, as the inspectors would see it.
fn accepted<'c>(
    config: &'c Config,
    arrived_at: &'c Arc<Listener>,
    destination: SocketAddr,
) -> Option<(&'c Arc<Listener>, &'c Arc<FilterChain>)> {
    let listener = decision::handed_to(config, arrived_at, destination);
    let port = destination.port();
    let found: &[&str] = if listener.http_inspector.looks_at(port) { &["http/1.1"] } else { &[] };
    let connection = ConnectionInfo {
        destination,
        source: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        server_name: "",
        transport_protocol: "raw_buffer",
        application_protocols: found,
    };
    Some((listener, listener.chains.find(&connection)?))
}

fn http(
    config: &Config,
    manager: &HttpConnectionManager,
    request: &Request,
    locate: Locate<'_>,
    explanation: &mut Explanation,
) -> Answer {
    // Which of several weighted clusters is drawn does not matter: all of
    // them are told with their shares.
    let decision = decision::on_request(config, manager, request, 0);
    explanation.route_configuration = decision.table.map(|table| table.name.to_string());
    explanation.virtual_host = decision.virtual_host.map(|host| host.name.to_string());
    if let Some(route) = decision.route {
        explanation.route = Some(route.name.to_string()).filter(|name| !name.is_empty());
        explanation.rule = route.origin.as_ref().map(|origin| place(origin, locate));
    }
    match &decision.outcome {
        Outcome::NoRoute => Answer::NoRoute,
        Outcome::Redirect { status, location } => {
            Answer::Redirect { status: *status, location: location.clone() }
        }
        Outcome::Respond(response) => Answer::Respond {
            status: response.status,
            body: String::from_utf8_lossy(&response.body).into_owned(),
        },
        Outcome::Forward(forwarding) => forward(config, forwarding, request, &decision, explanation, locate),
    }
}

fn forward(
    config: &Config,
    forwarding: &Forwarding<'_>,
    request: &Request,
    decision: &decision::Decision<'_>,
    explanation: &Explanation,
    locate: Locate<'_>,
) -> Answer {
    let options = forwarding.options;
    let path = decision.route.and_then(|route| {
        let rewrite = options.path_rewrite.as_ref()?;
        Some(rewrite.apply(route.matcher.path(), &request.path))
    });
    Answer::Forward {
        destinations: destinations(
            config,
            shares(options, &forwarding.cluster_name),
            explanation.destination,
            locate,
        ),
        timeout: forwarding.timeout,
        retries: forwarding.retry.map(Retries::of),
        faults: forwarding
            .fault
            .filter(|fault| fault.applies(request, &forwarding.cluster_name))
            .map(Faults::of),
        path,
        request_headers: decision.request_mutations().flat_map(view::header_changes).collect(),
    }
}

/// Every cluster that the route names, with its weight.
fn shares<'a>(options: &'a Forward, chosen: &'a str) -> Vec<(&'a str, u64)> {
    match &options.target {
        Target::Weighted(weighted) => {
            weighted.clusters.iter().map(|cluster| (&*cluster.name, u64::from(cluster.weight))).collect()
        }
        Target::Cluster(_) | Target::Header(_) => vec![(chosen, 1)],
    }
}

fn destinations<'a>(
    config: &Config,
    shares: impl IntoIterator<Item = (&'a str, u64)>,
    original: SocketAddr,
    locate: Locate<'_>,
) -> Vec<Destination> {
    let shares: Vec<(&str, u64)> = shares.into_iter().collect();
    let total: u64 = shares.iter().map(|(_, weight)| weight).sum();
    shares
        .iter()
        .map(|(name, weight)| {
            let cluster = config.cluster(name);
            Destination {
                cluster: (*name).to_owned(),
                percent: *weight as f64 * 100.0 / total.max(1) as f64,
                exists: cluster.is_some(),
                defined_by: cluster
                    .and_then(|cluster| cluster.origin.as_ref())
                    .map(|origin| place(origin, locate)),
                endpoints: cluster.map(|cluster| endpoints(config, cluster, original)).unwrap_or_default(),
            }
        })
        .collect()
}

fn endpoints(config: &Config, cluster: &Cluster, original: SocketAddr) -> Vec<EndpointView> {
    if matches!(cluster.discovery, routing::cluster::Discovery::OriginalDestination { .. }) {
        return vec![EndpointView { address: original.to_string(), workload: None }];
    }
    config
        .candidates(cluster)
        .iter()
        .map(|endpoint| EndpointView {
            address: endpoint.address.to_string(),
            workload: endpoint
                .workload
                .as_deref()
                .and_then(|workload| workload.split(';').next())
                .map(str::to_owned),
        })
        .collect()
}

fn place(origin: &Origin, locate: Locate<'_>) -> Place {
    let (file, line) = locate(origin).unzip();
    Place { object: origin.object.clone(), path: origin.path.clone(), file, line }
}
