//! Who is at the other end of an xDS stream, and whether the node that it says
//! it is may be its own.

use http::Extensions;
use identity::SpiffeId;
use tonic::Status;
use translation::node::Node;

use crate::secured::Peer;

/// Who opened a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Somebody on the plain port: nothing is known, nothing is checked.
    Plain,
    /// Somebody on the secured port without a certificate.
    Unknown,
    /// A workload.
    Workload(SpiffeId),
}

impl Caller {
    /// As the connection knows it.
    pub(crate) fn of(extensions: &Extensions) -> Self {
        match extensions.get::<Peer>() {
            None => Self::Plain,
            Some(Peer { identity: None }) => Self::Unknown,
            Some(Peer { identity: Some(identity) }) => Self::Workload(identity.clone()),
        }
    }

    /// Refuses a node that is somebody else's: it would be told what that one
    /// may know.
    pub(crate) fn check(&self, node: &Node) -> Result<(), Status> {
        let identity = match self {
            Self::Plain => return Ok(()),
            Self::Unknown => return Err(Status::unauthenticated("show a client certificate")),
            Self::Workload(identity) => identity,
        };
        let (namespace, account) = (&node.facets.namespace, &node.facets.service_account);
        if identity.namespace() != namespace || identity.service_account() != account {
            tracing::warn!(%identity, node = node.id, "a workload says that it is another");
            return Err(Status::permission_denied(format!(
                "`{identity}` may not be the node `{}` of service account `{account}` in `{namespace}`",
                node.id
            )));
        }
        Ok(())
    }
}
