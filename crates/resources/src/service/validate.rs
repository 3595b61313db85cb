//! Rules for a Service.

use std::collections::BTreeSet;

use super::{ServiceSpec, ServiceType};
use crate::field::IntOrString;
use crate::path::Trail;
use crate::problem::Code;
use crate::validate::Checker;
use crate::validate::value::is_address;

/// Checks a Service.
pub(crate) fn validate(content: &ServiceSpec, at: &Trail<'_>, check: &mut Checker<'_>) {
    let ports_at = at.key("ports");
    let external = content.service_type == ServiceType::ExternalName;
    if content.ports.is_empty() && !external && content.cluster_ip != "None" {
        check.required(&ports_at).help("a Service has at least one port");
    }
    if external {
        check.host(&at.key("externalName"), &content.external_name);
    }
    ports(content, &ports_at, check);
    check.labels(&at.key("selector"), &content.selector);
    if !matches!(content.cluster_ip.as_str(), "" | "None") && !is_address(&content.cluster_ip) {
        let message = format!("`{}` is not an IP address", content.cluster_ip);
        check.note(&at.key("clusterIP"), Code::InvalidAddress, message).help("leave it out, or write `None`");
    }
    let ips_at = at.key("clusterIPs");
    for (index, ip) in content.cluster_ips.iter().enumerate().filter(|(_, ip)| *ip != "None") {
        check.address(&ips_at.index(index), ip);
    }
}

fn ports(content: &ServiceSpec, at: &Trail<'_>, check: &mut Checker<'_>) {
    let (mut names, mut numbers) = (BTreeSet::new(), BTreeSet::new());
    for (index, port) in content.ports.iter().enumerate() {
        let at = at.index(index);
        check.port(&at.key("port"), port.port);
        if port.name.is_empty() {
            if content.ports.len() > 1 {
                check.required(&at.key("name")).help("with several ports, each has a name");
            }
        } else {
            check.port_name(&at.key("name"), &port.name);
            if !names.insert(port.name.as_str()) {
                check.note(
                    &at.key("name"),
                    Code::Duplicate,
                    format!("another port has the name `{}`", port.name),
                );
            }
        }
        if !numbers.insert((port.port, port.protocol as u8)) {
            check.note(
                &at.key("port"),
                Code::Duplicate,
                format!("another port has the number {}", port.port),
            );
        }
        match &port.target_port {
            Some(IntOrString::Int(number)) => check.port(&at.key("targetPort"), *number),
            Some(IntOrString::String(name)) => check.container_port_name(&at.key("targetPort"), name),
            None => {}
        }
    }
}
