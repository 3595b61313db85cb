//! Values are read, or named with what they should be.

use serde_json::json;

use super::*;

#[test]
fn values_are_read_with_care() {
    let annotations = Annotations::of(&json!({"metadata": {"annotations": {
        "port": " 80 ", "bad": "x", "on": "True", "json": "[1]", "number": 7, "broken": "a: [",
        "config": "# for this pod\nconcurrency: 2\nproxyMetadata:\n  A: \"1\"\n  B: two\ntracing: {zipkin: {address: \"z:9411\"}}\n",
    }}}));
    assert_eq!(annotations.parsed::<u16>("port", "a port"), Ok(Some(80)));
    assert_eq!(annotations.parsed::<u16>("none", "a port"), Ok(None));
    assert_eq!(annotations.text("number"), None);
    assert_eq!(annotations.switch("on"), Ok(Some(true)));
    assert_eq!(annotations.yaml("json", "a list"), Ok(Some(json!([1]))));
    let config = json!({
        "concurrency": 2,
        "proxyMetadata": {"A": "1", "B": "two"},
        "tracing": {"zipkin": {"address": "z:9411"}},
    });
    assert_eq!(annotations.yaml("config", "a ProxyConfig"), Ok(Some(config)));
    assert_eq!(annotations.first(&["none", "port"]), Some(" 80 "));
    let error = annotations.parsed::<u16>("bad", "a port").expect_err("an error");
    assert_eq!(error.to_string(), "annotation `bad`: `x` is not a port");
    assert!(annotations.switch("bad").is_err() && annotations.yaml("broken", "a list").is_err());
}
