//! What an authority keeps: its own root and key, the roots before it, and how
//! long certificates may still be about.
//!
//! All of it is one file, so that no kill can leave parts that do not belong
//! together.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use identity::authority::{Authority, SignError};
use identity::bundle::Bundle;
use identity::instant;
use identity::key::{KeyError, PrivateKey};
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::durable::{self, Step};

/// The file in the authority's folder.
pub(super) const FILE: &str = "authority.json";

/// Why the state could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The kernel refused.
    #[error("read the authority's state `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what we wrote.  It is never replaced: that would cut
    /// off every workload.
    #[error("`{path}` is damaged ({reason}): put a copy of it back, or remove it for a new root")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The kernel refused.
    #[error("keep the authority's state in `{folder}`")]
    Write {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Everything that is kept.
#[derive(Clone, Default)]
pub(super) struct State {
    /// The mesh's own root.
    pub(super) own: Option<Own>,
    /// Roots that are believed, but no longer used.
    pub(super) previous: Vec<Previous>,
    /// The longest life that a certificate was given.
    pub(super) longest_lifetime: Duration,
    /// The roots that were used last.
    pub(super) served: Bundle,
}

/// A root of the mesh's own.
#[derive(Clone)]
pub(super) struct Own {
    pub(super) key: PrivateKey,
    pub(super) certificate: CertificateDer<'static>,
    /// What the root before says of it.
    pub(super) vouched: Vec<CertificateDer<'static>>,
}

/// A root that was used before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Previous {
    pub(super) root: CertificateDer<'static>,
    /// When its last certificate has expired.
    pub(super) until: SystemTime,
}

impl Own {
    /// The authority that it is.
    pub(super) fn authority(&self) -> Result<Authority, SignError> {
        Ok(Authority::restore(self.key.clone(), self.certificate.clone())?.vouched_for(self.vouched.clone()))
    }
}

/// The file's form.  Binary values are base64 without line breaks, so that the
/// key is read where it stands, and no copy of it stays behind.
#[derive(Serialize, Deserialize)]
struct Document<'a> {
    version: u32,
    longest_lifetime_seconds: u64,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    own: Option<OwnDocument<'a>>,
    #[serde(default)]
    previous: Vec<PreviousDocument>,
    #[serde(default)]
    served: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct OwnDocument<'a> {
    key: &'a str,
    certificate: String,
    #[serde(default)]
    vouched: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct PreviousDocument {
    root: String,
    until: u64,
}

/// Larger than the state ever is, so that the buffer with the key never moves.
const CAPACITY: usize = 256 << 10;

/// What is kept in `folder`, if anything is.
pub(super) fn read(folder: &Path) -> Result<Option<State>, StateError> {
    let path = folder.join(FILE);
    let text = match std::fs::read(&path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StateError::Read { path, source }),
    };
    decode(&text).map(Some).map_err(|reason| StateError::Damaged { path, reason })
}

/// Keeps `state` in `folder`.
pub(super) fn write(folder: &Path, state: &State) -> Result<(), StateError> {
    write_stepwise(folder, state, &mut |_| Ok(()))
}

/// The same, telling after each step; an error ends it there.
pub(super) fn write_stepwise(
    folder: &Path,
    state: &State,
    after: &mut dyn FnMut(Step) -> io::Result<()>,
) -> Result<(), StateError> {
    let failed = |source| StateError::Write { folder: folder.to_owned(), source };
    let text = encode(state).map_err(|error| failed(error.into()))?;
    durable::replace(folder, FILE, &text, after).map_err(failed)
}

fn encode(state: &State) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
    let base64 = |der: &CertificateDer<'_>| STANDARD.encode(der);
    let key = state.own.as_ref().map(|own| {
        let mut text = Zeroizing::new(String::with_capacity(own.key.pkcs8().len() * 2));
        STANDARD.encode_string(own.key.pkcs8(), &mut text);
        text
    });
    let own = state.own.as_ref().zip(key.as_ref()).map(|(own, key)| OwnDocument {
        key: key.as_str(),
        certificate: base64(&own.certificate),
        vouched: own.vouched.iter().map(base64).collect(),
    });
    let document = Document {
        version: 1,
        longest_lifetime_seconds: state.longest_lifetime.as_secs(),
        own,
        previous: state
            .previous
            .iter()
            .map(|previous| PreviousDocument {
                root: base64(&previous.root),
                until: instant::seconds(previous.until),
            })
            .collect(),
        served: state.served.roots().iter().map(base64).collect(),
    };
    let mut text = Zeroizing::new(Vec::with_capacity(CAPACITY));
    serde_json::to_writer(&mut *text, &document)?;
    Ok(text)
}

fn decode(text: &[u8]) -> Result<State, String> {
    let document: Document<'_> = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if document.version != 1 {
        return Err(format!("it is of version {}, this program knows 1", document.version));
    }
    let binary = |text: &str| STANDARD.decode(text).map_err(|error| error.to_string());
    let certificate = |text: &String| binary(text).map(CertificateDer::from);
    let own = document.own.map(|own| {
        let key = Zeroizing::new(binary(own.key)?);
        let key = PrivateKey::from_der(&key).map_err(|error: KeyError| error.to_string())?;
        let vouched: Result<Vec<_>, String> = own.vouched.iter().map(certificate).collect();
        let own = Own { key, certificate: certificate(&own.certificate)?, vouched: vouched? };
        own.authority().map_err(|error| super::telling(&error))?;
        Ok::<_, String>(own)
    });
    let previous = document.previous.iter().map(|previous| {
        Ok::<_, String>(Previous { root: certificate(&previous.root)?, until: instant::at(previous.until) })
    });
    let served: Result<Vec<_>, String> = document.served.iter().map(certificate).collect();
    Ok(State {
        own: own.transpose()?,
        previous: previous.collect::<Result<_, _>>()?,
        longest_lifetime: Duration::from_secs(document.longest_lifetime_seconds),
        served: Bundle::of(served?),
    })
}
