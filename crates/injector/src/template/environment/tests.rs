//! A ProxyConfig in an annotation.

use super::*;

#[test]
fn simple_yaml_is_read_as_what_it_says() {
    let text = "# for this pod\nconcurrency: 2\nholdApplicationUntilProxyStarts: true\nproxyMetadata:\n  A: \"1\"\n  B: two\ndrainDuration: 5s\n";
    let expected = json!({
        "concurrency": 2,
        "holdApplicationUntilProxyStarts": true,
        "proxyMetadata": {"A": "1", "B": "two"},
        "drainDuration": "5s",
    });
    assert_eq!(simple_lines(text), Some(expected));
    assert_eq!(simple_lines("- list\n"), None);
    assert_eq!(simple_lines("a:\n  b:\n    c: 1\n"), None);
}
