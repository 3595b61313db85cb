//! Rules for a Gateway.

use std::collections::BTreeMap;

use super::{Gateway, Server, ServerTlsMode, ServerTlsSettings, TlsCertificate, TlsProtocol};
use crate::decode;
use crate::field::Protocol;
use crate::host;
use crate::path::Trail;
use crate::problem::Code;
use crate::validate::Checker;
use crate::validate::value::{as_socket, is_address};

/// Cipher suites that a server may name.
const CIPHER_SUITES: [&str; 15] = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-SHA",
    "AES256-SHA",
    "DES-CBC3-SHA",
];

/// Checks a Gateway.
pub(crate) fn validate(content: &Gateway, at: &Trail<'_>, check: &mut Checker<'_>) {
    if check.key.name.contains('.') {
        let message = format!(
            "`{}` is not a valid name for a Gateway: VirtualServices could not name it",
            check.key.name
        );
        check
            .note(&Trail::top().key("metadata").key("name"), Code::InvalidName, message)
            .help("remove the dots");
    }
    let servers_at = at.key("servers");
    if content.servers.is_empty() {
        check.required(&servers_at).help("a gateway without servers listens on nothing");
    }
    if content.selector.is_empty() {
        let message = "without `selector`, every proxy in the mesh is told to be this gateway";
        check
            .note(at, Code::GatewayWithoutSelector, message)
            .help("write `selector: {istio: ingressgateway}`");
    }
    check.labels(&at.key("selector"), &content.selector);
    let mut port_names = BTreeMap::new();
    let mut server_names = BTreeMap::new();
    for (index, server) in content.servers.iter().enumerate() {
        let at = servers_at.index(index);
        validate_server(server, &at, check);
        let port_name = server.port.as_ref().map_or("", |port| port.name.as_str());
        unique(&mut port_names, port_name, index, &at.key("port").key("name"), check);
        unique(&mut server_names, &server.name, index, &at.key("name"), check);
    }
}

/// A name that is set must be unlike all earlier ones.
fn unique<'a>(
    names: &mut BTreeMap<&'a str, usize>,
    name: &'a str,
    index: usize,
    at: &Trail<'_>,
    check: &mut Checker<'_>,
) {
    if name.is_empty() {
        return;
    }
    if let Some(first) = names.get(name) {
        check
            .note(at, Code::Duplicate, format!("server {first} has the name `{name}` too"))
            .help("rename one of them");
    } else {
        names.insert(name, index);
    }
}

fn validate_server(server: &Server, at: &Trail<'_>, check: &mut Checker<'_>) {
    let hosts_at = at.key("hosts");
    if server.hosts.is_empty() {
        check.required(&hosts_at).help("write `hosts: [\"*\"]` for all");
    }
    for (index, name) in server.hosts.iter().enumerate() {
        validate_host(name, &hosts_at.index(index), check);
    }
    let protocol = validate_port(server, at, check);
    validate_bind(server, at, check);
    if let Some(settings) = &server.tls {
        tls(settings, &at.key("tls"), check);
    }
    if let Some(protocol) = protocol {
        protocol_and_tls(server, protocol, at, check);
    }
}

fn validate_port(server: &Server, at: &Trail<'_>, check: &mut Checker<'_>) -> Option<Protocol> {
    let at = at.key("port");
    let Some(port) = &server.port else {
        check.required(&at).help("write `port: {number: 80, name: http, protocol: HTTP}`");
        return None;
    };
    if port.number > 0 || as_socket(&server.bind).is_none() {
        check.port(&at.key("number"), port.number);
    }
    if port.target_port > 0 {
        check
            .note(&at.key("targetPort"), Code::TargetPort, "`targetPort` has no meaning in a Gateway")
            .help("remove it");
    }
    if port.name.is_empty() {
        check.required(&at.key("name"));
    }
    let protocol_at = at.key("protocol");
    if port.protocol.is_empty() {
        check.required(&protocol_at);
        return None;
    }
    check.protocol(&protocol_at, &port.protocol)
}

fn validate_bind(server: &Server, at: &Trail<'_>, check: &mut Checker<'_>) {
    let bind_at = at.key("bind");
    match as_socket(&server.bind) {
        Some(path) => {
            check.socket(&bind_at, path);
            if server.port.as_ref().is_some_and(|port| port.number != 0) {
                check.note(
                    &at.key("port").key("number"),
                    Code::SocketWithPort,
                    "a socket has no port; write 0",
                );
            }
        }
        None if server.bind.is_empty() => {}
        None => check.address(&bind_at, &server.bind),
    }
}

