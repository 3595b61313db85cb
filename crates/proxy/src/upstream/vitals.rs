//! What all workers know of one endpoint: how it answers, and whether it is
//! left out.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};

use routing::cluster::{OutlierDetection, Rule};
use routing::outlier::{Fault, Sample, Tally};
use smallvec::SmallVec;

/// Faults that one outcome shows.
pub type Faults = SmallVec<[Fault; 2]>;

/// How one endpoint is doing.
#[derive(Debug, Default)]
pub struct Vitals {
    /// It is left out for a while.
    pub ejected: AtomicBool,
    /// Connections that are open.
    pub cx_active: AtomicI64,
    /// Connections that were made.
    pub cx_total: AtomicU64,
    /// Connections that did not come about.
    pub cx_connect_fail: AtomicU64,
    /// Requests without an answer yet.
    pub rq_active: AtomicI64,
    /// Requests.
    pub rq_total: AtomicU64,
    /// Answers that were no 5xx.
    pub rq_success: AtomicU64,
    /// 5xx answers and resets.
    pub rq_error: AtomicU64,
    /// Requests that took too long.
    pub rq_timeout: AtomicU64,
    row_5xx: AtomicU32,
    row_gateway: AtomicU32,
    row_local: AtomicU32,
    answers: Tallied,
    local: Tallied,
}

#[derive(Debug, Default)]
struct Tallied {
    total: AtomicU64,
    successes: AtomicU64,
}

impl Tallied {
    fn add(&self, success: bool) {
        self.total.fetch_add(1, Ordering::Relaxed);
        if success {
            self.successes.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn take(&self) -> Tally {
        let successes = self.successes.swap(0, Ordering::Relaxed);
        Tally { total: self.total.swap(0, Ordering::Relaxed).max(successes), successes }
    }
}

/// How an attempt ended, as far as it says something about the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It answered with this status.
    Answered(u16),
    /// A connection came about.
    Connected,
    /// Bytes went to and fro.
    Served,
    /// No connection came about, or it broke.
    Broken,
    /// It took too long.
    TimedOut,
}

impl Vitals {
    /// Takes an outcome in; what it shows is told once, when a row of
    /// failures reaches its length.
    pub fn note(&self, outcome: Outcome, rules: &OutlierDetection) -> Faults {
        let mut faults = Faults::new();
        if rules.splits_local_origin {
            match outcome {
                Outcome::Answered(status) => self.answered(status, rules, &mut faults),
                Outcome::Connected | Outcome::Served => {
                    reset(&self.row_local);
                    self.local.add(true);
                }
                Outcome::Broken | Outcome::TimedOut => {
                    self.local.add(false);
                    count(
                        &self.row_local,
                        rules.consecutive_local_origin,
                        Fault::ConsecutiveLocalOrigin,
                        &mut faults,
                    );
                }
            }
            return faults;
        }
        match outcome {
            Outcome::Answered(status) => self.answered(status, rules, &mut faults),
            Outcome::Served => self.answered(200, rules, &mut faults),
            Outcome::Broken => self.answered(503, rules, &mut faults),
            Outcome::TimedOut => self.answered(504, rules, &mut faults),
            Outcome::Connected => {}
        }
        faults
    }

    fn answered(&self, status: u16, rules: &OutlierDetection, faults: &mut Faults) {
        // Where other statuses are the errors, each of them counts as a 500
        // and everything else as a success.
        let status = match &rules.error_codes {
            Some(codes) if codes.contains(&status) => 500,
            Some(_) => 200,
            None => status,
        };
        self.answers.add(status < 500);
        if status < 500 {
            reset(&self.row_5xx);
            reset(&self.row_gateway);
            return;
        }
        if matches!(status, 502..=504) {
            count(&self.row_gateway, rules.consecutive_gateway, Fault::ConsecutiveGateway, faults);
        } else {
            reset(&self.row_gateway);
        }
        count(&self.row_5xx, rules.consecutive_5xx, Fault::Consecutive5xx, faults);
    }

    /// A row was looked at; it begins anew.
    pub fn reset_row(&self, fault: Fault) {
        match fault {
            Fault::Consecutive5xx => reset(&self.row_5xx),
            Fault::ConsecutiveGateway => reset(&self.row_gateway),
            Fault::ConsecutiveLocalOrigin => reset(&self.row_local),
            _ => {}
        }
    }

    /// It comes back: all rows begin anew.
    pub fn returned(&self) {
        for row in [&self.row_5xx, &self.row_gateway, &self.row_local] {
            reset(row);
        }
        self.ejected.store(false, Ordering::Release);
    }

    /// What it did since the last time somebody asked.
    pub fn sample(&self) -> Sample {
        Sample { answers: self.answers.take(), local_origin: self.local.take() }
    }

    /// Whether it is left out.
    pub fn is_ejected(&self) -> bool {
        self.ejected.load(Ordering::Acquire)
    }
}

/// Written only when there is something to forget: good endpoints cost other
/// threads no cache line.
fn reset(row: &AtomicU32) {
    if row.load(Ordering::Relaxed) != 0 {
        row.store(0, Ordering::Relaxed);
    }
}

fn count(row: &AtomicU32, rule: Rule, fault: Fault, faults: &mut Faults) {
    if row.fetch_add(1, Ordering::Relaxed) + 1 == rule.count {
        faults.push(fault);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules(json: serde_json::Value) -> OutlierDetection {
        let cluster = json!({"name": "c", "type": "EDS", "outlier_detection": json});
        let cluster = xds::json::decode(&cluster).expect("a test's own JSON");
        let cluster = routing::cluster::Cluster::compile(&cluster).expect("it compiles");
        cluster.outlier_detection.expect("it is there")
    }

    fn faults(rules: &OutlierDetection, outcomes: &[Outcome]) -> Vec<Fault> {
        let vitals = Vitals::default();
        outcomes.iter().flat_map(|outcome| vitals.note(*outcome, rules)).collect()
    }

    #[test]
    fn rows_of_failures_are_told_once() {
        use Outcome::{Answered, Broken, Connected, TimedOut};
        let three = rules(json!({"consecutive_5xx": 3, "consecutive_gateway_failure": 2}));
        assert_eq!(faults(&three, &[Answered(500); 5]), [Fault::Consecutive5xx]);
        assert_eq!(faults(&three, &[Answered(500), Answered(500), Answered(200), Answered(500)]), []);
        assert_eq!(faults(&three, &[Answered(502), Answered(500), Answered(503)]), [Fault::Consecutive5xx]);
        assert_eq!(
            faults(&three, &[Broken, TimedOut, Answered(503)]),
            [Fault::ConsecutiveGateway, Fault::Consecutive5xx]
        );
        assert_eq!(faults(&three, &[Broken, Connected, Broken]), [Fault::ConsecutiveGateway]);
        let split = rules(json!({"consecutive_5xx": 1, "split_external_local_origin_errors": true,
            "consecutive_local_origin_failure": 2}));
        assert_eq!(faults(&split, &[Broken, Connected, Broken, TimedOut]), [Fault::ConsecutiveLocalOrigin]);
    }

    #[test]
    fn other_statuses_can_be_the_errors() {
        let mut rules = rules(json!({"consecutive_5xx": 1}));
        rules.error_codes = Some(Box::new([429]));
        assert_eq!(faults(&rules, &[Outcome::Answered(500)]), []);
        assert_eq!(faults(&rules, &[Outcome::Answered(429)]), [Fault::Consecutive5xx]);
    }
}
