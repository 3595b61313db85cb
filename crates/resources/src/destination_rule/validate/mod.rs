//! Rules for a DestinationRule.

pub(crate) mod connection_pool;
mod load_balancer;
mod locality;

use std::collections::BTreeSet;

use super::{ClientTlsMode, ClientTlsSettings, DestinationRule, OutlierDetection, Subset, TrafficPolicy};
use super::{PortTrafficPolicy, TunnelSettings};
use crate::host;
use crate::path::Trail;
use crate::problem::Code;
use crate::validate::Checker;
use crate::validate::value::{NobodyAllowed, is_address};

/// Checks a DestinationRule.
pub(crate) fn validate(content: &DestinationRule, at: &Trail<'_>, check: &mut Checker<'_>) {
    check.wildcard_host(&at.key("host"), &content.host);
    if let Some(policy) = &content.traffic_policy {
        traffic_policy(policy, &at.key("trafficPolicy"), check);
    }
    let subsets_at = at.key("subsets");
    let mut names = BTreeSet::new();
    for (index, subset) in content.subsets.iter().enumerate() {
        let at = subsets_at.index(index);
        if !subset.name.is_empty() && !names.insert(subset.name.as_str()) {
            let message = format!("there is another subset `{}` above", subset.name);
            check.note(&at.key("name"), Code::DuplicateSubset, message).help("give it another name");
        }
        validate_subset(subset, &at, check);
    }
    check.export_to(&at.key("exportTo"), &content.export_to, NobodyAllowed::No);
    if let Some(selector) = &content.workload_selector {
        check.workload_selector(&at.key("workloadSelector").key("matchLabels"), &selector.match_labels);
        let own = |namespace: &String| namespace == "." || *namespace == check.key.namespace;
        if !content.export_to.iter().all(own) {
            let message = "a rule with `workloadSelector` concerns clients in its own namespace only";
            check
                .note(&at.key("exportTo"), Code::ExportWithSelector, message)
                .help("write `exportTo: [\".\"]`");
        }
    }
}

fn validate_subset(subset: &Subset, at: &Trail<'_>, check: &mut Checker<'_>) {
    let name_at = at.key("name");
    if subset.name.is_empty() {
        check.required(&name_at);
    } else if !host::is_label(&subset.name) {
        let message = format!("`{}` is not a valid name for a subset", subset.name);
        check.note(&name_at, Code::InvalidSubsetName, message).help("letters, digits and `-`, at most 63");
    }
    check.labels(&at.key("labels"), &subset.labels);
    if let Some(policy) = &subset.traffic_policy {
        traffic_policy(policy, &at.key("trafficPolicy"), check);
    }
}

fn traffic_policy(policy: &TrafficPolicy, at: &Trail<'_>, check: &mut Checker<'_>) {
    if *policy == TrafficPolicy::default() {
        check.note(at, Code::EmptyTrafficPolicy, "a traffic policy that sets nothing").help("remove it");
        return;
    }
    if policy.tunnel.is_some() && policy.proxy_protocol.is_some() {
        let message = "`tunnel` and `proxyProtocol` exclude each other";
        check.note(&at.key("proxyProtocol"), Code::TunnelConflict, message);
    }
    if let Some(settings) = &policy.load_balancer {
        let detection = policy.outlier_detection.as_ref();
        load_balancer::validate(settings, detection, &at.key("loadBalancer"), check);
    }
    if let Some(settings) = &policy.connection_pool {
        connection_pool::validate(settings, &at.key("connectionPool"), check);
    }
    if let Some(detection) = &policy.outlier_detection {
        outlier_detection(detection, &at.key("outlierDetection"), check);
    }
    if let Some(settings) = &policy.tls {
        tls(settings, &at.key("tls"), check);
    }
    let ports_at = at.key("portLevelSettings");
    for (index, port) in policy.port_level_settings.iter().enumerate() {
        port_policy(port, &ports_at.index(index), check);
    }
    if let Some(settings) = &policy.tunnel {
        tunnel(settings, &at.key("tunnel"), check);
    }
    if let Some(budget) = &policy.retry_budget
        && budget.percent.is_some_and(|percent| !(0.0..=100.0).contains(&percent))
    {
        check.note(
            &at.key("retryBudget").key("percent"),
            Code::InvalidPercentage,
            "a percentage is from 0 to 100",
        );
    }
}

