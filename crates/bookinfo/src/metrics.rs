//! The page's one Prometheus counter.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

/// Answers that productpage got, by service and status.
#[derive(Default)]
pub(crate) struct RequestResults {
    counts: Mutex<BTreeMap<(&'static str, u16), u64>>,
}

impl RequestResults {
    /// Counts one answer of `app`.
    pub(crate) fn count(&self, app: &'static str, status: u16) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((app, status)).or_default() += 1;
    }

    /// Prometheus' text format.
    pub(crate) fn text(&self) -> String {
        let mut text =
            String::from("# HELP request_result Results of requests\n# TYPE request_result counter\n");
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for ((app, status), count) in &*counts {
            let _ = writeln!(
                text,
                "request_result{{destination_app=\"{app}\",response_code=\"{status}\"}} {count}"
            );
        }
        text
    }
}
