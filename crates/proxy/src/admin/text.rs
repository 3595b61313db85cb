//! The pages of the admin endpoint that are not the configuration.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use routing::cluster::{Cluster, Discovery};
use routing::endpoint::{Endpoint, Health};
use routing::route::Priority;
use serde_json::{Value, json};
use xds::type_url::{CLUSTER, LISTENER, ROUTE};

use super::Admin;
use crate::upstream::protection::{Protection, Resource};
use crate::upstream::vitals::Vitals;

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

fn sorted_clusters(admin: &Admin) -> Vec<std::sync::Arc<Cluster>> {
    let config = admin.shared.config();
    let mut clusters: Vec<_> = config.clusters.active.values().map(|entry| entry.value.clone()).collect();
    clusters.sort_by(|left, right| left.name.cmp(&right.name));
    clusters
}

/// Each cluster and endpoint, a line per property.
pub(super) fn clusters(admin: &Admin) -> String {
    let config = admin.shared.config();
    let mut out = String::new();
    for cluster in sorted_clusters(admin) {
        let name = &cluster.name;
        let mut line = |text: std::fmt::Arguments<'_>| {
            let _ = writeln!(out, "{name}::{text}");
        };
        line(format_args!("observability_name::{}", cluster.stat_name));
        for (priority, limits) in [("default", &cluster.limits), ("high", &cluster.high_limits)] {
            line(format_args!("{priority}_priority::max_connections::{}", limits.connections));
            line(format_args!("{priority}_priority::max_pending_requests::{}", limits.pending_requests));
            line(format_args!("{priority}_priority::max_requests::{}", limits.requests));
            line(format_args!("{priority}_priority::max_retries::{}", limits.retries));
        }
        line(format_args!("added_via_api::{}", added_via_api(admin, name)));
        let endpoints = config.endpoints_of(&cluster);
        let protection = admin.shared.protections.find(name);
        for endpoint in endpoints.into_iter().flat_map(|endpoints| endpoints.list.iter()) {
            let address = &endpoint.address;
            let (region, zone, sub_zone) = locality(endpoint);
            let vitals = vitals(protection.as_deref(), endpoint);
            for (name, value) in counters(&vitals) {
                line(format_args!("{address}::{name}::{value}"));
            }
            line(format_args!("{address}::hostname::{}", endpoint.hostname));
            line(format_args!("{address}::health_flags::{}", health_flags(endpoint.health, &vitals)));
            line(format_args!("{address}::weight::{}", endpoint.weight));
            line(format_args!("{address}::region::{region}"));
            line(format_args!("{address}::zone::{zone}"));
            line(format_args!("{address}::sub_zone::{sub_zone}"));
            line(format_args!("{address}::canary::false"));
            line(format_args!("{address}::priority::{}", endpoint.priority));
            line(format_args!("{address}::success_rate::-1"));
            line(format_args!("{address}::local_origin_success_rate::-1"));
        }
    }
    out
}

fn added_via_api(admin: &Admin, name: &str) -> bool {
    !admin.static_resources.clusters.iter().any(|cluster| cluster.name == name)
}

fn locality(endpoint: &Endpoint) -> (&str, &str, &str) {
    let mut parts = endpoint.locality.splitn(3, '/');
    let mut next = || parts.next().unwrap_or_default();
    (next(), next(), next())
}

/// What workers know of an endpoint; nothing when none uses its cluster.
fn vitals(protection: Option<&Protection>, endpoint: &Endpoint) -> Arc<Vitals> {
    let known = protection
        .and_then(|protection| protection.endpoints().vitals.get(&endpoint.address.socket()?).cloned());
    known.unwrap_or_default()
}

