//! What a pod may refer to: its own fields, and the ConfigMaps and Secrets of its namespace.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use resources::config_map::ConfigMap;
use resources::metadata::ObjectMeta;
use resources::pod::{Container, Pod};
use resources::secret::Secret;
use resources::{Kind, Object, ObjectKey};
use serde_json::Value;

/// The name of the one node.
pub(crate) const NODE: &str = "lateen";

/// Why a container waits, as its status shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reason {
    /// In a word.
    pub(crate) reason: &'static str,
    /// In a sentence.
    pub(crate) message: String,
}

impl Reason {
    /// Something that the pod refers to is missing or wrong.
    pub(crate) fn config(message: impl Into<String>) -> Reason {
        Reason { reason: "CreateContainerConfigError", message: message.into() }
    }

    /// The image stands for nothing.
    pub(crate) fn image(message: impl Into<String>) -> Reason {
        Reason { reason: "ErrImagePull", message: message.into() }
    }
}

/// A pod and what is around it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    /// Its metadata.
    pub(crate) meta: &'a ObjectMeta,
    /// The pod, as patched.
    pub(crate) pod: &'a Pod,
    /// Its address.
    pub(crate) address: Ipv4Addr,
    /// Cores of this machine.
    pub(crate) cores: usize,
    /// Bytes of memory of this machine.
    pub(crate) memory: u64,
    /// Every object.
    pub(crate) objects: &'a BTreeMap<ObjectKey, Arc<Object>>,
}

impl<'a> Context<'a> {
    fn find(&self, kind: Kind, name: &str) -> Option<&'a Object> {
        self.objects.get(&ObjectKey::new(kind, &self.meta.namespace, name)).map(Arc::as_ref)
    }

    /// A ConfigMap of the pod's namespace.
    pub(crate) fn config_map(&self, name: &str, optional: bool) -> Result<Option<&'a ConfigMap>, Reason> {
        match self.find(Kind::ConfigMap, name).and_then(Object::as_config_map) {
            None if !optional => Err(Reason::config(format!("ConfigMap `{name}` is not there"))),
            found => Ok(found),
        }
    }

    /// A Secret of the pod's namespace.
    pub(crate) fn secret(&self, name: &str, optional: bool) -> Result<Option<&'a Secret>, Reason> {
        match self.find(Kind::Secret, name).and_then(Object::as_secret) {
            None if !optional => Err(Reason::config(format!("Secret `{name}` is not there"))),
            found => Ok(found),
        }
    }

    /// All values of a Secret, as text.
    pub(crate) fn secret_values(
        &self,
        name: &str,
        optional: bool,
    ) -> Result<BTreeMap<String, String>, Reason> {
        let Some(secret) = self.secret(name, optional)? else { return Ok(BTreeMap::new()) };
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        let mut values: BTreeMap<String, String> =
            secret.data.iter().map(|(key, bytes)| (key.clone(), text(bytes))).collect();
        values.extend(secret.string_data.clone());
        Ok(values)
    }

    /// A field of the pod, as `fieldRef` names it.
    pub(crate) fn field(&self, path: &str) -> Result<String, Reason> {
        let address = self.address.to_string();
        let text = match path {
            "metadata.name" => self.meta.name.clone(),
            "metadata.namespace" => self.meta.namespace.clone(),
            "metadata.uid" => self.meta.uid.clone(),
            "metadata.labels" => lines(&self.meta.labels),
            "metadata.annotations" => lines(&self.meta.annotations),
            "spec.nodeName" => NODE.to_owned(),
            "spec.serviceAccountName" => self.pod.spec.service_account().to_owned(),
            "status.podIP" | "status.podIPs" => address,
            "status.hostIP" | "status.hostIPs" => crate::network::ROUTER_ADDRESS.to_string(),
            _ => self.keyed_field(path)?,
        };
        Ok(text)
    }

    fn keyed_field(&self, path: &str) -> Result<String, Reason> {
        for (prefix, values) in
            [("metadata.labels['", &self.meta.labels), ("metadata.annotations['", &self.meta.annotations)]
        {
            if let Some(key) = path.strip_prefix(prefix).and_then(|rest| rest.strip_suffix("']")) {
                return Ok(values.get(key).cloned().unwrap_or_default());
            }
        }
        Err(Reason::config(format!("field `{path}` of the pod is not known")))
    }

    /// A limit or request of a container, as `resourceFieldRef` names it.
    ///
    /// What is not limited is as large as the machine.
    pub(crate) fn resource(&self, reference: &Value, own: &Container) -> Result<String, Reason> {
        let text = |field: &str| reference.get(field).and_then(Value::as_str).unwrap_or_default();
        let resource = text("resource");
        let name = text("containerName");
        let unknown = || Reason::config(format!("resource `{resource}` of container `{name}` is not known"));
        let spec = &self.pod.spec;
        let container = match name {
            "" => own,
            name => spec
                .containers
                .iter()
                .chain(&spec.init_containers)
                .find(|container| container.name == name)
                .ok_or_else(unknown)?,
        };
        let (section, kind) = resource.split_once('.').ok_or_else(unknown)?;
        let written = container.resources.as_ref().and_then(|resources| resources.get(section)?.get(kind));
        let amount = match (written, section, kind) {
            (Some(written), _, _) => quantity(written).ok_or_else(unknown)?,
            (None, "limits", "cpu") => self.cores as f64,
            (None, "limits", "memory") => self.memory as f64,
            (None, "requests" | "limits", "cpu" | "memory" | "ephemeral-storage") => 0.0,
            _ => return Err(unknown()),
        };
        let divisor = match reference.get("divisor") {
            None => 1.0,
            Some(divisor) => quantity(divisor).filter(|divisor| *divisor > 0.0).unwrap_or(1.0),
        };
        Ok(format!("{:.0}", (amount / divisor).ceil()))
    }
}

/// One `key="value"` per line, as the downward API writes maps.
fn lines(values: &BTreeMap<String, String>) -> String {
    values.iter().map(|(key, value)| format!("{key}={value:?}")).collect::<Vec<_>>().join("\n")
}

/// The number that a quantity like `250m` or `128Mi` stands for.
fn quantity(value: &Value) -> Option<f64> {
    if let Some(number) = value.as_f64() {
        return Some(number);
    }
    let text = value.as_str()?.trim();
    let end = text.find(|character: char| character.is_alphabetic()).unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    let factor = match &text[end..] {
        "" => 1.0,
        "m" => 0.001,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        _ => return None,
    };
    Some(number * factor)
}

#[cfg(test)]
pub(crate) mod tests;