fn port_policy(policy: &PortTrafficPolicy, at: &Trail<'_>, check: &mut Checker<'_>) {
    match policy.port {
        None => {
            check.required(&at.key("port")).help("write `port: {number: 80}`");
        }
        Some(port) => check.port(&at.key("port").key("number"), port),
    }
    let empty = PortTrafficPolicy { port: policy.port, ..PortTrafficPolicy::default() };
    if *policy == empty {
        check.note(at, Code::EmptyTrafficPolicy, "a traffic policy that sets nothing").help("remove it");
    }
    if let Some(settings) = &policy.load_balancer {
        let detection = policy.outlier_detection.as_ref();
        load_balancer::validate(settings, detection, &at.key("loadBalancer"), check);
    }
    if let Some(settings) = &policy.connection_pool {
        connection_pool::validate(settings, &at.key("connectionPool"), check);
    }
    if let Some(detection) = &policy.outlier_detection {
        outlier_detection(detection, &at.key("outlierDetection"), check);
    }
    if let Some(settings) = &policy.tls {
        tls(settings, &at.key("tls"), check);
    }
}

fn outlier_detection(detection: &OutlierDetection, at: &Trail<'_>, check: &mut Checker<'_>) {
    if detection.consecutive_errors != 0 {
        check
            .note(&at.key("consecutiveErrors"), Code::Deprecated, "`consecutiveErrors` is deprecated")
            .help("use `consecutiveGatewayErrors` or `consecutive5xxErrors`");
    }
    let local = detection.consecutive_local_origin_failures.unwrap_or(0);
    if local > 0 && !detection.split_external_local_origin_errors {
        let message =
            "failures to connect are counted apart only with `splitExternalLocalOriginErrors: true`";
        check.note(&at.key("consecutiveLocalOriginFailures"), Code::LocalOriginNotSplit, message);
    }
    check.duration(&at.key("interval"), detection.interval);
    check.duration(&at.key("baseEjectionTime"), detection.base_ejection_time);
    check.whole_percentage(&at.key("maxEjectionPercent"), detection.max_ejection_percent);
    check.whole_percentage(&at.key("minHealthPercent"), detection.min_health_percent);
    let codes_at = at.key("outlierDetectionHttpErrorCodes");
    for (index, code) in detection.outlier_detection_http_error_codes.iter().enumerate() {
        if !(100..=599).contains(code) {
            let message = format!("a status is from 100 to 599, but this is {code}");
            check.note(&codes_at.index(index), Code::InvalidHttpStatus, message);
        }
    }
}

fn tls(settings: &ClientTlsSettings, at: &Trail<'_>, check: &mut Checker<'_>) {
    let (simple, mutual) = (settings.mode == ClientTlsMode::Simple, settings.mode == ClientTlsMode::Mutual);
    if settings.insecure_skip_verify == Some(true) && (simple || mutual) {
        let useless = [
            ("caCertificates", !settings.ca_certificates.is_empty()),
            ("subjectAltNames", !settings.subject_alt_names.is_empty()),
            ("credentialName", simple && !settings.credential_name.is_empty()),
        ];
        for (field, _) in useless.iter().filter(|(_, set)| *set) {
            let message =
                format!("`{field}` says how to check the server, `insecureSkipVerify` not to check it");
            check.note(&at.key(field), Code::ClientTlsConflict, message).help("remove one of the two");
        }
    }
    if !settings.credential_name.is_empty() && (simple || mutual) {
        let files = [
            ("clientCertificate", &settings.client_certificate),
            ("privateKey", &settings.private_key),
            ("caCertificates", &settings.ca_certificates),
            ("caCrl", &settings.ca_crl),
        ];
        for (field, _) in files.iter().filter(|(_, file)| !file.is_empty()) {
            let message =
                format!("with `credentialName`, certificates come from the secret, not from `{field}`");
            check.note(&at.key(field), Code::ClientTlsConflict, message).help("remove one of the two");
        }
        return;
    }
    if mutual {
        for (field, file) in
            [("clientCertificate", &settings.client_certificate), ("privateKey", &settings.private_key)]
        {
            if file.is_empty() {
                check
                    .required(&at.key(field))
                    .help("`mode: MUTUAL` needs certificate and key, or `credentialName`");
            }
        }
    }
}

fn tunnel(settings: &TunnelSettings, at: &Trail<'_>, check: &mut Checker<'_>) {
    if !matches!(settings.protocol.as_str(), "" | "CONNECT" | "POST") {
        let message =
            format!("a tunnel is made with `CONNECT` or `POST`, but this is `{}`", settings.protocol);
        check.note(&at.key("protocol"), Code::InvalidTunnel, message);
    }
    if !is_address(&settings.target_host) {
        check.host(&at.key("targetHost"), &settings.target_host);
    }
    check.port(&at.key("targetPort"), settings.target_port);
}
