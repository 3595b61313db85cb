//! TLS between workloads of the mesh: who they are, what they ask of each
//! other, and the names that Istio gives to all that.

use std::collections::BTreeMap;

use xds::envoy::config::cluster::v3::cluster::TransportSocketMatch;
use xds::envoy::config::core::v3::api_config_source::ApiType;
use xds::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use xds::envoy::config::core::v3::grpc_service::{EnvoyGrpc, TargetSpecifier};
use xds::envoy::config::core::v3::transport_socket::ConfigType;
use xds::envoy::config::core::v3::{ApiConfigSource, ApiVersion, ConfigSource, GrpcService, TransportSocket};
use xds::envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer;
use xds::envoy::extensions::transport_sockets::tls::v3::common_tls_context::{
    CombinedCertificateValidationContext, ValidationContextType,
};
use xds::envoy::extensions::transport_sockets::tls::v3::subject_alt_name_matcher::SanType;
use xds::envoy::extensions::transport_sockets::tls::v3::tls_parameters::TlsProtocol;
use xds::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, CommonTlsContext, DownstreamTlsContext, SdsSecretConfig,
    SubjectAltNameMatcher, TlsParameters, UpstreamTlsContext,
};
use xds::envoy::r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern};
use xds::origin::string_struct;

use crate::extensions::Extensions;
use crate::memo::Shared;
use crate::protocol::Protocol;
use crate::service::Workload;

/// The namespace of endpoint metadata by which transports are chosen.
pub(crate) const TRANSPORT_MATCH: &str = "envoy.transport_socket_match";
/// The label of pods whose proxies take mutual TLS, and the key in endpoint
/// metadata.
pub(crate) const MODE_LABEL: &str = "security.istio.io/tlsMode";
const MODE: &str = "tlsMode";
const ISTIO: &str = "istio";

/// The workload's own certificate.
const OWN: &str = "default";
/// The mesh's roots.
const ROOTS: &str = "ROOTCA";
/// The cluster over which a proxy asks its agent.
const AGENT: &str = "sds-grpc";

/// What clients ask for that will speak HTTP with the workload.
pub(crate) const HTTP_PROTOCOLS: [&str; 3] = ["istio-http/1.0", "istio-http/1.1", "istio-h2"];
/// What clients ask for that will send bytes.
pub(crate) const TCP_PROTOCOLS: [&str; 2] = ["istio-peer-exchange", "istio"];

/// The ciphers of TLS 1.2 between workloads.
const CIPHERS: [&str; 6] = [
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
];

/// What a client's TLS towards a service is made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Peers {
    /// Clients use it by themselves.
    pub(crate) automatic: bool,
    pub(crate) trust_domain: String,
    /// Whom the service's endpoints run as.
    pub(crate) accounts: Shared<Vec<String>>,
}

/// Whom a workload runs as: `ns/NAMESPACE/sa/ACCOUNT`.
pub(crate) fn account(workload: &Workload) -> String {
    let account = if workload.service_account.is_empty() { "default" } else { &workload.service_account };
    format!("ns/{}/sa/{account}", workload.namespace)
}

/// The server name by which gateways between networks know a service.
pub(crate) fn server_name(port: u16, subset: &str, host: &str) -> String {
    format!("outbound_.{port}_.{subset}_.{host}")
}

/// A secret that the agent has.
fn of_agent(name: &str) -> SdsSecretConfig {
    let target = EnvoyGrpc { cluster_name: AGENT.to_owned(), ..EnvoyGrpc::default() };
    let source = ApiConfigSource {
        api_type: ApiType::Grpc.into(),
        transport_api_version: ApiVersion::V3.into(),
        set_node_on_first_message_only: true,
        grpc_services: vec![GrpcService {
            target_specifier: Some(TargetSpecifier::EnvoyGrpc(target)),
            ..GrpcService::default()
        }],
        ..ApiConfigSource::default()
    };
    SdsSecretConfig {
        name: name.to_owned(),
        sds_config: Some(ConfigSource {
            initial_fetch_timeout: Some(prost_types::Duration::default()),
            resource_api_version: ApiVersion::V3.into(),
            config_source_specifier: Some(ConfigSourceSpecifier::ApiConfigSource(source)),
            ..ConfigSource::default()
        }),
    }
}

/// TLS 1.2 and 1.3.
pub(crate) fn parameters(ciphers: &[&str]) -> TlsParameters {
    TlsParameters {
        tls_minimum_protocol_version: TlsProtocol::TlSv12.into(),
        tls_maximum_protocol_version: TlsProtocol::TlSv13.into(),
        cipher_suites: ciphers.iter().map(ToString::to_string).collect(),
        ..TlsParameters::default()
    }
}

