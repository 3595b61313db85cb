//! What a proxy would do with a request, and because of which objects.

mod destinations;
mod nearest;
mod request;
mod resolve;
mod view;

use std::borrow::Cow;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use routing::cluster::Discovery;
use routing::compile::{Changes, Compiled, Resolution, compile};
use routing::config::Config;
use routing::decision::{self, Decision, Forwarding, Outcome};
use routing::filter_chain::{ConnectionInfo, FilterChain, Terminal};
use routing::hcm::HttpConnectionManager;
use routing::header_mutation::HeaderMutations;
use routing::listener::Listener;
use routing::path::Normalized;
use routing::tls::Transport;
use translation::node::Node;
use translation::snapshot::Snapshot;
use xds::origin::Origin;
use xds::resource::ResourceSet;
use xds::{any, type_url};

use destinations::{Scene, share_of_each};

pub use request::{Request, RequestError};
pub use resolve::{Resolved, ResolvedBy, gateway_port, resolve};
pub use view::{
    Answer, Destination, EndpointView, Explanation, Faults, Mirror, Place, RejectedResource, Retries,
};

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

/// What `node` holds of `snapshot`, compiled as its proxy compiles it. Names
/// are not resolved: clusters that have them are told by name.
pub fn compiled(snapshot: &Snapshot, node: &Node) -> Compiled {
    let set = translation::generate(snapshot, node);
    let changes = Changes {
        listeners: decoded(&set, type_url::LISTENER),
        clusters: decoded(&set, type_url::CLUSTER),
        routes: decoded(&set, type_url::ROUTE),
        endpoints: decoded(&set, type_url::ENDPOINT),
        ..Changes::default()
    };
    let mut compiled = compile(&Config::default(), &changes);
    let waiting = compiled
        .config
        .clusters
        .warming
        .values()
        .filter(|entry| matches!(entry.value.discovery, Discovery::StrictDns { .. }));
    let resolutions = waiting
        .map(|entry| Resolution { cluster: entry.value.name.to_string(), addresses: Vec::new() })
        .collect();
    let resolved = Changes { resolutions, ..Changes::default() };
    compiled.config = compile(&compiled.config, &resolved).config;
    compiled
}

/// Every message of a type; what was generated can be decoded.
fn decoded<M: prost::Message + prost::Name + Default>(set: &ResourceSet, type_url: &str) -> Vec<M> {
    let named = set.get(type_url).into_iter().flat_map(|named| named.values());
    named.filter_map(|resource| any::unpack(&resource.body).ok()).collect()
}

/// The answer for a client without a proxy: the connection goes where its
/// address says.
pub fn nowhere(destination: &Resolved) -> Explanation {
    Explanation::to(destination)
}

/// Asks what `compiled` does with `request`, whose host was resolved.
pub fn explain(
    compiled: &Compiled,
    side: Side,
    request: &Request,
    destination: &Resolved,
    locate: Locate<'_>,
) -> Explanation {
    let config = &compiled.config;
    let mut explanation = Explanation::to(destination);
    explanation.rejected = compiled.rejections.iter().map(RejectedResource::of).collect();
    explanation.answer = answer(config, side, request, locate, &mut explanation);
    explanation.help = nearest::help(config, request, destination, &explanation);
    explanation
}

fn answer(
    config: &Config,
    side: Side,
    request: &Request,
    locate: Locate<'_>,
    explanation: &mut Explanation,
) -> Answer {
    let destination = explanation.destination;
    let Some(arrived_at) = arrived_at(config, side, destination) else { return Answer::NotListening };
    let listener = decision::handed_to(config, arrived_at, destination);
    explanation.listener = Some(listener.name.to_string());
    let Some(chain) = chain_of(listener, request, destination) else { return Answer::Closed };
    explanation.filter_chain = Some(chain.name.to_string()).filter(|name| !name.is_empty());
    if matches!(chain.transport, Transport::Tls(_)) && request.scheme != "https" {
        return Answer::Closed;
    }
    match &chain.terminal {
        Terminal::Http(manager) => http(config, manager, request, locate, explanation),
        Terminal::Tcp(proxy) => {
            explanation.rule = chain.origin.as_ref().map(|origin| place(origin, locate));
            let scene = Scene { config, destination, host: &request.host, locate };
            let shares = proxy.clusters.iter().map(|(name, weight)| (&**name, u64::from(*weight), None));
            Answer::Tcp { destinations: scene.destinations(shares.collect()) }
        }
        Terminal::Close => Answer::Closed,
    }
}

