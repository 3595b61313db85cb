//! The container that writes the capture rules.

use capture::arguments::{self, ArgumentError};
use capture::{DnsCapture, Options};
use serde_json::{Value, json};

use super::{INIT, Template, TemplateError};
use crate::annotations::AnnotationError;

/// The init container of a pod.
pub(crate) fn container(template: &Template<'_>) -> Result<Value, TemplateError> {
    let options = options(template)?;
    let mut words = vec!["istio-iptables".to_owned()];
    words.extend(arguments::render(&options));
    words.push("--log_output_level=default:info".to_owned());
    Ok(json!({
        "name": INIT,
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
    }))
}

/// What a pod's annotations say about capture.
fn options(template: &Template<'_>) -> Result<Options, TemplateError> {
    let settings = template.settings;
    let annotations = &template.annotations;
    let name = |name: &str| format!("traffic.sidecar.istio.io/{name}");
    let text = |short: &str, otherwise: &str| -> (String, String) {
        let full = name(short);
        let value = annotations.text(&full).unwrap_or(otherwise).to_owned();
        (full, value)
    };
    let interception = annotations.text("sidecar.istio.io/interceptionMode").unwrap_or("REDIRECT");
    if interception != "REDIRECT" {
        return Err(TemplateError::Annotation(AnnotationError {
            name: "sidecar.istio.io/interceptionMode".to_owned(),
            value: interception.to_owned(),
            expected: "REDIRECT, the one mode there is".to_owned(),
        }));
    }
    let status_port: u16 =
        annotations.parsed("status.sidecar.istio.io/port", "a port")?.unwrap_or(settings.status_port);
    let mut excluded = vec![15090, 15021];
    excluded.extend(ports(&text("excludeInboundPorts", ""))?);
    if status_port != 0 && !excluded.contains(&status_port) {
        excluded.push(status_port);
    }
    let rerouted = annotations
        .first(&["istio.io/reroute-virtual-interfaces", "traffic.sidecar.istio.io/kubevirtInterfaces"])
        .unwrap_or_default();
    let (flag, included) = text("includeInboundPorts", "*");
    let (ranges_flag, ranges) = text("includeOutboundIPRanges", &settings.include_outbound_ranges);
    let (except_flag, except) = text("excludeOutboundIPRanges", &settings.exclude_outbound_ranges);
    Ok(Options {
        proxy: settings.proxy_match.clone(),
        inbound_ports: arguments::parse_ports(&flag, &included)?,
        inbound_ports_excluded: excluded,
        outbound_ranges: arguments::parse_ranges(&ranges_flag, &ranges)?,
        outbound_ranges_excluded: arguments::parse_range_list(&except_flag, &except)?,
        outbound_ports: ports(&text("includeOutboundPorts", ""))?,
        outbound_ports_excluded: ports(&text("excludeOutboundPorts", ""))?,
        rerouted_interfaces: words(rerouted),
        excluded_interfaces: words(&text("excludeInterfaces", "").1),
        dns: dns(template)?,
        ..Options::default()
    })
}

/// Names are captured where the proxy is told to answer them.
fn dns(template: &Template<'_>) -> Result<DnsCapture, TemplateError> {
    let config = super::proxy_config(template)?;
    let captures =
        config.pointer("/proxyMetadata/ISTIO_META_DNS_CAPTURE").is_some_and(|value| value == "true");
    Ok(if captures { DnsCapture::Servers(Vec::new()) } else { DnsCapture::Off })
}

fn ports((name, value): &(String, String)) -> Result<Vec<u16>, ArgumentError> {
    arguments::parse_port_list(name, value)
}

fn words(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
