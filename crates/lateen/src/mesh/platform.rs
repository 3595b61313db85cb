//! What a local mesh has built in: namespaces, the ingress gateway, and how
//! pods are injected here.

use std::collections::BTreeMap;
use std::sync::Arc;

use config_store::Objects;
use injector::Settings as Injection;
use injector::decision::{Policy, decide};
use resources::{Kind, Object, ObjectKey};
use serde_json::Value;

use super::settings::{DataPlane, Settings};

/// Where the built-in objects are said to come from.
const FILE: &str = "<built in>";

/// Namespaces and the ingress gateway.
pub(super) fn objects() -> Vec<Arc<Object>> {
    resources::parse(FILE, include_str!("platform.yaml"), "default").objects
}

/// What is done to a pod before it runs.
type Admit = Box<dyn Fn(Value, &Objects) -> Result<Value, String>>;

/// The injector of Kubernetes, with this machine's settings.
pub(super) fn injection(settings: &Settings, proxy_match: capture::ProxyMatch) -> Admit {
    let injection = injection_settings(settings, proxy_match);
    Box::new(move |pod, objects| {
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or("default").to_owned();
        let labels = namespace_labels(objects, &namespace);
        let decision =
            decide(&pod, &namespace, &labels, &injection.policy).map_err(|error| error.to_string())?;
        injector::inject(pod, &decision, &injection).map_err(|error| error.to_string())
    })
}

fn injection_settings(settings: &Settings, proxy_match: capture::ProxyMatch) -> Injection {
    let mut injection = Injection {
        policy: Policy { by_default: true, ..Policy::default() },
        command: vec!["lateen".to_owned()],
        init_command: vec!["lateen".to_owned(), "init".to_owned()],
        ..Injection::default()
    };
    if let capture::ProxyMatch::Dscp(value) = proxy_match {
        // The upper six bits of the traffic class.
        injection.more_environment.push(("LATEEN_UPSTREAM_TOS".to_owned(), (value << 2).to_string()));
    }
    injection.proxy_match = proxy_match;
    injection.proxy_config.insert("concurrency".to_owned(), 1.into());
    if settings.data_plane == DataPlane::Envoy {
        injection.more_arguments.extend(["--envoy-path".to_owned(), "envoy".to_owned()]);
    }
    injection
}

fn namespace_labels(objects: &Objects, namespace: &str) -> BTreeMap<String, String> {
    let key = ObjectKey::new(Kind::Namespace, "", namespace);
    objects.get(&key).map(|object| object.meta.labels.clone()).unwrap_or_default()
}
