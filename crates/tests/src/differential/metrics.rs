//! Istio's metrics of both data planes after all requests: the same series,
//! with the same counts.

use std::collections::BTreeMap;

use testkit::mask;

use super::compare::Difference;

/// What is counted once for each request or connection.
const COUNTED: [&str; 4] = [
    "istio_requests_total",
    "istio_request_duration_milliseconds_count",
    "istio_tcp_connections_opened_total",
    "istio_tcp_connections_closed_total",
];

/// Series that differ, or whose counts are further apart than `tolerance`.
pub fn compare(envoy: &str, lateen: &str, tolerance: u64) -> Vec<Difference> {
    let (left, right) = (series(envoy), series(lateen));
    let keys: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    let mut differences = Vec::new();
    for key in keys {
        let count = |page: &BTreeMap<String, u64>| page.get(key).copied().unwrap_or(0);
        let (one, other) = (count(&left), count(&right));
        if one.abs_diff(other) > tolerance {
            let at = format!("metrics/{key}");
            differences.push(Difference { at, envoy: one.to_string(), lateen: other.to_string() });
        }
    }
    differences
}

/// Counts by name and labels; labels that may differ are left out.
fn series(page: &str) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for line in page.lines() {
        let Some((name, rest)) = line.split_once('{') else { continue };
        let Some((labels, value)) = rest.rsplit_once("} ") else { continue };
        if COUNTED.contains(&name) {
            let count = value.parse::<f64>().unwrap_or(0.0) as u64;
            *found.entry(format!("{name}{{{}}}", compared(labels))).or_default() += count;
        }
    }
    found
}

fn compared(labels: &str) -> String {
    let labels: BTreeMap<&str, &str> =
        labels.split("\",").filter_map(|label| label.trim_end_matches('"').split_once("=\"")).collect();
    let reporter = labels.get("reporter").copied().unwrap_or_default().to_owned();
    let kept = labels.iter().filter(|(name, _)| {
        mask::at(&["metrics".to_owned(), reporter.clone(), (**name).to_owned()]).is_none()
    });
    kept.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::compare;

    #[test]
    fn series_are_compared_without_what_may_differ() {
        let page = |workload: &str, count: u32| {
            format!(
                "# TYPE istio_requests_total counter\nistio_requests_total{{reporter=\"source\",\
                 destination_workload=\"{workload}\",response_code=\"200\"}} {count}\nother{{a=\"b\"}} 9\n"
            )
        };
        assert_eq!(compare(&page("a", 3), &page("b", 3), 0), []);
        let different = compare(&page("a", 3), &page("a", 5), 1);
        assert_eq!(different[0].at, "metrics/istio_requests_total{reporter=source,response_code=200}");
    }
}
