//! The mesh's certificate authority: who it is, what it has signed, and whom
//! it believes.
//!
//! A root of the mesh's own is made on first start and kept in one file
//! (`state`).  An authority from elsewhere (Istio's `cacerts`) takes its place
//! while it is there (`plugged`).  Whenever the roots change, the old ones
//! stay in every bundle until the last certificate below them has expired.
//!
//! The key is wiped from memory when it is dropped, and is never logged,
//! shown, or served.

mod durable;
mod metrics;
mod plugged;
mod state;
mod tokens;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use identity::authority::{Authority, Issued, PluggedError, Serial, ServerNames, SignError};
use identity::bundle::Bundle;
use identity::instant;
use identity::key::{Algorithm, KeyError, PrivateKey};
use identity::request::{self, RequestError};
use identity::revocation::RevocationList;
use identity::{SpiffeId, TrustDomain};
use tokio::sync::watch;

use metrics::Metrics;
use plugged::Found;
use state::{Own, Previous, State, StateError};

pub use plugged::Plugged;
pub use tokens::{Token, TokenError};

/// What an authority is told.
#[derive(Debug, Clone)]
pub struct CaOptions {
    /// The root of all identities that it signs.
    pub trust_domain: TrustDomain,
    /// Where its own root is kept.
    pub folder: PathBuf,
    /// Where an authority from elsewhere may be: Istio's `ROOT_CA_DIR`.
    pub plugged_in: Option<PathBuf>,
    /// What is signed with a new root: keys are of this kind.
    pub algorithm: Algorithm,
    /// How long certificates hold when nobody asks for less or more.
    pub default_lifetime: Duration,
    /// How long they hold at most.
    pub max_lifetime: Duration,
    /// How long a root of its own holds.
    pub root_lifetime: Duration,
}

const DAY: Duration = Duration::from_secs(24 * 3600);

impl CaOptions {
    /// Istio's defaults: a day, at most 90; a root of ten years.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            trust_domain: TrustDomain::default(),
            folder,
            plugged_in: None,
            algorithm: Algorithm::default(),
            default_lifetime: DAY,
            max_lifetime: DAY * 90,
            root_lifetime: DAY * 3650,
        }
    }
}

/// Why there is no authority, or why it does not sign.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// Its own root could not be read or kept.
    #[error(transparent)]
    State(#[from] StateError),
    /// A folder could not be made.
    #[error("make the authority's folder `{path}`")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The authority from elsewhere is not usable.
    #[error("use the authority in `{place}`")]
    Plugged {
        /// A folder, or a Secret.
        place: String,
        /// Why.
        source: PluggedError,
    },
    /// No key could be made.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The request is refused.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// It could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The operating system gave no random numbers.
    #[error("draw random numbers")]
    Random,
    /// What is asked for does not go together with a plugged-in authority.
    #[error("the authority is plugged in from `{0}`: its root is replaced there")]
    IsPluggedIn(String),
}

/// A signed certificate with all that its owner needs.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The certificate and what leads to a root.
    pub issued: Issued,
    /// Whom to believe.
    pub bundle: Bundle,
}

/// What is used now.
struct Active {
    authority: Authority,
    /// The place of an authority from elsewhere.
    plugged: Option<String>,
    bundle: Bundle,
    crls: Vec<RevocationList>,
}

/// The mesh's certificate authority.
pub struct Ca {
    options: CaOptions,
    active: ArcSwap<Active>,
    /// What is kept in the file; whoever changes what is active holds it.
    state: Mutex<State>,
    found: Mutex<Found>,
    tokens: tokens::Tokens,
    changes: watch::Sender<u64>,
    metrics: Metrics,
}

