//! The one who decides which endpoints are left out: workers tell it of rows
//! of failures, and it looks over all endpoints regularly.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use routing::outlier::{Detector, Event, Fault};
use telemetry::metrics::{Counter, Gauge, Metric, Registry, Series};
use tokio::time::{Instant, sleep_until};

use crate::shared::Shared;
use crate::upstream::protection::{Notice, Protection};

/// How often clusters that are gone are forgotten.
const FORGET: Duration = Duration::from_secs(10);

/// Decides for ever.
pub async fn watch(shared: Arc<Shared>) {
    let Some(mut notices) = shared.protections.notices() else { return };
    let mut watch = Watch { began: Instant::now(), shared, clusters: BTreeMap::new() };
    let mut forget_at = watch.began + FORGET;
    loop {
        let next = watch.clusters.values().map(|cluster| cluster.look_at).fold(forget_at, Instant::min);
        tokio::select! {
            notice = notices.recv() => match notice {
                Some(notice) => watch.told(notice),
                None => return,
            },
            () = sleep_until(next) => {
                watch.look();
                if forget_at <= Instant::now() {
                    watch.forget();
                    forget_at = Instant::now() + FORGET;
                }
            }
        }
    }
}

struct Watch {
    began: Instant,
    shared: Arc<Shared>,
    clusters: BTreeMap<Arc<str>, Watched>,
}

/// A cluster whose endpoints are watched.
struct Watched {
    protection: Arc<Protection>,
    detector: Detector,
    look_at: Instant,
    stats: Stats,
}

impl Watch {
    fn told(&mut self, notice: Notice) {
        match notice {
            Notice::Changed(protection) => self.changed(protection),
            Notice::Failing(protection, address, fault) => {
                let now = self.began.elapsed();
                let Some(watched) = self.clusters.get_mut(&protection.name) else { return };
                let event = watched.detector.on_row(address, fault, now, fastrand::u64(..));
                watched.act(event.as_slice());
                if let Some(vitals) = protection.endpoints().vitals.get(&address) {
                    vitals.reset_row(fault);
                }
            }
        }
    }

    fn changed(&mut self, protection: Arc<Protection>) {
        let endpoints = protection.endpoints().clone();
        let Some(rules) = endpoints.rules else {
            if self.clusters.remove(&protection.name).is_some() {
                endpoints.vitals.values().for_each(|vitals| vitals.returned());
                protection.health_changed();
            }
            return;
        };
        let registry = &self.shared.registry;
        let watched = self.clusters.entry(protection.name.clone()).or_insert_with(|| Watched {
            stats: Stats::new(registry, &protection.stat_name),
            look_at: Instant::now() + rules.interval,
            detector: Detector::new(rules.clone()),
            protection: protection.clone(),
        });
        watched.protection = protection;
        watched.detector.update(&rules, endpoints.vitals.keys().copied());
        watched.look_at = watched.look_at.min(Instant::now() + rules.interval);
        watched.stats.active.set(i64::try_from(watched.detector.ejected()).unwrap_or(i64::MAX));
    }

    fn look(&mut self) {
        let now = Instant::now();
        let time = self.began.elapsed();
        for watched in self.clusters.values_mut().filter(|watched| watched.look_at <= now) {
            watched.look_at = now + watched.detector.interval();
            let vitals = watched.protection.endpoints().vitals.clone();
            let samples = vitals.iter().map(|(address, vitals)| (*address, vitals.sample())).collect();
            let events = watched.detector.look(&samples, time, || fastrand::u64(..));
            watched.act(&events);
        }
    }

    fn forget(&mut self) {
        let config = self.shared.config();
        let exists = |name: &str| config.cluster(name).is_some();
        self.shared.protections.retain(exists);
        self.clusters.retain(|name, _| exists(name));
    }
}

