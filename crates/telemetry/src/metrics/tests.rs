use super::*;

const REQUESTS: Metric = Metric { name: "requests_total", help: "All requests." };
const DURATION: Metric = Metric { name: "duration_milliseconds", help: "" };

#[test]
fn cells_of_several_writers_are_added_up() {
    let registry = Registry::default();
    let series = Series { labels: &[("code", "200"), ("path", "a\"b\\c\nd")], dotted: "http.requests" };
    let one = registry.counter(REQUESTS, series);
    let other = registry.counter(REQUESTS, series);
    one.add(2);
    other.increment();
    let expected = "# HELP requests_total All requests.\n# TYPE requests_total counter\nrequests_total{code=\"200\",path=\"a\\\"b\\\\c\\nd\"} 3\n";
    assert_eq!(registry.prometheus(), expected);
    assert_eq!(registry.dotted(), "http.requests: 3\n");
    assert_eq!(registry.sum("requests_total", |labels| labels.contains("code=\"200\"")), 3);
}

#[test]
fn histograms_count_below_each_bound() {
    let registry = Registry::default();
    let histogram = registry.histogram(DURATION, Series::default());
    for value in [0, 1, 7, 4_000_000] {
        histogram.record(value);
    }
    let text = registry.prometheus();
    for line in [
        "duration_milliseconds_bucket{le=\"0.5\"} 1",
        "duration_milliseconds_bucket{le=\"1\"} 2",
        "duration_milliseconds_bucket{le=\"10\"} 3",
        "duration_milliseconds_bucket{le=\"3600000\"} 3",
        "duration_milliseconds_bucket{le=\"+Inf\"} 4",
        "duration_milliseconds_sum{} 4000008",
        "duration_milliseconds_count{} 4",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

#[test]
fn series_do_not_grow_without_end() {
    let registry = Registry::default();
    for number in 0..MAX_SERIES + 10 {
        let name = number.to_string();
        registry.counter(REQUESTS, Series { labels: &[("n", &name)], dotted: "" }).increment();
    }
    assert_eq!(registry.sum("requests_total", |_| true), MAX_SERIES as u64);
}
