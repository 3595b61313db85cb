//! Istio's metrics of requests and connections: the series of each outcome,
//! found by a few numbers.

use std::cell::RefCell;
use std::rc::Rc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use routing::istio::{Reporter, Stats};
use telemetry::istio::{Labels, RequestMetrics, TcpMetrics, Workload};

use crate::flags::Flags;
use crate::identities::{LinkId, PeerId, ServiceId, ServiceNames};
use crate::worker::Worker;

/// Reports what one filter chain does.
#[derive(Debug)]
pub struct Reporting {
    config: Stats,
    reporter: &'static str,
    we_are_the_server: bool,
    requests: RefCell<HashMap<RequestKey, Rc<RequestMetrics>, RandomState>>,
    connections: RefCell<HashMap<TcpKey, Rc<TcpMetrics>, RandomState>>,
}

/// What tells series of requests apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RequestKey {
    /// The other side.
    pub peer: PeerId,
    /// The service that was asked for.
    pub service: ServiceId,
    /// The status of the response.
    pub status: u16,
    /// The status of gRPC; `None` for anything else.
    pub grpc: Option<u32>,
    /// What went wrong.
    pub flags: Flags,
    /// Who both sides proved to be.
    pub link: LinkId,
}

/// What tells series of connections apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TcpKey {
    /// The other side.
    pub peer: PeerId,
    /// The service that was asked for.
    pub service: ServiceId,
    /// What went wrong.
    pub flags: Flags,
    /// Who both sides proved to be.
    pub link: LinkId,
}

impl Reporting {
    /// Reports by this configuration.
    pub fn new(config: &Stats, is_inbound: bool) -> Reporting {
        let reporter = match (config.reporter, is_inbound) {
            (Reporter::ServerGateway, _) => "waypoint",
            (Reporter::Listener, true) => "destination",
            (Reporter::Listener, false) => "source",
        };
        Reporting {
            reporter,
            we_are_the_server: is_inbound,
            config: config.clone(),
            requests: RefCell::default(),
            connections: RefCell::default(),
        }
    }

    /// The service that a request is counted for: the cluster's; else what
    /// Host says, unless that is forbidden.
    pub fn service(
        &self,
        worker: &Worker,
        of_cluster: ServiceId,
        cluster: Option<&str>,
        route: Option<&str>,
        host: &str,
    ) -> ServiceId {
        if of_cluster != ServiceId::UNKNOWN {
            return of_cluster;
        }
        let host = if self.config.disable_host_header_fallback { "" } else { host };
        let name = match (route, cluster) {
            (Some("block_all"), _) => "BlackHoleCluster",
            (Some("allow_any"), _) => "PassthroughCluster",
            (_, Some(fixed @ ("BlackHoleCluster" | "PassthroughCluster"))) => fixed,
            (_, Some(inbound)) if inbound.starts_with("InboundPassthroughCluster") => {
                "InboundPassthroughCluster"
            }
            _ => host,
        };
        worker.identities.named(ServiceNames {
            host: host.to_owned(),
            name: name.to_owned(),
            namespace: String::new(),
        })
    }

    /// The metrics of a series of requests.
    pub fn requests(&self, worker: &Worker, key: &RequestKey) -> Rc<RequestMetrics> {
        if let Some(known) = self.requests.borrow().get(key) {
            return known.clone();
        }
        let mut digits = itoa::Buffer::new();
        let grpc = key.grpc.map(|status| status.to_string()).unwrap_or_default();
        let protocol = if key.grpc.is_some() { "grpc" } else { "http" };
        let status = digits.format(key.status);
        let made = self.with_labels(worker, (key.peer, key.link), key.service, &key.flags, |labels| {
            let labels = Labels { protocol, response_code: status, grpc_status: &grpc, ..labels };
            Rc::new(RequestMetrics::new(&worker.shared.registry, &labels))
        });
        self.requests.borrow_mut().insert(key.clone(), made.clone());
        made
    }

    /// The metrics of a series of connections.
    pub fn connections(&self, worker: &Worker, key: &TcpKey) -> Rc<TcpMetrics> {
        if let Some(known) = self.connections.borrow().get(key) {
            return known.clone();
        }
        let made = self.with_labels(worker, (key.peer, key.link), key.service, &key.flags, |labels| {
            let labels = Labels { protocol: "tcp", ..labels };
            Rc::new(TcpMetrics::new(&worker.shared.registry, &labels))
        });
        self.connections.borrow_mut().insert(key.clone(), made.clone());
        made
    }

    fn with_labels<T>(
        &self,
        worker: &Worker,
        (peer, link): (PeerId, LinkId),
        service: ServiceId,
        flags: &Flags,
        make: impl FnOnce(Labels<'_>) -> T,
    ) -> T {
        let link = worker.identities.proved(link);
        let mut peer = Workload::clone(&worker.identities.peer(peer));
        let mut own = worker.shared.identity.workload.clone();
        peer.principal.clone_from(&link.peer);
        own.principal.clone_from(&link.own);
        let service = worker.identities.names(service);
        let (source, destination) = if self.we_are_the_server { (&peer, &own) } else { (&own, &peer) };
        let namespace = match service.namespace.as_str() {
            "" => destination.namespace.as_str(),
            namespace => namespace,
        };
        let flags = flags.text();
        let without: Vec<String> =
            self.config.removed_labels.iter().map(|(_, label)| label.clone()).collect();
        make(Labels {
            reporter: self.reporter,
            source,
            destination,
            service: &service.host,
            service_name: &service.name,
            service_namespace: namespace,
            protocol: "",
            flags: &flags,
            security: match self.we_are_the_server {
                true if link.is_mutual => "mutual_tls",
                true => "none",
                false => "unknown",
            },
            response_code: "",
            grpc_status: "",
            without: &without,
        })
    }
}
