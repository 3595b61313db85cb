//! The secured port as callers see it: who gets a certificate, for whom, and
//! which node he may be.

use std::net::SocketAddr;

use config_store::State;
use hyper_util::rt::TokioIo;
use identity::authority::{Authority, Issued, Serial};
use identity::bundle::Bundle;
use identity::key::{Algorithm, PrivateKey};
use identity::{TrustDomain, certificate, request};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use xds::envoy::config::core::v3::Node;
use xds::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use xds::type_url::CLUSTER;

use super::*;
use crate::ca::CaOptions;
use crate::{ControlPlane, Options};

const DISCOVERY: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

/// A control plane with an authority.
struct Stand {
    ca: Arc<Ca>,
    plane: ControlPlane,
    _store: watch::Sender<Arc<State>>,
    _folder: tempfile::TempDir,
}

/// A caller's certificate.
type Own = (PrivateKey, Issued);

impl Stand {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let ca = Ca::open(CaOptions::new(folder.path().join("ca")), SystemTime::now()).expect("an authority");
        let ca = Arc::new(ca);
        let (store, states) = watch::channel(Arc::default());
        let address: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let options = Options { secured: Some(address), ca: Some(Arc::clone(&ca)), ..Options::default() };
        let plane = ControlPlane::start(states, &options).await.expect("it listens");
        Self { ca, plane, _store: store, _folder: folder }
    }

    fn token(&self, account: &str) -> String {
        self.ca.mint_token("default", account, SystemTime::now()).expect("a token").as_str().to_owned()
    }

    /// A caller that believes `bundle`, and shows a certificate when he has one.
    async fn caller(&self, bundle: &Bundle, own: Option<&Own>) -> Result<Channel, tonic::transport::Error> {
        let mut roots = RootCertStore::empty();
        bundle.roots().iter().for_each(|root| roots.add(root.clone()).expect("a root"));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let mut config = match own {
            Some((key, issued)) => {
                builder.with_client_auth_cert(issued.chain.clone(), key.to_der()).expect("a certificate")
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        let address = self.plane.secured_address().expect("it listens");
        let connector = Connector { address, config: Arc::new(config) };
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        endpoint.connect_with_connector(connector).await
    }

    async fn anybody(&self) -> Channel {
        self.caller(&self.ca.bundle(), None).await.expect("the server is believed")
    }

    /// A certificate of `account`, got by a token.
    async fn own(&self, account: &str) -> Own {
        let key = PrivateKey::generate(Algorithm::EcdsaP256).expect("a key");
        let csr = request::make(&key, None).expect("a request");
        let answer = create(self.anybody().await, &csr, Some(&self.token(account))).await.expect("granted");
        (key, issued(&answer))
    }
}

#[derive(Clone)]
struct Connector {
    address: SocketAddr,
    config: Arc<ClientConfig>,
}

impl Service<http::Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        let Self { address, config } = self.clone();
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            let name = ServerName::try_from("istiod.istio-system.svc").expect("a name");
            TlsConnector::from(config).connect(name, stream).await.map(TokioIo::new)
        })
    }
}

async fn create(
    channel: Channel,
    csr: &str,
    token: Option<&str>,
) -> Result<IstioCertificateResponse, Status> {
    send(channel, IstioCertificateRequest { csr: csr.to_owned(), ..Default::default() }, token).await
}

async fn send(
    channel: Channel,
    message: IstioCertificateRequest,
    token: Option<&str>,
) -> Result<IstioCertificateResponse, Status> {
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let mut request = tonic::Request::new(message);
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("ASCII"));
    }
    let codec = ProstCodec::<IstioCertificateRequest, IstioCertificateResponse>::default();
    let path = http::uri::PathAndQuery::from_static(CREATE);
    grpc.unary(request, path, codec).await.map(Response::into_inner)
}