impl Ca {
    /// Takes up what is there, or makes a root.
    pub fn open(options: CaOptions, now: SystemTime) -> Result<Self, CaError> {
        durable::folder(&options.folder)
            .map_err(|source| CaError::Folder { path: options.folder.clone(), source })?;
        let mut state = state::read(&options.folder)?.unwrap_or_default();
        let mut found = Found::default();
        let plugged = match options.plugged_in.as_deref().map(plugged::read_folder) {
            Some(Ok(Some(plugged))) => Some(plugged),
            Some(Ok(None)) | None => None,
            Some(Err((place, source))) => return Err(CaError::Plugged { place, source }),
        };
        let active = match &plugged {
            Some(plugged) => taken_in(plugged, now)?,
            None => own(&options, &mut state, now)?,
        };
        found.taken(plugged);
        let active = settle(&mut state, active, now);
        state::write(&options.folder, &state)?;
        Ok(Self {
            active: ArcSwap::from_pointee(active),
            state: Mutex::new(state),
            found: Mutex::new(found),
            tokens: tokens::Tokens::default(),
            changes: watch::Sender::new(0),
            metrics: Metrics::default(),
            options,
        })
    }

    /// The root of all identities that it signs.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.options.trust_domain
    }

    /// Whom its clients may believe: the roots now in use, and those before
    /// while certificates below them are about.
    pub fn bundle(&self) -> Bundle {
        self.active.load().bundle.clone()
    }

    /// What the authorities have revoked.
    pub fn revocation_lists(&self) -> Vec<RevocationList> {
        self.active.load().crls.clone()
    }

    /// Tells whenever roots, keys or revocation lists change.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Signs for a workload that has proven who it is.
    pub fn issue(
        &self,
        csr: &str,
        identity: &SpiffeId,
        lifetime: Option<Duration>,
        now: SystemTime,
    ) -> Result<Grant, CaError> {
        self.metrics.requested();
        let request = request::read(csr).inspect_err(|_| self.metrics.unreadable())?;
        let lifetime = lifetime.unwrap_or(self.options.default_lifetime).min(self.options.max_lifetime);
        self.remember_lifetime(lifetime)?;
        let active = self.active.load();
        let issued = active
            .authority
            .issue(&request, identity, lifetime, now, serial()?)
            .inspect_err(|_| self.metrics.unsigned())?;
        self.metrics.issued();
        Ok(Grant { issued, bundle: active.bundle.clone() })
    }

    /// A certificate for a server of the control plane.
    pub(crate) fn issue_server(
        &self,
        names: &ServerNames,
        now: SystemTime,
    ) -> Result<(PrivateKey, Issued), CaError> {
        self.remember_lifetime(self.options.default_lifetime)?;
        let key = PrivateKey::generate(Algorithm::EcdsaP256)?;
        let active = self.active.load();
        let issued =
            active.authority.issue_server(&key, names, self.options.default_lifetime, now, serial()?)?;
        Ok((key, issued))
    }

    /// A token that proves, once, who its bearer is.
    pub fn mint_token(
        &self,
        namespace: &str,
        service_account: &str,
        now: SystemTime,
    ) -> Result<Token, TokenError> {
        let trust_domain = self.options.trust_domain.clone();
        let identity = SpiffeId::new(trust_domain, namespace, service_account)?;
        self.tokens.mint(identity, now)
    }

    /// Whose token it is; it is worth nothing from now on.
    pub fn redeem_token(&self, token: &str, now: SystemTime) -> Result<SpiffeId, TokenError> {
        self.tokens.redeem(token, now).inspect_err(|_| self.metrics.unauthenticated())
    }

    /// Counts a caller who could not prove who he is.
    pub(crate) fn count_unauthenticated(&self) {
        self.metrics.unauthenticated();
    }

    /// Puts a new root in place of the one that is used.  Both are believed
    /// until no certificate of the old one can be valid any more, and the old
    /// one vouches for the new one.
    pub fn rotate(&self, now: SystemTime) -> Result<(), CaError> {
        let mut state = self.lock();
        if let Some(place) = &self.active.load().plugged {
            return Err(CaError::IsPluggedIn(place.clone()));
        }
        let mut next = state.clone();
        let key = PrivateKey::generate(self.options.algorithm)?;
        let trust_domain = &self.options.trust_domain;
        let root = Authority::self_signed(key, trust_domain, self.options.root_lifetime, now, serial()?)?;
        let vouched = self.active.load().authority.vouch(&root, trust_domain, now, serial()?)?;
        next.own = Some(Own {
            key: root.key().clone(),
            certificate: root.certificate().clone(),
            vouched: vec![vouched.clone()],
        });
        let active = Active {
            authority: root.vouched_for(vec![vouched]),
            plugged: None,
            bundle: Bundle::default(),
            crls: Vec::new(),
        };
        let active = settle(&mut next, active, now);
        state::write(&self.options.folder, &next)?;
        *state = next;
        self.activate(active);
        tracing::info!(
            "the mesh has a new root; the old one is believed until its certificates have expired"
        );
        Ok(())
    }

    /// What time and outside changes ask for: a plugged-in authority that came,
    /// changed or went; roots that are believed no longer; a root that ends.
    pub fn maintain(&self, now: SystemTime) {
        self.look(now);
        self.replace_when_old(now);
        if let Err(error) = self.forget_expired(now) {
            tracing::error!("certificate authority: {}", telling(&error));
        }
        let active = self.active.load();
        self.metrics.expiries(&active.authority, &active.bundle);
    }

    /// Uses what the Secret `cacerts` holds, unless there is a folder.
    pub fn offer_secret(&self, plugged: Option<Plugged>, now: SystemTime) {
        self.found().secret = plugged;
        self.look(now);
    }

    /// Looks for an authority from elsewhere.
    fn look(&self, now: SystemTime) {
        let folder = self.options.plugged_in.as_deref().map_or(Ok(None), plugged::read_folder);
        match folder {
            Ok(plugged) => {
                let secret = self.found().secret.clone();
                self.offer(plugged.or(secret), now);
            }
            Err((place, error)) => self.refuse(&place, &error),
        }
    }

    /// Uses an authority from elsewhere, or the mesh's own when there is none.
    /// What is not usable is told, and changes nothing.
    fn offer(&self, plugged: Option<Plugged>, now: SystemTime) {
        if !self.found().is_news(plugged.as_ref()) {
            return;
        }
        let place = plugged.as_ref().map_or("the mesh's own", |plugged| plugged.place.as_str()).to_owned();
        let mut state = self.lock();
        let mut next = state.clone();
        let active = match &plugged {
            Some(plugged) => taken_in(plugged, now),
            None => own(&self.options, &mut next, now),
        };
        let result = active.and_then(|active| {
            let active = settle(&mut next, active, now);
            state::write(&self.options.folder, &next)?;
            *state = next;
            self.activate(active);
            Ok(())
        });
        match result {
            Ok(()) => tracing::info!("certificates are signed by the authority in `{place}`"),
            Err(error) => {
                tracing::error!("the authority stays as it was: {}", telling(&error));
            }
        }
        self.found().taken(plugged);
    }

    /// Prometheus' text format.
    pub fn metrics_text(&self, now: SystemTime) -> String {
        self.metrics.text(now)
    }

    fn refuse(&self, place: &str, error: &PluggedError) {
        if self.found().is_new_problem(place, &telling(error)) {
            tracing::error!("the authority stays as it was: `{place}`: {}", telling(error));
        }
    }

    fn activate(&self, active: Active) {
        self.metrics.expiries(&active.authority, &active.bundle);
        self.active.store(Arc::new(active));
        self.changes.send_modify(|count| *count += 1);
    }

    /// A root of our own is replaced when a fifth of its life is left, as
    /// Istio does.
    fn replace_when_old(&self, now: SystemTime) {
        let active = self.active.load();
        let left = active.authority.validity().not_after.duration_since(now).unwrap_or_default();
        if active.plugged.is_none()
            && left < self.options.root_lifetime / 5
            && let Err(error) = self.rotate(now)
        {
            tracing::error!("the root could not be replaced: {}", telling(&error));
        }
    }

    fn forget_expired(&self, now: SystemTime) -> Result<(), CaError> {
        let mut state = self.lock();
        if !state.previous.iter().any(|previous| previous.until < now) {
            return Ok(());
        }
        let mut next = state.clone();
        next.previous.retain(|previous| now <= previous.until);
        if next.previous.is_empty()
            && let Some(own) = &mut next.own
        {
            // Who knew only the old root is gone, and nobody needs its word.
            own.vouched.clear();
        }
        let before = self.active.load();
        let authority = match (&next.own, &before.plugged) {
            (Some(own), None) => own.authority()?,
            _ => before.authority.clone(),
        };
        let bundle = believed(&authority, &next);
        state::write(&self.options.folder, &next)?;
        *state = next;
        let (plugged, crls) = (before.plugged.clone(), before.crls.clone());
        self.activate(Active { authority, plugged, bundle, crls });
        tracing::info!("an old root is no longer believed: its certificates have expired");
        Ok(())
    }

    /// Roots stay in bundles as long as the longest certificate ever signed:
    /// that is kept before it is signed.
    fn remember_lifetime(&self, lifetime: Duration) -> Result<(), CaError> {
        let mut state = self.lock();
        if lifetime <= state.longest_lifetime {
            return Ok(());
        }
        let mut next = state.clone();
        next.longest_lifetime = lifetime;
        state::write(&self.options.folder, &next)?;
        *state = next;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The mesh's own root, made when there is none.
fn own(options: &CaOptions, state: &mut State, now: SystemTime) -> Result<Active, CaError> {
    if state.own.is_none() {
        let key = PrivateKey::generate(options.algorithm)?;
        let root = Authority::self_signed(key, &options.trust_domain, options.root_lifetime, now, serial()?)?;
        state.own = Some(Own {
            key: root.key().clone(),
            certificate: root.certificate().clone(),
            vouched: Vec::new(),
        });
    }
    let own = state.own.as_ref().ok_or(CaError::Random)?;
    Ok(Active { authority: own.authority()?, plugged: None, bundle: Bundle::default(), crls: Vec::new() })
}

fn taken_in(plugged: &Plugged, now: SystemTime) -> Result<Active, CaError> {
    let wrong = |source| CaError::Plugged { place: plugged.place.clone(), source };
    let authority = Authority::plugged_in(&plugged.material, now).map_err(wrong)?;
    let crls = plugged::revocation_lists(plugged, &authority);
    Ok(Active { authority, plugged: Some(plugged.place.clone()), bundle: Bundle::default(), crls })
}

/// Makes the state say what is active from now on: roots that are not any more
/// become previous ones.
fn settle(state: &mut State, mut active: Active, now: SystemTime) -> Active {
    let roots = active.authority.roots();
    let until = now + state.longest_lifetime;
    for root in state.served.roots() {
        let is_known = state.previous.iter().any(|previous| previous.root == *root);
        if !roots.roots().contains(root) && !is_known && state.longest_lifetime > Duration::ZERO {
            state.previous.push(Previous { root: root.clone(), until });
        }
    }
    state.previous.retain(|previous| !roots.roots().contains(&previous.root));
    state.served = roots.clone();
    active.bundle = believed(&active.authority, state);
    active
}

fn believed(authority: &Authority, state: &State) -> Bundle {
    authority.roots().and(&Bundle::of(state.previous.iter().map(|previous| previous.root.clone())))
}

fn serial() -> Result<Serial, CaError> {
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| CaError::Random)?;
    Ok(Serial::of(random))
}

/// An error with what caused it.
pub(crate) fn telling(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// When something that was made at `now` and ends at `end` is made anew.
pub(crate) fn renewal(now: SystemTime, end: SystemTime) -> Duration {
    let left = instant::seconds(end).saturating_sub(instant::seconds(now));
    Duration::from_secs(left) / 2
}

#[cfg(test)]
mod tests;
