//! Settings of the mesh as a whole. They are Istio's defaults, except where
//! the defaults of Lateen differ.

use std::time::Duration;

/// The domain below which services are named.
pub const CLUSTER_DOMAIN: &str = "cluster.local";
/// The namespace whose objects hold for the whole mesh.
pub const ROOT_NAMESPACE: &str = "istio-system";
/// The name of this cluster in metrics.
pub const CLUSTER_ID: &str = "Kubernetes";
/// Where captured outbound connections arrive.
pub const OUTBOUND_PORT: u16 = 15001;
/// Where captured inbound connections arrive.
pub const INBOUND_PORT: u16 = 15006;
/// The source address of connections that the proxy makes to its own
/// application; the capture rules let them pass.
pub const INBOUND_SOURCE: &str = "127.0.0.6";
/// How long a connection may take to be made.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often names of external services are resolved again.
pub const DNS_REFRESH: Duration = Duration::from_secs(60);
/// Ports whose protocols let the server speak first: never sniffed.
pub const SERVER_FIRST_PORTS: [u16; 4] = [25, 53, 3306, 27017];
