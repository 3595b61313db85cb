//! The sidecar: capture rules, then the proxy, then the application.

use capture::{Options, Ports, Ranges, arguments};
use serde_json::{Value, json};

use crate::annotation::annotation;
use crate::environment::literal;
use crate::{
    INIT_CONTAINER, InjectError, PROXY_CONTAINER, Settings, environment, labels, metrics, probes, status,
};

/// Ports of the proxy's own that are never captured: metrics, health, merged
/// metrics.
const OWN_PORTS: [u16; 3] = [15090, 15021, 15020];

const ENVOY_VOLUME: &str = "istio-envoy";
const DATA_VOLUME: &str = "istio-data";
const POD_INFO_VOLUME: &str = "istio-podinfo";

/// Makes `pod` one with a sidecar.
pub(crate) fn inject(mut pod: Value, settings: &Settings) -> Result<Value, InjectError> {
    if !pod["spec"]["containers"].is_array() {
        return Err(InjectError::NoContainers);
    }
    labels::add(&mut pod);
    let mut variables = environment::of(&pod, settings)?;
    let probers = probes::rewrite(&mut pod)?;
    if !probers.is_empty() {
        variables.push(literal("ISTIO_KUBE_APP_PROBERS", Value::Object(probers).to_string()));
    }
    if let Some(target) = metrics::merge(&mut pod) {
        variables.push(literal("ISTIO_PROMETHEUS_ANNOTATIONS", target.to_string()));
    }
    let init = init_container(&pod, settings)?;
    let proxy = proxy_container("sidecar", variables, settings);
    add_volumes(&mut pod);
    add_containers(&mut pod, init, proxy, settings);
    let volumes = [ENVOY_VOLUME, DATA_VOLUME, POD_INFO_VOLUME];
    match settings.native_sidecar {
        true => status::add(&mut pod, settings, &[INIT_CONTAINER, PROXY_CONTAINER], &[], &volumes),
        false => status::add(&mut pod, settings, &[INIT_CONTAINER], &[PROXY_CONTAINER], &volumes),
    }
    Ok(pod)
}

fn add_containers(pod: &mut Value, init: Value, mut proxy: Value, settings: &Settings) {
    let own = pod["spec"]["initContainers"].as_array().cloned().unwrap_or_default();
    let mut first = vec![init];
    if settings.native_sidecar {
        proxy["restartPolicy"] = json!("Always");
        first.push(proxy);
        first.extend(own);
    } else {
        first.splice(0..0, own);
        if let Some(containers) = pod["spec"]["containers"].as_array_mut() {
            containers.push(proxy);
        }
    }
    pod["spec"]["initContainers"] = Value::Array(first);
}

/// The proxy's container for `role`.
pub(crate) fn proxy_container(role: &str, variables: Vec<Value>, settings: &Settings) -> Value {
    let mut arguments: Vec<&str> = vec![
        "proxy",
        role,
        "--domain",
        "$(POD_NAMESPACE).svc.cluster.local",
        "--proxyLogLevel=warning",
        "--proxyComponentLogLevel=misc:error",
        "--log_output_level=default:info",
    ];
    arguments.extend(settings.more_arguments.iter().map(String::as_str));
    let ready = json!({"path": "/healthz/ready", "port": 15021});
    let mut container = json!({
        "name": PROXY_CONTAINER,
        "image": settings.image,
        "args": arguments,
        "env": variables,
        "ports": [{"containerPort": 15090, "name": "http-envoy-prom", "protocol": "TCP"}],
        "startupProbe": {"httpGet": ready, "periodSeconds": 1, "timeoutSeconds": 3, "failureThreshold": 600},
        "readinessProbe": {"httpGet": ready, "periodSeconds": 15, "timeoutSeconds": 3, "failureThreshold": 4},
        "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"cpu": "2", "memory": "1Gi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "privileged": false,
            "readOnlyRootFilesystem": true,
            "runAsGroup": capture::PROXY_ID,
            "runAsNonRoot": true,
            "runAsUser": capture::PROXY_ID,
        },
        "volumeMounts": [
            {"name": ENVOY_VOLUME, "mountPath": "/etc/istio/proxy"},
            {"name": DATA_VOLUME, "mountPath": "/var/lib/istio/data"},
            {"name": POD_INFO_VOLUME, "mountPath": "/etc/istio/pod"},
        ],
    });
    if !settings.command.is_empty() {
        container["command"] = json!(settings.command);
    }
    container
}

