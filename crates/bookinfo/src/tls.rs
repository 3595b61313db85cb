//! TLS towards services outside, as the original's libraries make it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where systems keep the authorities that they trust, the first that is there.
const SYSTEM_AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// What checks the certificates of servers.
pub(crate) struct Tls(TlsConnector);

impl Tls {
    /// Trusts the authorities of a file of PEM, by default the system's.
    pub(crate) fn new(authorities: Option<&Path>) -> io::Result<Tls> {
        let system = || SYSTEM_AUTHORITIES.iter().map(Path::new).find(|path| path.exists());
        let path = authorities.or_else(system).ok_or_else(|| {
            io::Error::other("no file of trusted authorities: install ca-certificates, or set SSL_CERT_FILE")
        })?;
        let mut roots = RootCertStore::empty();
        let read = CertificateDer::pem_file_iter(path)
            .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
        roots.add_parsable_certificates(read.flatten());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Tls(TlsConnector::from(Arc::new(config))))
    }

    /// Secures a connection to `host`, whose certificate must name it.
    pub(crate) async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        self.0.connect(name, stream).await
    }
}
