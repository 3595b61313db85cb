//! The workload's own certificate: asked for, renewed at half its life, and
//! kept in memory.
//!
//! Each certificate has a key of its own, made here and never told.  The first
//! is got with a credential from outside; those that follow with the
//! certificate before them, as long as that holds.  While the authority does
//! not answer, what is there stays in use.

mod authority;
mod credential;
mod schedule;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use identity::bundle::Bundle;
use identity::key::{KeyError, PrivateKey};
use identity::request::MakeError;
use identity::{SpiffeId, certificate, instant, request};
use rustls_pki_types::CertificateDer;
use tokio::task::JoinHandle;

use super::settings::Settings;
use crate::memory;
use crate::secrets::{CertifiedChain, Secret, Secrets, TrustBundle};
use crate::telling::telling;

pub use credential::CredentialError;
pub(super) use credential::Source;

use authority::{Asked, Authority, Granted, Grpc, Refusal};
use schedule::Renewal;

/// The workload's certificate, as SDS names it.
pub const OWN: &str = "default";

/// Whom it believes, as SDS names it.
pub const ROOT: &str = "ROOTCA";

/// The pause before the first new attempt, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// A certificate that is held, with its key.
#[derive(Clone)]
pub struct Held {
    key: PrivateKey,
    chain: Vec<CertificateDer<'static>>,
    bundle: Bundle,
    until: SystemTime,
}

/// What there is to tell of certificates; shared with whoever tells it.
#[derive(Debug, Default)]
pub struct Progress {
    requests: AtomicU64,
    failures: AtomicU64,
    expiry: AtomicU64,
}

/// Certificates that are being kept.
pub struct Certificates {
    /// The task that keeps them; it ends with it.
    task: JoinHandle<()>,
    /// What there is to tell.
    pub progress: Arc<Progress>,
}