fn init_container(pod: &Value, settings: &Settings) -> Result<Value, InjectError> {
    let mut container = json!({
        "name": INIT_CONTAINER,
        "image": settings.image,
        "args": arguments::render(&capture_options(pod, settings)?),
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]},
            "privileged": false,
            "runAsGroup": 0,
            "runAsNonRoot": false,
            "runAsUser": 0,
        },
    });
    match settings.init_command.is_empty() {
        true => container["command"] = json!(["lateen", "init"]),
        false => container["command"] = json!(settings.init_command),
    }
    Ok(container)
}

/// What to capture, with the `traffic.sidecar.istio.io` annotations.
fn capture_options(pod: &Value, settings: &Settings) -> Result<Options, InjectError> {
    let mut options = Options {
        proxy: settings.proxy_match.clone(),
        inbound_ports: Ports::All,
        inbound_ports_excluded: OWN_PORTS.to_vec(),
        outbound_ranges: Ranges::All,
        ..Options::default()
    };
    let read = |name: &str| annotation(pod, &format!("traffic.sidecar.istio.io/{name}"));
    if let Some(text) = read("includeInboundPorts") {
        options.inbound_ports = checked("includeInboundPorts", text, arguments::parse_ports("-b", text))?;
    }
    if let Some(text) = read("excludeInboundPorts") {
        let ports = checked("excludeInboundPorts", text, arguments::parse_port_list("-d", text))?;
        options.inbound_ports_excluded.extend(ports);
    }
    if let Some(text) = read("includeOutboundIPRanges") {
        options.outbound_ranges =
            checked("includeOutboundIPRanges", text, arguments::parse_ranges("-i", text))?;
    }
    if let Some(text) = read("excludeOutboundIPRanges") {
        options.outbound_ranges_excluded =
            checked("excludeOutboundIPRanges", text, arguments::parse_range_list("-x", text))?;
    }
    if let Some(text) = read("includeOutboundPorts") {
        options.outbound_ports =
            checked("includeOutboundPorts", text, arguments::parse_port_list("-q", text))?;
    }
    if let Some(text) = read("excludeOutboundPorts") {
        options.outbound_ports_excluded =
            checked("excludeOutboundPorts", text, arguments::parse_port_list("-o", text))?;
    }
    if let Some(text) = read("excludeInterfaces") {
        options.excluded_interfaces = text.split(',').map(|name| name.trim().to_owned()).collect();
    }
    Ok(options)
}

fn checked<T>(name: &str, text: &str, parsed: Result<T, arguments::ArgumentError>) -> Result<T, InjectError> {
    parsed.map_err(|error| InjectError::Annotation {
        name: format!("traffic.sidecar.istio.io/{name}"),
        value: text.to_owned(),
        why: error.to_string(),
    })
}

/// What the proxy writes to, and what it reads of its pod.
pub(crate) fn add_volumes(pod: &mut Value) {
    let file = |path: &str, field: &str| json!({"path": path, "fieldRef": {"fieldPath": field}});
    let added = [
        json!({"name": ENVOY_VOLUME, "emptyDir": {"medium": "Memory"}}),
        json!({"name": DATA_VOLUME, "emptyDir": {}}),
        json!({"name": POD_INFO_VOLUME, "downwardAPI": {"items": [
            file("labels", "metadata.labels"),
            file("annotations", "metadata.annotations"),
        ]}}),
    ];
    let volumes = &mut pod["spec"]["volumes"];
    if !volumes.is_array() {
        *volumes = json!([]);
    }
    if let Some(volumes) = volumes.as_array_mut() {
        volumes.splice(0..0, added);
    }
}
