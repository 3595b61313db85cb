//! TLS that a gateway ends: certificates from Secrets of its own namespace or
//! from files, and what it asks of clients.
//!
//! A Secret is told only to gateways that a Gateway object lets ask for it,
//! and only when it is in their own namespace.

use prost_types::Duration;
use resources::gateway::{ServerTlsMode, ServerTlsSettings, TlsProtocol as Version};
use resources::{Object, ObjectKey};
use xds::envoy::config::core::v3::data_source::Specifier;
use xds::envoy::config::core::v3::{DataSource, TransportSocket};
use xds::envoy::extensions::transport_sockets::tls::v3::common_tls_context::{
    CombinedCertificateValidationContext, ValidationContextType,
};
use xds::envoy::extensions::transport_sockets::tls::v3::subject_alt_name_matcher::SanType;
use xds::envoy::extensions::transport_sockets::tls::v3::tls_parameters::TlsProtocol;
use xds::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, CommonTlsContext, DownstreamTlsContext, SdsSecretConfig, Secret,
    SubjectAltNameMatcher, TlsCertificate, TlsParameters, secret,
};
use xds::envoy::r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern};
use xds::resource::Resource;

use crate::cluster::aggregated;
use crate::memo::Shared;
use crate::mutual_tls;
use crate::node::Facets;
use crate::snapshot::Snapshot;

/// What stands before the name of a Kubernetes Secret.
const KUBERNETES: &str = "kubernetes://";
/// What stands behind the name of a Secret for its authorities.
const AUTHORITIES: &str = "-cacert";

/// A server of a Gateway object that ends TLS.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Secured {
    pub(crate) gateway: Shared<Object>,
    pub(crate) server: usize,
}

/// A Secret that a gateway asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Credential {
    /// The name of the Secret.
    pub(crate) name: String,
    /// Its authorities are asked for, not its certificate.
    pub(crate) is_authority: bool,
}

/// All that a secret on the wire is made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct CredentialKey {
    credential: Credential,
    object: Shared<Object>,
}

impl Credential {
    /// Its name on the wire.
    pub(crate) fn wire_name(&self) -> String {
        let suffix = if self.is_authority { AUTHORITIES } else { "" };
        format!("{KUBERNETES}{}{suffix}", self.name)
    }

    /// What it is made from, when there is such a Secret beside the gateway.
    pub(crate) fn key(&self, snapshot: &Snapshot, namespace: &str) -> Option<CredentialKey> {
        let find =
            |name: &str| snapshot.object(&ObjectKey::new(resources::Kind::Secret, namespace, name)).cloned();
        // Authorities may stand in a Secret of their own.
        let own = self.is_authority.then(|| find(&format!("{}{AUTHORITIES}", self.name))).flatten();
        let object = own.or_else(|| find(&self.name))?;
        Some(CredentialKey { credential: self.clone(), object: Shared::from(object) })
    }
}

