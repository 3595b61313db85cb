//! What is counted about TLS, under Envoy's names.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use routing::listener::Listener;
use rustls::{CertificateError, Error};
use telemetry::metrics::{Counter, Metric, Registry, Series};

use crate::tls::certificate::TlsFacts;
use crate::tls::contexts::ContextError;
use crate::tls::handshake::HandshakeError;
use crate::tls::verify::{NotPinned, WrongName};

/// Whose connections are counted.
#[derive(Debug, Clone, Copy)]
pub enum Owner<'o> {
    /// A listener's.
    Listener(&'o Listener),
    /// Those to a cluster.
    Cluster(&'o str),
}

/// What is counted about TLS by one worker for a listener or cluster. A
/// counter exists once it counts.
#[derive(Debug)]
pub struct TlsStats {
    registry: Registry,
    is_listener: bool,
    name: Box<str>,
    counters: RefCell<BTreeMap<Name, Rc<Counter>>>,
}

/// A counter's name, and what it is about.
type Name = (&'static str, &'static str);

/// As it is called in Prometheus' form for listeners and clusters, and the
/// label in it.
const NAMES: [(&str, &str, &str, &str); 11] = [
    ("handshake", "envoy_listener_ssl_handshake", "envoy_cluster_ssl_handshake", ""),
    ("connection_error", "envoy_listener_ssl_connection_error", "envoy_cluster_ssl_connection_error", ""),
    ("session_reused", "envoy_listener_ssl_session_reused", "envoy_cluster_ssl_session_reused", ""),
    ("no_certificate", "envoy_listener_ssl_no_certificate", "envoy_cluster_ssl_no_certificate", ""),
    (
        "fail_verify_no_cert",
        "envoy_listener_ssl_fail_verify_no_cert",
        "envoy_cluster_ssl_fail_verify_no_cert",
        "",
    ),
    ("fail_verify_error", "envoy_listener_ssl_fail_verify_error", "envoy_cluster_ssl_fail_verify_error", ""),
    ("fail_verify_san", "envoy_listener_ssl_fail_verify_san", "envoy_cluster_ssl_fail_verify_san", ""),
    (
        "fail_verify_cert_hash",
        "envoy_listener_ssl_fail_verify_cert_hash",
        "envoy_cluster_ssl_fail_verify_cert_hash",
        "",
    ),
    ("ciphers", "envoy_listener_ssl_ciphers", "envoy_cluster_ssl_ciphers", "envoy_ssl_cipher"),
    ("versions", "envoy_listener_ssl_versions", "envoy_cluster_ssl_versions", "envoy_ssl_version"),
    (
        "downstream_context_secrets_not_ready",
        "envoy_listener_server_ssl_socket_factory_downstream_context_secrets_not_ready",
        "envoy_cluster_client_ssl_socket_factory_upstream_context_secrets_not_ready",
        "",
    ),
];

impl TlsStats {
    /// The counters of a worker.
    pub fn new(registry: &Registry, owner: Owner<'_>) -> TlsStats {
        let (is_listener, name) = match owner {
            Owner::Cluster(name) => (false, name.trim_end_matches(';').into()),
            Owner::Listener(listener) => {
                let address = listener.addresses.first().map(ToString::to_string).unwrap_or_default();
                (true, address.replace(':', "_").into())
            }
        };
        TlsStats { registry: registry.clone(), is_listener, name, counters: RefCell::default() }
    }

    /// A handshake came to its end.
    pub fn opened(&self, facts: &TlsFacts) {
        self.count("handshake", "");
        self.count("versions", facts.version);
        self.count("ciphers", facts.cipher);
        if facts.resumed {
            self.count("session_reused", "");
        }
        if facts.peer.is_none() {
            self.count("no_certificate", "");
        }
    }

    /// A handshake failed.
    pub fn failed(&self, error: &HandshakeError) {
        match error {
            HandshakeError::Context(ContextError::NoSecret(_)) => {
                self.count("downstream_context_secrets_not_ready", "");
                return;
            }
            HandshakeError::Tls(Error::NoCertificatesPresented) => self.count("fail_verify_no_cert", ""),
            HandshakeError::Tls(Error::InvalidCertificate(CertificateError::Other(other)))
                if other.0.is::<WrongName>() =>
            {
                self.count("fail_verify_san", "");
            }
            HandshakeError::Tls(Error::InvalidCertificate(CertificateError::Other(other)))
                if other.0.is::<NotPinned>() =>
            {
                self.count("fail_verify_cert_hash", "");
            }
            HandshakeError::Tls(Error::InvalidCertificate(_)) | HandshakeError::Expired => {
                self.count("fail_verify_error", "");
            }
            _ => {}
        }
        self.count("connection_error", "");
    }

    fn count(&self, name: &'static str, about: &'static str) {
        let mut counters = self.counters.borrow_mut();
        counters.entry((name, about)).or_insert_with(|| Rc::new(self.make(name, about))).increment();
    }

    fn make(&self, name: &'static str, about: &'static str) -> Counter {
        let known = NAMES.iter().find(|known| known.0 == name);
        let (of_listener, of_cluster, label) =
            known.map_or(("", "", ""), |known| (known.1, known.2, known.3));
        let (metric, owner, kind) = match self.is_listener {
            true => (of_listener, "envoy_listener_address", "listener"),
            false => (of_cluster, "cluster_name", "cluster"),
        };
        let labels = [(owner, &*self.name), (label, about)];
        let labels = if label.is_empty() { &labels[..1] } else { &labels[..] };
        let place = match (name, self.is_listener) {
            ("downstream_context_secrets_not_ready", true) => {
                "server_ssl_socket_factory.downstream_context_secrets_not_ready".to_owned()
            }
            ("downstream_context_secrets_not_ready", false) => {
                "client_ssl_socket_factory.upstream_context_secrets_not_ready".to_owned()
            }
            _ if about.is_empty() => format!("ssl.{name}"),
            _ => format!("ssl.{name}.{about}"),
        };
        let dotted = format!("{kind}.{}.{place}", self.name);
        self.registry.counter(Metric { name: metric, help: "" }, Series { labels, dotted: &dotted })
    }
}
