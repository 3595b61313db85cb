//! Named secrets, as SDS names them, kept in memory only.
//!
//! The agent puts them in; the data path takes them out when it makes a TLS
//! configuration.  A connection keeps what it began with, so putting a secret
//! in place of another never touches one that is there.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use tokio::sync::watch;

/// Certificates, keys and trust bundles by name: `default`, `ROOTCA`,
/// `kubernetes://NAME`, `file-root:...`.
#[derive(Clone)]
pub struct Secrets {
    inner: Arc<Inner>,
}

struct Inner {
    named: RwLock<BTreeMap<String, Arc<Secret>>>,
    version: watch::Sender<u64>,
}

/// What stands behind a name.
pub enum Secret {
    /// A certificate and its key.
    Certificate(CertifiedChain),
    /// Whom to trust.
    Trust(TrustBundle),
}

/// A certificate, what leads from it to a root, and its key.
pub struct CertifiedChain {
    /// The leaf, then intermediates.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's private key.
    pub key: PrivateKeyDer<'static>,
}

/// Roots, and what they have revoked.
pub struct TrustBundle {
    /// Self-signed certificates.
    pub roots: Vec<CertificateDer<'static>>,
    /// Revocation lists of the roots and of intermediates.
    pub crls: Vec<CertificateRevocationListDer<'static>>,
}

impl Default for Secrets {
    fn default() -> Self {
        Self { inner: Arc::new(Inner { named: RwLock::default(), version: watch::Sender::new(0) }) }
    }
}

impl Secrets {
    /// What stands behind `name` now.
    pub fn get(&self, name: &str) -> Option<Arc<Secret>> {
        self.inner.named.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Everything, in the order of names.
    pub fn list(&self) -> Vec<(String, Arc<Secret>)> {
        let named = self.inner.named.read().unwrap_or_else(PoisonError::into_inner);
        named.iter().map(|(name, secret)| (name.clone(), secret.clone())).collect()
    }

    /// Puts a secret in place of what was there, and wakes whoever waits.
    pub fn set(&self, name: &str, secret: Secret) {
        let mut named = self.inner.named.write().unwrap_or_else(PoisonError::into_inner);
        named.insert(name.to_owned(), Arc::new(secret));
        drop(named);
        self.inner.version.send_modify(|version| *version += 1);
    }

    /// Takes a secret away; a name that is not there stays so.
    pub fn remove(&self, name: &str) {
        let removed = self.inner.named.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        if removed.is_some() {
            self.inner.version.send_modify(|version| *version += 1);
        }
    }

    /// Rises at each change.
    pub fn version(&self) -> u64 {
        *self.inner.version.borrow()
    }

    /// Tells of each change.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.inner.version.subscribe()
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.inner.named.read().unwrap_or_else(PoisonError::into_inner);
        formatter.debug_map().entries(named.iter()).finish()
    }
}

impl fmt::Debug for Secret {
    /// Keys are not shown.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(chain) => write!(formatter, "Certificate({} in its chain)", chain.chain.len()),
            Self::Trust(trust) => {
                write!(formatter, "Trust({} roots, {} CRLs)", trust.roots.len(), trust.crls.len())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust(roots: usize) -> Secret {
        Secret::Trust(TrustBundle {
            roots: (0..roots).map(|_| CertificateDer::from(vec![1])).collect(),
            crls: Vec::new(),
        })
    }

    #[test]
    fn each_change_is_told_and_seen() {
        let secrets = Secrets::default();
        let mut changed = secrets.changed();
        assert!(secrets.get("ROOTCA").is_none());
        secrets.remove("ROOTCA");
        assert_eq!(secrets.version(), 0, "nothing was there to take away");
        let copy = secrets.clone();
        copy.set("ROOTCA", trust(1));
        assert!(changed.has_changed().expect("the store is there"));
        changed.mark_unchanged();
        let held = secrets.get("ROOTCA").expect("it was put in");
        copy.set("ROOTCA", trust(2));
        assert_eq!(format!("{held:?}"), "Trust(1 roots, 0 CRLs)", "who holds one keeps it");
        assert_eq!(format!("{secrets:?}"), r#"{"ROOTCA": Trust(2 roots, 0 CRLs)}"#);
        secrets.remove("ROOTCA");
        assert!(secrets.get("ROOTCA").is_none());
        assert_eq!(secrets.version(), 3);
        assert!(changed.has_changed().expect("the store is there"));
    }

    #[test]
    fn no_key_is_printed() {
        let key = PrivateKeyDer::Pkcs8(b"secret".to_vec().into());
        let secret = Secret::Certificate(CertifiedChain { chain: Vec::new(), key });
        assert_eq!(format!("{secret:?}"), "Certificate(0 in its chain)");
    }
}