impl CredentialKey {
    pub(crate) fn build(&self) -> Resource {
        let name = self.credential.wire_name();
        let content = self.object.as_secret().and_then(|content| {
            let get = |keys: &[&str]| keys.iter().find_map(|key| content.get(key)).map(<[u8]>::to_vec);
            if self.credential.is_authority {
                let context = CertificateValidationContext {
                    trusted_ca: Some(inline(get(&["cacert", "ca.crt"])?)),
                    crl: get(&["ca.crl", "crl"]).map(inline),
                    ..CertificateValidationContext::default()
                };
                return Some(secret::Type::ValidationContext(context));
            }
            Some(secret::Type::TlsCertificate(TlsCertificate {
                certificate_chain: Some(inline(get(&["tls.crt", "cert"])?)),
                private_key: Some(inline(get(&["tls.key", "key"])?)),
                ..TlsCertificate::default()
            }))
        });
        Resource::new(name.clone(), &Secret { name, r#type: content }, Vec::new())
    }

    /// Whether the Secret has what is asked for.
    pub(crate) fn is_complete(&self) -> bool {
        let Some(content) = self.object.as_secret() else { return false };
        let has =
            |keys: &[&str]| keys.iter().any(|key| content.get(key).is_some_and(|value| !value.is_empty()));
        match self.credential.is_authority {
            true => has(&["cacert", "ca.crt"]),
            false => has(&["tls.crt", "cert"]) && has(&["tls.key", "key"]),
        }
    }
}

fn inline(bytes: Vec<u8>) -> DataSource {
    DataSource { specifier: Some(Specifier::InlineBytes(bytes)), ..DataSource::default() }
}

fn file(name: &str) -> DataSource {
    DataSource { specifier: Some(Specifier::Filename(name.to_owned())), ..DataSource::default() }
}

/// Whether TLS of this mode ends at the gateway.
pub(crate) fn ends(mode: ServerTlsMode) -> bool {
    !matches!(mode, ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough)
}

impl Secured {
    fn settings(&self) -> Option<&ServerTlsSettings> {
        self.gateway.as_gateway()?.servers.get(self.server)?.tls.as_ref()
    }

    /// The Secrets that it asks for.
    pub(crate) fn credentials(&self) -> Vec<Credential> {
        let Some(tls) = self.settings().filter(|tls| tls.mode != ServerTlsMode::IstioMutual) else {
            return Vec::new();
        };
        let mut credentials: Vec<Credential> = certificates(tls)
            .into_iter()
            .map(|name| Credential { name: name.to_owned(), is_authority: false })
            .collect();
        credentials
            .extend(authority(tls).map(|name| Credential { name: name.to_owned(), is_authority: true }));
        credentials
    }

    /// TLS towards clients; `None` when the proxy has none, or there is
    /// nothing to show.
    pub(crate) fn socket(&self, facets: &Facets, takes_http: bool) -> Option<TransportSocket> {
        let tls = self.settings()?;
        if tls.mode == ServerTlsMode::IstioMutual {
            let domain = facets.mesh_config.trust_domain();
            return facets
                .has_certificate()
                .then(|| mutual_tls::inbound(&facets.extensions, domain, takes_http))
                .flatten();
        }
        let named = certificates(tls);
        let given = given(tls);
        if named.is_empty() && given.is_empty() {
            return None;
        }
        let asks = matches!(tls.mode, ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual);
        let context = DownstreamTlsContext {
            require_client_certificate: Some(tls.mode == ServerTlsMode::Mutual),
            common_tls_context: Some(CommonTlsContext {
                tls_params: Some(parameters(tls)),
                alpn_protocols: if takes_http {
                    vec!["h2".to_owned(), "http/1.1".to_owned()]
                } else {
                    Vec::new()
                },
                tls_certificates: if named.is_empty() { given } else { Vec::new() },
                tls_certificate_sds_secret_configs: named
                    .into_iter()
                    .map(|name| of_control_plane(&Credential { name: name.to_owned(), is_authority: false }))
                    .collect(),
                validation_context_type: if asks { Some(validation(tls)?) } else { None },
                ..CommonTlsContext::default()
            }),
            ..DownstreamTlsContext::default()
        };
        mutual_tls::socket(facets.extensions.pack(&context)?)
    }
}

fn of_control_plane(credential: &Credential) -> SdsSecretConfig {
    let mut source = aggregated();
    source.initial_fetch_timeout = Some(Duration::default());
    SdsSecretConfig { name: credential.wire_name(), sds_config: Some(source) }
}

/// The Secrets with certificates.
fn certificates(tls: &ServerTlsSettings) -> Vec<&str> {
    let single = Some(tls.credential_name.as_str()).filter(|name| !name.is_empty());
    single.into_iter().chain(tls.credential_names.iter().map(String::as_str)).collect()
}

/// The Secret with the authorities of clients.
fn authority(tls: &ServerTlsSettings) -> Option<&str> {
    let asks = matches!(tls.mode, ServerTlsMode::Mutual | ServerTlsMode::OptionalMutual);
    let own = Some(tls.ca_cert_credential_name.as_str()).filter(|name| !name.is_empty());
    let from_files = !tls.ca_certificates.is_empty();
    own.or_else(|| certificates(tls).first().copied()).filter(|_| asks && !from_files)
}

/// Certificates in files.
fn given(tls: &ServerTlsSettings) -> Vec<TlsCertificate> {
    let one = |chain: &str, key: &str| TlsCertificate {
        certificate_chain: Some(file(chain)),
        private_key: Some(file(key)),
        ..TlsCertificate::default()
    };
    let single = (!tls.server_certificate.is_empty()).then(|| one(&tls.server_certificate, &tls.private_key));
    let more = tls.tls_certificates.iter().map(|pair| one(&pair.server_certificate, &pair.private_key));
    single.into_iter().chain(more).collect()
}

/// What clients must show; `None`: nothing says which ones are let in.
fn validation(tls: &ServerTlsSettings) -> Option<ValidationContextType> {
    let names = tls.subject_alt_names.iter().map(|name| SubjectAltNameMatcher {
        san_type: if name.contains("://") { SanType::Uri } else { SanType::Dns }.into(),
        matcher: Some(StringMatcher {
            match_pattern: Some(MatchPattern::Exact(name.clone())),
            ..StringMatcher::default()
        }),
        ..SubjectAltNameMatcher::default()
    });
    let context = CertificateValidationContext {
        match_typed_subject_alt_names: names.collect(),
        verify_certificate_spki: tls.verify_certificate_spki.clone(),
        verify_certificate_hash: tls.verify_certificate_hash.clone(),
        crl: (!tls.ca_crl.is_empty()).then(|| file(&tls.ca_crl)),
        ..CertificateValidationContext::default()
    };
    if let Some(name) = authority(tls) {
        let credential = Credential { name: name.to_owned(), is_authority: true };
        return Some(ValidationContextType::CombinedValidationContext(
            CombinedCertificateValidationContext {
                default_validation_context: Some(context),
                validation_context_sds_secret_config: Some(of_control_plane(&credential)),
                ..CombinedCertificateValidationContext::default()
            },
        ));
    }
    let from_pairs = tls.tls_certificates.iter().map(|pair| pair.ca_certificates.as_str());
    let mut files = std::iter::once(tls.ca_certificates.as_str()).chain(from_pairs);
    let authorities = files.find(|path| !path.is_empty())?;
    Some(ValidationContextType::ValidationContext(CertificateValidationContext {
        trusted_ca: Some(file(authorities)),
        ..context
    }))
}

fn parameters(tls: &ServerTlsSettings) -> TlsParameters {
    let version = |version: Version, default: TlsProtocol| match version {
        Version::Auto => default,
        Version::V1_0 => TlsProtocol::TlSv10,
        Version::V1_1 => TlsProtocol::TlSv11,
        Version::V1_2 => TlsProtocol::TlSv12,
        Version::V1_3 => TlsProtocol::TlSv13,
    };
    TlsParameters {
        tls_minimum_protocol_version: version(tls.min_protocol_version, TlsProtocol::TlSv12).into(),
        tls_maximum_protocol_version: version(tls.max_protocol_version, TlsProtocol::TlSv13).into(),
        cipher_suites: tls.cipher_suites.clone(),
        ..TlsParameters::default()
    }
}
