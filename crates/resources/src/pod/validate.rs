//! Rules for a pod: what a cluster would refuse as well.

use std::collections::BTreeSet;

use super::{Container, EnvVar, Handler, PodSpec, Probe, VolumeMount};
use crate::field::IntOrString;
use crate::host;
use crate::path::Trail;
use crate::problem::Code;
use crate::validate::Checker;

/// Containers that injection completes: what a pod says of them is only what differs.
const INJECTED: [&str; 3] = ["istio-proxy", "istio-init", "istio-validation"];

/// Checks a pod.
pub(crate) fn validate(content: &PodSpec, at: &Trail<'_>, check: &mut Checker<'_>) {
    let volumes = volumes(content, &at.key("volumes"), check);
    if content.containers.is_empty() {
        check.required(&at.key("containers")).help("a pod has at least one container");
    }
    let mut names = BTreeSet::new();
    for (field, containers) in
        [("containers", &content.containers), ("initContainers", &content.init_containers)]
    {
        let field_at = at.key(field);
        for (index, container) in containers.iter().enumerate() {
            let at = field_at.index(index);
            if !container.name.is_empty() && !names.insert(container.name.as_str()) {
                let message = format!("another container of the pod has the name `{}`", container.name);
                check.note(&at.key("name"), Code::Duplicate, message);
            }
            validate_container(container, &volumes, &at, check);
        }
    }
}

fn volumes<'a>(content: &'a PodSpec, at: &Trail<'_>, check: &mut Checker<'_>) -> BTreeSet<&'a str> {
    let mut names = BTreeSet::new();
    for (index, volume) in content.volumes.iter().enumerate() {
        let name_at = at.index(index);
        let name_at = name_at.key("name");
        if volume.name.is_empty() {
            check.required(&name_at);
        } else if !names.insert(volume.name.as_str()) {
            check.note(&name_at, Code::Duplicate, format!("another volume has the name `{}`", volume.name));
        }
    }
    names
}

fn validate_container(
    container: &Container,
    volumes: &BTreeSet<&str>,
    at: &Trail<'_>,
    check: &mut Checker<'_>,
) {
    let name_at = at.key("name");
    if container.name.is_empty() {
        check.required(&name_at);
    } else if !host::is_label(&container.name) || container.name.bytes().any(|byte| byte.is_ascii_uppercase())
    {
        let message = format!("`{}` is not a valid name for a container", container.name);
        check
            .note(&name_at, Code::InvalidName, message)
            .help("at most 63 lower-case letters, digits and `-`");
    }
    if container.image.is_empty() && !INJECTED.contains(&container.name.as_str()) {
        check.required(&at.key("image"));
    }
    ports(container, &at.key("ports"), check);
    env(&container.env, &at.key("env"), check);
    mounts(&container.volume_mounts, volumes, &at.key("volumeMounts"), check);
    let probes = [
        ("livenessProbe", &container.liveness_probe),
        ("readinessProbe", &container.readiness_probe),
        ("startupProbe", &container.startup_probe),
    ];
    for (field, probe) in probes {
        if let Some(probe) = probe {
            validate_probe(probe, container, &at.key(field), check);
        }
    }
    if let Some(lifecycle) = &container.lifecycle {
        let at = at.key("lifecycle");
        for (field, handler) in [("postStart", &lifecycle.post_start), ("preStop", &lifecycle.pre_stop)] {
            if let Some(handler) = handler {
                validate_handler(handler, &at.key(field), check);
            }
        }
    }
}

fn ports(container: &Container, at: &Trail<'_>, check: &mut Checker<'_>) {
    let mut names = BTreeSet::new();
    for (index, port) in container.ports.iter().enumerate() {
        let at = at.index(index);
        check.port(&at.key("containerPort"), port.container_port);
        if !port.name.is_empty() {
            check.container_port_name(&at.key("name"), &port.name);
            if !names.insert(port.name.as_str()) {
                check.note(
                    &at.key("name"),
                    Code::Duplicate,
                    format!("another port has the name `{}`", port.name),
                );
            }
        }
    }
}

