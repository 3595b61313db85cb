//! How a server's connections are secured.

use serde::Deserialize;

/// TLS of a server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServerTlsSettings {
    /// Answer every plain request with a redirect to https.
    pub https_redirect: bool,
    /// Whether and how.
    pub mode: ServerTlsMode,
    /// File with the server's certificate.
    pub server_certificate: String,
    /// File with the server's key.
    pub private_key: String,
    /// File with the authorities that client certificates are checked against.
    pub ca_certificates: String,
    /// File with revoked certificates.
    pub ca_crl: String,
    /// Secret with certificate and key.
    pub credential_name: String,
    /// Secrets with certificates and keys, at most two.
    pub credential_names: Vec<String>,
    /// Secret or ConfigMap with the authorities for client certificates.
    pub ca_cert_credential_name: String,
    /// Files with certificates and keys, at most two.
    pub tls_certificates: Vec<TlsCertificate>,
    /// Names of which a client certificate must carry one.
    pub subject_alt_names: Vec<String>,
    /// Hashes of accepted client keys, base64.
    pub verify_certificate_spki: Vec<String>,
    /// Hashes of accepted client certificates, hexadecimal.
    pub verify_certificate_hash: Vec<String>,
    /// Lowest version.
    pub min_protocol_version: TlsProtocol,
    /// Highest version.
    pub max_protocol_version: TlsProtocol,
    /// Cipher suites; empty means the default ones.
    pub cipher_suites: Vec<String>,
    /// Let clients through whose certificate does not verify.
    pub insecure_skip_verify: Option<bool>,
}

/// Whether and how a server uses TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ServerTlsMode {
    /// Not terminated; a VirtualService chooses by SNI.
    #[default]
    Passthrough,
    /// Terminated, no client certificate.
    Simple,
    /// Terminated, a client certificate is required.
    Mutual,
    /// Not terminated; the SNI names the cluster.
    AutoPassthrough,
    /// Terminated with the mesh certificate, a client certificate of the mesh is required.
    IstioMutual,
    /// Terminated, a client certificate is asked for and checked when given.
    OptionalMutual,
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsCertificate {
    /// File with the certificate.
    pub server_certificate: String,
    /// File with the key.
    pub private_key: String,
    /// File with the authorities for client certificates.
    pub ca_certificates: String,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
pub enum TlsProtocol {
    /// As the proxy chooses.
    #[default]
    #[serde(rename = "TLS_AUTO")]
    Auto,
    /// 1.0
    #[serde(rename = "TLSV1_0")]
    V1_0,
    /// 1.1
    #[serde(rename = "TLSV1_1")]
    V1_1,
    /// 1.2
    #[serde(rename = "TLSV1_2")]
    V1_2,
    /// 1.3
    #[serde(rename = "TLSV1_3")]
    V1_3,
}
