//! Where an authority from elsewhere comes from: a folder, or the Secret
//! `cacerts`, under Istio's file names or those of `kubernetes.io/tls`.

use std::io;
use std::path::Path;

use identity::authority::{Authority, Material, PluggedError};
use identity::pem::NotPem;
use identity::revocation::{self, RevocationList};
use zeroize::Zeroizing;

use super::telling;

/// The files of an authority from elsewhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Plugged {
    /// Where it was found.
    pub place: String,
    /// Keys and certificates.
    pub material: Material,
    /// `ca-crl.pem`; may be empty.
    pub revoked: Vec<u8>,
}

/// File names: Istio's, then those of cert-manager.
const CERTIFICATE: [&str; 2] = ["ca-cert.pem", "tls.crt"];
const KEY: [&str; 2] = ["ca-key.pem", "tls.key"];
const ROOT: [&str; 2] = ["root-cert.pem", "ca.crt"];
const CHAIN: [&str; 2] = ["cert-chain.pem", "tls.crt"];
const REVOKED: [&str; 2] = ["ca-crl.pem", "ca.crl"];

/// Largest file that is read.
const LARGEST: u64 = 1 << 20;

impl Plugged {
    /// An authority from named files; `None` when there is neither a
    /// certificate nor a key.
    pub fn of(place: &str, file: &dyn Fn(&str) -> Option<Vec<u8>>) -> Result<Option<Self>, PluggedError> {
        let find = |names: [&str; 2]| names.into_iter().find_map(file);
        let (certificate, key) = (find(CERTIFICATE), find(KEY).map(Zeroizing::new));
        if certificate.is_none() && key.is_none() {
            return Ok(None);
        }
        let missing = |file| PluggedError::Pem { file, source: NotPem::Missing("CERTIFICATE") };
        Ok(Some(Self {
            place: place.to_owned(),
            material: Material {
                ca_cert: certificate.ok_or_else(|| missing("ca-cert.pem"))?,
                ca_key: key.unwrap_or_default(),
                root_cert: find(ROOT).ok_or_else(|| missing("root-cert.pem"))?,
                cert_chain: find(CHAIN).unwrap_or_default(),
            },
            revoked: find(REVOKED).unwrap_or_default(),
        }))
    }
}

/// Reads a folder; `None` when it is not there, or holds no authority.
pub(super) fn read_folder(folder: &Path) -> Result<Option<Plugged>, (String, PluggedError)> {
    let place = folder.display().to_string();
    Plugged::of(&place, &|name| read_file(&folder.join(name)).ok()).map_err(|error| (place, error))
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let size = std::fs::metadata(path)?.len();
    if size > LARGEST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    std::fs::read(path)
}

/// The revocation lists beside an authority; what is wrong with them is told.
pub(super) fn revocation_lists(plugged: &Plugged, authority: &Authority) -> Vec<RevocationList> {
    let mut signers = authority.intermediates().to_vec();
    signers.extend_from_slice(authority.roots().roots());
    revocation::read(&plugged.revoked, &signers).unwrap_or_else(|error| {
        tracing::error!("the revocation lists in `{}` are not used: {}", plugged.place, telling(&error));
        Vec::new()
    })
}

/// What was last offered, so that each change is taken up or told once.
#[derive(Default)]
pub(super) struct Found {
    /// What the Secret holds; a folder comes before it.
    pub(super) secret: Option<Plugged>,
    last: Option<Plugged>,
    problem: Option<(String, String)>,
}

impl Found {
    /// Whether it differs from what was last offered.
    pub(super) fn is_news(&self, plugged: Option<&Plugged>) -> bool {
        self.last.as_ref() != plugged
    }

    /// Remembers what was offered, usable or not.
    pub(super) fn taken(&mut self, plugged: Option<Plugged>) {
        self.last = plugged;
        self.problem = None;
    }

    /// Whether the problem was not told before.
    pub(super) fn is_new_problem(&mut self, place: &str, problem: &str) -> bool {
        let told = Some((place.to_owned(), problem.to_owned()));
        let is_new = self.problem != told;
        self.problem = told;
        is_new
    }
}