fn env(variables: &[EnvVar], at: &Trail<'_>, check: &mut Checker<'_>) {
    for (index, variable) in variables.iter().enumerate() {
        let at = at.index(index);
        if variable.name.is_empty() {
            check.required(&at.key("name"));
        } else if variable.name.contains('=')
            || !variable.name.bytes().all(|byte| (0x20..0x7f).contains(&byte))
        {
            let message = format!("`{}` is not a valid name for a variable", variable.name);
            check.note(&at.key("name"), Code::InvalidName, message);
        }
        if !variable.value.is_empty() && variable.value_from.is_some() {
            let message = "a variable has either `value` or `valueFrom`, not both";
            check.note(&at.key("valueFrom"), Code::Conflict, message);
        }
    }
}

fn mounts(mounts: &[VolumeMount], volumes: &BTreeSet<&str>, at: &Trail<'_>, check: &mut Checker<'_>) {
    let mut paths = BTreeSet::new();
    for (index, mount) in mounts.iter().enumerate() {
        let at = at.index(index);
        if mount.mount_path.is_empty() {
            check.required(&at.key("mountPath"));
        } else if !paths.insert(mount.mount_path.as_str()) {
            let message = format!("something is mounted at `{}` already", mount.mount_path);
            check.note(&at.key("mountPath"), Code::Duplicate, message);
        }
        if mount.name.is_empty() {
            check.required(&at.key("name"));
        } else if !volumes.contains(mount.name.as_str()) {
            let message = format!("the pod has no volume `{}`, unless injection adds it", mount.name);
            check.note(&at.key("name"), Code::UnknownVolume, message).help("add it to `volumes` of the pod");
        }
    }
}

fn validate_probe(probe: &Probe, container: &Container, at: &Trail<'_>, check: &mut Checker<'_>) {
    let handlers = [
        ("httpGet", probe.http_get.is_some()),
        ("tcpSocket", probe.tcp_socket.is_some()),
        ("grpc", probe.grpc.is_some()),
        ("exec", probe.exec.is_some()),
    ];
    exactly_one(&handlers, at, check);
    let http = probe.http_get.as_ref().map(|action| ("httpGet", &action.port));
    let tcp = probe.tcp_socket.as_ref().map(|action| ("tcpSocket", &action.port));
    for (field, port) in [http, tcp].into_iter().flatten() {
        probe_port(port, container, &at.key(field).key("port"), check);
    }
    if let Some(action) = &probe.grpc {
        check.port(&at.key("grpc").key("port"), action.port);
    }
    if probe.exec.as_ref().is_some_and(|action| action.command.is_empty()) {
        check.required(&at.key("exec").key("command"));
    }
}

fn probe_port(port: &IntOrString, container: &Container, at: &Trail<'_>, check: &mut Checker<'_>) {
    match port {
        IntOrString::Int(0) => {
            check.required(at);
        }
        IntOrString::Int(_) => {}
        IntOrString::String(name) => {
            if !container.ports.iter().any(|port| port.name == *name) {
                let message = format!("the container has no port with the name `{name}`");
                check.note(at, Code::UnknownPort, message).help("add it to `ports`, or write its number");
            }
        }
    }
}

fn validate_handler(handler: &Handler, at: &Trail<'_>, check: &mut Checker<'_>) {
    let handlers = [
        ("exec", handler.exec.is_some()),
        ("httpGet", handler.http_get.is_some()),
        ("sleep", handler.sleep.is_some()),
        ("tcpSocket", handler.tcp_socket.is_some()),
    ];
    exactly_one(&handlers, at, check);
}

fn exactly_one(choices: &[(&str, bool)], at: &Trail<'_>, check: &mut Checker<'_>) {
    let set: Vec<&str> = choices.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
    match set.as_slice() {
        [_] => {}
        [] => {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            check.note(at, Code::Required, format!("one of {} must be set", names.join(", ")));
        }
        [first, .., last] => {
            check.note(&at.key(last), Code::Conflict, format!("`{first}` and `{last}` exclude each other"));
        }
    }
}
