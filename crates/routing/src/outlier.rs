//! Leaving out endpoints that fail (Envoy's outlier detection).
//!
//! Workers count what endpoints answer. When a row of failures is long
//! enough, and at every interval, one [`Detector`] for the whole cluster
//! decides who is left out and who comes back. Time and random numbers come
//! in as arguments.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::cluster::{FailurePercentage, OutlierDetection, SuccessRate};

/// What was found wrong with an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// 5xx answers in a row.
    Consecutive5xx,
    /// 502, 503 and 504 answers in a row.
    ConsecutiveGateway,
    /// Failures to connect in a row.
    ConsecutiveLocalOrigin,
    /// Fewer successes than others.
    SuccessRate,
    /// The same of connecting.
    LocalOriginSuccessRate,
    /// Too many failures.
    FailurePercentage,
    /// The same of connecting.
    LocalOriginFailurePercentage,
}

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 7] = [
        Fault::Consecutive5xx,
        Fault::ConsecutiveGateway,
        Fault::ConsecutiveLocalOrigin,
        Fault::SuccessRate,
        Fault::LocalOriginSuccessRate,
        Fault::FailurePercentage,
        Fault::LocalOriginFailurePercentage,
    ];

    /// Its name in Envoy's statistics.
    pub fn name(self) -> &'static str {
        match self {
            Fault::Consecutive5xx => "consecutive_5xx",
            Fault::ConsecutiveGateway => "consecutive_gateway_failure",
            Fault::ConsecutiveLocalOrigin => "consecutive_local_origin_failure",
            Fault::SuccessRate => "success_rate",
            Fault::LocalOriginSuccessRate => "local_origin_success_rate",
            Fault::FailurePercentage => "failure_percentage",
            Fault::LocalOriginFailurePercentage => "local_origin_failure_percentage",
        }
    }
}

/// What the detector decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The endpoint is left out.
    Ejected(SocketAddr, Fault),
    /// It would be, were it acted upon.
    Noticed(SocketAddr, Fault),
    /// It would be, were not too many out already.
    Overflow(SocketAddr, Fault),
    /// It comes back.
    Returned(SocketAddr),
}

/// What an endpoint did since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sample {
    /// Answers.
    pub answers: Tally,
    /// Connecting, where it is counted apart.
    pub local_origin: Tally,
}

/// Successes among requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// All of them.
    pub total: u64,
    /// The successful ones.
    pub successes: u64,
}

impl Tally {
    fn success_rate(self) -> f64 {
        self.successes as f64 * 100.0 / self.total.max(1) as f64
    }
}

/// Decides for the endpoints of one cluster.
#[derive(Debug)]
pub struct Detector {
    settings: OutlierDetection,
    hosts: BTreeMap<SocketAddr, Host>,
}

#[derive(Debug, Default)]
struct Host {
    ejected: Option<Ejection>,
    /// How often the base time the next ejection lasts, less one.
    times: u32,
    returned_at: Option<Duration>,
    sample: Sample,
}

#[derive(Debug)]
struct Ejection {
    at: Duration,
    jitter: Duration,
}

impl Detector {
    /// With nobody left out.
    pub fn new(settings: OutlierDetection) -> Detector {
        Detector { settings, hosts: BTreeMap::new() }
    }

    /// How often to look.
    pub fn interval(&self) -> Duration {
        self.settings.interval
    }

    /// Puts other settings and endpoints into use; what is known of those
    /// that stay is kept.
    pub fn update(&mut self, settings: &OutlierDetection, hosts: impl Iterator<Item = SocketAddr>) {
        if self.settings != *settings {
            self.settings = settings.clone();
        }
        let mut before = std::mem::take(&mut self.hosts);
        self.hosts = hosts.map(|host| (host, before.remove(&host).unwrap_or_default())).collect();
    }

    /// How many endpoints are left out.
    pub fn ejected(&self) -> usize {
        self.hosts.values().filter(|host| host.ejected.is_some()).count()
    }

    /// An endpoint has failed often enough in a row.
    pub fn on_row(&mut self, host: SocketAddr, fault: Fault, now: Duration, random: u64) -> Option<Event> {
        let known = self.hosts.get(&host)?;
        if known.ejected.is_some() {
            return None;
        }
        Some(self.eject(host, fault, now, random))
    }

    /// The regular look: endpoints come back, samples are judged.
    pub fn look(
        &mut self,
        samples: &BTreeMap<SocketAddr, Sample>,
        now: Duration,
        mut random: impl FnMut() -> u64,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        for (address, host) in &mut self.hosts {
            host.sample = samples.get(address).copied().unwrap_or_default();
            if host.is_over(&self.settings, now) {
                host.ejected = None;
                host.returned_at = Some(now);
                events.push(Event::Returned(*address));
            }
        }
        for (address, fault) in self.suspects() {
            let is_in = self.hosts.get(&address).is_some_and(|host| host.ejected.is_none());
            if is_in {
                events.push(self.eject(address, fault, now, random()));
            }
        }
        for host in self.hosts.values_mut().filter(|host| host.ejected.is_none()) {
            let has_behaved =
                host.returned_at.is_some_and(|at| now.saturating_sub(at) >= self.settings.interval);
            if has_behaved {
                host.times = host.times.saturating_sub(1);
            }
        }
        events
    }

