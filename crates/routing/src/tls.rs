//! TLS as listeners and clusters configure it.
//!
//! What is not known here is refused when it would make a connection less
//! guarded than it is meant to be. Secrets are named, not held: who makes a
//! connection looks them up at that moment, and without them there is none.

mod names;
mod parameters;

use std::sync::Arc;

use bytes::Bytes;
use prost::Name;
use xds::any::message_name;
use xds::envoy::config::core::v3::config_source::ConfigSourceSpecifier;
use xds::envoy::config::core::v3::{DataSource, TransportSocket, data_source, transport_socket};
use xds::envoy::extensions::transport_sockets::tls::v3 as wire;
use xds::envoy::extensions::transport_sockets::tls::v3::certificate_validation_context::TrustChainVerification;
use xds::envoy::extensions::transport_sockets::tls::v3::common_tls_context::ValidationContextType;
use xds::envoy::extensions::transport_sockets::tls::v3::downstream_tls_context::{
    OcspStaplePolicy, SessionTicketKeysType,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::invalid::{Invalid, Within};
use crate::message::decode;
pub use names::{Name as SubjectName, NameMatcher};
pub use parameters::{Curve, Parameters, Suite, Version};

/// How bytes travel on a connection.
#[derive(Debug)]
pub enum Transport<T> {
    /// As they are.
    Plain,
    /// Inside TLS.
    Tls(Arc<T>),
}

impl<T> Clone for Transport<T> {
    fn clone(&self) -> Transport<T> {
        match self {
            Transport::Plain => Transport::Plain,
            Transport::Tls(context) => Transport::Tls(context.clone()),
        }
    }
}

impl<T: PartialEq> PartialEq for Transport<T> {
    fn eq(&self, other: &Transport<T>) -> bool {
        match (self, other) {
            (Transport::Plain, Transport::Plain) => true,
            (Transport::Tls(mine), Transport::Tls(theirs)) => mine == theirs,
            _ => false,
        }
    }
}

/// TLS towards clients.
#[derive(Debug)]
pub struct ServerTls {
    /// What both sides have.
    pub common: CommonTls,
    /// A client without a certificate is turned away.
    pub requires_client_certificate: bool,
    /// Sessions may be resumed.
    pub resumes: bool,
}

/// TLS towards endpoints.
#[derive(Debug)]
pub struct ClientTls {
    /// What both sides have.
    pub common: CommonTls,
    /// The server name that is asked for; empty: none.
    pub sni: Box<str>,
    /// Without one, an endpoint's host name is asked for.
    pub endpoint_names: bool,
    /// Sessions may be resumed.
    pub resumes: bool,
}

/// What both sides have.
#[derive(Debug)]
pub struct CommonTls {
    /// The hash of the message that it came from.
    pub hash: u64,
    /// What is shown to the peer.
    pub certificates: Certificates,
    /// What the peer must show; `None`: nothing.
    pub validation: Option<Validation>,
    /// Application protocols, the first the most wanted.
    pub alpn: Box<[Box<[u8]>]>,
    /// Versions and algorithms.
    pub parameters: Parameters,
}

impl PartialEq for ServerTls {
    fn eq(&self, other: &ServerTls) -> bool {
        self.common.hash == other.common.hash
    }
}

impl PartialEq for ClientTls {
    fn eq(&self, other: &ClientTls) -> bool {
        self.common.hash == other.common.hash
    }
}

/// What is shown to the peer.
#[derive(Debug)]
pub enum Certificates {
    /// They stand in the configuration; there may be none.
    Given(Box<[GivenCertificate]>),
    /// They are secrets.
    Named(Box<[SecretName]>),
}

/// A certificate that stands in the configuration.
#[derive(Debug)]
pub struct GivenCertificate {
    /// The certificate and what leads to its root.
    pub chain: Data,
    /// Its key.
    pub key: Data,
}

/// What the peer must show.
#[derive(Debug)]
pub struct Validation {
    /// Whom its chain must lead to.
    pub trust: Trust,
    /// Names of which its certificate must have one, unless there are none
    /// here.
    pub names: Box<[NameMatcher]>,
    /// Hashes of public keys, and of certificates: it must have one of all
    /// these, unless there are none here.
    pub key_hashes: Box<[[u8; 32]]>,
    /// See `key_hashes`.
    pub certificate_hashes: Box<[[u8; 32]]>,
    /// What was revoked, besides what the roots' bundle says.
    pub crl: Option<Data>,
    /// Only the peer's own certificate may be revoked, not what signed it.
    pub only_leaf_is_revoked: bool,
    /// A peer whose chain leads nowhere is let in all the same.
    pub accepts_untrusted: bool,
}

/// Whom a peer's chain must lead to.
#[derive(Debug)]
pub enum Trust {
    /// Nobody: the chain is not looked at.
    Nobody,
    /// These certificates.
    Given(Data),
    /// A secret's.
    Named(SecretName),
    /// Those of the operating system.
    System,
}

/// The name of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretName {
    /// The name.
    pub name: Arc<str>,
    /// The control plane has it; else the agent does.
    pub from_control_plane: bool,
}

