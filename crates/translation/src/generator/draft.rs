//! Keys of resources, and what they are drawn from.

use std::collections::BTreeMap;

use xds::envoy::extensions::filters::http::router::v3::Router;
use xds::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;
use xds::envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy;
use xds::resource::Resource;

use crate::cluster::{self, FixedKey, InboundKey, OutboundKey};
use crate::endpoint::{EndpointsKey, Place, Preference};
use crate::extensions::Extensions;
use crate::listener::{self, GatewayKey, VirtualInboundKey, VirtualOutboundKey};
use crate::memo::Shared;
use crate::node::{Facets, Kind};
use crate::route::View;
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
    pub(super) preference: Option<Shared<Preference>>,
}

impl EndpointsName {
    pub(super) fn key(&self, snapshot: &Snapshot, place: Option<&Shared<Place>>) -> EndpointsKey {
        let policies = || snapshot.peer_authentications.of(&self.service.namespace).clone();
        EndpointsKey {
            name: self.name.clone(),
            port: self.port,
            labels: self.labels.clone(),
            endpoints: snapshot.endpoints_by_id(&self.service),
            preference: self.preference.clone().zip(place.cloned()),
            policies: snapshot.mesh_config.gives_certificates().then(policies),
        }
    }
}

/// What resources of many nodes are drawn from.
pub(super) struct Scene<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) kind: Kind,
    pub(super) namespace: &'a str,
    pub(super) extensions: &'a Shared<Extensions>,
    pub(super) scope: &'a Scope,
    /// The node itself, where rules may look at it.
    pub(super) client: Option<&'a Shared<Facets>>,
    /// The node has a certificate of the mesh.
    pub(super) has_certificate: bool,
    /// Where the node is, where clusters may look at it.
    pub(super) place: Option<&'a Shared<Place>>,
    /// Where applications find an HTTP proxy.
    pub(super) http_proxy: Option<u16>,
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

    /// The client's labels; none when no rule looks at them.
    pub(super) fn labels(&self) -> &BTreeMap<String, String> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        self.client.map_or(&NONE, |client| &client.labels)
    }

    /// What routes see of the proxy.
    pub(super) fn view(&self, reads_client: bool, gateways: Vec<String>) -> View {
        View {
            kind: self.kind,
            namespace: self.namespace.to_owned(),
            extensions: self.extensions.clone(),
            client: self.client.filter(|_| reads_client).cloned(),
            gateways,
        }
    }
}

/// The clusters that every node of a kind has.
pub(super) fn fixed(kind: Kind, extensions: &Shared<Extensions>) -> BTreeMap<String, ClusterKey> {
    let names: &[&'static str] = match kind {
        Kind::Sidecar => &[cluster::BLACK_HOLE, cluster::PASSTHROUGH, cluster::INBOUND_PASSTHROUGH],
        Kind::Router => &[cluster::BLACK_HOLE],
    };
    let key = |name: &'static str| ClusterKey::Fixed(FixedKey { name, extensions: extensions.clone() });
    names.iter().map(|name| ((*name).to_owned(), key(name))).collect()
}
