//! The kinds of object that a mesh reads, and what they are called.

use std::fmt;

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A part of the mesh.
    Namespace,
    /// The identity of pods.
    ServiceAccount,
    /// Files and settings.
    ConfigMap,
    /// Certificates, keys and passwords.
    Secret,
    /// A name and an address for a set of pods.
    Service,
    /// A number of equal pods.
    Deployment,
    /// Containers that share a network namespace.
    Pod,
    /// Ports and hosts of a gateway.
    Gateway,
    /// Services that the platform does not know.
    ServiceEntry,
    /// Where requests for a host go.
    VirtualService,
    /// How connections to a host are made.
    DestinationRule,
    /// What a sidecar can reach.
    Sidecar,
    /// Whether workloads take connections in the clear.
    PeerAuthentication,
}

/// How a kind is called and where it lives.
struct Names {
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    api_versions: &'static [&'static str],
    scope: Scope,
}

#[derive(PartialEq)]
enum Scope {
    Namespaced,
    Cluster,
}

const CORE: &[&str] = &["v1"];
const APPS: &[&str] = &["apps/v1"];
const NETWORKING: &[&str] =
    &["networking.istio.io/v1", "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3"];

const SECURITY: &[&str] = &["security.istio.io/v1", "security.istio.io/v1beta1"];

impl Kind {
    /// Every kind, in the order in which objects are best applied.
    pub const ALL: [Self; 13] = [
        Self::Namespace,
        Self::ServiceAccount,
        Self::ConfigMap,
        Self::Secret,
        Self::Service,
        Self::Deployment,
        Self::Pod,
        Self::Gateway,
        Self::ServiceEntry,
        Self::VirtualService,
        Self::DestinationRule,
        Self::Sidecar,
        Self::PeerAuthentication,
    ];

    /// The kind that a person means: `VirtualService`, `virtualservices` or `vs`, in any case, with or without
    /// its group (`virtualservices.networking.istio.io`).
    pub fn parse(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        let (name, group) =
            lower.split_once('.').map_or((lower.as_str(), None), |(name, group)| (name, Some(group)));
        Self::ALL.into_iter().find(|kind| {
            let names = kind.names();
            let called =
                names.kind.eq_ignore_ascii_case(name) || names.plural == name || names.short.contains(&name);
            called && group.is_none_or(|group| kind.is_of_group(group))
        })
    }

    /// The kind that an object states with `apiVersion` and `kind`.
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|candidate| {
            let names = candidate.names();
            names.kind == kind && names.api_versions.contains(&api_version)
        })
    }

    /// Its name: `VirtualService`.
    pub fn as_str(self) -> &'static str {
        self.names().kind
    }

    /// Its name for many: `virtualservices`.
    pub fn plural(self) -> &'static str {
        self.names().plural
    }

    /// Its short names: `vs`.
    pub fn short_names(self) -> &'static [&'static str] {
        self.names().short
    }

    /// The values of `apiVersion` under which it is accepted; the first is the one to write.
    pub fn api_versions(self) -> &'static [&'static str] {
        self.names().api_versions
    }

    /// Whether its objects live in a namespace.
    pub fn namespaced(self) -> bool {
        self.names().scope == Scope::Namespaced
    }

    /// Whether it is one of Istio's kinds, whose content stands under `spec` and is written as protobuf JSON.
    pub fn is_istio(self) -> bool {
        [NETWORKING, SECURITY].contains(&self.names().api_versions)
    }

    fn is_of_group(self, group: &str) -> bool {
        let version = self.names().api_versions[0];
        version.split_once('/').is_some_and(|(own, _)| own == group || group.ends_with(&format!(".{own}")))
    }

    fn names(self) -> Names {
        let (kind, plural, short, api_versions): (_, _, &[&str], _) = match self {
            Self::Namespace => ("Namespace", "namespaces", &["ns"], CORE),
            Self::ServiceAccount => ("ServiceAccount", "serviceaccounts", &["sa"], CORE),
            Self::ConfigMap => ("ConfigMap", "configmaps", &["cm"], CORE),
            Self::Secret => ("Secret", "secrets", &[], CORE),
            Self::Service => ("Service", "services", &["svc"], CORE),
            Self::Deployment => ("Deployment", "deployments", &["deploy"], APPS),
            Self::Pod => ("Pod", "pods", &["po"], CORE),
            Self::Gateway => ("Gateway", "gateways", &["gw"], NETWORKING),
            Self::ServiceEntry => ("ServiceEntry", "serviceentries", &["se"], NETWORKING),
            Self::VirtualService => ("VirtualService", "virtualservices", &["vs"], NETWORKING),
            Self::DestinationRule => ("DestinationRule", "destinationrules", &["dr"], NETWORKING),
            Self::Sidecar => ("Sidecar", "sidecars", &[], NETWORKING),
            Self::PeerAuthentication => ("PeerAuthentication", "peerauthentications", &["pa"], SECURITY),
        };
        let scope = if self == Self::Namespace { Scope::Cluster } else { Scope::Namespaced };
        Names { kind, plural, short, api_versions, scope }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