fn counters(vitals: &Vitals) -> [(&'static str, i64); 8] {
    let count = |counter: &AtomicU64| i64::try_from(counter.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
    [
        ("cx_active", vitals.cx_active.load(Ordering::Relaxed)),
        ("cx_connect_fail", count(&vitals.cx_connect_fail)),
        ("cx_total", count(&vitals.cx_total)),
        ("rq_active", vitals.rq_active.load(Ordering::Relaxed)),
        ("rq_error", count(&vitals.rq_error)),
        ("rq_success", count(&vitals.rq_success)),
        ("rq_timeout", count(&vitals.rq_timeout)),
        ("rq_total", count(&vitals.rq_total)),
    ]
}

fn health_flags(health: Health, vitals: &Vitals) -> String {
    let told = match health {
        Health::Healthy => "",
        Health::Degraded => "/degraded_eds_health",
        Health::Draining => "/eds_status_draining",
        Health::Unhealthy => "/failed_eds_health",
    };
    let outlier = if vitals.is_ejected() { "/failed_outlier_check" } else { "" };
    match format!("{outlier}{told}").as_str() {
        "" => "healthy".to_owned(),
        flags => flags.to_owned(),
    }
}

/// The same as `envoy.admin.v3.Clusters`.
pub(super) fn clusters_json(admin: &Admin) -> Value {
    let config = admin.shared.config();
    let statuses: Vec<Value> = sorted_clusters(admin)
        .iter()
        .map(|cluster| {
            let endpoints = config.endpoints_of(cluster);
            let protection = admin.shared.protections.find(&cluster.name);
            let hosts: Vec<Value> = endpoints
                .into_iter()
                .flat_map(|endpoints| endpoints.list.iter())
                .map(|endpoint| host_json(endpoint, &vitals(protection.as_deref(), endpoint)))
                .collect();
            json!({
                "name": cluster.name,
                "observability_name": cluster.stat_name,
                "added_via_api": added_via_api(admin, &cluster.name),
                "host_statuses": hosts,
                "eds_service_name": match &cluster.discovery {
                    Discovery::Eds(name) => Value::from(&**name),
                    _ => Value::Null,
                },
            })
        })
        .collect();
    json!({ "cluster_statuses": statuses })
}

fn host_json(endpoint: &Endpoint, vitals: &Vitals) -> Value {
    let address = match endpoint.address.socket() {
        Some(socket) => {
            json!({"socket_address": {"address": socket.ip().to_string(), "port_value": socket.port()}})
        }
        None => json!({"pipe": {"path": endpoint.address.to_string()}}),
    };
    let health = match endpoint.health {
        Health::Healthy => "HEALTHY",
        Health::Degraded => "DEGRADED",
        Health::Draining => "DRAINING",
        Health::Unhealthy => "UNHEALTHY",
    };
    let (region, zone, sub_zone) = locality(endpoint);
    let mut status = json!({"eds_health_status": health});
    if vitals.is_ejected() {
        status["failed_outlier_check"] = json!(true);
    }
    let stats: Vec<Value> = counters(vitals)
        .into_iter()
        .map(|(name, value)| {
            let kind = if name.ends_with("_active") { "GAUGE" } else { "COUNTER" };
            json!({"name": name, "type": kind, "value": value.to_string()})
        })
        .collect();
    json!({
        "address": address,
        "hostname": endpoint.hostname,
        "stats": stats,
        "health_status": status,
        "weight": endpoint.weight,
        "priority": endpoint.priority,
        "locality": {"region": region, "zone": zone, "sub_zone": sub_zone},
    })
}

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

/// Envoy's gauges of circuit breakers: whether each is at its limit, and how
/// much is left.
pub(super) fn circuit_breakers(admin: &Admin) -> String {
    let config = admin.shared.config();
    let mut out = String::new();
    for protection in admin.shared.protections.all() {
        let Some(cluster) = config.cluster(&protection.name) else { continue };
        let name = cluster.stat_name.trim_end_matches(';');
        let priorities =
            [("default", Priority::Normal, &cluster.limits), ("high", Priority::High, &cluster.high_limits)];
        for (word, priority, limits) in priorities {
            let gauges = [
                ("cx", Resource::Connection, limits.connections),
                ("rq_pending", Resource::Pending, limits.pending_requests),
                ("rq", Resource::Request, limits.requests),
                ("rq_retry", Resource::Retry, limits.retries),
            ];
            for (gauge, resource, limit) in gauges {
                let used = protection.used(priority, resource);
                let prefix = format!("cluster.{name}.circuit_breakers.{word}");
                let left = limit.saturating_sub(used);
                let remaining = match gauge {
                    "rq_retry" => "remaining_retries".to_owned(),
                    "rq_pending" => "remaining_pending".to_owned(),
                    gauge => format!("remaining_{gauge}"),
                };
                // Writing into a String cannot fail.
                let _ = writeln!(out, "{prefix}.{gauge}_open: {}", u32::from(left == 0));
                let _ = writeln!(out, "{prefix}.{remaining}: {left}");
            }
        }
    }
    out
}

/// The same for Prometheus.
pub(super) fn circuit_breakers_prometheus(admin: &Admin) -> String {
    let mut families: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in circuit_breakers(admin).lines() {
        let Some((name, value)) = line.split_once(": ") else { continue };
        let Some((cluster, gauge)) = name.split_once(".circuit_breakers.") else { continue };
        let cluster = cluster.strip_prefix("cluster.").unwrap_or(cluster);
        let family = format!("envoy_cluster_circuit_breakers_{}", gauge.replace('.', "_"));
        families.entry(family).or_default().push(format!("{{cluster_name=\"{cluster}\"}} {value}"));
    }
    let mut out = String::new();
    for (family, lines) in families {
        let _ = writeln!(out, "# TYPE {family} gauge");
        for line in lines {
            let _ = writeln!(out, "{family}{line}");
        }
    }
    out
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