    /// Endpoints that did worse than they may.
    fn suspects(&self) -> Vec<(SocketAddr, Fault)> {
        let settings = &self.settings;
        let mut suspects = Vec::new();
        let answers = |host: &Host| host.sample.answers;
        let local = |host: &Host| host.sample.local_origin;
        self.below_others(&settings.success_rate, answers, Fault::SuccessRate, &mut suspects);
        self.too_bad(&settings.failure_percentage, answers, Fault::FailurePercentage, &mut suspects);
        if settings.splits_local_origin {
            let (rate, percentage) =
                (&settings.local_origin_success_rate, &settings.local_origin_failure_percentage);
            self.below_others(rate, local, Fault::LocalOriginSuccessRate, &mut suspects);
            self.too_bad(percentage, local, Fault::LocalOriginFailurePercentage, &mut suspects);
        }
        suspects
    }

    /// Tallies of endpoints with enough requests, if there are enough.
    fn tallies(
        &self,
        of: impl Fn(&Host) -> Tally,
        least_hosts: u32,
        least_requests: u32,
    ) -> Vec<(SocketAddr, f64)> {
        let hosts = self.hosts.iter().filter(|(_, host)| host.ejected.is_none());
        let tallies: Vec<_> = hosts
            .map(|(address, host)| (*address, of(host)))
            .filter(|(_, tally)| tally.total > 0 && tally.total >= u64::from(least_requests))
            .map(|(address, tally)| (address, tally.success_rate()))
            .collect();
        let enough = usize::try_from(least_hosts).is_ok_and(|least| tallies.len() >= least);
        if enough { tallies } else { Vec::new() }
    }

    fn below_others(
        &self,
        rule: &SuccessRate,
        of: impl Fn(&Host) -> Tally,
        fault: Fault,
        suspects: &mut Vec<(SocketAddr, Fault)>,
    ) {
        let tallies = self.tallies(of, rule.least_hosts, rule.least_requests);
        let count = tallies.len().max(1) as f64;
        let mean = tallies.iter().map(|(_, rate)| rate).sum::<f64>() / count;
        let variance = tallies.iter().map(|(_, rate)| (rate - mean).powi(2)).sum::<f64>() / count;
        let threshold = mean - f64::from(rule.deviation) / 1000.0 * variance.sqrt();
        suspects.extend(
            tallies.iter().filter(|(_, rate)| *rate < threshold).map(|(address, _)| (*address, fault)),
        );
    }

    fn too_bad(
        &self,
        rule: &FailurePercentage,
        of: impl Fn(&Host) -> Tally,
        fault: Fault,
        suspects: &mut Vec<(SocketAddr, Fault)>,
    ) {
        let tallies = self.tallies(of, rule.least_hosts, rule.least_requests);
        let is_bad = |rate: f64| 100.0 - rate >= f64::from(rule.threshold);
        suspects
            .extend(tallies.iter().filter(|(_, rate)| is_bad(*rate)).map(|(address, _)| (*address, fault)));
    }

    fn eject(&mut self, address: SocketAddr, fault: Fault, now: Duration, random: u64) -> Event {
        let out = self.ejected();
        let settings = &self.settings;
        let would_be = (out as u64 + 1) * 100;
        let allowed = u64::from(settings.max_ejection_percent) * self.hosts.len() as u64;
        if would_be > allowed && !(settings.always_one && out == 0) {
            return Event::Overflow(address, fault);
        }
        if random % 100 >= u64::from(settings.enforcing(fault)) {
            return Event::Noticed(address, fault);
        }
        if let Some(host) = self.hosts.get_mut(&address) {
            let widest = u64::try_from(settings.jitter.as_millis()).unwrap_or(u64::MAX);
            let jitter = Duration::from_millis((random >> 8) % widest.saturating_add(1).max(1));
            host.ejected = Some(Ejection { at: now, jitter });
            let lasts = settings.base_ejection_time.saturating_mul(host.times);
            if lasts < settings.max_ejection_time + settings.base_ejection_time {
                host.times += 1;
            }
        }
        Event::Ejected(address, fault)
    }
}

impl Host {
    /// Whether its ejection has lasted long enough.
    fn is_over(&self, settings: &OutlierDetection, now: Duration) -> bool {
        let Some(ejection) = &self.ejected else { return false };
        let lasts = settings.base_ejection_time.saturating_mul(self.times).min(settings.max_ejection_time);
        now.saturating_sub(ejection.at) >= lasts + ejection.jitter
    }
}

impl OutlierDetection {
    /// How often a fault is acted upon, in percent.
    fn enforcing(&self, fault: Fault) -> u32 {
        match fault {
            Fault::Consecutive5xx => self.consecutive_5xx.enforcing,
            Fault::ConsecutiveGateway => self.consecutive_gateway.enforcing,
            Fault::ConsecutiveLocalOrigin => self.consecutive_local_origin.enforcing,
            Fault::SuccessRate => self.success_rate.enforcing,
            Fault::LocalOriginSuccessRate => self.local_origin_success_rate.enforcing,
            Fault::FailurePercentage => self.failure_percentage.enforcing,
            Fault::LocalOriginFailurePercentage => self.local_origin_failure_percentage.enforcing,
        }
    }
}

#[cfg(test)]
mod tests;
