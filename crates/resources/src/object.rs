//! An object as the mesh holds it: identity, metadata, typed content, and where it was written.

use std::fmt;

use crate::config_map::ConfigMap;
use crate::deployment::Deployment;
use crate::destination_rule::DestinationRule;
use crate::gateway::Gateway;
use crate::kind::Kind;
use crate::metadata::ObjectMeta;
use crate::namespace::Namespace;
use crate::peer_authentication::PeerAuthentication;
use crate::pod::Pod;
use crate::secret::Secret;
use crate::service::Service;
use crate::service_account::ServiceAccount;
use crate::service_entry::ServiceEntry;
use crate::sidecar::Sidecar;
use crate::source::Source;
use crate::virtual_service::VirtualService;

/// Which object: kind, namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty for kinds that have none.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ObjectKey {
    /// Names an object. The namespace is dropped for kinds that have none.
    pub fn new(kind: Kind, namespace: impl Into<String>, name: impl Into<String>) -> Self {
        let namespace = if kind.namespaced() { namespace.into() } else { String::new() };
        Self { kind, namespace, name: name.into() }
    }

    /// Reads what `Display` writes: `VirtualService/default/reviews`, `Namespace/default`.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once('/')?;
        let kind = Kind::parse(kind)?;
        let (namespace, name) = if kind.namespaced() { rest.split_once('/')? } else { ("", rest) };
        (!name.is_empty() && !name.contains('/')).then(|| Self::new(kind, namespace, name))
    }
}

/// `VirtualService/default/reviews`; without the namespace for kinds that have none.
impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind.namespaced() {
            write!(f, "{}/{}/{}", self.kind, self.namespace, self.name)
        } else {
            write!(f, "{}/{}", self.kind, self.name)
        }
    }
}

/// An object that was read.
#[derive(Debug, Clone)]
pub struct Object {
    /// Which one it is.
    pub key: ObjectKey,
    /// Its metadata.
    pub meta: ObjectMeta,
    /// Its content.
    pub spec: Spec,
    /// The whole object as it was written, in JSON form, with anchors resolved.
    pub raw: serde_json::Value,
    /// Where it was written.
    pub source: Source,
}

/// Content of an object, by kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Spec {
    /// A Namespace.
    Namespace(Namespace),
    /// A ServiceAccount.
    ServiceAccount(ServiceAccount),
    /// A ConfigMap.
    ConfigMap(ConfigMap),
    /// A Secret.
    Secret(Secret),
    /// A Service.
    Service(Box<Service>),
    /// A Deployment.
    Deployment(Box<Deployment>),
    /// A Pod.
    Pod(Box<Pod>),
    /// A Gateway.
    Gateway(Gateway),
    /// A ServiceEntry.
    ServiceEntry(ServiceEntry),
    /// A VirtualService.
    VirtualService(VirtualService),
    /// A DestinationRule.
    DestinationRule(Box<DestinationRule>),
    /// A Sidecar.
    Sidecar(Box<Sidecar>),
    /// A PeerAuthentication.
    PeerAuthentication(PeerAuthentication),
}

/// Declares an accessor per kind.
macro_rules! accessors {
    ($($(#[$doc:meta])* $method:ident: $variant:ident => $type:ty;)*) => {
        impl Object {
            $($(#[$doc])*
            pub fn $method(&self) -> Option<&$type> {
                match &self.spec {
                    Spec::$variant(content) => Some(content),
                    _ => None,
                }
            })*
        }

        impl Spec {
            /// Which kind of object has this content.
            pub fn kind(&self) -> Kind {
                match self {
                    $(Self::$variant(_) => Kind::$variant,)*
                }
            }
        }
    };
}

accessors! {
    /// Its content, when it is a Namespace.
    as_namespace: Namespace => Namespace;
    /// Its content, when it is a ServiceAccount.
    as_service_account: ServiceAccount => ServiceAccount;
    /// Its content, when it is a ConfigMap.
    as_config_map: ConfigMap => ConfigMap;
    /// Its content, when it is a Secret.
    as_secret: Secret => Secret;
    /// Its content, when it is a Service.
    as_service: Service => Service;
    /// Its content, when it is a Deployment.
    as_deployment: Deployment => Deployment;
    /// Its content, when it is a Pod.
    as_pod: Pod => Pod;
    /// Its content, when it is a Gateway.
    as_gateway: Gateway => Gateway;
    /// Its content, when it is a ServiceEntry.
    as_service_entry: ServiceEntry => ServiceEntry;
    /// Its content, when it is a VirtualService.
    as_virtual_service: VirtualService => VirtualService;
    /// Its content, when it is a DestinationRule.
    as_destination_rule: DestinationRule => DestinationRule;
    /// Its content, when it is a Sidecar.
    as_sidecar: Sidecar => Sidecar;
    /// Its content, when it is a PeerAuthentication.
    as_peer_authentication: PeerAuthentication => PeerAuthentication;
}
