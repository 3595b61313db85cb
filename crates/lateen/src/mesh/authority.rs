//! The certificate authority of a local mesh, and what its proxies prove
//! themselves with.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use control_plane::ca::{Ca, CaOptions};
use identity::certificate::{self, CertificateError};
use serde_json::json;

use super::Mesh;
use crate::protocol::RootsReply;

/// Where the mesh's own root is kept, in its home.
const FOLDER: &str = "ca";

/// Where an authority from elsewhere is looked for, in the mesh's home: Istio's
/// `cacerts` with its four files.
const PLUGGED_IN: &str = "cacerts";

/// Takes up the authority that the home holds, or makes one.
pub(super) fn open(home: &Path) -> anyhow::Result<Arc<Ca>> {
    let options = CaOptions { plugged_in: Some(home.join(PLUGGED_IN)), ..CaOptions::new(home.join(FOLDER)) };
    let ca = Ca::open(options, SystemTime::now()).context("start the certificate authority")?;
    Ok(Arc::new(ca))
}

/// Puts a new root in place of the one that is used.
pub(super) fn rotate_root(mesh: &Mesh, _: &str) -> anyhow::Result<RootsReply> {
    let ca = mesh.control_plane.ca().context("this mesh has no certificate authority")?;
    ca.rotate(SystemTime::now())?;
    let bundle = ca.bundle();
    let subjects = bundle.roots().iter().map(|root| Ok(certificate::facts(root)?.subject));
    Ok(RootsReply { roots: subjects.collect::<Result<_, CertificateError>>()? })
}

/// Makes a line with a token, worth something once and for a minute, and the
/// roots by which the authority is believed.
pub(super) fn credentials(ca: Arc<Ca>) -> local::Credentials {
    Arc::new(move |namespace, account| {
        let line = match ca.mint_token(namespace, account, SystemTime::now()) {
            Ok(token) => json!({"token": token.as_str(), "roots": ca.bundle().to_pem()}),
            Err(error) => json!({"error": error.to_string()}),
        };
        line.to_string()
    })
}
