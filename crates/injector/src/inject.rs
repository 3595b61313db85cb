//! The patched pod.

use serde_json::{Value, json};

use crate::annotations::{Annotations, STATUS, of_pod};
use crate::merge::merge;
use crate::probes;
use crate::prometheus;
use crate::settings::Settings;
use crate::template::{INIT, PROXY, Parts, Role, Template, TemplateError};
use crate::workload::Workload;

/// Why a pod cannot be given a proxy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InjectError {
    /// An annotation stands in the way.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The application's metrics stand in the way.
    #[error(transparent)]
    Metrics(#[from] prometheus::ReservedPort),
    /// A template that is not there.
    #[error(
        "annotation `inject.istio.io/templates`: there is no template `{0}`: `sidecar` and `gateway` are there"
    )]
    UnknownTemplate(String),
    /// The pod has no containers.
    #[error("the pod has no list of containers")]
    NoContainers,
    /// The proxy's name is taken twice.
    #[error("`{PROXY}` is both a container and an init container")]
    TwoProxies,
}

/// The image that stands for the proxy's.
const AUTO: &str = "auto";

/// Gives a pod its proxy. Whether it should have one is [`crate::decide`]'s to say.
pub fn inject(mut pod: Value, settings: &Settings) -> Result<Value, InjectError> {
    if !pod.pointer("/spec/containers").is_some_and(Value::is_array) {
        return Err(InjectError::NoContainers);
    }
    let role = role(&pod, settings)?;
    let workload = Workload::of(&pod);
    label(&mut pod, &workload);
    let users_proxy = users_proxy(&pod)?;
    let annotations = Annotations::of(&pod);
    let config = |name: &str| settings.proxy_config.get(name).and_then(Value::as_bool).unwrap_or(false);
    let native = annotations.switch("sidecar.istio.io/nativeSidecar").map_err(TemplateError::from)?;
    let mut template = Template {
        annotations,
        settings,
        role,
        workload: workload.clone(),
        namespace: text(&pod["metadata"], "namespace").unwrap_or("default").to_owned(),
        is_native: role == Role::Sidecar && native.unwrap_or(settings.native_sidecars),
        holds_application: config("holdApplicationUntilProxyStarts"),
        pod: &pod,
    };
    let own = crate::template::proxy_config(&template)?;
    template.holds_application = own
        .get("holdApplicationUntilProxyStarts")
        .and_then(Value::as_bool)
        .unwrap_or(template.holds_application);
    let (is_native, holds) = (template.is_native, template.holds_application);
    let rewrites =
        template.annotations.switch("sidecar.istio.io/rewriteAppHTTPProbers").map_err(TemplateError::from)?;
    let Parts { proxy, init, volumes } = template.fill()?;

    let status = status(init.is_some(), is_native, &volumes, settings);
    let mut proxy = match &users_proxy {
        Some(own) => merge(proxy, own.clone()),
        None => proxy,
    };
    if role == Role::Sidecar && rewrites.unwrap_or(settings.rewrite_probes) {
        let originals = probes::rewrite(&mut pod, settings.status_port, PROXY);
        if !originals.is_empty() {
            add_variable(&mut proxy, probes::APP_PROBERS, &json!(originals).to_string());
        }
    }
    if role == Role::Sidecar
        && settings.merge_metrics
        && let Some(target) = prometheus::merge(&mut pod, settings.status_port)?
    {
        add_variable(&mut proxy, prometheus::VARIABLE, &target.to_string());
    }
    annotate(&mut pod, settings, &status, users_proxy.as_ref());
    place(&mut pod, proxy, init, is_native, holds && role == Role::Sidecar);
    let mut added = json!({"spec": {"volumes": volumes}});
    if role == Role::Gateway {
        // A gateway listens on 80 and 443 without being root.
        let sysctl = json!({"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"});
        added["spec"]["securityContext"] = json!({"sysctls": [sysctl]});
    }
    // What the user wrote about a volume of ours stays.
    Ok(merge(added, pod))
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field).and_then(Value::as_str)
}

/// Which template the pod wants; a container that only holds the proxy's place is a gateway's.
fn role(pod: &Value, settings: &Settings) -> Result<Role, InjectError> {
    let annotations = of_pod(pod, "annotations");
    let named = annotations.get("inject.istio.io/templates");
    if named.is_none() && users_proxy_image(pod) == Some(AUTO) {
        return Ok(Role::Gateway);
    }
    let names = named.unwrap_or(&settings.default_template);
    let mut role = Role::Sidecar;
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        role = match name {
            "sidecar" => Role::Sidecar,
            "gateway" => Role::Gateway,
            other => return Err(InjectError::UnknownTemplate(other.to_owned())),
        };
    }
    Ok(role)
}