impl Drop for Certificates {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Begins to keep `secrets` supplied, with what `source` proves.
pub(super) fn start(
    settings: &Settings,
    source: Source,
    secrets: Secrets,
) -> Result<Certificates, CredentialError> {
    let trust_domain = settings.identity.trust_domain.clone();
    let identity = SpiffeId::new(trust_domain, &settings.namespace, &settings.service_account)?;
    let progress = Arc::<Progress>::default();
    let keeper = Keeper {
        authority: Grpc::new(settings, source)?,
        renewal: Renewal::of(&settings.identity),
        algorithm: settings.identity.algorithm,
        lifetime: settings.identity.lifetime,
        identity,
        secrets,
        progress: Arc::clone(&progress),
        now: SystemTime::now,
        random: fastrand::f64,
    };
    Ok(Certificates { task: tokio::spawn(keeper.keep()), progress })
}

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Request(#[from] MakeError),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the authority's answer holds no certificate of `{0}` for our key")]
    NotOurs(SpiffeId),
}

/// Keeps one workload's certificate.
struct Keeper<A> {
    authority: A,
    renewal: Renewal,
    algorithm: identity::key::Algorithm,
    lifetime: Duration,
    identity: SpiffeId,
    secrets: Secrets,
    progress: Arc<Progress>,
    now: fn() -> SystemTime,
    random: fn() -> f64,
}

impl<A: Authority> Keeper<A> {
    async fn keep(mut self) {
        let mut held: Option<Held> = None;
        let mut attempt = 0u32;
        loop {
            tracing::info!(identity = %self.identity, "sending a signing request (attempt {attempt})");
            match self.renew(held.as_ref()).await {
                Ok(new) => {
                    attempt = 0;
                    let wait = self.renewal.wait((self.now)(), new.until, (self.random)());
                    self.publish(&new);
                    held = Some(new);
                    settle();
                    tracing::info!(
                        "the signing request is approved; the certificate will be renewed in {}s",
                        wait.as_secs()
                    );
                    tokio::time::sleep(wait).await;
                }
                Err(error) => {
                    self.progress.failures.fetch_add(1, Ordering::Relaxed);
                    let pause = schedule::pause(attempt, FIRST_PAUSE, LONGEST_PAUSE, (self.random)());
                    attempt = attempt.saturating_add(1);
                    self.tell(&error, held.as_ref(), pause);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Gets a certificate for a new key.
    async fn renew(&mut self, held: Option<&Held>) -> Result<Held, KeepError> {
        self.progress.requests.fetch_add(1, Ordering::Relaxed);
        let key = PrivateKey::generate(self.algorithm)?;
        let csr = request::make(&key, Some(&self.identity))?;
        let valid = held.filter(|held| (self.now)() < held.until);
        let asked = Asked { csr, lifetime: self.lifetime, proof: valid, known: held };
        let Granted { chain, bundle } = self.authority.sign(asked).await?;
        let leaf = chain.first().ok_or_else(|| KeepError::NotOurs(self.identity.clone()))?;
        let until = self.check(leaf, &key).ok_or_else(|| KeepError::NotOurs(self.identity.clone()))?;
        Ok(Held { key, chain, bundle, until })
    }

    /// Whether the certificate is for our key and ourselves, and until when.
    fn check(&self, leaf: &CertificateDer<'_>, key: &PrivateKey) -> Option<SystemTime> {
        let is_ours = certificate::identity(leaf).is_ok_and(|found| {
            (found.namespace(), found.service_account())
                == (self.identity.namespace(), self.identity.service_account())
        });
        let facts = certificate::facts(leaf).ok()?;
        (is_ours && facts.public_key == key.public_key_info()).then_some(facts.validity.not_after)
    }

    fn publish(&self, held: &Held) {
        self.progress.expiry.store(instant::seconds(held.until), Ordering::Relaxed);
        let trust = TrustBundle { roots: held.bundle.roots().to_vec(), crls: Vec::new() };
        self.secrets.set(ROOT, Secret::Trust(trust));
        let chain = CertifiedChain { chain: held.chain.clone(), key: held.key.to_der() };
        self.secrets.set(OWN, Secret::Certificate(chain));
    }

    fn tell(&self, error: &KeepError, held: Option<&Held>, pause: Duration) {
        let error = telling(error);
        let again = pause.as_secs_f64();
        match held {
            Some(held) if held.until <= (self.now)() => tracing::error!(
                "the certificate has expired and is not renewed; peers refuse it; again in {again:.1}s: {error}"
            ),
            Some(_) => tracing::warn!("the certificate is not renewed yet; again in {again:.1}s: {error}"),
            None => tracing::warn!("there is no certificate yet; again in {again:.1}s: {error}"),
        }
    }
}

/// Making a key, a handshake and reading certificates touch much of the
/// program that is not needed again for hours.
fn settle() {
    match memory::drop_clean_pages() {
        Ok(bytes) => tracing::debug!(bytes, "dropped the pages of the renewal"),
        Err(error) => tracing::debug!("the pages of the renewal stay resident: {error}"),
    }
    memory::return_free();
}

impl Progress {
    /// Prometheus' text format, under Istio's names.
    pub fn text(&self, now: SystemTime) -> String {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let expiry = load(&self.expiry);
        let mut text = format!(
            "# TYPE istio_agent_num_outgoing_requests counter\n\
             istio_agent_num_outgoing_requests{{request_type=\"csr\"}} {}\n\
             # TYPE istio_agent_num_failed_outgoing_requests counter\n\
             istio_agent_num_failed_outgoing_requests{{request_type=\"csr\"}} {}\n",
            load(&self.requests),
            load(&self.failures),
        );
        if expiry > 0 {
            let left = i128::from(expiry) - i128::from(instant::seconds(now));
            text.push_str(&format!(
                "# TYPE istio_agent_cert_expiry_seconds gauge\n\
                 istio_agent_cert_expiry_seconds{{resource_name=\"{OWN}\"}} {left}\n"
            ));
        }
        text
    }
}

#[cfg(test)]
mod tests;
