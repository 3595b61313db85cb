//! rustls configurations, made of what listeners and clusters say and of the
//! secrets that are there.
//!
//! One is made when a connection first needs it and again when one of its
//! secrets is another; connections keep the one they began with. What is
//! looked up here is looked up once per handshake, never per request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::RandomState;
use routing::tls::{
    Certificates, ClientTls, CommonTls, Curve, Parameters, SecretName, ServerTls, Suite, Trust, Version,
};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ServerConfig, SignatureScheme, SupportedCipherSuite, SupportedProtocolVersion};

use crate::secrets::{Secret, Secrets};
use crate::tls::certificate::Certificate;
use crate::tls::failure;
use crate::tls::material::{self, MaterialError};
use crate::tls::verify::{Judge, Rules};

/// So many servers' sessions are kept per configuration.
const SESSIONS: usize = 16;
/// Beyond so many configurations, those that nobody uses are let go.
const MANY: usize = 256;

/// All configurations in use.
#[derive(Debug, Default)]
pub struct Contexts {
    secrets: Secrets,
    servers: Mutex<Made<ServerSide>>,
    clients: Mutex<Made<ClientSide>>,
}

type Made<T> = HashMap<u64, Entry<T>, RandomState>;

#[derive(Debug)]
struct Entry<T> {
    uses: Vec<Arc<Secret>>,
    made: Arc<T>,
}

/// Towards clients.
#[derive(Debug)]
pub struct ServerSide {
    /// For clients that ask for a protocol that is ours, or for none.
    pub config: Arc<ServerConfig>,
    /// For clients that ask for others only: none is agreed on.
    pub without_alpn: Arc<ServerConfig>,
    /// What we show.
    pub own: Option<Arc<Certificate>>,
}

/// Towards endpoints.
#[derive(Debug)]
pub struct ClientSide {
    /// The configuration.
    pub config: Arc<ClientConfig>,
    /// What we show when asked.
    pub own: Option<Arc<Certificate>>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// A secret has not come.
    #[error("{words}: `{0}`", words = failure::NO_SECRET)]
    NoSecret(Arc<str>),
    /// A secret is of the wrong kind.
    #[error("TLS error: the secret `{0}` is of the wrong kind")]
    WrongKind(Arc<str>),
    /// A certificate, key or root is of no use.
    #[error("TLS error: {0}")]
    Material(#[from] MaterialError),
    /// rustls does not take it.
    #[error("TLS error: {0}")]
    Rustls(#[from] rustls::Error),
}

/// The secrets of one configuration, noted as they are looked up.
struct Lookup<'s> {
    secrets: &'s Secrets,
    uses: Vec<Arc<Secret>>,
}

impl Lookup<'_> {
    fn get(&mut self, name: &SecretName) -> Result<Arc<Secret>, ContextError> {
        let secret = match self.secrets.get(&name.name) {
            Some(secret) => secret,
            None => match material::from_files(&name.name) {
                Some(read) => Arc::new(read?),
                None => return Err(ContextError::NoSecret(name.name.clone())),
            },
        };
        self.uses.push(secret.clone());
        Ok(secret)
    }
}

impl Contexts {
    /// With these secrets.
    pub fn new(secrets: Secrets) -> Contexts {
        Contexts { secrets, ..Contexts::default() }
    }

    /// The secrets.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// What serves clients of a filter chain now.
    pub fn server(&self, context: &ServerTls) -> Result<Arc<ServerSide>, ContextError> {
        self.find(&self.servers, &context.common, |lookup| server(context, lookup))
    }

    /// What connects to endpoints of a cluster now.
    pub fn client(&self, context: &ClientTls) -> Result<Arc<ClientSide>, ContextError> {
        self.find(&self.clients, &context.common, |lookup| client(context, lookup))
    }

    fn find<T>(
        &self,
        all: &Mutex<Made<T>>,
        common: &CommonTls,
        make: impl FnOnce(&mut Lookup<'_>) -> Result<T, ContextError>,
    ) -> Result<Arc<T>, ContextError> {
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = all.get(&common.hash)
            && self.is_current(common, &entry.uses)
        {
            return Ok(entry.made.clone());
        }
        let mut lookup = Lookup { secrets: &self.secrets, uses: Vec::new() };
        let made = Arc::new(make(&mut lookup)?);
        if all.len() >= MANY {
            all.retain(|_, entry| Arc::strong_count(&entry.made) > 1);
        }
        all.insert(common.hash, Entry { uses: lookup.uses, made: made.clone() });
        Ok(made)
    }

    /// Whether the secrets are those that were there when it was made. Those
    /// that are files are read once.
    fn is_current(&self, common: &CommonTls, uses: &[Arc<Secret>]) -> bool {
        let mut uses = uses.iter();
        common.secrets().all(|name| {
            let used = uses.next();
            match self.secrets.get(&name.name) {
                Some(now) => used.is_some_and(|used| Arc::ptr_eq(used, &now)),
                None => used.is_some() && material::is_file(&name.name),
            }
        })
    }
}

fn server(context: &ServerTls, lookup: &mut Lookup<'_>) -> Result<ServerSide, ContextError> {
    let common = &context.common;
    let provider = provider(&common.parameters);
    let keys = keys(common, lookup, &provider)?;
    let own = keys.first().and_then(|key| Certificate::read(&key.cert)).map(Arc::new);
    let rules = rules(common, lookup)?;
    // Where only hashes are wanted, somebody must show something.
    let has_roots = rules.as_ref().is_some_and(|rules| rules.anchors.is_some());
    let requires = rules.is_some() && (context.requires_client_certificate || !has_roots);
    let judge = Judge::new(rules, requires, provider.signature_verification_algorithms);
    if context.requires_client_certificate && !requires {
        let text = "a client's certificate is required and nothing says which one".to_owned();
        return Err(ContextError::Rustls(rustls::Error::General(text)));
    }
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(&common.parameters))?
        .with_client_cert_verifier(Arc::new(judge))
        .with_cert_resolver(Arc::new(Shown(keys)));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = usize::from(context.resumes);
    if context.resumes {
        config.ticketer = aws_lc_rs::Ticketer::new()?;
    }
    let without_alpn = Arc::new(config.clone());
    config.alpn_protocols = common.alpn.iter().map(|name| name.to_vec()).collect();
    Ok(ServerSide { config: Arc::new(config), without_alpn, own })
}

