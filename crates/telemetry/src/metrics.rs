//! Counters, gauges and histograms, written without locks and read as
//! Prometheus text.
//!
//! Each writer (a worker thread) has cells of its own for a series and owns
//! them alone, so a count is a plain load and store; reading adds the cells
//! up. Labels are resolved when a handle is made, not when it counts.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Envoy's histogram buckets, in the unit of the value.
pub const DEFAULT_BUCKETS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1000.0,
    2500.0,
    5000.0,
    10000.0,
    30000.0,
    60000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// The most series of one metric: labels come from the network, memory does
/// not grow with them without end.
const MAX_SERIES: usize = 20_000;

/// What is counted, and what for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Its name in Prometheus' form.
    pub name: &'static str,
    /// One sentence; may be empty.
    pub help: &'static str,
}

/// One series of a metric: its labels, and its dotted name in Envoy's own
/// statistics if it has one.
#[derive(Debug, Clone, Copy, Default)]
pub struct Series<'a> {
    /// Label names and values.
    pub labels: &'a [(&'a str, &'a str)],
    /// `cluster.NAME.upstream_rq_total`.
    pub dotted: &'a str,
}

/// All metrics of a process.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    families: Arc<Mutex<BTreeMap<&'static str, Family>>>,
}

#[derive(Debug)]
struct Family {
    help: &'static str,
    kind: Kind,
    series: BTreeMap<String, Cells>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Debug, Default)]
struct Cells {
    dotted: String,
    counters: Vec<Arc<AtomicU64>>,
    gauges: Vec<Arc<AtomicI64>>,
    histograms: Vec<Arc<HistogramCells>>,
}

#[derive(Debug)]
struct HistogramCells {
    bounds: &'static [f64],
    /// One per bound, and one beyond.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// Not shared between threads: one writer per cell.
type OneWriter = PhantomData<Cell<()>>;

/// A count that only grows.
#[derive(Debug)]
pub struct Counter(Arc<AtomicU64>, OneWriter);

/// A number that goes up and down.
#[derive(Debug)]
pub struct Gauge(Arc<AtomicI64>, OneWriter);

/// Counts in buckets.
#[derive(Debug)]
pub struct Histogram(Arc<HistogramCells>, OneWriter);

impl Counter {
    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds a number.
    pub fn add(&self, more: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }
}

impl Gauge {
    /// Adds a number, which may be negative.
    pub fn add(&self, more: i64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
    }

    /// Replaces the number.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

impl Histogram {
    /// Counts a value.
    pub fn record(&self, value: u64) {
        let cells = &self.0;
        let place =
            cells.bounds.iter().position(|bound| value as f64 <= *bound).unwrap_or(cells.bounds.len());
        if let Some(count) = cells.counts.get(place) {
            count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
        cells.sum.store(cells.sum.load(Ordering::Relaxed).wrapping_add(value), Ordering::Relaxed);
    }
}

impl Registry {
    /// A counter of the caller's own.
    pub fn counter(&self, metric: Metric, series: Series<'_>) -> Counter {
        let cell = Arc::new(AtomicU64::new(0));
        self.with_cells(metric, Kind::Counter, series, |cells| cells.counters.push(cell.clone()));
        Counter(cell, PhantomData)
    }

    /// A gauge of the caller's own.
    pub fn gauge(&self, metric: Metric, series: Series<'_>) -> Gauge {
        let cell = Arc::new(AtomicI64::new(0));
        self.with_cells(metric, Kind::Gauge, series, |cells| cells.gauges.push(cell.clone()));
        Gauge(cell, PhantomData)
    }

    /// A histogram of the caller's own, with [`DEFAULT_BUCKETS`].
    pub fn histogram(&self, metric: Metric, series: Series<'_>) -> Histogram {
        let bounds = &DEFAULT_BUCKETS;
        let cell = Arc::new(HistogramCells {
            bounds,
            counts: std::iter::repeat_with(AtomicU64::default).take(bounds.len() + 1).collect(),
            sum: AtomicU64::new(0),
        });
        self.with_cells(metric, Kind::Histogram, series, |cells| cells.histograms.push(cell.clone()));
        Histogram(cell, PhantomData)
    }

