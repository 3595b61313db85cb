//! The names that a node's agent answers: Istio's `NameTable`.

use std::collections::BTreeMap;

use xds::istio::nds::{NameInfo, NameTable};
use xds::resource::Resource;

use crate::memo::Shared;
use crate::scope::Scope;
use crate::service::{Endpoints, Registry, Resolution, Service};

/// The name under which the table is a resource; it has none in Istio.
const NAME: &str = "";

/// All that a table is made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct NameTableKey {
    pub(crate) scope: Shared<Scope>,
    /// Endpoints of headless services, in the order of the scope's services.
    pub(crate) headless: Vec<Shared<Endpoints>>,
}

/// Whether a service's name stands for its pods.
pub(crate) fn is_headless(service: &Service) -> bool {
    service.registry == Registry::Kubernetes && service.resolution == Resolution::Original
}

impl NameTableKey {
    pub(crate) fn build(&self) -> Resource {
        let mut headless = self.headless.iter();
        let mut table = BTreeMap::new();
        for service in self.scope.services.values() {
            let ips: Vec<String> = match is_headless(service) {
                true => headless
                    .next()
                    .into_iter()
                    .flat_map(|endpoints| endpoints.list.iter().map(|endpoint| endpoint.address.clone()))
                    .collect(),
                false => {
                    service.addresses.iter().filter(|it| !crate::address::is_range(it)).cloned().collect()
                }
            };
            // A name without an address is for somebody else to resolve.
            if !ips.is_empty() {
                table.insert(service.host.clone(), info(service, ips));
            }
        }
        Resource::new(NAME.to_owned(), &NameTable { table }, Vec::new())
    }
}

fn info(service: &Service, ips: Vec<String>) -> NameInfo {
    match service.registry {
        Registry::Kubernetes => NameInfo {
            ips,
            registry: "Kubernetes".to_owned(),
            shortname: service.name.clone(),
            namespace: service.namespace.clone(),
            alt_hosts: Vec::new(),
        },
        Registry::External => NameInfo { ips, registry: "External".to_owned(), ..NameInfo::default() },
    }
}
