//! How connections to a host are secured.

use serde::Deserialize;

/// TLS towards the endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientTlsSettings {
    /// Whether and how.
    pub mode: ClientTlsMode,
    /// File with the client's certificate.
    pub client_certificate: String,
    /// File with the client's key.
    pub private_key: String,
    /// File with the authorities that the server's certificate is checked against; empty means the system's.
    pub ca_certificates: String,
    /// Secret with certificate, key and authorities.
    pub credential_name: String,
    /// Names of which the server's certificate must carry one.
    pub subject_alt_names: Vec<String>,
    /// Server name sent in the handshake; empty means the host of the request.
    pub sni: String,
    /// Do not check the server's certificate.
    pub insecure_skip_verify: Option<bool>,
    /// File with revoked certificates.
    pub ca_crl: String,
}

/// Whether and how TLS is used towards the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ClientTlsMode {
    /// No TLS.
    #[default]
    Disable,
    /// TLS without a client certificate.
    Simple,
    /// TLS with a client certificate from files or a secret.
    Mutual,
    /// TLS with the workload's mesh certificate.
    IstioMutual,
}
