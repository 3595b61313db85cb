//! The container that writes the capture rules.

use capture::Options;
use capture::arguments::{self, ArgumentError};
use serde_json::{Value, json};

use super::Template;
use crate::prometheus::STATUS_PORT;
use crate::{INIT_CONTAINER, InjectError};

/// The init container of a pod.
pub(crate) fn container(template: &Template<'_>) -> Result<Value, InjectError> {
    let options = options(template)?;
    let mut words = Vec::new();
    if template.settings.init_command.is_empty() {
        words.push("istio-iptables".to_owned());
    }
    words.extend(arguments::render(&options));
    words.push("--log_output_level=default:info".to_owned());
    let mut container = json!({
        "name": INIT_CONTAINER,
        "image": template.image(),
        "args": words,
        "resources": template.resources()?,
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "privileged": false,
            "capabilities": {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]},
            "readOnlyRootFilesystem": false,
            "runAsGroup": 0,
            "runAsNonRoot": false,
            "runAsUser": 0,
        },
    });
    if !template.settings.init_command.is_empty() {
        container["command"] = json!(template.settings.init_command);
    }
    Ok(container)
}

/// What a pod's annotations say about capture.
fn options(template: &Template<'_>) -> Result<Options, InjectError> {
    let settings = template.settings;
    let annotations = &template.annotations;
    let mode = annotations.text(INTERCEPTION_MODE).unwrap_or("REDIRECT");
    if mode != "REDIRECT" {
        return Err(InjectError::annotation(INTERCEPTION_MODE, mode, "REDIRECT, the one mode there is"));
    }
    let status_port = annotations.parsed("status.sidecar.istio.io/port", "a port")?.unwrap_or(STATUS_PORT);
    let mut excluded = vec![15090, 15021];
    if status_port != 0 {
        excluded.push(status_port);
    }
    excluded.extend(template.capture("excludeInboundPorts", "", arguments::parse_port_list)?);
    let rerouted = annotations
        .first(&["istio.io/reroute-virtual-interfaces", "traffic.sidecar.istio.io/kubevirtInterfaces"])
        .unwrap_or_default();
    let (included, except) = (&settings.include_outbound_ranges, &settings.exclude_outbound_ranges);
    Ok(Options {
        proxy: settings.proxy_match.clone(),
        inbound_ports: template.capture("includeInboundPorts", "*", arguments::parse_ports)?,
        inbound_ports_excluded: excluded,
        outbound_ranges: template.capture("includeOutboundIPRanges", included, arguments::parse_ranges)?,
        outbound_ranges_excluded: template.capture(
            "excludeOutboundIPRanges",
            except,
            arguments::parse_range_list,
        )?,
        outbound_ports: template.capture("includeOutboundPorts", "", arguments::parse_port_list)?,
        outbound_ports_excluded: template.capture("excludeOutboundPorts", "", arguments::parse_port_list)?,
        rerouted_interfaces: words(rerouted),
        excluded_interfaces: words(
            annotations.text("traffic.sidecar.istio.io/excludeInterfaces").unwrap_or_default(),
        ),
        ..Options::default()
    })
}

const INTERCEPTION_MODE: &str = "sidecar.istio.io/interceptionMode";

impl Template<'_> {
    /// A capture option by its annotation.
    fn capture<T>(
        &self,
        name: &str,
        otherwise: &str,
        parse: fn(&str, &str) -> Result<T, ArgumentError>,
    ) -> Result<T, InjectError> {
        let name = format!("traffic.sidecar.istio.io/{name}");
        let value = self.annotations.text(&name).unwrap_or(otherwise);
        parse(&name, value).map_err(|error| InjectError::capture(&name, value, &error))
    }
}

fn words(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