fn users_proxy_image(pod: &Value) -> Option<&str> {
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array);
    containers
        .into_iter()
        .flatten()
        .find(|container| container["name"] == PROXY)
        .and_then(|own| text(own, "image"))
}

/// What the user wrote about the proxy's container, without the image that only holds the place.
fn users_proxy(pod: &Value) -> Result<Option<Value>, InjectError> {
    let find = |section: &str| {
        let containers = pod.pointer(&format!("/spec/{section}")).and_then(Value::as_array);
        containers.into_iter().flatten().find(|container| container["name"] == PROXY).cloned()
    };
    let own = match (find("containers"), find("initContainers")) {
        (Some(_), Some(_)) => return Err(InjectError::TwoProxies),
        (own, None) | (None, own) => own,
    };
    Ok(own.map(|mut own| {
        if own["image"] == AUTO {
            own.as_object_mut().map(|fields| fields.remove("image"));
        }
        own
    }))
}

fn add_variable(proxy: &mut Value, name: &str, value: &str) {
    let variables = proxy.get_mut("env").and_then(Value::as_array_mut);
    if let Some(variables) = variables
        && !variables.iter().any(|variable| variable["name"] == name)
    {
        variables.push(json!({"name": name, "value": value}));
    }
}

fn status(has_init: bool, is_native: bool, volumes: &[Value], settings: &Settings) -> String {
    let mut init: Vec<&str> = Vec::new();
    let mut containers: Vec<&str> = Vec::new();
    if has_init {
        init.push(INIT);
    }
    if is_native {
        init.push(PROXY)
    } else {
        containers.push(PROXY)
    }
    let volumes: Vec<&Value> = volumes.iter().map(|volume| &volume["name"]).collect();
    json!({
        "initContainers": if init.is_empty() { Value::Null } else { json!(init) },
        "containers": if containers.is_empty() { Value::Null } else { json!(containers) },
        "volumes": volumes,
        "imagePullSecrets": null,
        "revision": settings.revision,
    })
    .to_string()
}

/// Labels that say what the pod is.
fn label(pod: &mut Value, workload: &Workload) {
    let (name, revision) = workload.canonical(pod);
    let labels = [
        ("security.istio.io/tlsMode", "istio".to_owned()),
        ("service.istio.io/canonical-name", name),
        ("service.istio.io/canonical-revision", revision),
    ];
    for (key, value) in labels {
        set_unless_there(pod, "labels", key, value);
    }
}

/// Annotations that say what was done to the pod.
fn annotate(pod: &mut Value, settings: &Settings, status: &str, own: Option<&Value>) {
    let first = pod
        .pointer("/spec/containers")
        .and_then(Value::as_array)
        .and_then(|containers| containers.iter().find(|container| container["name"] != PROXY))
        .and_then(|container| text(container, "name"))
        .map(str::to_owned);
    if let Some(first) = first {
        set_unless_there(pod, "annotations", "kubectl.kubernetes.io/default-container", first.clone());
        set_unless_there(pod, "annotations", "kubectl.kubernetes.io/default-logs-container", first);
    }
    set_unless_there(pod, "annotations", "istio.io/rev", settings.revision.clone());
    set_unless_there(pod, "annotations", STATUS, status.to_owned());
    if let Some(own) = own {
        let overrides = json!({"containers": [own]}).to_string();
        set_unless_there(pod, "annotations", "proxy.istio.io/overrides", overrides);
    }
}

fn set_unless_there(pod: &mut Value, section: &str, key: &str, value: String) {
    let section = &mut pod["metadata"][section];
    if !section.is_object() {
        *section = json!({});
    }
    if section.get(key).is_none() {
        section[key] = json!(value);
    }
}

/// Puts the containers in the order in which they have to start.
fn place(pod: &mut Value, proxy: Value, init: Option<Value>, is_native: bool, is_first: bool) {
    let mut take = |section: &str, without: &[&str]| -> Vec<Value> {
        let section = &mut pod["spec"][section];
        let containers = section.take();
        let containers = match containers {
            Value::Array(containers) => containers,
            _ => Vec::new(),
        };
        containers.into_iter().filter(|one| !without.iter().any(|name| one["name"] == *name)).collect()
    };
    let mut containers = take("containers", &[PROXY]);
    let mut inits = take("initContainers", &[PROXY, INIT]);
    if is_native {
        let mut ours: Vec<Value> = init.into_iter().collect();
        ours.push(proxy);
        ours.append(&mut inits);
        inits = ours;
    } else {
        inits.extend(init);
        match is_first {
            true => containers.insert(0, proxy),
            false => containers.push(proxy),
        }
    }
    pod["spec"]["containers"] = Value::Array(containers);
    if inits.is_empty() {
        pod["spec"].as_object_mut().map(|spec| spec.remove("initContainers"));
    } else {
        pod["spec"]["initContainers"] = Value::Array(inits);
    }
}

#[cfg(test)]
mod tests;