/// A part of the configuration that may lie in a file.
pub enum Data {
    /// Here it is.
    Inline(Bytes),
    /// Where it lies.
    File(Box<str>),
}

impl std::fmt::Debug for Data {
    /// It may be a key, which is not shown.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Data::Inline(bytes) => write!(formatter, "Inline({} bytes)", bytes.len()),
            Data::File(path) => write!(formatter, "File({path:?})"),
        }
    }
}

impl CommonTls {
    /// Every secret that it names, in one order.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretName> {
        let certificates = match &self.certificates {
            Certificates::Named(names) => &names[..],
            Certificates::Given(_) => &[],
        };
        let trust = self.validation.as_ref().and_then(|validation| match &validation.trust {
            Trust::Named(name) => Some(name),
            _ => None,
        });
        certificates.iter().chain(trust)
    }

    /// The secrets that the control plane must be asked for.
    pub fn wanted_secrets(&self) -> impl Iterator<Item = &Arc<str>> {
        self.secrets().filter(|name| name.from_control_plane).map(|name| &name.name)
    }

    fn compile(wire: &wire::CommonTlsContext, hash: u64, side: Side) -> Result<CommonTls, Invalid> {
        refuse_unknown(wire)?;
        let validation = match &wire.validation_context_type {
            None => None,
            Some(ValidationContextType::ValidationContext(context)) => {
                Some(Validation::compile(context, None).within("validation_context")?)
            }
            Some(ValidationContextType::ValidationContextSdsSecretConfig(secret)) => {
                let context = wire::CertificateValidationContext::default();
                Some(
                    Validation::compile(&context, Some(secret))
                        .within("validation_context_sds_secret_config")?,
                )
            }
            Some(ValidationContextType::CombinedValidationContext(combined)) => {
                let context = combined.default_validation_context.clone().unwrap_or_default();
                let secret = combined.validation_context_sds_secret_config.as_ref();
                Some(Validation::compile(&context, secret).within("combined_validation_context")?)
            }
            Some(_) => {
                return Err(Invalid::new("validation_context_type", "is not supported"));
            }
        };
        let parameters = wire.tls_params.clone().unwrap_or_default();
        Ok(CommonTls {
            hash,
            certificates: Certificates::compile(wire)?,
            validation,
            alpn: wire.alpn_protocols.iter().map(|protocol| protocol.as_bytes().into()).collect(),
            parameters: Parameters::compile(&parameters, side).within("tls_params")?,
        })
    }
}

/// Which side of a connection this proxy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Client,
}

fn refuse_unknown(wire: &wire::CommonTlsContext) -> Result<(), Invalid> {
    let unknown = [
        ("custom_handshaker", wire.custom_handshaker.is_some()),
        ("custom_tls_certificate_selector", wire.custom_tls_certificate_selector.is_some()),
        ("tls_certificate_provider_instance", wire.tls_certificate_provider_instance.is_some()),
    ];
    match unknown.iter().find(|(_, present)| *present) {
        Some((field, _)) => Err(Invalid::new(*field, "is not supported")),
        None => Ok(()),
    }
}

impl Certificates {
    fn compile(wire: &wire::CommonTlsContext) -> Result<Certificates, Invalid> {
        if !wire.tls_certificate_sds_secret_configs.is_empty() {
            let names = wire.tls_certificate_sds_secret_configs.iter().enumerate();
            return names
                .map(|(at, secret)| {
                    SecretName::compile(secret).within_entry("tls_certificate_sds_secret_configs", at)
                })
                .collect::<Result<_, _>>()
                .map(Certificates::Named);
        }
        let given = wire.tls_certificates.iter().enumerate();
        given
            .map(|(at, certificate)| {
                GivenCertificate::compile(certificate).within_entry("tls_certificates", at)
            })
            .collect::<Result<_, _>>()
            .map(Certificates::Given)
    }
}

