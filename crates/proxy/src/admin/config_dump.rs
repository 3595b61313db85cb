//! The configuration as Envoy shows it.

use std::time::SystemTime;

use prost::{Message, Name};
use serde_json::{Value, json};
use xds::any::pack;
use xds::type_url::{CLUSTER, ENDPOINT, LISTENER, ROUTE};

use super::Admin;
use crate::secrets::Secret;
use crate::subscriber::{Inventory, Stored};

const DUMP: &str = "type.googleapis.com/envoy.admin.v3";

/// Everything.
pub(super) fn all(admin: &Admin, with_endpoints: bool) -> Value {
    let inventory = admin.inventory.lock();
    let mut configs = vec![bootstrap(admin), clusters(admin, &inventory)];
    if with_endpoints {
        configs.push(endpoints(&inventory));
    }
    configs.push(listeners(admin, &inventory));
    configs.push(routes(&inventory));
    configs.push(secrets(admin));
    let mut dump = json!({ "configs": configs });
    redact(&mut dump);
    dump
}

/// Fields that hold keys.
const SECRET_FIELDS: [&str; 5] =
    ["private_key", "password", "pkcs12", "session_ticket_keys", "generic_secret"];

/// Keys are not shown.
fn redact(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match SECRET_FIELDS.contains(&name.as_str()) {
                    true => *field = json!("[redacted]"),
                    false => redact(field),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(redact),
        _ => {}
    }
}

fn secrets(admin: &Admin) -> Value {
    let named = admin.shared.tls.secrets().list();
    let entries = named.iter().map(|(name, secret)| {
        let content = match &**secret {
            Secret::Certificate(chain) => json!({"tls_certificate": {
                "certificate_chain": {"inline_bytes": base64(chain.chain.first().map_or(&[][..], |leaf| leaf))},
                "private_key": "[redacted]"}}),
            Secret::Trust(bundle) => json!({"validation_context": {
                "trusted_ca": {"inline_bytes": base64(bundle.roots.first().map_or(&[][..], |root| root))}}}),
        };
        let mut content = content;
        content["name"] = json!(name);
        json!({"name": name, "secret": content})
    });
    json!({
        "@type": format!("{DUMP}.SecretsConfigDump"),
        "dynamic_active_secrets": entries.collect::<Vec<_>>(),
    })
}

fn base64(der: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(der)
}

fn bootstrap(admin: &Admin) -> Value {
    json!({
        "@type": format!("{DUMP}.BootstrapConfigDump"),
        "bootstrap": {"node": xds::json::encode(&admin.shared.identity.node)},
        "last_updated": time(admin.shared.started_at),
    })
}

fn clusters(admin: &Admin, inventory: &Inventory) -> Value {
    let config = admin.shared.config();
    let is_active = |name: &str| config.cluster(name).is_some();
    let entry = |stored: &Stored| dynamic(stored, "cluster");
    let (active, warming): (Vec<_>, Vec<_>) = held(inventory, CLUSTER).partition(|(name, _)| is_active(name));
    json!({
        "@type": format!("{DUMP}.ClustersConfigDump"),
        "static_clusters": fixed(admin, &admin.static_resources.clusters, "cluster"),
        "dynamic_active_clusters": active.iter().map(|(_, stored)| entry(stored)).collect::<Vec<_>>(),
        "dynamic_warming_clusters": warming.iter().map(|(_, stored)| entry(stored)).collect::<Vec<_>>(),
    })
}

fn listeners(admin: &Admin, inventory: &Inventory) -> Value {
    let config = admin.shared.config();
    let refused = inventory.refused.get(LISTENER);
    let mut dynamic_listeners: Vec<Value> = held(inventory, LISTENER)
        .map(|(name, stored)| {
            let state = if config.listener(name).is_some() { "active_state" } else { "warming_state" };
            json!({"name": name, state: dynamic(stored, "listener")})
        })
        .collect();
    for (name, refused) in refused.into_iter().flatten() {
        dynamic_listeners.push(json!({"name": name, "error_state": {
            "last_update_attempt": time(refused.at), "version_info": refused.version, "details": refused.reason}}));
    }
    json!({
        "@type": format!("{DUMP}.ListenersConfigDump"),
        "static_listeners": fixed(admin, &admin.static_resources.listeners, "listener"),
        "dynamic_listeners": dynamic_listeners,
    })
}

fn routes(inventory: &Inventory) -> Value {
    json!({
        "@type": format!("{DUMP}.RoutesConfigDump"),
        "dynamic_route_configs": held(inventory, ROUTE).map(|(_, stored)| dynamic(stored, "route_config")).collect::<Vec<_>>(),
    })
}

fn endpoints(inventory: &Inventory) -> Value {
    json!({
        "@type": format!("{DUMP}.EndpointsConfigDump"),
        "dynamic_endpoint_configs": held(inventory, ENDPOINT).map(|(_, stored)| dynamic(stored, "endpoint_config")).collect::<Vec<_>>(),
    })
}

fn held<'i>(inventory: &'i Inventory, type_url: &str) -> impl Iterator<Item = (&'i String, &'i Stored)> {
    inventory.held.get(type_url).into_iter().flatten()
}

fn dynamic(stored: &Stored, field: &str) -> Value {
    json!({
        "version_info": stored.version,
        field: xds::json::encode_any(&stored.body),
        "last_updated": time(stored.at),
    })
}

fn fixed<M: Message + Name>(admin: &Admin, messages: &[M], field: &str) -> Vec<Value> {
    let one = |message: &M| json!({field: xds::json::encode_any(&pack(message)), "last_updated": time(admin.shared.started_at)});
    messages.iter().map(one).collect()
}

fn time(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map(|time| format!("{time:.3}")).unwrap_or_default()
}