fn common(alpn: Vec<String>, names: Vec<SubjectAltNameMatcher>, ciphers: &[&str]) -> CommonTlsContext {
    let validation = CombinedCertificateValidationContext {
        default_validation_context: Some(CertificateValidationContext {
            match_typed_subject_alt_names: names,
            ..CertificateValidationContext::default()
        }),
        validation_context_sds_secret_config: Some(of_agent(ROOTS)),
        ..CombinedCertificateValidationContext::default()
    };
    CommonTlsContext {
        tls_params: Some(parameters(ciphers)),
        alpn_protocols: alpn,
        tls_certificate_sds_secret_configs: vec![of_agent(OWN)],
        validation_context_type: Some(ValidationContextType::CombinedValidationContext(validation)),
        ..CommonTlsContext::default()
    }
}

/// A name that a certificate must have, by its whole or by its beginning.
fn uri(pattern: MatchPattern) -> SubjectAltNameMatcher {
    SubjectAltNameMatcher {
        san_type: SanType::Uri.into(),
        matcher: Some(StringMatcher { match_pattern: Some(pattern), ..StringMatcher::default() }),
        ..SubjectAltNameMatcher::default()
    }
}

/// TLS towards clients of the own workload; `None` when the proxy has none.
pub(crate) fn inbound(
    extensions: &Extensions,
    trust_domain: &str,
    takes_http: bool,
) -> Option<TransportSocket> {
    let mut alpn = vec!["h2".to_owned(), "http/1.1".to_owned()];
    if !takes_http && extensions.hold_name("envoy.tcp.metadataexchange.config.MetadataExchange") {
        alpn.insert(0, TCP_PROTOCOLS[0].to_owned());
    }
    let names = vec![uri(MatchPattern::Prefix(format!("spiffe://{trust_domain}/")))];
    let context = DownstreamTlsContext {
        common_tls_context: Some(common(alpn, names, &CIPHERS)),
        require_client_certificate: Some(true),
        ..DownstreamTlsContext::default()
    };
    socket(extensions.pack(&context)?)
}

/// What an ISTIO_MUTUAL policy says besides.
#[derive(Debug, Default)]
pub(crate) struct Wishes<'w> {
    /// Names in place of the accounts.
    pub(crate) names: &'w [String],
    /// A server name in place of the service's.
    pub(crate) server_name: &'w str,
}

/// TLS towards a service's endpoints; `None` when the proxy has none.
pub(crate) fn outbound(
    extensions: &Extensions,
    peers: &Peers,
    protocol: Protocol,
    own_name: String,
    wishes: &Wishes<'_>,
) -> Option<TransportSocket> {
    let exact = |name: String| uri(MatchPattern::Exact(name));
    let names = match wishes.names {
        [] => peers
            .accounts
            .iter()
            .map(|account| exact(format!("spiffe://{}/{account}", peers.trust_domain)))
            .collect(),
        names => names.iter().cloned().map(exact).collect(),
    };
    let context = UpstreamTlsContext {
        sni: if wishes.server_name.is_empty() { own_name } else { wishes.server_name.to_owned() },
        common_tls_context: Some(common(alpn(protocol), names, &[])),
        ..UpstreamTlsContext::default()
    };
    socket(extensions.pack(&context)?)
}

/// What a cluster asks for; requests of a cluster that speaks what its client
/// speaks ask for their own.
fn alpn(protocol: Protocol) -> Vec<String> {
    let protocols: &[&str] = match protocol {
        protocol if protocol.is_http2() => &["istio-h2", "istio", "h2"],
        protocol if protocol.is_http() => &["istio-http/1.1", "istio", "http/1.1"],
        _ => &["istio"],
    };
    protocols.iter().map(ToString::to_string).collect()
}

/// Endpoints that take mutual TLS get it, others bytes in the clear.
pub(crate) fn by_endpoint(extensions: &Extensions, secured: TransportSocket) -> Vec<TransportSocketMatch> {
    let Some(plain) = extensions.pack(&RawBuffer {}) else { return Vec::new() };
    let entry = |name: &str, fields, socket| TransportSocketMatch {
        name: name.to_owned(),
        r#match: Some(fields),
        transport_socket: Some(socket),
    };
    let plain = TransportSocket {
        name: "envoy.transport_sockets.raw_buffer".to_owned(),
        config_type: Some(ConfigType::TypedConfig(plain)),
    };
    vec![
        entry("tlsMode-istio", string_struct([(MODE, ISTIO)]), secured),
        entry("tlsMode-disabled", string_struct(std::iter::empty::<(&str, &str)>()), plain),
    ]
}

/// Whether the labels are those of a pod whose proxy has certificates.
pub(crate) fn takes_tls(labels: &BTreeMap<String, String>) -> bool {
    labels.get(MODE_LABEL).is_some_and(|mode| mode == ISTIO)
}

/// The metadata of an endpoint that takes mutual TLS.
pub(crate) fn endpoint_mark() -> (String, prost_types::Struct) {
    (TRANSPORT_MATCH.to_owned(), string_struct([(MODE, ISTIO)]))
}

/// TLS, packed.
pub(crate) fn socket(context: xds::google::protobuf::Any) -> Option<TransportSocket> {
    Some(TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(ConfigType::TypedConfig(context)),
    })
}