impl GivenCertificate {
    /// Compiles a certificate message.
    pub fn compile(wire: &wire::TlsCertificate) -> Result<GivenCertificate, Invalid> {
        if wire.private_key_provider.is_some() || wire.pkcs12.is_some() || wire.password.is_some() {
            return Err(Invalid::new("private_key", "is not supported in this form"));
        }
        let missing = |field: &str| Invalid::new(field, "is missing");
        Ok(GivenCertificate {
            chain: Data::compile(wire.certificate_chain.as_ref())
                .within("certificate_chain")?
                .ok_or_else(|| missing("certificate_chain"))?,
            key: Data::compile(wire.private_key.as_ref())
                .within("private_key")?
                .ok_or_else(|| missing("private_key"))?,
        })
    }
}

impl Validation {
    /// Compiles a validation context whose roots may be a secret.
    pub fn compile(
        wire: &wire::CertificateValidationContext,
        secret: Option<&wire::SdsSecretConfig>,
    ) -> Result<Validation, Invalid> {
        let unknown = [
            ("custom_validator_config", wire.custom_validator_config.is_some()),
            ("ca_certificate_provider_instance", wire.ca_certificate_provider_instance.is_some()),
            ("allow_expired_certificate", wire.allow_expired_certificate),
            ("max_verify_depth", wire.max_verify_depth.is_some()),
            (
                "require_signed_certificate_timestamp",
                wire.require_signed_certificate_timestamp.unwrap_or(false),
            ),
        ];
        if let Some((field, _)) = unknown.iter().find(|(_, present)| *present) {
            return Err(Invalid::new(*field, "is not supported"));
        }
        let trust = match secret {
            Some(secret) => Trust::Named(SecretName::compile(secret)?),
            None => match Data::compile(wire.trusted_ca.as_ref()).within("trusted_ca")? {
                Some(roots) => Trust::Given(roots),
                None if wire.system_root_certs.is_some() => Trust::System,
                None => Trust::Nobody,
            },
        };
        let validation = Validation {
            names: NameMatcher::compile_all(wire)?,
            key_hashes: hashes(&wire.verify_certificate_spki, base64_hash)
                .ok_or_else(|| Invalid::new("verify_certificate_spki", "holds no SHA-256 in base64"))?,
            certificate_hashes: hashes(&wire.verify_certificate_hash, hex_hash)
                .ok_or_else(|| Invalid::new("verify_certificate_hash", "holds no SHA-256 in hex"))?,
            crl: Data::compile(wire.crl.as_ref()).within("crl")?,
            only_leaf_is_revoked: wire.only_verify_leaf_cert_crl,
            accepts_untrusted: wire.trust_chain_verification
                == i32::from(TrustChainVerification::AcceptUntrusted),
            trust,
        };
        if matches!(validation.trust, Trust::Nobody) {
            if !validation.names.is_empty() {
                return Err(Invalid::new(
                    "match_typed_subject_alt_names",
                    "prove nothing without trusted_ca",
                ));
            }
            if validation.crl.is_some() {
                return Err(Invalid::new("crl", "revokes nothing without trusted_ca"));
            }
        }
        Ok(validation)
    }

    /// Whether anything at all is asked of a peer's certificate.
    pub fn asks_for_something(&self) -> bool {
        !matches!(self.trust, Trust::Nobody)
            || !self.key_hashes.is_empty()
            || !self.certificate_hashes.is_empty()
    }
}

fn hashes(texts: &[String], read: impl Fn(&str) -> Option<[u8; 32]>) -> Option<Box<[[u8; 32]]>> {
    texts.iter().map(|text| read(text)).collect()
}

/// Envoy takes hex with colons and without.
fn hex_hash(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| *byte != b':')
        .map(|byte| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
    rest.is_empty().then(|| bytes.try_into().ok()).flatten()
}

