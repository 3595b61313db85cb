//! One page of metrics for a pod: scrapers are sent to the agent, which asks
//! the application.

use serde_json::{Value, json};

use crate::annotation::{annotate, annotation};

const SCRAPE: &str = "prometheus.io/scrape";
const PORT: &str = "prometheus.io/port";
const PATH: &str = "prometheus.io/path";
const MERGE: &str = "prometheus.istio.io/merge-metrics";

/// Sends scrapers to the agent; the application's own place, for
/// `ISTIO_PROMETHEUS_ANNOTATIONS`, when it has one.
pub(crate) fn merge(pod: &mut Value) -> Option<Value> {
    let own = |name: &str| annotation(pod, name).map(str::to_owned);
    let (scrape, port, path) = (own(SCRAPE), own(PORT), own(PATH));
    let refused = annotation(pod, MERGE) == Some("false") || scrape.as_deref() == Some("false");
    if refused || port.as_deref() == Some("15020") {
        return None;
    }
    annotate(pod, SCRAPE, "true");
    annotate(pod, PORT, "15020");
    annotate(pod, PATH, "/stats/prometheus");
    scrape.as_ref()?;
    Some(json!({
        "scrape": scrape.unwrap_or_default(),
        "path": path.unwrap_or_default(),
        "port": port.unwrap_or_default(),
    }))
}
