//! What is checked in an object beyond the types of its fields.
//!
//! Rules for one kind stand in that kind's folder; here are the rules that several share.

pub(crate) mod header;
mod metadata;
pub(crate) mod value;

use crate::decode::Finding;
use crate::metadata::ObjectMeta;
use crate::object::{ObjectKey, Spec};
use crate::path::Trail;
use crate::problem::Code;
use crate::{
    config_map, deployment, destination_rule, gateway, peer_authentication, pod, service, service_entry,
    sidecar, virtual_service,
};

/// Checks an object and returns everything that is wrong with it.
pub(crate) fn object(key: &ObjectKey, meta: &ObjectMeta, spec: &Spec) -> Vec<Finding> {
    let mut check = Checker { key, meta, findings: Vec::new() };
    let top = Trail::top();
    let spec_at = top.key("spec");
    metadata::validate(&mut check, &top.key("metadata"));
    match spec {
        Spec::VirtualService(content) => virtual_service::validate::validate(content, &spec_at, &mut check),
        Spec::DestinationRule(content) => destination_rule::validate::validate(content, &spec_at, &mut check),
        Spec::Gateway(content) => gateway::validate::validate(content, &spec_at, &mut check),
        Spec::ServiceEntry(content) => service_entry::validate::validate(content, &spec_at, &mut check),
        Spec::Sidecar(content) => sidecar::validate::validate(content, &spec_at, &mut check),
        Spec::PeerAuthentication(content) => {
            peer_authentication::validate::validate(content, &spec_at, &mut check);
        }
        Spec::Service(content) => service::validate::validate(&content.spec, &spec_at, &mut check),
        Spec::Deployment(content) => deployment::validate::validate(&content.spec, &spec_at, &mut check),
        Spec::Pod(content) => pod::validate::validate(&content.spec, &spec_at, &mut check),
        Spec::ConfigMap(content) => config_map::validate::validate(content, &top, &mut check),
        Spec::Namespace(_) | Spec::ServiceAccount(_) | Spec::Secret(_) => {}
    }
    check.findings
}

/// Collects findings on one object.
pub(crate) struct Checker<'a> {
    /// Which object.
    pub(crate) key: &'a ObjectKey,
    /// Its metadata.
    pub(crate) meta: &'a ObjectMeta,
    findings: Vec<Finding>,
}

impl Checker<'_> {
    /// Notes something wrong; a help can be added to what is returned.
    pub(crate) fn note(&mut self, at: &Trail<'_>, code: Code, message: impl Into<String>) -> &mut Finding {
        let finding = Finding { path: at.path(), code, message: message.into(), help: String::new() };
        self.findings.push(finding);
        let last = self.findings.len() - 1;
        &mut self.findings[last]
    }

    /// Notes that a field is missing.
    pub(crate) fn required(&mut self, at: &Trail<'_>) -> &mut Finding {
        let message = format!("`{}` is missing", at.path());
        self.note(at, Code::Required, message)
    }
}

#[cfg(test)]
mod tests;
