//! Rules for preference by locality.

use crate::destination_rule::{
    Distribute, Failover, LocalityLoadBalancerSetting, OutlierDetection, ZoneAwareLoadBalancerSetting,
};
use crate::path::Trail;
use crate::problem::Code;
use crate::validate::Checker;

/// Labels that say where an endpoint is; failover between them is made by other means.
const TOPOLOGY: [&str; 3] =
    ["topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"];

/// Checks preference by locality.
pub(super) fn locality(
    setting: &LocalityLoadBalancerSetting,
    detection: Option<&OutlierDetection>,
    at: &Trail<'_>,
    check: &mut Checker<'_>,
) {
    if !setting.distribute.is_empty() && !setting.failover.is_empty() {
        let message = "`distribute` and `failover` exclude each other";
        check.note(&at.key("failover"), Code::LocalityConflict, message);
    }
    if !setting.failover.is_empty() {
        let message = "says where traffic goes when a region fails, as `failover` does";
        topology_labels(&setting.failover_priority, message, &at.key("failoverPriority"), check);
    }
    let distribute_at = at.key("distribute");
    for (index, distribute) in setting.distribute.iter().enumerate() {
        shares(distribute, &distribute_at.index(index), check);
    }
    let sources: Vec<&str> = setting.distribute.iter().map(|distribute| distribute.from.as_str()).collect();
    for (index, reason) in faulty_localities(&sources) {
        check.note(&distribute_at.index(index).key("from"), Code::InvalidLocality, reason);
    }
    failover(&setting.failover, &setting.failover_priority, detection, at, check);
}

/// Checks preference by zone.
pub(super) fn zone_aware(
    setting: &ZoneAwareLoadBalancerSetting,
    detection: Option<&OutlierDetection>,
    at: &Trail<'_>,
    check: &mut Checker<'_>,
) {
    let message = "says what preference by zone does of itself";
    topology_labels(&setting.failover_priority, message, &at.key("failoverPriority"), check);
    failover(&setting.failover, &setting.failover_priority, detection, at, check);
    if setting.min_cluster_size == Some(0) {
        check.note(&at.key("minClusterSize"), Code::InvalidValue, "`minClusterSize` is at least 1");
    }
}

fn topology_labels(labels: &[String], message: &str, at: &Trail<'_>, check: &mut Checker<'_>) {
    for (index, label) in labels.iter().enumerate().filter(|(_, label)| TOPOLOGY.contains(&label.as_str())) {
        check.note(&at.index(index), Code::LocalityConflict, format!("the label `{label}` {message}"));
    }
}

fn shares(distribute: &Distribute, at: &Trail<'_>, check: &mut Checker<'_>) {
    let to_at = at.key("to");
    for (name, share) in distribute.to.iter().filter(|(_, share)| !(1..=100).contains(*share)) {
        let message = format!("a share is from 1 to 100, but this is {share}");
        check.note(&to_at.key(name), Code::LocalityShares, message);
    }
    let total: u64 = distribute.to.values().copied().map(u64::from).sum();
    if total != 100 {
        check.note(&to_at, Code::LocalityShares, format!("the shares add up to {total} in place of 100"));
    }
    let names: Vec<&str> = distribute.to.keys().map(String::as_str).collect();
    for (index, reason) in faulty_localities(&names) {
        check.note(&to_at.key(names[index]), Code::InvalidLocality, reason);
    }
}

fn failover(
    failover: &[Failover],
    priority: &[String],
    detection: Option<&OutlierDetection>,
    at: &Trail<'_>,
    check: &mut Checker<'_>,
) {
    if (!failover.is_empty() || !priority.is_empty()) && detection.is_none() {
        let message = "without `outlierDetection`, no endpoint is ever seen to fail, and nothing fails over";
        check
            .note(at, Code::FailoverWithoutDetection, message)
            .help("set `outlierDetection` beside `loadBalancer`");
    }
    let failover_at = at.key("failover");
    for (index, pair) in failover.iter().enumerate() {
        let at = failover_at.index(index);
        if pair.from == pair.to {
            check.note(
                &at,
                Code::InvalidFailover,
                format!("the region `{}` cannot take over from itself", pair.to),
            );
        }
        for (field, region) in [("from", &pair.from), ("to", &pair.to)] {
            if region.contains(['/', '*']) {
                let message = format!("`{region}` is not a region: failover is between regions only");
                check
                    .note(&at.key(field), Code::InvalidFailover, message)
                    .help("write the region without `/` and `*`");
            }
        }
    }
}

/// Localities `region/zone/subzone` that are not well-formed, or that an earlier one includes.
fn faulty_localities(localities: &[&str]) -> Vec<(usize, String)> {
    let mut faulty = Vec::new();
    let mut earlier: Vec<Vec<&str>> = Vec::new();
    for (index, locality) in localities.iter().enumerate() {
        let mut parts: Vec<&str> = locality.splitn(3, '/').collect();
        let stars = locality.matches('*').count();
        if stars > 1 || (stars == 1 && !locality.ends_with('*')) {
            faulty.push((index, format!("in `{locality}`, `*` may only stand at the end")));
            continue;
        }
        if parts.iter().any(|part| part.is_empty()) {
            faulty.push((index, format!("`{locality}` has an empty part")));
            continue;
        }
        if parts.last() == Some(&"*") {
            parts.pop();
        }
        let overlaps = |other: &&Vec<&str>| other.starts_with(&parts) || parts.starts_with(other);
        if let Some(other) = earlier.iter().find(overlaps) {
            let other = if other.is_empty() { "*".to_owned() } else { other.join("/") };
            faulty.push((index, format!("`{locality}` and `{other}` include each other")));
        }
        earlier.push(parts);
    }
    faulty
}
