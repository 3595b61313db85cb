//! Stock Envoy is the judge of its own bootstrap.

use std::collections::BTreeMap;
use std::process::Command;

use super::AgentSockets;
use crate::agent::settings::{Arguments, Role, Settings};

fn settings(more: &[(&str, &str)]) -> Settings {
    let mut environment: BTreeMap<String, String> = [
        ("POD_NAME", "reviews-v1-0"),
        ("POD_NAMESPACE", "default"),
        ("INSTANCE_IP", "10.44.0.3"),
        ("SERVICE_ACCOUNT", "bookinfo-reviews"),
        ("PROXY_CONFIG", r#"{"discoveryAddress": "istiod.istio-system.svc:15010", "concurrency": 1}"#),
        ("ISTIO_META_WORKLOAD_NAME", "reviews-v1"),
        ("ISTIO_METAJSON_POD_PORTS", r#"[{"containerPort": 9080}]"#),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    environment.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let arguments = Arguments { role: Role::Sidecar, domain: None, envoy_path: None, concurrency: None };
    Settings::from_parts(arguments, &environment, "app=\"reviews\"\nversion=\"v1\"\n", "").expect("settings")
}

#[test]
fn stock_envoy_accepts_the_bootstrap() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, more) in [("owner", &[][..]), ("tos", &[("LATEEN_UPSTREAM_TOS", "136")][..])] {
        let file = folder.path().join(format!("{name}.json"));
        let bootstrap = super::envoy(&settings(more), &AgentSockets::within(folder.path()));
        std::fs::write(&file, bootstrap.to_string()).expect("write the bootstrap");
        let envoy = testkit::tools::envoy().expect("Envoy");
        let output = Command::new(envoy)
            .args(["--mode", "validate", "--disable-hot-restart", "--config-path"])
            .arg(&file)
            .output()
            .expect("run Envoy");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_node_is_named_as_istio_names_it() {
    let bootstrap = super::envoy(&settings(&[]), &AgentSockets::within(std::path::Path::new("")));
    let node = &bootstrap["node"];
    assert_eq!(node["id"], "sidecar~10.44.0.3~reviews-v1-0.default~default.svc.cluster.local");
    assert_eq!(node["cluster"], "reviews.default");
    assert_eq!(node["metadata"]["WORKLOAD_NAME"], "reviews-v1");
    assert_eq!(node["metadata"]["LABELS"]["version"], "v1");
    assert_eq!(node["metadata"]["POD_PORTS"][0]["containerPort"], 9080);
}
