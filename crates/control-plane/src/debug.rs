//! What istiod shows about its proxies, in istiod's form: who holds what, and
//! what a proxy should hold.

use serde_json::{Map, Value, json};
use telemetry::status::{ProxyStatus, TypeStatus};
use xds::resource::{Named, ResourceSet};
use xds::type_url::{CLUSTER, ENDPOINT, LISTENER, ROUTE};

use crate::mesh::Mesh;

const ADMIN: &str = "type.googleapis.com/envoy.admin.v3";

/// The types in istiod's words.
const TYPES: [(&str, &str); 4] =
    [("cluster", CLUSTER), ("listener", LISTENER), ("route", ROUTE), ("endpoint", ENDPOINT)];

/// `/debug/syncz`: for each proxy and type the version that was sent last, and
/// the same again once it was answered.
pub(crate) fn syncz(mesh: &Mesh) -> Value {
    mesh.registry.proxies().iter().map(sync_status).collect()
}

fn sync_status(proxy: &ProxyStatus) -> Value {
    let mut status = Map::new();
    status.insert("cluster_id".to_owned(), json!(translation::mesh::CLUSTER_ID));
    status.insert("proxy".to_owned(), json!(format!("{}.{}", proxy.name, proxy.namespace)));
    status.insert("proxy_type".to_owned(), json!(proxy.kind));
    status.insert("proxy_version".to_owned(), json!(proxy.user_agent));
    status.insert("istio_version".to_owned(), json!(env!("CARGO_PKG_VERSION")));
    for (word, type_url) in TYPES {
        let Some(held) = proxy.types.iter().find(|held| held.type_url == type_url) else { continue };
        status.insert(format!("{word}_sent"), json!(version(held)));
        if held.acknowledged >= held.sent {
            status.insert(format!("{word}_acked"), json!(version(held)));
        }
    }
    Value::Object(status)
}

/// Equal for equal content; a push that has not been answered is another one.
fn version(held: &TypeStatus) -> String {
    format!("{}/{}", held.version, held.sent)
}

/// `/debug/config_dump`: what the proxy `name.namespace` should hold, in the
/// form of Envoy's own dump; none when it is not connected.
pub(crate) fn config_dump(mesh: &Mesh, proxy: &str) -> Option<Value> {
    let (name, namespace) = proxy.rsplit_once('.')?;
    let node = mesh.registry.node_of(name, namespace)?;
    let published = mesh.published();
    let set = mesh.generate(&published.snapshot, &node);
    let configs = json!([
        {"@type": format!("{ADMIN}.ClustersConfigDump"), "dynamic_active_clusters": each(&set, CLUSTER, "cluster")},
        {"@type": format!("{ADMIN}.ListenersConfigDump"), "dynamic_listeners": listeners(&set)},
        {"@type": format!("{ADMIN}.RoutesConfigDump"), "dynamic_route_configs": each(&set, ROUTE, "route_config")},
        {"@type": format!("{ADMIN}.EndpointsConfigDump"),
         "dynamic_endpoint_configs": each(&set, ENDPOINT, "endpoint_config")},
    ]);
    Some(json!({"configs": configs}))
}

fn of_type<'s>(set: &'s ResourceSet, type_url: &str) -> impl Iterator<Item = (&'s str, &'s str, Value)> {
    let named: Option<&'s Named> = set.get(type_url).map(|named| &**named);
    named.into_iter().flatten().map(|(name, resource)| {
        (name.as_str(), resource.version.as_str(), xds::json::encode_any(&resource.body))
    })
}

fn each(set: &ResourceSet, type_url: &str, field: &str) -> Value {
    of_type(set, type_url).map(|(_, version, body)| json!({"version_info": version, field: body})).collect()
}

fn listeners(set: &ResourceSet) -> Value {
    of_type(set, LISTENER)
        .map(|(name, version, body)| {
            json!({"name": name, "active_state": {"version_info": version, "listener": body}})
        })
        .collect()
}
