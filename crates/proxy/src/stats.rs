//! Envoy's own statistics, as far as this proxy keeps them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use routing::cluster::Cluster;
use telemetry::metrics::{Counter, Gauge, Metric, Registry, Series};

/// What is counted about one cluster by one worker.
#[derive(Debug)]
pub struct ClusterStats {
    /// Connections that were made.
    pub cx_total: Counter,
    /// Connections that are open.
    pub cx_active: Gauge,
    /// Connections that did not come about.
    pub cx_connect_fail: Counter,
    /// Of them, those that took too long.
    pub cx_connect_timeout: Counter,
    /// Requests.
    pub rq_total: Counter,
    /// Requests without an answer yet.
    pub rq_active: Gauge,
    /// Attempts after the first.
    pub rq_retry: Counter,
    /// Requests that took too long.
    pub rq_timeout: Counter,
    /// Requests for which there was no endpoint.
    pub cx_none_healthy: Counter,
    /// Bytes that were sent.
    pub cx_tx_bytes: Counter,
    /// Bytes that were received.
    pub cx_rx_bytes: Counter,
    classes: [Counter; 5],
    registry: Registry,
    name: Box<str>,
    rare: RefCell<BTreeMap<&'static str, Rc<Counter>>>,
}

macro_rules! cluster_metric {
    ($name:literal) => {
        (Metric { name: concat!("envoy_cluster_", $name), help: "" }, concat!(".", $name))
    };
}

impl ClusterStats {
    /// The counters of a worker for a cluster.
    pub fn new(registry: &Registry, cluster: &Cluster) -> ClusterStats {
        let name = cluster.stat_name.trim_end_matches(';');
        let labels = [("cluster_name", name)];
        let dotted = |suffix: &str| format!("cluster.{name}{suffix}");
        let counter = |(metric, suffix): (Metric, &str)| {
            registry.counter(metric, Series { labels: &labels, dotted: &dotted(suffix) })
        };
        let gauge = |(metric, suffix): (Metric, &str)| {
            registry.gauge(metric, Series { labels: &labels, dotted: &dotted(suffix) })
        };
        let class = |digit: &str| {
            let metric = Metric { name: "envoy_cluster_upstream_rq_xx", help: "" };
            let labels = [("cluster_name", name), ("envoy_response_code_class", digit)];
            registry.counter(
                metric,
                Series { labels: &labels, dotted: &dotted(&format!(".upstream_rq_{digit}xx")) },
            )
        };
        ClusterStats {
            cx_total: counter(cluster_metric!("upstream_cx_total")),
            cx_active: gauge(cluster_metric!("upstream_cx_active")),
            cx_connect_fail: counter(cluster_metric!("upstream_cx_connect_fail")),
            cx_connect_timeout: counter(cluster_metric!("upstream_cx_connect_timeout")),
            rq_total: counter(cluster_metric!("upstream_rq_total")),
            rq_active: gauge(cluster_metric!("upstream_rq_active")),
            rq_retry: counter(cluster_metric!("upstream_rq_retry")),
            rq_timeout: counter(cluster_metric!("upstream_rq_timeout")),
            cx_none_healthy: counter(cluster_metric!("upstream_cx_none_healthy")),
            cx_tx_bytes: counter(cluster_metric!("upstream_cx_tx_bytes_total")),
            cx_rx_bytes: counter(cluster_metric!("upstream_cx_rx_bytes_total")),
            classes: ["1", "2", "3", "4", "5"].map(class),
            registry: registry.clone(),
            name: name.into(),
            rare: RefCell::default(),
        }
    }

    /// A counter for what most clusters never see; it exists once it counts.
    pub fn rare(&self, name: &'static str) -> Rc<Counter> {
        let make = || {
            let metric = RARE.iter().find(|metric| metric.strip_prefix("envoy_cluster_") == Some(name));
            let metric = Metric { name: metric.copied().unwrap_or("envoy_cluster_other"), help: "" };
            let labels = [("cluster_name", &*self.name)];
            let dotted = format!("cluster.{}.{name}", self.name);
            Rc::new(self.registry.counter(metric, Series { labels: &labels, dotted: &dotted }))
        };
        self.rare.borrow_mut().entry(name).or_insert_with(make).clone()
    }

    /// A response with this status came.
    pub fn answered(&self, status: u16) {
        let class = usize::from(status / 100).checked_sub(1).and_then(|class| self.classes.get(class));
        if let Some(class) = class {
            class.increment();
        }
    }

    /// So many connections were closed.
    pub fn closed(&self, count: u64) {
        if count > 0 {
            self.cx_active.add(-i64::try_from(count).unwrap_or(0));
        }
    }
}

