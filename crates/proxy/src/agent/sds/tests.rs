//! Stock Envoy serves with the certificates that it gets from the agent, and
//! with new ones when there are new ones.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use identity::authority::{Authority, Issued, Serial};
use identity::key::{Algorithm, PrivateKey};
use identity::{SpiffeId, TrustDomain, request};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use serde_json::{Value, json};
use testkit::envoy::Envoy;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::*;
use crate::secrets::{CertifiedChain, TrustBundle};

const LIMIT: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_secs(3600);

fn root(number: u8) -> Authority {
    let key = PrivateKey::generate(Algorithm::EcdsaP256).expect("a key");
    let serial = Serial::of([number; 16]);
    Authority::self_signed(key, &TrustDomain::default(), HOUR, SystemTime::now(), serial).expect("a root")
}

fn issue(authority: &Authority, account: &str, number: u8) -> (PrivateKey, Issued) {
    let key = PrivateKey::generate(Algorithm::EcdsaP256).expect("a key");
    let csr = request::read(&request::make(&key, None).expect("a request")).expect("our own");
    let identity = SpiffeId::new(TrustDomain::default(), "default", account).expect("an identity");
    let serial = Serial::of([number; 16]);
    let issued = authority.issue(&csr, &identity, HOUR, SystemTime::now(), serial).expect("a certificate");
    (key, issued)
}

/// Puts in what an agent would.
fn publish(secrets: &Secrets, authority: &Authority, number: u8) -> CertificateDer<'static> {
    let (key, issued) = issue(authority, "reviews", number);
    let roots = authority.roots().roots().to_vec();
    secrets.set(ROOT, Secret::Trust(TrustBundle { roots, crls: Vec::new() }));
    let leaf = issued.chain[0].clone();
    secrets.set(OWN, Secret::Certificate(CertifiedChain { chain: issued.chain, key: key.to_der() }));
    leaf
}

/// A listener that takes its certificate and whom to believe from SDS.
fn resources(socket: &Path, api_type: &str) -> Value {
    let sds = |name: &str| {
        json!({"name": name, "sds_config": {
            "resource_api_version": "V3",
            "initial_fetch_timeout": "0s",
            "api_config_source": {
                "api_type": api_type,
                "transport_api_version": "V3",
                "set_node_on_first_message_only": true,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "sds-grpc"}}],
            },
        }})
    };
    json!({
        "clusters": [super::super::bootstrap::grpc_cluster("sds-grpc", socket)],
        "listeners": [{
            "name": "tls",
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
            "filter_chains": [{
                "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                    "require_client_certificate": true,
                    "common_tls_context": {
                        "tls_certificate_sds_secret_configs": [sds(OWN)],
                        "validation_context_sds_secret_config": sds(ROOT),
                    },
                }},
                "filters": [{"name": "envoy.filters.network.direct_response", "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.network.direct_response.v3.Config",
                    "response": {"inline_string": "believed"},
                }}],
            }],
        }],
    })
}

async fn address(envoy: &Envoy) -> SocketAddr {
    let deadline = tokio::time::Instant::now() + LIMIT;
    loop {
        let page: Value =
            serde_json::from_str(&envoy.admin("/listeners?format=json").await.expect("admin")).expect("JSON");
        let socket = &page["listener_statuses"][0]["local_address"]["socket_address"];
        if let Some(port) = socket["port_value"].as_u64().filter(|port| *port > 0) {
            return SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).expect("a port")));
        }
        assert!(tokio::time::Instant::now() < deadline, "{page}\n{}", envoy.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The certificate that Envoy shows to a client that it believes; `None` when
/// it believes nobody or shows nothing.
async fn shown(address: SocketAddr, authority: &Authority) -> Option<CertificateDer<'static>> {
    let (key, issued) = issue(authority, "client", 99);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_client_auth_cert(issued.chain, key.to_der())
        .expect("a client's certificate");
    let stream = TcpStream::connect(address).await.ok()?;
    let name = ServerName::try_from("reviews").expect("a name");
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
    let _ = stream.write_all(b"?").await;
    let mut text = [0; 8];
    stream.read_exact(&mut text).await.ok()?;
    assert_eq!(&text, b"believed");
    Some(stream.get_ref().1.peer_certificates()?.first()?.clone().into_owned())
}

/// Waits until Envoy shows `leaf` to a client of `authority`.
async fn settled(envoy: &Envoy, address: SocketAddr, authority: &Authority, leaf: &CertificateDer<'_>) {
    let deadline = tokio::time::Instant::now() + LIMIT;
    while shown(address, authority).await.as_ref() != Some(leaf) {
        assert!(tokio::time::Instant::now() < deadline, "{}", envoy.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn stock_envoy_gets_certificates_and_new_ones() {
    for api_type in ["GRPC", "DELTA_GRPC"] {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("SDS");
        let secrets = Secrets::default();
        let server = serve(&socket, secrets.clone()).expect("a socket");
        let mode = std::fs::metadata(&socket).expect("a socket").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let first = root(1);
        let envoy = Envoy::fixed(&resources(&socket, api_type)).expect("Envoy");
        let address = address(&envoy).await;
        assert_eq!(shown(address, &first).await, None, "{api_type}: there is no certificate yet");

        let leaf = publish(&secrets, &first, 2);
        settled(&envoy, address, &first, &leaf).await;
        let leaf = publish(&secrets, &first, 3);
        settled(&envoy, address, &first, &leaf).await;

        let second = root(4);
        let leaf = publish(&secrets, &second, 5);
        settled(&envoy, address, &second, &leaf).await;
        assert_eq!(shown(address, &first).await, None, "{api_type}: the first root is believed no longer");
        server.abort();
    }
}

/// The test looks at the certificate itself.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
