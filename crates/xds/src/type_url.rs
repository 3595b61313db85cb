//! The type URLs of everything that is a resource of its own on the wire, and
//! of the extensions that more than one crate must name.
//!
//! Generated messages know theirs too (`prost::Name::type_url`); these are
//! constants because protocol code compares and matches them.

/// `envoy.config.cluster.v3.Cluster`, served by CDS.
pub const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
/// `envoy.config.endpoint.v3.ClusterLoadAssignment`, served by EDS.
pub const ENDPOINT: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
/// `envoy.config.listener.v3.Listener`, served by LDS.
pub const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
/// `envoy.config.route.v3.RouteConfiguration`, served by RDS.
pub const ROUTE: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
/// `envoy.extensions.transport_sockets.tls.v3.Secret`, served by SDS.
pub const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
/// `envoy.config.core.v3.TypedExtensionConfig`, served by ECDS.
pub const EXTENSION_CONFIG: &str = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig";
/// `istio.networking.nds.v1.NameTable`, Istio's DNS table.
pub const NAME_TABLE: &str = "type.googleapis.com/istio.networking.nds.v1.NameTable";

/// The resource types that make up a proxy's configuration, in the order in
/// which they are sent when something is added: what is pointed at comes
/// before what points at it.
pub const PUSH_ORDER: [&str; 7] = [CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, EXTENSION_CONFIG, NAME_TABLE];

/// The short name under which Istio's tools show a type: `CDS`, `EDS`, ….
pub fn short_name(type_url: &str) -> Option<&'static str> {
    Some(match type_url {
        CLUSTER => "CDS",
        ENDPOINT => "EDS",
        LISTENER => "LDS",
        ROUTE => "RDS",
        SECRET => "SDS",
        EXTENSION_CONFIG => "ECDS",
        NAME_TABLE => "NDS",
        _ => return None,
    })
}

/// Whether a client that names nothing in its first request gets every
/// resource of this type. Envoy does so for listeners and clusters; a proxy
/// has one name table.
pub fn starts_as_wildcard(type_url: &str) -> bool {
    matches!(type_url, CLUSTER | LISTENER | NAME_TABLE)
}