/// What most clusters never see.
const RARE: [&str; 14] = [
    "envoy_cluster_upstream_cx_overflow",
    "envoy_cluster_upstream_cx_max_requests",
    "envoy_cluster_upstream_cx_max_duration_reached",
    "envoy_cluster_upstream_cx_idle_timeout",
    "envoy_cluster_upstream_rq_pending_overflow",
    "envoy_cluster_upstream_rq_per_try_timeout",
    "envoy_cluster_upstream_rq_retry_success",
    "envoy_cluster_upstream_rq_retry_overflow",
    "envoy_cluster_upstream_rq_retry_limit_exceeded",
    "envoy_cluster_upstream_rq_retry_backoff_exponential",
    "envoy_cluster_upstream_rq_retry_backoff_ratelimited",
    "envoy_cluster_upstream_rq_shadow_dropped",
    "envoy_cluster_upstream_rq_shadow_total",
    "envoy_cluster_lb_healthy_panic",
];

/// What is counted about one HTTP connection manager by one worker.
#[derive(Debug)]
pub struct HttpStats {
    /// Connections.
    pub cx_total: Counter,
    /// Connections that are open.
    pub cx_active: Gauge,
    /// Requests.
    pub rq_total: Counter,
    /// Requests without an answer yet.
    pub rq_active: Gauge,
    classes: [Counter; 5],
}

impl HttpStats {
    /// The counters of a worker for a statistics prefix.
    pub fn new(registry: &Registry, prefix: &str) -> HttpStats {
        let prefix = prefix.trim_end_matches(';');
        let labels = [("http_conn_manager_prefix", prefix)];
        let series = |suffix: &str| format!("http.{prefix}.{suffix}");
        let counter = |name: &'static str, suffix: &str| {
            registry.counter(Metric { name, help: "" }, Series { labels: &labels, dotted: &series(suffix) })
        };
        let gauge = |name: &'static str, suffix: &str| {
            registry.gauge(Metric { name, help: "" }, Series { labels: &labels, dotted: &series(suffix) })
        };
        let class = |digit: &str| {
            let labels = [("envoy_response_code_class", digit), ("http_conn_manager_prefix", prefix)];
            let metric = Metric { name: "envoy_http_downstream_rq_xx", help: "" };
            registry.counter(
                metric,
                Series { labels: &labels, dotted: &series(&format!("downstream_rq_{digit}xx")) },
            )
        };
        HttpStats {
            cx_total: counter("envoy_http_downstream_cx_total", "downstream_cx_total"),
            cx_active: gauge("envoy_http_downstream_cx_active", "downstream_cx_active"),
            rq_total: counter("envoy_http_downstream_rq_total", "downstream_rq_total"),
            rq_active: gauge("envoy_http_downstream_rq_active", "downstream_rq_active"),
            classes: ["1", "2", "3", "4", "5"].map(class),
        }
    }

    /// A response with this status was sent.
    pub fn answered(&self, status: u16) {
        let class = usize::from(status / 100).checked_sub(1).and_then(|class| self.classes.get(class));
        if let Some(class) = class {
            class.increment();
        }
    }
}

/// What is counted about connections by one worker.
#[derive(Debug)]
pub struct ConnectionStats {
    /// Connections that are open.
    pub active: Gauge,
    /// Connections that were accepted.
    pub accepted: Counter,
    /// Connections beyond what the process may have.
    pub overflow: Counter,
    /// How often the kernel had no more descriptors.
    pub out_of_descriptors: Counter,
    /// Requests that were refused for want of memory.
    pub refused_requests: Counter,
    /// Connections for which there was no filter chain.
    pub no_chain: Counter,
    /// Connections that would have to be TLS.
    pub unsupported_transport: Counter,
    /// Connections that did not begin with the PROXY header they should have.
    pub bad_announcement: Counter,
    /// Connections that gave no sign for too long.
    pub inspection_timeout: Counter,
}

impl ConnectionStats {
    /// The counters of a worker.
    pub fn new(registry: &Registry) -> ConnectionStats {
        let counter = |name: &'static str, dotted: &'static str| {
            registry.counter(Metric { name, help: "" }, Series { labels: &[], dotted })
        };
        let active = Metric { name: "envoy_server_total_connections", help: "" };
        ConnectionStats {
            active: registry.gauge(active, Series { labels: &[], dotted: "server.total_connections" }),
            accepted: counter("envoy_listener_downstream_cx_total", "listener.downstream_cx_total"),
            overflow: counter(
                "envoy_listener_downstream_global_cx_overflow",
                "listener.downstream_global_cx_overflow",
            ),
            out_of_descriptors: counter("lateen_out_of_descriptors", "lateen.out_of_descriptors"),
            refused_requests: counter(
                "envoy_http_downstream_rq_overload_close",
                "http.downstream_rq_overload_close",
            ),
            no_chain: counter("envoy_listener_no_filter_chain_match", "listener.no_filter_chain_match"),
            unsupported_transport: counter("lateen_unsupported_transport", "lateen.unsupported_transport"),
            bad_announcement: counter("envoy_proxy_proto_versions_error", "proxy_proto.versions_error"),
            inspection_timeout: counter(
                "envoy_listener_downstream_pre_cx_timeout",
                "listener.downstream_pre_cx_timeout",
            ),
        }
    }
}