/// `name` or `namespace/name`; the namespace may be `*` or `.`.
fn validate_host(text: &str, at: &Trail<'_>, check: &mut Checker<'_>) {
    let (namespace, name) = text.split_once('/').map_or(("*", text), |(namespace, name)| (namespace, name));
    if !matches!(namespace, "*" | ".") && !host::is_label(namespace) {
        let message = format!("`{namespace}` is not a valid namespace");
        check
            .note(at, Code::InvalidGatewayHost, message)
            .help("write `namespace/host`, `./host` or `*/host`");
    }
    if is_address(name) || !check.wildcard_host(at, name) {
        return;
    }
    if name != "*" && !name.contains('.') {
        check
            .note(
                at,
                Code::InvalidGatewayHost,
                format!("`{name}` is a short name, and a gateway has no namespace to complete it"),
            )
            .help("write the full name");
    }
    check.no_partial_wildcard(at, name, Code::InvalidGatewayHost);
}

fn protocol_and_tls(server: &Server, protocol: Protocol, at: &Trail<'_>, check: &mut Checker<'_>) {
    let tls_at = at.key("tls");
    let Some(tls) = &server.tls else {
        if protocol.is_tls() {
            let message = format!("a server with protocol {protocol} must have `tls`");
            check
                .note(&tls_at, Code::TlsMissing, message)
                .help("write `tls: {mode: SIMPLE, credentialName: ...}`");
        }
        return;
    };
    if tls.https_redirect && !protocol.is_http() {
        let message = format!("`httpsRedirect` answers plain requests, but the protocol is {protocol}");
        check
            .note(&tls_at.key("httpsRedirect"), Code::HttpsRedirect, message)
            .help("put it on the server for port 80");
    }
    if protocol.is_tls() {
        return;
    }
    let terminates = !matches!(tls.mode, ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough);
    let files = [&tls.ca_certificates, &tls.private_key, &tls.server_certificate];
    if !protocol.is_http() || terminates || files.iter().any(|file| !file.is_empty()) {
        let message = format!("a server with protocol {protocol} is not encrypted, so it cannot have `tls`");
        check
            .note(&tls_at, Code::TlsOnPlainPort, message)
            .help("write `protocol: HTTPS` or `TLS`, or remove `tls`");
    }
}

/// Checks TLS of a server.
pub(crate) fn tls(settings: &ServerTlsSettings, at: &Trail<'_>, check: &mut Checker<'_>) {
    let old = matches!(settings.min_protocol_version, TlsProtocol::V1_0 | TlsProtocol::V1_1);
    if old && settings.cipher_suites.is_empty() {
        let message = "TLS below 1.2 needs cipher suites that are not among the default ones";
        check.note(&at.key("minProtocolVersion"), Code::OldTls, message).help("set `cipherSuites`");
    }
    if settings.max_protocol_version != TlsProtocol::Auto
        && settings.max_protocol_version < settings.min_protocol_version
    {
        let message = "the highest version is below the lowest, so no client can connect";
        check.note(&at.key("maxProtocolVersion"), Code::NoEffect, message);
    }
    cipher_suites(&settings.cipher_suites, &at.key("cipherSuites"), check);
    match settings.mode {
        ServerTlsMode::IstioMutual => forbid_certificates(settings, at, check),
        ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough => {
            if certificate_fields(settings).iter().any(|(_, set)| *set) || !settings.ca_crl.is_empty() {
                let message = "TLS is passed through, so the certificates named here are not used";
                check.note(at, Code::CertificatesIgnored, message).help("set `mode: SIMPLE` to end TLS here");
            }
        }
        ServerTlsMode::Simple | ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual => {
            certificates(settings, at, check);
        }
    }
}

fn cipher_suites(suites: &[String], at: &Trail<'_>, check: &mut Checker<'_>) {
    for (index, suite) in suites.iter().enumerate() {
        // An operator or ALL begins an expression, which only the proxy can judge.
        let is_name = suite != "ALL" && suite.starts_with(|c: char| c.is_ascii_alphanumeric());
        if is_name && !CIPHER_SUITES.contains(&suite.as_str()) {
            let message = format!("the cipher suite `{suite}` is not known and is left out");
            let found = check.note(&at.index(index), Code::UnknownCipherSuite, message);
            if let Some(near) = decode::nearest(suite, CIPHER_SUITES) {
                found.help(format!("did you mean `{near}`?"));
            }
        } else if suites[..index].contains(suite) {
            let message = format!("the cipher suite `{suite}` is listed above already");
            check.note(&at.index(index), Code::DuplicateCipherSuite, message);
        }
    }
}