fn client(context: &ClientTls, lookup: &mut Lookup<'_>) -> Result<ClientSide, ContextError> {
    let common = &context.common;
    let provider = provider(&common.parameters);
    let keys = keys(common, lookup, &provider)?;
    let own = keys.first().and_then(|key| Certificate::read(&key.cert)).map(Arc::new);
    let judge = Judge::new(rules(common, lookup)?, true, provider.signature_verification_algorithms);
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(&common.parameters))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(judge))
        .with_client_cert_resolver(Arc::new(Shown(keys)));
    config.resumption =
        if context.resumes { Resumption::in_memory_sessions(SESSIONS) } else { Resumption::disabled() };
    Ok(ClientSide { config: Arc::new(config), own })
}

/// What is shown to peers.
fn keys(
    common: &CommonTls,
    lookup: &mut Lookup<'_>,
    provider: &CryptoProvider,
) -> Result<Vec<Arc<CertifiedKey>>, ContextError> {
    match &common.certificates {
        Certificates::Given(given) => {
            given.iter().map(|given| Ok(material::certified(&material::given(given)?, provider)?)).collect()
        }
        Certificates::Named(names) => names
            .iter()
            .map(|name| match &*lookup.get(name)? {
                Secret::Certificate(chain) => Ok(material::certified(chain, provider)?),
                Secret::Trust(_) => Err(ContextError::WrongKind(name.name.clone())),
            })
            .collect(),
    }
}

/// What is asked of peers; `None`: nothing.
fn rules(common: &CommonTls, lookup: &mut Lookup<'_>) -> Result<Option<Rules>, ContextError> {
    let Some(validation) = common.validation.as_ref().filter(|validation| validation.asks_for_something())
    else {
        return Ok(None);
    };
    let more = validation.crl.as_ref().map(material::revocations).transpose()?.unwrap_or_default();
    let anchors = match &validation.trust {
        Trust::Nobody => None,
        Trust::Given(data) => Some(material::anchors(&material::roots(data)?, &[&more])?),
        Trust::System => Some(material::anchors(&material::system_roots()?, &[&more])?),
        Trust::Named(name) => match &*lookup.get(name)? {
            Secret::Trust(bundle) => Some(material::anchors(&bundle.roots, &[&bundle.crls, &more])?),
            Secret::Certificate(_) => return Err(ContextError::WrongKind(name.name.clone())),
        },
    };
    Ok(Some(Rules::new(validation, anchors.map(Arc::new))))
}

fn versions(parameters: &Parameters) -> Vec<&'static SupportedProtocolVersion> {
    let all = [(Version::V13, &TLS13), (Version::V12, &TLS12)];
    let wanted = all.into_iter().filter(|(version, _)| (parameters.min..=parameters.max).contains(version));
    let has_suites = |version| {
        let none = parameters.suites.as_ref().is_some_and(|suites| suites.is_empty());
        version != Version::V12 || !none
    };
    wanted.filter(|(version, _)| has_suites(*version)).map(|(_, known)| known).collect()
}

fn provider(parameters: &Parameters) -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    let all = [
        Suite::EcdsaAes128,
        Suite::RsaAes128,
        Suite::EcdsaAes256,
        Suite::RsaAes256,
        Suite::EcdsaChacha20,
        Suite::RsaChacha20,
    ];
    // With the processor's help the short key is the fastest.
    let mut suites = vec![
        cipher_suite::TLS13_AES_128_GCM_SHA256,
        cipher_suite::TLS13_AES_256_GCM_SHA384,
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
    ];
    suites.extend(parameters.suites.as_deref().unwrap_or(&all).iter().copied().map(suite));
    provider.cipher_suites = suites;
    if let Some(curves) = &parameters.curves {
        provider.kx_groups = curves.iter().copied().map(curve).collect();
    }
    Arc::new(provider)
}

fn suite(suite: Suite) -> SupportedCipherSuite {
    match suite {
        Suite::EcdsaAes128 => cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        Suite::EcdsaAes256 => cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        Suite::EcdsaChacha20 => cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        Suite::RsaAes128 => cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        Suite::RsaAes256 => cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        Suite::RsaChacha20 => cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    }
}

fn curve(curve: Curve) -> &'static dyn SupportedKxGroup {
    match curve {
        Curve::X25519 => kx_group::X25519,
        Curve::P256 => kx_group::SECP256R1,
        Curve::P384 => kx_group::SECP384R1,
        Curve::X25519MlKem768 => kx_group::X25519MLKEM768,
    }
}

/// Certificates among which the first that fits is shown.
#[derive(Debug)]
struct Shown(Vec<Arc<CertifiedKey>>);

impl Shown {
    fn fitting(&self, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.iter().find(|key| key.key.choose_scheme(schemes).is_some()).cloned()
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.fitting(hello.signature_schemes())
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.fitting(schemes)
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}
