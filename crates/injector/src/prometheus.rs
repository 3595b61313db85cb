//! The application's metrics, served with the proxy's.

use serde_json::{Value, json};

use crate::annotations::of_pod;

/// The variable that tells the agent where the application's metrics are.
pub(crate) const VARIABLE: &str = "ISTIO_PROMETHEUS_ANNOTATIONS";

/// Where merged metrics are served.
const MERGED_PATH: &str = "/stats/prometheus";

/// Where an application serves metrics that says nothing else.
const DEFAULT_PATH: &str = "/metrics";

/// Why an application's metrics cannot be merged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "annotation `prometheus.io/port`: {port} is the mesh's own port, and no metrics of the application are there"
)]
pub struct ReservedPort {
    /// The port.
    pub port: u16,
}

/// Points the pod's annotations at the merged metrics; returns what the agent has to merge.
pub(crate) fn merge(pod: &mut Value, status_port: u16) -> Result<Option<Value>, ReservedPort> {
    let annotations = of_pod(pod, "annotations");
    // Label-safe spellings count as well.
    let text = |name: &str| {
        let plain = |key: &str| key.replace(['.', '/', '-'], "_");
        annotations.iter().find(|(key, _)| plain(key) == plain(name)).map(|(_, value)| value.clone())
    };
    if text("prometheus.istio.io/merge-metrics").is_some_and(|value| value == "false") {
        return Ok(None);
    }
    let scraped = text("prometheus.io/scrape");
    let port: Option<u16> = text("prometheus.io/port").and_then(|port| port.parse().ok());
    if scraped.as_deref() == Some("false") || port == Some(status_port) {
        return Ok(None);
    }
    if let Some(port) = port.filter(|port| (15000..=15091).contains(port) && is_reserved(*port)) {
        return Err(ReservedPort { port });
    }
    let path = text("prometheus.io/path");
    let is_silent = scraped.is_none() && port.is_none() && path.is_none();
    let path = path.unwrap_or_else(|| DEFAULT_PATH.to_owned());
    let annotations = &mut pod["metadata"]["annotations"];
    if !annotations.is_object() {
        *annotations = json!({});
    }
    annotations["prometheus.io/port"] = json!(status_port.to_string());
    annotations["prometheus.io/path"] = json!(MERGED_PATH);
    annotations["prometheus.io/scrape"] = json!("true");
    // Without a wish to be scraped there is nothing of the application to merge.
    if is_silent {
        return Ok(None);
    }
    let port = port.map(|port| port.to_string()).unwrap_or_default();
    Ok(Some(json!({"scrape": scraped.unwrap_or_default(), "path": path, "port": port})))
}

fn is_reserved(port: u16) -> bool {
    [15000, 15001, 15004, 15006, 15008, 15020, 15021, 15053, 15090].contains(&port)
}

#[cfg(test)]
mod tests;
