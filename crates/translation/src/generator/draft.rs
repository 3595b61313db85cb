//! Every resource of a node by name, with the key that it is built from.

use std::collections::BTreeMap;

use xds::envoy::extensions::filters::http::router::v3::Router;
use xds::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use xds::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
use xds::resource::Resource;

use super::inbound::OwnPort;
use super::{gateway, inbound, outbound};
use crate::cluster::{self, FixedKey, InboundKey, OutboundKey};
use crate::endpoint::EndpointsKey;
use crate::extensions::Extensions;
use crate::listener::{self, GatewayKey, VirtualInboundKey, VirtualOutboundKey};
use crate::memo::Shared;
use crate::node::{Facets, Kind};
use crate::route::{RouteKey, View};
use crate::scope::Scope;
use crate::snapshot::{ServiceId, Snapshot};

/// The key of any cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum ClusterKey {
    Fixed(FixedKey),
    Inbound(InboundKey),
    Outbound(OutboundKey),
}

impl ClusterKey {
    pub(super) fn build(&self) -> Resource {
        match self {
            Self::Fixed(key) => key.build(),
            Self::Inbound(key) => key.build(),
            Self::Outbound(key) => key.build(),
        }
    }
}

/// The key of any listener.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum ListenerKey {
    VirtualOutbound(VirtualOutboundKey),
    VirtualInbound(VirtualInboundKey),
    Outbound(listener::OutboundKey),
    Gateway(GatewayKey),
}

impl ListenerKey {
    pub(super) fn build(&self) -> Resource {
        match self {
            Self::VirtualOutbound(key) => key.build(),
            Self::VirtualInbound(key) => key.build(),
            Self::Outbound(key) => key.build(),
            Self::Gateway(key) => key.build(),
        }
    }
}

/// Endpoints that a cluster asks for, before anyone looks where they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct EndpointsName {
    pub(super) name: String,
    pub(super) service: ServiceId,
    pub(super) port: u16,
    pub(super) labels: Vec<(String, String)>,
}

impl EndpointsName {
    pub(super) fn key(&self, snapshot: &Snapshot) -> EndpointsKey {
        EndpointsKey {
            name: self.name.clone(),
            port: self.port,
            labels: self.labels.clone(),
            endpoints: snapshot.endpoints_by_id(&self.service),
        }
    }
}

/// Every resource of a node by name.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) clusters: BTreeMap<String, ClusterKey>,
    pub(super) listeners: BTreeMap<String, ListenerKey>,
    pub(super) routes: BTreeMap<String, RouteKey>,
    pub(super) endpoints: Vec<EndpointsName>,
}

/// What all parts of a draft are drawn from.
pub(super) struct Scene<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) facets: &'a Shared<Facets>,
    pub(super) extensions: &'a Shared<Extensions>,
    pub(super) scope: &'a Scope,
}

impl Scene<'_> {
    /// Whether the proxy can carry opaque connections.
    pub(super) fn carries_tcp(&self) -> bool {
        self.extensions.hold::<TcpProxy>()
    }

    /// Whether the proxy can carry requests.
    pub(super) fn carries_http(&self) -> bool {
        self.extensions.hold::<HttpConnectionManager>() && self.extensions.hold::<Router>()
    }

    /// What routes see of the proxy.
    pub(super) fn view(&self, reads_client: bool, gateways: Vec<String>) -> View {
        View {
            kind: self.facets.kind,
            namespace: self.facets.namespace.clone(),
            extensions: self.extensions.clone(),
            client: reads_client.then(|| self.facets.clone()),
            gateways,
        }
    }
}

impl Draft {
    pub(super) fn new(
        snapshot: &Snapshot,
        facets: &Shared<Facets>,
        extensions: &Shared<Extensions>,
        scope: &Scope,
        own_ports: &[OwnPort],
    ) -> Self {
        let scene = Scene { snapshot, facets, extensions, scope };
        let mut draft = Self::default();
        draft.fixed(&scene, cluster::BLACK_HOLE);
        outbound::clusters(&mut draft, &scene);
        match facets.kind {
            Kind::Sidecar => {
                draft.fixed(&scene, cluster::PASSTHROUGH);
                draft.fixed(&scene, cluster::INBOUND_PASSTHROUGH);
                outbound::listeners(&mut draft, &scene);
                inbound::draw(&mut draft, &scene, own_ports);
            }
            Kind::Router => gateway::draw(&mut draft, &scene, own_ports),
        }
        draft
    }

    fn fixed(&mut self, scene: &Scene<'_>, name: &'static str) {
        let key = FixedKey { name, extensions: scene.extensions.clone() };
        self.clusters.insert(name.to_owned(), ClusterKey::Fixed(key));
    }
}
