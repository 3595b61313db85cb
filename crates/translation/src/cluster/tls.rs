//! How connections to a service's endpoints are secured: as its
//! DestinationRule says, else as the endpoints can.

use resources::destination_rule::{ClientTlsMode, ClientTlsSettings};
use xds::envoy::config::cluster::v3::Cluster;
use xds::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType, LbPolicy};
use xds::envoy::config::core::v3::data_source::Specifier;
use xds::envoy::config::core::v3::{DataSource, TransportSocket};
use xds::envoy::extensions::transport_sockets::tls::v3::common_tls_context::ValidationContextType;
use xds::envoy::extensions::transport_sockets::tls::v3::subject_alt_name_matcher::SanType;
use xds::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, CommonTlsContext, SubjectAltNameMatcher, TlsCertificate, UpstreamTlsContext,
};
use xds::envoy::r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern};

use crate::extensions::Extensions;
use crate::mutual_tls::{self, Peers, Wishes};
use crate::service::{Port, Service};

/// The system's authorities, where Istio's images and Debian have them.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Both ends of the connections of a cluster.
pub(super) struct Side<'s> {
    pub(super) service: &'s Service,
    pub(super) port: &'s Port,
    pub(super) subset: &'s str,
    pub(super) extensions: &'s Extensions,
    /// Who serves, where the node has a certificate of the mesh.
    pub(super) peers: Option<&'s Peers>,
}

/// Whether what requests say about application protocols is not for these
/// endpoints.
pub(super) fn keeps_protocols(tls: &ClientTlsSettings) -> bool {
    matches!(tls.mode, ClientTlsMode::Simple | ClientTlsMode::Mutual)
}

/// Writes how connections are secured. Where the proxy cannot do what is
/// asked for, there is no connection at all.
pub(super) fn secure(
    cluster: &mut Cluster,
    side: &Side<'_>,
    tls: Option<&ClientTlsSettings>,
    discovery: DiscoveryType,
) {
    let Some(tls) = tls else {
        automatically(cluster, side, discovery);
        return;
    };
    let socket = match tls.mode {
        ClientTlsMode::Disable => return,
        // Without certificates everything inside stays in the clear.
        ClientTlsMode::IstioMutual if side.peers.is_none() => return,
        ClientTlsMode::IstioMutual => {
            let wishes = Wishes { names: &tls.subject_alt_names, server_name: &tls.sni };
            within_mesh(side, &wishes)
        }
        ClientTlsMode::Simple | ClientTlsMode::Mutual => to_outside(tls, side),
    };
    cluster.transport_socket = socket;
    if cluster.transport_socket.is_none() {
        cluster.cluster_discovery_type = Some(ClusterDiscoveryType::Type(DiscoveryType::Static.into()));
        cluster.lb_policy = LbPolicy::RoundRobin.into();
        cluster.eds_cluster_config = None;
        cluster.load_assignment = None;
    }
}

/// Endpoints that take mutual TLS get it.
fn automatically(cluster: &mut Cluster, side: &Side<'_>, discovery: DiscoveryType) {
    let automatic = side.peers.is_some_and(|peers| peers.automatic);
    if !automatic || side.service.is_external || discovery == DiscoveryType::OriginalDst {
        return;
    }
    if let Some(socket) = within_mesh(side, &Wishes::default()) {
        cluster.transport_socket_matches = mutual_tls::by_endpoint(side.extensions, socket);
    }
}

fn within_mesh(side: &Side<'_>, wishes: &Wishes<'_>) -> Option<TransportSocket> {
    let own_name = mutual_tls::server_name(side.port.number, side.subset, &side.service.host);
    mutual_tls::outbound(side.extensions, side.peers?, side.port.protocol, own_name, wishes)
}

fn to_outside(tls: &ClientTlsSettings, side: &Side<'_>) -> Option<TransportSocket> {
    let authorities =
        if tls.ca_certificates.is_empty() { SYSTEM_AUTHORITIES } else { tls.ca_certificates.as_str() };
    let verified = !tls.insecure_skip_verify.unwrap_or_default();
    let crl = (verified && !tls.ca_crl.is_empty()).then(|| file(&tls.ca_crl));
    let validation = CertificateValidationContext {
        trusted_ca: verified.then(|| file(authorities)),
        match_typed_subject_alt_names: tls.subject_alt_names.iter().map(|name| exact_name(name)).collect(),
        crl,
        ..CertificateValidationContext::default()
    };
    let certificate = TlsCertificate {
        certificate_chain: Some(file(&tls.client_certificate)),
        private_key: Some(file(&tls.private_key)),
        ..TlsCertificate::default()
    };
    let host = &side.service.host;
    let sni = if tls.sni.is_empty() && !host.starts_with('*') { host } else { &tls.sni };
    let is_http2 = side.port.protocol.is_http2();
    let context = UpstreamTlsContext {
        sni: sni.clone(),
        common_tls_context: Some(CommonTlsContext {
            tls_params: Some(mutual_tls::parameters(&[])),
            alpn_protocols: if is_http2 { vec!["h2".to_owned()] } else { Vec::new() },
            tls_certificates: if tls.mode == ClientTlsMode::Mutual { vec![certificate] } else { Vec::new() },
            validation_context_type: Some(ValidationContextType::ValidationContext(validation)),
            ..CommonTlsContext::default()
        }),
        ..UpstreamTlsContext::default()
    };
    mutual_tls::socket(side.extensions.pack(&context)?)
}

fn file(name: &str) -> DataSource {
    DataSource { specifier: Some(Specifier::Filename(name.to_owned())), ..DataSource::default() }
}

fn exact_name(name: &str) -> SubjectAltNameMatcher {
    let kind = if name.contains("://") { SanType::Uri } else { SanType::Dns };
    SubjectAltNameMatcher {
        san_type: kind.into(),
        matcher: Some(StringMatcher {
            match_pattern: Some(MatchPattern::Exact(name.to_owned())),
            ..StringMatcher::default()
        }),
        ..SubjectAltNameMatcher::default()
    }
}
