//! When a generation is held, and by whom.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use telemetry::status::ProxyStatus;
use tokio::time::{Instant, timeout_at};

use crate::mesh::Mesh;

/// Who holds a generation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delivery {
    /// Proxies for which the generation, or one after it, changed something.
    pub affected: usize,
    /// Those of them that hold it.
    pub acknowledged: usize,
    /// Those that do not, and why.
    pub missing: Vec<Missing>,
}

/// A proxy that does not hold a generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Missing {
    /// `reviews-v1-7d9.default`.
    pub proxy: String,
    /// What it refuses, or that it has not answered.
    pub why: String,
}

pub(crate) async fn wait_for(mesh: &Mesh, generation: u64, limit: Duration) -> Delivery {
    let deadline = Instant::now() + limit;
    let mut changes = mesh.registry.subscribe();
    loop {
        changes.mark_unchanged();
        let proxies = mesh.registry.proxies();
        if proxies.iter().all(|proxy| proxy.holds(generation)) {
            return told(&proxies, generation);
        }
        if timeout_at(deadline, changes.changed()).await.is_err() {
            return told(&proxies, generation);
        }
    }
}

fn told(proxies: &[ProxyStatus], generation: u64) -> Delivery {
    let mut delivery = Delivery::default();
    for proxy in proxies {
        let is_affected = proxy.changed_generation >= generation || !proxy.holds(generation);
        if !is_affected {
            continue;
        }
        delivery.affected += 1;
        match reason(proxy, generation) {
            None => delivery.acknowledged += 1,
            Some(why) => {
                let proxy = format!("{}.{}", proxy.name, proxy.namespace);
                delivery.missing.push(Missing { proxy, why });
            }
        }
    }
    delivery
}

/// Why a proxy does not hold everything; `None` when it does.
fn reason(proxy: &ProxyStatus, generation: u64) -> Option<String> {
    if !proxy.holds(generation) {
        return Some("it has not answered yet".to_owned());
    }
    let rejected = proxy.rejections().next()?;
    Some(format!("it refuses `{}`: {}", rejected.name, rejected.message))
}