impl Watched {
    fn act(&mut self, events: &[Event]) {
        let mut changed = false;
        for event in events {
            self.stats.count(*event);
            let (address, is_out) = match event {
                Event::Ejected(address, fault) => {
                    tracing::info!(
                        "endpoint `{address}` of `{}` is left out: {}",
                        self.protection.name,
                        fault.name()
                    );
                    (address, true)
                }
                Event::Returned(address) => {
                    tracing::info!("endpoint `{address}` of `{}` comes back", self.protection.name);
                    (address, false)
                }
                Event::Noticed(..) | Event::Overflow(..) => continue,
            };
            changed = true;
            if let Some(vitals) = self.protection.endpoints().vitals.get(address) {
                if is_out {
                    vitals.ejected.store(true, Ordering::Release);
                } else {
                    vitals.returned();
                }
            }
        }
        if changed {
            self.stats.active.set(i64::try_from(self.detector.ejected()).unwrap_or(i64::MAX));
            self.protection.health_changed();
        }
    }
}

/// Envoy's statistics of outlier detection.
struct Stats {
    active: Gauge,
    enforced: Counter,
    overflow: Counter,
    enforced_by: BTreeMap<Fault, Counter>,
    detected_by: BTreeMap<Fault, Counter>,
}

impl Stats {
    fn new(registry: &Registry, cluster: &str) -> Stats {
        let cluster = cluster.trim_end_matches(';');
        let labels = [("cluster_name", cluster)];
        let dotted = |name: &str| format!("cluster.{cluster}.outlier_detection.{name}");
        let counter = |metric: &'static str, name: &str| {
            let metric = Metric { name: metric, help: "" };
            registry.counter(metric, Series { labels: &labels, dotted: &dotted(name) })
        };
        let each = |names: [&'static str; 7], kind: &str| {
            let one = |(fault, metric): (Fault, &'static str)| {
                (fault, counter(metric, &format!("ejections_{kind}_{}", fault.name())))
            };
            Fault::ALL.into_iter().zip(names).map(one).collect()
        };
        let active = Metric { name: "envoy_cluster_outlier_detection_ejections_active", help: "" };
        Stats {
            active: registry.gauge(active, Series { labels: &labels, dotted: &dotted("ejections_active") }),
            enforced: counter(
                "envoy_cluster_outlier_detection_ejections_enforced_total",
                "ejections_enforced_total",
            ),
            overflow: counter("envoy_cluster_outlier_detection_ejections_overflow", "ejections_overflow"),
            enforced_by: each(ENFORCED, "enforced"),
            detected_by: each(DETECTED, "detected"),
        }
    }

    fn count(&self, event: Event) {
        let detected = |fault: Fault| self.detected_by.get(&fault).into_iter().for_each(Counter::increment);
        match event {
            Event::Ejected(_, fault) => {
                detected(fault);
                self.enforced.increment();
                self.enforced_by.get(&fault).into_iter().for_each(Counter::increment);
            }
            Event::Noticed(_, fault) => detected(fault),
            Event::Overflow(_, fault) => {
                detected(fault);
                self.overflow.increment();
            }
            Event::Returned(_) => {}
        }
    }
}

/// Names for Prometheus, in the order of the faults.
const ENFORCED: [&str; 7] = [
    "envoy_cluster_outlier_detection_ejections_enforced_consecutive_5xx",
    "envoy_cluster_outlier_detection_ejections_enforced_consecutive_gateway_failure",
    "envoy_cluster_outlier_detection_ejections_enforced_consecutive_local_origin_failure",
    "envoy_cluster_outlier_detection_ejections_enforced_success_rate",
    "envoy_cluster_outlier_detection_ejections_enforced_local_origin_success_rate",
    "envoy_cluster_outlier_detection_ejections_enforced_failure_percentage",
    "envoy_cluster_outlier_detection_ejections_enforced_local_origin_failure_percentage",
];
const DETECTED: [&str; 7] = [
    "envoy_cluster_outlier_detection_ejections_detected_consecutive_5xx",
    "envoy_cluster_outlier_detection_ejections_detected_consecutive_gateway_failure",
    "envoy_cluster_outlier_detection_ejections_detected_consecutive_local_origin_failure",
    "envoy_cluster_outlier_detection_ejections_detected_success_rate",
    "envoy_cluster_outlier_detection_ejections_detected_local_origin_success_rate",
    "envoy_cluster_outlier_detection_ejections_detected_failure_percentage",
    "envoy_cluster_outlier_detection_ejections_detected_local_origin_failure_percentage",
];