fn issued(answer: &IstioCertificateResponse) -> Issued {
    let [chain @ .., _] = &answer.cert_chain[..] else { panic!("an empty answer") };
    let chain = pem::certificates(chain.concat().as_bytes()).expect("certificates");
    let validity = certificate::facts(&chain[0]).expect("a certificate").validity;
    Issued { chain, validity }
}

fn csr() -> String {
    let key = PrivateKey::generate(Algorithm::EcdsaP256).expect("a key");
    request::make(&key, None).expect("a request")
}

fn identity(account: &str) -> SpiffeId {
    SpiffeId::new(TrustDomain::default(), "default", account).expect("an identity")
}

#[tokio::test]
async fn a_token_is_worth_one_certificate() {
    let stand = Stand::new().await;
    let token = stand.token("reviews");
    let answer = create(stand.anybody().await, &csr(), Some(&token)).await.expect("granted");
    assert_eq!(certificate::identity(&issued(&answer).chain[0]), Ok(identity("reviews")));
    let roots = Bundle::from_pem(answer.cert_chain.last().expect("roots").as_bytes()).expect("roots");
    assert_eq!(roots, stand.ca.bundle(), "whom to believe comes last");
    for token in [Some(token.as_str()), Some("invented"), None] {
        let refused = create(stand.anybody().await, &csr(), token).await.expect_err("refused");
        assert_eq!(refused.code(), Code::Unauthenticated, "{token:?}");
    }
}

#[tokio::test]
async fn a_certificate_is_renewed_by_itself() {
    let stand = Stand::new().await;
    let own = stand.own("reviews").await;
    for token in [None, Some(stand.token("ratings"))] {
        let channel = stand.caller(&stand.ca.bundle(), Some(&own)).await.expect("believed");
        let answer = create(channel, &csr(), token.as_deref()).await.expect("granted");
        let renewed = issued(&answer);
        assert_eq!(
            certificate::identity(&renewed.chain[0]),
            Ok(identity("reviews")),
            "whoever's token it is"
        );
        let asked = Duration::from_secs(24 * 3600);
        let life = renewed.validity.not_after.duration_since(SystemTime::now()).expect("valid");
        assert!(life <= asked && life > asked / 2, "{life:?}");
    }
}

#[tokio::test]
async fn a_strangers_certificate_proves_nothing() {
    let stand = Stand::new().await;
    let key = || PrivateKey::generate(Algorithm::EcdsaP256).expect("a key");
    let hour = Duration::from_secs(3600);
    let (domain, now) = (TrustDomain::default(), SystemTime::now());
    let stranger =
        Authority::self_signed(key(), &domain, hour, now, Serial::of([1; 16])).expect("an authority");
    let own = key();
    let csr = request::read(&request::make(&own, None).expect("a request")).expect("our own");
    let forged =
        stranger.issue(&csr, &identity("reviews"), hour, now, Serial::of([2; 16])).expect("a certificate");
    let refused = match stand.caller(&stand.ca.bundle(), Some(&(own, forged))).await {
        // The handshake's end may be told only with the first answer.
        Ok(channel) => create(channel, &super::tests::csr(), None).await.is_err(),
        Err(_) => true,
    };
    assert!(refused);
    let deceived = stand.caller(stranger.roots(), None).await;
    assert!(deceived.is_err(), "callers do not believe our server by a stranger's root");
}