    fn with_cells(&self, metric: Metric, kind: Kind, series: Series<'_>, add: impl FnOnce(&mut Cells)) {
        let mut families = self.lock();
        let family = families.entry(metric.name).or_insert_with(|| Family {
            help: metric.help,
            kind,
            series: BTreeMap::new(),
        });
        let key = label_text(series.labels);
        if family.series.len() < MAX_SERIES || family.series.contains_key(&key) {
            let cells = family.series.entry(key).or_default();
            if cells.dotted.is_empty() {
                series.dotted.clone_into(&mut cells.dotted);
            }
            add(cells);
        }
    }

    /// The sum of a counter's cells over the series whose labels satisfy the
    /// test, which sees them in Prometheus' form.
    pub fn sum(&self, name: &str, wanted: impl Fn(&str) -> bool) -> u64 {
        let families = self.lock();
        let series = families.get(name).into_iter().flat_map(|family| &family.series);
        series.filter(|(labels, _)| wanted(labels)).map(|(_, cells)| cells.counted()).sum()
    }

    /// The sum of a gauge's cells over all its series.
    pub fn level(&self, name: &str) -> i64 {
        let families = self.lock();
        families.get(name).into_iter().flat_map(|family| family.series.values()).map(Cells::level).sum()
    }

    /// Everything in Prometheus' text form.
    pub fn prometheus(&self) -> String {
        let mut out = String::new();
        for (name, family) in self.lock().iter() {
            family.write(name, &mut out);
        }
        out
    }

    /// Everything with a dotted name, one `name: value` per line.
    pub fn dotted(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        for family in self.lock().values() {
            for cells in family.series.values().filter(|cells| !cells.dotted.is_empty()) {
                match family.kind {
                    Kind::Counter => lines.push(format!("{}: {}", cells.dotted, cells.counted())),
                    Kind::Gauge => lines.push(format!("{}: {}", cells.dotted, cells.level())),
                    Kind::Histogram => {}
                }
            }
        }
        lines.sort_unstable();
        lines.push(String::new());
        lines.join("\n")
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Family>> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cells {
    fn counted(&self) -> u64 {
        self.counters.iter().map(|cell| cell.load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
    }

    fn level(&self) -> i64 {
        self.gauges.iter().map(|cell| cell.load(Ordering::Relaxed)).fold(0, i64::wrapping_add)
    }
}

impl Family {
    fn write(&self, name: &str, out: &mut String) {
        if !self.help.is_empty() {
            let _ = writeln!(out, "# HELP {name} {}", self.help);
        }
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = writeln!(out, "# TYPE {name} {kind}");
        for (labels, cells) in &self.series {
            match self.kind {
                Kind::Counter => write_line(out, name, labels, &cells.counted()),
                Kind::Gauge => write_line(out, name, labels, &cells.level()),
                Kind::Histogram => cells.write_histogram(name, labels, out),
            }
        }
    }
}

impl Cells {
    fn write_histogram(&self, name: &str, labels: &str, out: &mut String) {
        let Some(first) = self.histograms.first() else { return };
        let mut below = 0;
        for (place, _) in first.counts.iter().enumerate() {
            below +=
                self.histograms.iter().map(|cells| cells.counts[place].load(Ordering::Relaxed)).sum::<u64>();
            let bound = first.bounds.get(place).map_or("+Inf".to_owned(), ToString::to_string);
            let separator = if labels.is_empty() { "" } else { "," };
            let _ = writeln!(out, "{name}_bucket{{{labels}{separator}le=\"{bound}\"}} {below}");
        }
        let sum: u64 = self.histograms.iter().map(|cells| cells.sum.load(Ordering::Relaxed)).sum();
        write_line(out, &format!("{name}_sum"), labels, &sum);
        write_line(out, &format!("{name}_count"), labels, &below);
    }
}

fn write_line(out: &mut String, name: &str, labels: &str, value: &dyn std::fmt::Display) {
    let _ = if labels.is_empty() {
        writeln!(out, "{name}{{}} {value}")
    } else {
        writeln!(out, "{name}{{{labels}}} {value}")
    };
}

/// `a="b",c="d"`, values escaped.
fn label_text(labels: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(labels.len() * 24);
    for (name, value) in labels {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(name);
        text.push_str("=\"");
        for character in value.chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                other => text.push(other),
            }
        }
        text.push('"');
    }
    text
}

#[cfg(test)]
mod tests;
