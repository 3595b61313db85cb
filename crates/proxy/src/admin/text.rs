//! The pages of the admin endpoint that are not the configuration.

use serde_json::{Value, json};
use xds::type_url::{CLUSTER, LISTENER, ROUTE};

use super::Admin;

pub(super) const HELP: &str = "admin commands are:
  /certs: certificates that are used
  /clusters: clusters and their endpoints
  /config_dump: the configuration (?include_eds for endpoints too)
  /drain_listeners (POST): ask connections to close (?graceful keeps accepting)
  /healthcheck/fail (POST): ask connections to close
  /help: this page
  /hot_restart_version: always disabled
  /listeners: listeners and their addresses
  /logging (POST): change what is logged (?level=debug)
  /memory: memory in use
  /quitquitquit (POST): end
  /ready: 200 when live
  /reasons (POST): say in own responses why they are given (?show=on or off)
  /server_info: what runs here
  /stats: statistics (?filter=regex, ?usedonly, ?format=prometheus)
  /stats/prometheus: the same for Prometheus
";

fn sorted_listeners(admin: &Admin) -> Vec<std::sync::Arc<routing::listener::Listener>> {
    let config = admin.shared.config();
    let mut listeners: Vec<_> = config.listeners.active.values().map(|entry| entry.value.clone()).collect();
    listeners.sort_by(|left, right| left.name.cmp(&right.name));
    listeners
}

/// Each listener and its address.
pub(super) fn listeners(admin: &Admin) -> String {
    let listeners = sorted_listeners(admin);
    let addresses = listeners.iter().flat_map(|listener| {
        listener.addresses.iter().map(|address| format!("{}::{address}\n", listener.name))
    });
    addresses.collect()
}

/// The same as `envoy.admin.v3.Listeners`.
pub(super) fn listeners_json(admin: &Admin) -> Value {
    let socket = |address: &std::net::SocketAddr| json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}});
    let statuses: Vec<Value> = sorted_listeners(admin)
        .iter()
        .map(|listener| {
            let mut addresses = listener.addresses.iter().map(socket);
            json!({
                "name": listener.name,
                "local_address": addresses.next(),
                "additional_local_addresses": addresses.collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({ "listener_statuses": statuses })
}

/// What runs here.
pub(super) fn server_info(admin: &Admin, state: &str) -> Value {
    let uptime = format!("{}s", admin.shared.started.elapsed().as_secs());
    json!({
        "version": format!("lateen/{}", env!("CARGO_PKG_VERSION")),
        "state": state,
        "hot_restart_version": "disabled",
        "command_line_options": {"concurrency": admin.concurrency},
        "uptime_current_epoch": uptime,
        "uptime_all_epochs": uptime,
        "node": xds::json::encode(&admin.shared.identity.node),
    })
}

/// Statistics of the process and of the conversation with the control plane.
pub(super) fn server_stats(admin: &Admin, state: u8) -> String {
    let config = admin.shared.config();
    let inventory = admin.inventory.lock();
    let updates = |type_url: &str| inventory.updates.get(type_url).copied().unwrap_or(0);
    let refused = |type_url: &str| inventory.refused.get(type_url).map_or(0, std::collections::BTreeMap::len);
    let lines = [
        ("server.live", u64::from(state == 0)),
        ("server.state", u64::from(state)),
        ("server.uptime", admin.shared.started.elapsed().as_secs()),
        ("server.concurrency", admin.concurrency as u64),
        ("listener_manager.workers_started", 1),
        ("listener_manager.total_listeners_active", config.listeners.active.len() as u64),
        ("listener_manager.total_listeners_warming", config.listeners.warming.len() as u64),
        ("listener_manager.lds.update_success", updates(LISTENER)),
        ("listener_manager.lds.update_rejected", refused(LISTENER) as u64),
        ("cluster_manager.active_clusters", config.clusters.active.len() as u64),
        ("cluster_manager.warming_clusters", config.clusters.warming.len() as u64),
        ("cluster_manager.cds.update_success", updates(CLUSTER)),
        ("cluster_manager.cds.update_rejected", refused(CLUSTER) as u64),
        ("http.rds.update_success", updates(ROUTE)),
        ("http.rds.update_rejected", refused(ROUTE) as u64),
        ("control_plane.connected_state", u64::from(inventory.connected)),
        ("lateen.config_generation", admin.shared.generation()),
        ("lateen.access_log_dropped_bytes", admin.shared.logs.dropped()),
    ];
    lines.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
}

/// The process's resident memory.
pub(super) fn memory() -> Value {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .unwrap_or(0);
    json!({ "allocated": (resident * 1024).to_string() })
}
