//! Clusters and their endpoints, as Envoy's `/clusters` shows them.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use routing::cluster::{Cluster, Discovery, Limits};
use routing::endpoint::{Endpoint, Health};
use serde_json::{Value, json};

use super::Admin;
use crate::upstream::vitals::Vitals;

fn sorted_clusters(admin: &Admin) -> Vec<std::sync::Arc<Cluster>> {
    let config = admin.shared.config();
    let mut clusters: Vec<_> = config.clusters.active.values().map(|entry| entry.value.clone()).collect();
    clusters.sort_by(|left, right| left.name.cmp(&right.name));
    clusters
}

/// Each cluster and endpoint, a line per property.
pub(super) fn lines(admin: &Admin) -> String {
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
        for endpoint in endpoints.into_iter().flat_map(|endpoints| endpoints.list.iter()) {
            let address = &endpoint.address;
            let (region, zone, sub_zone) = locality(endpoint);
            let vitals = vitals(admin, name, endpoint);
            for (stat, _, value) in stats(&vitals) {
                line(format_args!("{address}::{stat}::{value}"));
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

/// What all workers know of an endpoint; nothing when it was never used.
fn vitals(admin: &Admin, cluster: &str, endpoint: &Endpoint) -> Arc<Vitals> {
    let protection = admin.shared.protections.find(cluster);
    let known = protection.zip(endpoint.address.socket());
    known
        .and_then(|(protection, address)| protection.endpoints().vitals.get(&address).cloned())
        .unwrap_or_default()
}

/// Envoy's statistics of an endpoint by name, and whether each only grows.
fn stats(vitals: &Vitals) -> [(&'static str, bool, u64); 8] {
    let counter = |value: &AtomicU64| value.load(Ordering::Relaxed);
    let gauge = |value: &AtomicI64| u64::try_from(value.load(Ordering::Relaxed)).unwrap_or(0);
    [
        ("cx_active", false, gauge(&vitals.cx_active)),
        ("cx_connect_fail", true, counter(&vitals.cx_connect_fail)),
        ("cx_total", true, counter(&vitals.cx_total)),
        ("rq_active", false, gauge(&vitals.rq_active)),
        ("rq_error", true, counter(&vitals.rq_error)),
        ("rq_success", true, counter(&vitals.rq_success)),
        ("rq_timeout", true, counter(&vitals.rq_timeout)),
        ("rq_total", true, counter(&vitals.rq_total)),
    ]
}

fn health_flags(health: Health, vitals: &Vitals) -> &'static str {
    if vitals.ejected.load(Ordering::Relaxed) {
        return "/failed_outlier_check";
    }
    match health {
        Health::Healthy => "healthy",
        Health::Degraded => "/degraded_eds_health",
        Health::Draining => "/eds_status_draining",
        Health::Unhealthy => "/failed_eds_health",
    }
}

/// The same as `envoy.admin.v3.Clusters`.
pub(super) fn json(admin: &Admin) -> Value {
    let config = admin.shared.config();
    let statuses: Vec<Value> = sorted_clusters(admin)
        .iter()
        .map(|cluster| {
            let endpoints = config.endpoints_of(cluster);
            let hosts: Vec<Value> =
                endpoints.into_iter().flat_map(|endpoints| endpoints.list.iter())
                    .map(|endpoint| host_json(endpoint, &vitals(admin, &cluster.name, endpoint)))
                    .collect();
            json!({
                "name": cluster.name,
                "observability_name": cluster.stat_name,
                "added_via_api": added_via_api(admin, &cluster.name),
                "host_statuses": hosts,
                "circuit_breakers": {"thresholds": [thresholds("DEFAULT", &cluster.limits), thresholds("HIGH", &cluster.high_limits)]},
                "eds_service_name": match &cluster.discovery {
                    Discovery::Eds(name) => Value::from(&**name),
                    _ => Value::Null,
                },
            })
        })
        .collect();
    json!({ "cluster_statuses": statuses })
}

fn thresholds(priority: &str, limits: &Limits) -> Value {
    json!({
        "priority": priority,
        "max_connections": limits.connections,
        "max_pending_requests": limits.pending_requests,
        "max_requests": limits.requests,
        "max_retries": limits.retries,
    })
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
    let stats: Vec<Value> = stats(vitals)
        .iter()
        .map(|(name, only_grows, value)| match only_grows {
            true => json!({"name": name, "value": value.to_string()}),
            false => json!({"name": name, "value": value.to_string(), "type": "GAUGE"}),
        })
        .collect();
    let ejected = vitals.ejected.load(Ordering::Relaxed);
    json!({
        "address": address,
        "stats": stats,
        "hostname": endpoint.hostname,
        "health_status": {"eds_health_status": health, "failed_outlier_check": ejected},
        "weight": endpoint.weight,
        "priority": endpoint.priority,
        "locality": {"region": region, "zone": zone, "sub_zone": sub_zone},
    })
}
