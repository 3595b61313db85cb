//! What a local mesh has built in: namespaces, the ingress gateway, and how
//! pods are injected here.

use std::collections::BTreeMap;
use std::sync::Arc;

use config_store::Objects;
use injector::{Environment, Namespace, Settings as Injection};
use resources::{Kind, Object, ObjectKey};
use serde_json::{Value, json};

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
        let name = pod["metadata"]["namespace"].as_str().unwrap_or("default").to_owned();
        let namespace = Namespace { labels: namespace_labels(objects, &name), name };
        match injector::decide(&pod, &namespace, &injection).is_injected() {
            true => injector::inject(pod, &injection).map_err(|error| error.to_string()),
            false => Ok(pod),
        }
    })
}

fn injection_settings(settings: &Settings, proxy_match: capture::ProxyMatch) -> Injection {
    let mut injection = Injection {
        namespaces_by_default: true,
        environment: Environment::Local,
        // The hooks of Kubernetes' images call a program that is not here; the kubelet's own order does their work.
        agent_program: None,
        native_sidecars: true,
        ca_address: CA_ADDRESS.to_owned(),
        proxy_config: json!({"discoveryAddress": DISCOVERY_ADDRESS, "concurrency": 1}),
        ..Injection::default()
    };
    let mut set = |name: &str, value: String| injection.proxy_environment.push((name.to_owned(), value));
    if let capture::ProxyMatch::Dscp(value) = proxy_match {
        // The upper six bits of the traffic class.
        set("LATEEN_UPSTREAM_TOS", (value << 2).to_string());
    }
    if settings.data_plane == DataPlane::Envoy {
        set("LATEEN_ENVOY_PATH", "envoy".to_owned());
    }
    injection.proxy_match = proxy_match;
    injection
}

/// Where certificates are asked for.
const CA_ADDRESS: &str = "istiod.istio-system.svc:15012";

/// Plain xDS.
const DISCOVERY_ADDRESS: &str = "istiod.istio-system.svc:15010";

fn namespace_labels(objects: &Objects, namespace: &str) -> BTreeMap<String, String> {
    let key = ObjectKey::new(Kind::Namespace, "", namespace);
    objects.get(&key).map(|object| object.meta.labels.clone()).unwrap_or_default()
}
