//! Asking the mesh's authority: `istio.v1.auth` over TLS.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use identity::bundle::Bundle;
use identity::pem::{self, NotPem};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::Endpoint;
use tonic_prost::ProstCodec;
use tower_service::Service;
use xds::istio::auth::{IstioCertificateRequest, IstioCertificateResponse};

use super::Held;
use super::credential::{CredentialError, Proof, Source};
use crate::agent::settings::Settings;
use crate::dial::dial;

const PATH: &str = "/istio.v1.auth.IstioCertificateService/CreateCertificate";

/// How long the authority may take, from the first packet to the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked of an authority.
pub(super) struct Asked<'a> {
    /// A signing request, PEM.
    pub(super) csr: String,
    /// How long the certificate should hold.
    pub(super) lifetime: Duration,
    /// A certificate that proves who asks.
    pub(super) proof: Option<&'a Held>,
    /// The last certificate, valid or not: whom it believed is believed.
    pub(super) known: Option<&'a Held>,
}

/// What an authority gives.
pub(super) struct Granted {
    /// The leaf, then intermediates.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// Whom to believe.
    pub(super) bundle: Bundle,
}

/// Why it gives nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error(transparent)]
    Credential(#[from] CredentialError),
    #[error("configure TLS")]
    Tls(#[from] rustls::Error),
    #[error("connect to the authority at `{0}`")]
    Connect(String, #[source] tonic::transport::Error),
    #[error("the authority says: {}", .0.message())]
    Status(Box<tonic::Status>),
    #[error("the authority at `{0}` does not answer")]
    Silent(String),
    #[error("the token cannot be sent")]
    Token,
    #[error("read the authority's answer")]
    Answer(#[source] NotPem),
    #[error("the authority's answer is empty")]
    Empty,
}

/// Whoever signs; tests have one of their own.
pub(super) trait Authority: Send + 'static {
    fn sign(&mut self, asked: Asked<'_>) -> impl Future<Output = Result<Granted, Refusal>> + Send;
}

/// The mesh's authority.
pub(super) struct Grpc {
    address: String,
    server_name: ServerName<'static>,
    tos: Option<u32>,
    source: Source,
    /// The certificate was refused: the credential comes next.
    is_certificate_refused: bool,
}

impl Grpc {
    /// As the settings say.
    pub(super) fn new(settings: &Settings, source: Source) -> Result<Self, CredentialError> {
        let address = settings.identity.ca_address(settings.discovery_address());
        let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
        let name = settings.identity.server_name.as_deref().unwrap_or(host).trim_matches(['[', ']']);
        let server_name = ServerName::try_from(name.to_owned())
            .map_err(|error| CredentialError::Refused(format!("`{name}` is no server's name: {error}")))?;
        let tos = settings.upstream_tos.map(u32::from);
        Ok(Self { address, server_name, tos, source, is_certificate_refused: false })
    }

    async fn call(&self, asked: &Asked<'_>, by: By<'_>) -> Result<IstioCertificateResponse, Refusal> {
        let known = asked.known.map(|held| held.bundle.clone()).unwrap_or_default();
        let (config, token) = match by {
            By::Certificate(held) => (client_config(&known, Some(held))?, None),
            By::Token(proof) => (client_config(&known.and(&proof.roots), None)?, Some(proof.token.as_str())),
        };
        let connector = Connector {
            target: self.address.clone(),
            server_name: self.server_name.clone(),
            config: Arc::new(config),
            tos: self.tos,
        };
        let failed = |error| Refusal::Connect(self.address.clone(), error);
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).map_err(failed)?;
        let channel =
            endpoint.connect_timeout(PATIENCE).connect_with_connector(connector).await.map_err(failed)?;
        let mut grpc = tonic::client::Grpc::new(channel);
        grpc.ready().await.map_err(failed)?;
        let mut request = tonic::Request::new(IstioCertificateRequest {
            csr: asked.csr.clone(),
            validity_duration: i64::try_from(asked.lifetime.as_secs()).unwrap_or(i64::MAX),
            metadata: None,
        });
        if let Some(token) = token {
            let mut value: tonic::metadata::AsciiMetadataValue =
                format!("Bearer {token}").parse().map_err(|_| Refusal::Token)?;
            value.set_sensitive(true);
            request.metadata_mut().insert("authorization", value);
        }
        let codec = ProstCodec::<IstioCertificateRequest, IstioCertificateResponse>::default();
        let answer = grpc.unary(request, PathAndQuery::from_static(PATH), codec).await;
        answer.map(tonic::Response::into_inner).map_err(|status| Refusal::Status(Box::new(status)))
    }
}

/// How the workload proves who it is.
enum By<'a> {
    Certificate(&'a Held),
    Token(&'a Proof),
}

impl Authority for Grpc {
    async fn sign(&mut self, asked: Asked<'_>) -> Result<Granted, Refusal> {
        let by_certificate = asked.proof.filter(|_| !self.is_certificate_refused);
        // Next time the other way, unless this one goes well.
        self.is_certificate_refused = by_certificate.is_some();
        let call = async {
            match by_certificate {
                Some(held) => self.call(&asked, By::Certificate(held)).await,
                None => {
                    let proof = self.source.proof().await?;
                    self.call(&asked, By::Token(&proof)).await
                }
            }
        };
        let silent = || Refusal::Silent(self.address.clone());
        let answer = tokio::time::timeout(PATIENCE * 2, call).await.map_err(|_| silent())??;
        self.is_certificate_refused = false;
        read(&answer.cert_chain)
    }
}

/// The leaf first, whom to believe last.
fn read(texts: &[String]) -> Result<Granted, Refusal> {
    let [chain @ .., roots] = texts else { return Err(Refusal::Empty) };
    let bundle = Bundle::from_pem(roots.as_bytes()).map_err(Refusal::Answer)?;
    let chain = pem::certificates(chain.concat().as_bytes()).map_err(Refusal::Answer)?;
    Ok(Granted { chain, bundle })
}

fn client_config(believed: &Bundle, own: Option<&Held>) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for root in believed.roots() {
        roots.add(root.clone())?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut config = match own {
        Some(held) => builder.with_client_auth_cert(held.chain.clone(), held.key.to_der())?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Connects as capture rules want it, and secures the connection.
#[derive(Clone)]
struct Connector {
    target: String,
    server_name: ServerName<'static>,
    config: Arc<ClientConfig>,
    tos: Option<u32>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { target, server_name, config, tos } = self.clone();
        Box::pin(async move {
            let stream = dial(&target, tos).await?;
            TlsConnector::from(config).connect(server_name, stream).await.map(TokioIo::new)
        })
    }
}
