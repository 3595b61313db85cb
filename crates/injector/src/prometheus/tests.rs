//! When metrics are merged, and what the agent is told.

use super::*;

fn outcome(annotations: Value) -> (Value, Result<Option<Value>, ReservedPort>) {
    let mut pod = json!({"metadata": {"annotations": annotations}});
    let merged = merge(&mut pod, 15020);
    (pod["metadata"]["annotations"].clone(), merged)
}

#[test]
fn metrics_are_merged_unless_refused() {
    let (annotations, merged) = outcome(
        json!({"prometheus.io/scrape": "true", "prometheus.io/port": "9080", "prometheus.io/path": "/m"}),
    );
    assert_eq!(merged, Ok(Some(json!({"scrape": "true", "path": "/m", "port": "9080"}))));
    let expected = json!({"prometheus.io/scrape": "true", "prometheus.io/port": "15020", "prometheus.io/path": "/stats/prometheus"});
    assert_eq!(annotations, expected);

    let (annotations, merged) = outcome(json!({}));
    assert_eq!((annotations, merged), (expected, Ok(None)));

    for refused in [
        json!({"prometheus.io/scrape": "false"}),
        json!({"prometheus.io/port": "15020"}),
        json!({"prometheus.istio.io/merge-metrics": "false", "prometheus.io/port": "1"}),
    ] {
        assert_eq!(outcome(refused.clone()), (refused, Ok(None)));
    }
    assert_eq!(outcome(json!({"prometheus.io/port": "15090"})).1, Err(ReservedPort { port: 15090 }));
    let (_, merged) = outcome(json!({"prometheus_io_port": "80"}));
    assert_eq!(merged, Ok(Some(json!({"scrape": "", "path": "/metrics", "port": "80"}))));
}