fn base64_hash(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_suffix('=')?;
    let mut bits = 0_u32;
    let mut count = 0;
    let mut bytes = Vec::with_capacity(33);
    for byte in digits.bytes() {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    bytes.try_into().ok()
}

impl SecretName {
    fn compile(wire: &wire::SdsSecretConfig) -> Result<SecretName, Invalid> {
        if wire.name.is_empty() {
            return Err(Invalid::new("name", "is empty"));
        }
        let source = wire.sds_config.as_ref().and_then(|config| config.config_source_specifier.as_ref());
        Ok(SecretName {
            name: wire.name.as_str().into(),
            from_control_plane: matches!(source, Some(ConfigSourceSpecifier::Ads(_))),
        })
    }
}

impl Data {
    /// Compiles a source of data; environment variables are refused.
    pub fn compile(wire: Option<&DataSource>) -> Result<Option<Data>, Invalid> {
        let Some(specifier) = wire.and_then(|source| source.specifier.as_ref()) else { return Ok(None) };
        Ok(Some(match specifier {
            data_source::Specifier::Filename(path) => Data::File(path.as_str().into()),
            data_source::Specifier::InlineBytes(bytes) => Data::Inline(bytes.clone().into()),
            data_source::Specifier::InlineString(text) => {
                Data::Inline(Bytes::copy_from_slice(text.as_bytes()))
            }
            data_source::Specifier::EnvironmentVariable(_) => {
                return Err(Invalid::new("environment_variable", "is not supported"));
            }
        }))
    }
}

/// The transport of a listener's filter chain.
pub(crate) fn downstream(socket: Option<&TransportSocket>) -> Result<Transport<ServerTls>, Invalid> {
    let Some(any) = typed(socket)? else { return Ok(Transport::Plain) };
    if message_name(&any.type_url) != wire::DownstreamTlsContext::full_name() {
        return Err(unsupported(&any.type_url));
    }
    let context: wire::DownstreamTlsContext = decode(any)?;
    if context.require_sni.unwrap_or(false) {
        return Err(Invalid::new("require_sni", "is not supported"));
    }
    if context.ocsp_staple_policy != i32::from(OcspStaplePolicy::LenientStapling) {
        return Err(Invalid::new("ocsp_staple_policy", "is not supported"));
    }
    let keys = context.session_ticket_keys_type.as_ref();
    let requires_client_certificate = context.require_client_certificate.unwrap_or(false);
    let common = context.common_tls_context.unwrap_or_default();
    let common =
        CommonTls::compile(&common, xxh3_64(&any.value), Side::Server).within("common_tls_context")?;
    if matches!(&common.certificates, Certificates::Given(given) if given.is_empty()) {
        return Err(Invalid::new("common_tls_context", "has no certificate for a server"));
    }
    Ok(Transport::Tls(Arc::new(ServerTls {
        common,
        requires_client_certificate,
        resumes: !matches!(keys, Some(SessionTicketKeysType::DisableStatelessSessionResumption(true))),
    })))
}

/// The transport of a cluster.
pub(crate) fn upstream(socket: Option<&TransportSocket>) -> Result<Transport<ClientTls>, Invalid> {
    let Some(any) = typed(socket)? else { return Ok(Transport::Plain) };
    if message_name(&any.type_url) != wire::UpstreamTlsContext::full_name() {
        return Err(unsupported(&any.type_url));
    }
    let context: wire::UpstreamTlsContext = decode(any)?;
    if context.auto_sni_san_validation {
        return Err(Invalid::new("auto_sni_san_validation", "is not supported"));
    }
    let common = context.common_tls_context.unwrap_or_default();
    Ok(Transport::Tls(Arc::new(ClientTls {
        common: CommonTls::compile(&common, xxh3_64(&any.value), Side::Client)
            .within("common_tls_context")?,
        sni: context.sni.into(),
        endpoint_names: context.auto_host_sni,
        resumes: context.max_session_keys != Some(0),
    })))
}

fn unsupported(type_url: &str) -> Invalid {
    Invalid::new("typed_config", format!("`{}` is not supported", message_name(type_url)))
}

/// What a socket is; `None`: nothing around the bytes. Unknown ways of
/// carrying bytes are refused: one of them may be the only protection that
/// the bytes have.
fn typed(socket: Option<&TransportSocket>) -> Result<Option<&xds::google::protobuf::Any>, Invalid> {
    let Some(socket) = socket else { return Ok(None) };
    match &socket.config_type {
        None if socket.name == "envoy.transport_sockets.raw_buffer" => Ok(None),
        None => Err(Invalid::new("name", format!("`{}` is not supported", socket.name))),
        Some(transport_socket::ConfigType::TypedConfig(any)) => {
            Ok((!message_name(&any.type_url).ends_with(".RawBuffer")).then_some(any))
        }
    }
}

#[cfg(test)]
mod tests;