fn certificate_fields(settings: &ServerTlsSettings) -> [(&'static str, bool); 6] {
    [
        ("serverCertificate", !settings.server_certificate.is_empty()),
        ("privateKey", !settings.private_key.is_empty()),
        ("caCertificates", !settings.ca_certificates.is_empty()),
        ("tlsCertificates", !settings.tls_certificates.is_empty()),
        ("credentialName", !settings.credential_name.is_empty()),
        ("credentialNames", !settings.credential_names.is_empty()),
    ]
}

fn forbid_certificates(settings: &ServerTlsSettings, at: &Trail<'_>, check: &mut Checker<'_>) {
    for (field, _) in certificate_fields(settings).iter().filter(|(_, set)| *set) {
        let message =
            format!("with `mode: ISTIO_MUTUAL` the mesh's own certificates are used, not `{field}`");
        check.note(&at.key(field), Code::CertificateConflict, message).help("remove it, or set another mode");
    }
}

fn certificates(settings: &ServerTlsSettings, at: &Trail<'_>, check: &mut Checker<'_>) {
    let sources = [
        ("serverCertificate", !settings.server_certificate.is_empty() && !settings.private_key.is_empty()),
        ("credentialName", !settings.credential_name.is_empty()),
        ("credentialNames", !settings.credential_names.is_empty()),
        ("tlsCertificates", !settings.tls_certificates.is_empty()),
    ];
    let set: Vec<&str> = sources.iter().filter(|(_, set)| *set).map(|(field, _)| *field).collect();
    if let [first, .., last] = set.as_slice() {
        let message = format!("certificates come from one place only, but `{first}` and `{last}` are set");
        check.note(&at.key(last), Code::CertificateConflict, message).help("keep one of them");
    }
    let secret = !settings.credential_name.is_empty() || !settings.credential_names.is_empty();
    if settings.credential_names.len() > 2 {
        check.note(
            &at.key("credentialNames"),
            Code::TooManyCertificates,
            "at most two certificates are used",
        );
    }
    if !secret {
        files(settings, at, check);
    }
    if !settings.ca_crl.is_empty() {
        let crl_at = at.key("caCrl");
        if !settings.credential_name.is_empty() {
            let message = "with `credentialName`, revoked certificates are listed in the secret";
            check.note(&crl_at, Code::CrlUnsupported, message).help("remove `caCrl`");
        } else if settings.mode == ServerTlsMode::Simple {
            let message = "with `mode: SIMPLE` no client certificate is checked, so none can be revoked";
            check.note(&crl_at, Code::CrlUnsupported, message).help("remove `caCrl`");
        }
    }
}

/// Certificates in files of the gateway.
fn files(settings: &ServerTlsSettings, at: &Trail<'_>, check: &mut Checker<'_>) {
    const HELP: &str = "or set `credentialName`, the secret with certificate and key";
    if settings.mode != ServerTlsMode::Simple
        && settings.ca_certificates.is_empty()
        && settings.ca_cert_credential_name.is_empty()
    {
        check.required(&at.key("caCertificates")).help("client certificates are checked against it");
    }
    if settings.tls_certificates.len() > 2 {
        check.note(
            &at.key("tlsCertificates"),
            Code::TooManyCertificates,
            "at most two certificates are used",
        );
    }
    let mut pair = |at: &Trail<'_>, certificate: &str, key: &str| {
        for (field, file) in [("serverCertificate", certificate), ("privateKey", key)] {
            if file.is_empty() {
                check.required(&at.key(field)).help(HELP);
            }
        }
    };
    if settings.tls_certificates.is_empty() {
        pair(at, &settings.server_certificate, &settings.private_key);
    }
    let certificates_at = at.key("tlsCertificates");
    for (index, TlsCertificate { server_certificate, private_key, .. }) in
        settings.tls_certificates.iter().enumerate()
    {
        pair(&certificates_at.index(index), server_certificate, private_key);
    }
}
