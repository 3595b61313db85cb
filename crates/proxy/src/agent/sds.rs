//! The secret discovery service for an Envoy beside the agent, on a unix socket
//! that only the proxy's own user may use.
//!
//! Envoy asks for `default` and `ROOTCA`, and is told of each new certificate;
//! its connections go on with the one that they began with.

mod service;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use identity::pem;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tonic::transport::Server;
use xds::envoy::config::core::v3::DataSource;
use xds::envoy::config::core::v3::data_source::Specifier;
use xds::envoy::extensions::transport_sockets::tls::v3 as tls;
use xds::resource::{Named, Resource, ResourceSet};
use xds::type_url::SECRET;

use super::certificates::{OWN, ROOT};
use crate::secrets::{Secret, Secrets};

/// Why the socket could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("open the SDS socket `{path}`")]
pub struct SdsError {
    path: PathBuf,
    source: std::io::Error,
}

/// Serves on `path`, in place of what an earlier run left there, until the task
/// is dropped.
pub fn serve(path: &Path, secrets: Secrets) -> Result<JoinHandle<()>, SdsError> {
    let error = |source| SdsError { path: path.to_owned(), source };
    match std::fs::remove_file(path) {
        Err(problem) if problem.kind() != std::io::ErrorKind::NotFound => return Err(error(problem)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(error)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(error)?;
    Ok(tokio::spawn(async move {
        let incoming = async_stream(listener);
        let served = Server::builder()
            .add_service(service::SecretDiscovery { secrets })
            .serve_with_incoming(incoming)
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "SDS server ended");
        }
    }))
}

/// Connections of the proxy's own user.
fn async_stream(listener: UnixListener) -> impl futures_util::Stream<Item = std::io::Result<UnixStream>> {
    let own = rustix::process::geteuid().as_raw();
    futures_util::stream::unfold(listener, move |listener| async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) if is_of(&stream, own) => return Some((Ok(stream), listener)),
                Ok(_) => tracing::warn!("another user asks for this workload's key, and is refused"),
                Err(error) => return Some((Err(error), listener)),
            }
        }
    })
}

fn is_of(stream: &UnixStream, user: u32) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == user)
}

/// What Envoy should hold; `None` until there is all of it.
fn target(secrets: &Secrets) -> Option<ResourceSet> {
    let mut named = Named::new();
    for name in [OWN, ROOT] {
        let secret = secrets.get(name)?;
        let message = message(name, &secret);
        named.insert(name.to_owned(), Arc::new(Resource::new(name, &message, Vec::new())));
    }
    let mut target = ResourceSet::default();
    target.insert(SECRET, Arc::new(named));
    Some(target)
}

/// A secret in Envoy's form.
fn message(name: &str, secret: &Secret) -> tls::Secret {
    use tls::secret::Type;
    let kind = match secret {
        Secret::Certificate(own) => Type::TlsCertificate(tls::TlsCertificate {
            certificate_chain: inline(pem::of_certificates(&own.chain).into_bytes()),
            private_key: inline(pem::of_private_key(&own.key).as_bytes().to_vec()),
            ..tls::TlsCertificate::default()
        }),
        Secret::Trust(trust) => Type::ValidationContext(tls::CertificateValidationContext {
            trusted_ca: inline(pem::of_certificates(&trust.roots).into_bytes()),
            crl: match trust.crls.is_empty() {
                true => None,
                false => inline(pem::of_revocation_lists(&trust.crls).into_bytes()),
            },
            ..tls::CertificateValidationContext::default()
        }),
    };
    tls::Secret { name: name.to_owned(), r#type: Some(kind) }
}

fn inline(bytes: Vec<u8>) -> Option<DataSource> {
    Some(DataSource { specifier: Some(Specifier::InlineBytes(bytes)), ..DataSource::default() })
}

#[cfg(test)]
mod tests;