fn arrived_at(config: &Config, side: Side, destination: SocketAddr) -> Option<&Arc<Listener>> {
    match side {
        Side::Outbound => {
            config.listener_for(SocketAddr::from((Ipv4Addr::UNSPECIFIED, OUTBOUND_CAPTURE_PORT)))
        }
        Side::Gateway => config.listener_for(destination),
    }
}

/// The chain of a connection that carries the request, as the inspectors
/// would see it.
fn chain_of<'c>(
    listener: &'c Listener,
    request: &Request,
    destination: SocketAddr,
) -> Option<&'c Arc<FilterChain>> {
    let port = destination.port();
    let is_tls = request.scheme == "https" && listener.tls_inspector.looks_at(port);
    let is_http = request.scheme == "http" && listener.http_inspector.looks_at(port);
    let connection = ConnectionInfo {
        destination,
        source: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        server_name: if is_tls { &request.host } else { "" },
        transport_protocol: if is_tls { "tls" } else { "raw_buffer" },
        application_protocols: if is_http { &["http/1.1"] } else { &[] },
    };
    listener.chains.find(&connection)
}

fn http(
    config: &Config,
    manager: &HttpConnectionManager,
    request: &Request,
    locate: Locate<'_>,
    explanation: &mut Explanation,
) -> Answer {
    let request = match manager.normalization.apply(&request.path) {
        Normalized::Same => Cow::Borrowed(request),
        Normalized::Changed(path) => Cow::Owned(Request { path, ..request.clone() }),
        Normalized::Redirect(location) => return Answer::Redirect { status: 307, location },
        Normalized::Refused => return Answer::Respond { status: 400, body: String::new() },
    };
    // Which of several weighted clusters is drawn does not matter: all of
    // them are told with their shares.
    let decision = decision::on_request(config, manager, &*request, 0);
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
        Outcome::Forward(forwarding) => {
            let destination = explanation.destination;
            let scene = Scene { config, destination, host: &request.host, locate };
            forward(&scene, forwarding, &request, &decision)
        }
    }
}

fn forward(
    scene: &Scene<'_>,
    forwarding: &Forwarding<'_>,
    request: &Request,
    decision: &Decision<'_>,
) -> Answer {
    let options = forwarding.options;
    let path = decision.route.and_then(|route| {
        let rewrite = options.path_rewrite.as_ref()?;
        Some(rewrite.apply(route.matcher.path(), &request.path))
    });
    // What a weighted cluster does to headers is told with the cluster.
    let of_all = |mutations: &&HeaderMutations| {
        let own = forwarding.weighted.map(|weighted| [&weighted.request_headers, &weighted.response_headers]);
        !own.is_some_and(|own| own.iter().any(|own| std::ptr::eq(*own, *mutations)))
    };
    Answer::Forward {
        destinations: scene.destinations(share_of_each(options, &forwarding.cluster_name)),
        timeout: forwarding.timeout,
        retries: forwarding.retry.filter(|retry| retry.attempts > 0).map(Retries::of),
        faults: decision.fault.map(Faults::of),
        path,
        host: options.host_rewrite.as_ref().map(view::host_rewrite),
        request_headers: decision.request_mutations().filter(of_all).flat_map(view::header_changes).collect(),
        response_headers: decision
            .response_mutations()
            .filter(of_all)
            .flat_map(view::header_changes)
            .collect(),
        mirrors: options
            .mirrors
            .iter()
            .map(|mirror| Mirror { cluster: mirror.cluster.to_string(), percent: mirror.share.percent() })
            .collect(),
    }
}

fn place(origin: &Origin, locate: Locate<'_>) -> Place {
    let (file, line) = locate(origin).unzip();
    Place { object: origin.object.clone(), path: origin.path.clone(), file, line }
}