/// Names, the CA bit, another's key, a broken signature.
#[tokio::test]
async fn forged_requests_yield_the_caller_or_nothing() {
    let stand = Stand::new().await;
    let own = stand.own("reviews").await;
    let bundle = stand.ca.bundle();
    let channel = || stand.caller(&bundle, Some(&own));
    let key = PrivateKey::generate(Algorithm::EcdsaP256).expect("a key");
    let victim = "spiffe://cluster.local/ns/istio-system/sa/istiod".parse().expect("an identity");
    let greedy = request::make(&key, Some(&victim)).expect("a request");
    let answer = create(channel().await.expect("believed"), &greedy, None).await.expect("granted");
    assert_eq!(certificate::identity(&issued(&answer).chain[0]), Ok(identity("reviews")));

    let mut broken = pem::request(greedy.as_bytes()).expect("a request");
    let last = broken.len() - 1;
    broken[last] ^= 1;
    for csr in [pem::of_request(&broken), "nonsense".to_owned(), "x".repeat(60 << 10)] {
        let refused = create(channel().await.expect("believed"), &csr, None).await.expect_err("refused");
        assert_eq!(refused.code(), Code::InvalidArgument);
    }

    let kind = Some(Kind::StringValue(victim.to_string()));
    let fields = [("ImpersonatedIdentity".to_owned(), prost_types::Value { kind })].into();
    let metadata = Some(prost_types::Struct { fields });
    let asked = IstioCertificateRequest { csr: csr(), metadata, ..Default::default() };
    let refused = send(channel().await.expect("believed"), asked, None).await.expect_err("refused");
    assert_eq!(refused.code(), Code::PermissionDenied);
}

/// The server's own certificate follows the authority; both roots are believed.
#[tokio::test]
async fn a_new_root_locks_nobody_out() {
    let stand = Stand::new().await;
    let before = stand.ca.bundle();
    let old = stand.own("reviews").await;
    stand.ca.rotate(SystemTime::now()).expect("a new root");
    let new = stand.own("ratings").await;
    for (bundle, own, account) in
        [(&before, &old, "reviews"), (&stand.ca.bundle(), &old, "reviews"), (&before, &new, "ratings")]
    {
        let channel = stand.caller(bundle, Some(own)).await.expect("they believe each other");
        let answer = create(channel, &csr(), None).await.expect("granted");
        assert_eq!(certificate::identity(&issued(&answer).chain[0]), Ok(identity(account)));
        let roots = answer.cert_chain.last().expect("roots");
        assert_eq!(pem::certificates(roots.as_bytes()).expect("roots").len(), 2);
    }
}

/// The first answer to a node that says that it is `account` in `namespace`.
async fn discover(channel: Channel, namespace: &str, account: &str) -> Result<(), Status> {
    let text = |text: &str| prost_types::Value { kind: Some(Kind::StringValue(text.to_owned())) };
    let fields = [("NAMESPACE", text(namespace)), ("SERVICE_ACCOUNT", text(account))];
    let node = Node {
        id: format!("sidecar~10.0.0.1~reviews-v1-0.{namespace}~{namespace}.svc.cluster.local"),
        metadata: Some(prost_types::Struct {
            fields: fields.map(|(name, value)| (name.to_owned(), value)).into(),
        }),
        ..Node::default()
    };
    let asked =
        DeltaDiscoveryRequest { node: Some(node), type_url: CLUSTER.to_owned(), ..Default::default() };
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = ProstCodec::<DeltaDiscoveryRequest, DeltaDiscoveryResponse>::default();
    let path = http::uri::PathAndQuery::from_static(DISCOVERY);
    // The stream stays open: the answer is not to its end.
    let requests =
        futures_util::StreamExt::chain(futures_util::stream::iter([asked]), futures_util::stream::pending());
    let mut answers = grpc.streaming(tonic::Request::new(requests), path, codec).await?.into_inner();
    answers.message().await?.map(drop).ok_or_else(|| Status::unavailable("no answer"))
}

#[tokio::test]
async fn a_node_is_its_owners_alone() {
    let stand = Stand::new().await;
    let own = stand.own("reviews").await;
    let bundle = stand.ca.bundle();
    let channel = || stand.caller(&bundle, Some(&own));
    for (namespace, account, code) in [
        ("default", "reviews", None),
        ("default", "ratings", Some(Code::PermissionDenied)),
        ("other", "reviews", Some(Code::PermissionDenied)),
    ] {
        let answer = discover(channel().await.expect("believed"), namespace, account).await;
        assert_eq!(answer.err().map(|status| status.code()), code, "{namespace}/{account}");
    }
    let nobody = discover(stand.anybody().await, "default", "reviews").await.expect_err("refused");
    assert_eq!(nobody.code(), Code::Unauthenticated);
}
