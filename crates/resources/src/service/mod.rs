//! Service: a name and an address for a set of pods.
//!
//! # Manual
//!
#![doc = include_str!("manual.md")]

pub(crate) mod validate;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::field::IntOrString;

/// A Kubernetes Service.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Service {
    /// What is wanted.
    pub spec: ServiceSpec,
    /// What a cluster reports; never read.
    pub status: Option<Value>,
}

/// What a Service is.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// How it can be reached.
    #[serde(rename = "type")]
    pub service_type: ServiceType,
    /// Labels of its pods; empty means that its endpoints come from elsewhere.
    pub selector: BTreeMap<String, String>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// Its address; `None` for a headless Service; empty means that one is assigned.
    #[serde(rename = "clusterIP")]
    pub cluster_ip: String,
    /// Its addresses, one per family.
    #[serde(rename = "clusterIPs")]
    pub cluster_ips: Vec<String>,
    /// Name to which an `ExternalName` Service refers.
    pub external_name: String,
    /// Further addresses at which it is reached.
    #[serde(rename = "externalIPs")]
    pub external_ips: Vec<String>,
    /// Count endpoints that are not ready as well.
    pub publish_not_ready_addresses: bool,
    /// `None` or `ClientIP`.
    pub session_affinity: String,
    /// `Cluster` or `Local`.
    pub internal_traffic_policy: Option<String>,
    /// `Cluster` or `Local`.
    pub external_traffic_policy: String,
    /// Preference among endpoints, such as `PreferClose`.
    pub traffic_distribution: Option<String>,
    /// Address families.
    pub ip_families: Vec<String>,
    /// `SingleStack`, `PreferDualStack` or `RequireDualStack`.
    pub ip_family_policy: Option<String>,
    /// Load balancer's address, deprecated.
    #[serde(rename = "loadBalancerIP")]
    pub load_balancer_ip: String,
    /// Who may reach the load balancer.
    pub load_balancer_source_ranges: Vec<String>,
    /// Which load balancer.
    pub load_balancer_class: Option<String>,
    /// Whether a load balancer gets node ports.
    pub allocate_load_balancer_node_ports: Option<bool>,
    /// Port of the node that tells health.
    pub health_check_node_port: u16,
    /// Settings of session affinity; never read.
    pub session_affinity_config: Option<Value>,
}

/// How a Service can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum ServiceType {
    /// Inside the cluster.
    #[default]
    ClusterIP,
    /// On a port of every node.
    NodePort,
    /// Through a load balancer.
    LoadBalancer,
    /// It is only another name.
    ExternalName,
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePort {
    /// Its name; its beginning tells the protocol (`http-web`).
    pub name: String,
    /// Its number.
    pub port: u16,
    /// Port of the pod, by number or name; none means the same number.
    pub target_port: Option<IntOrString>,
    /// TCP, UDP or SCTP.
    pub protocol: TransportProtocol,
    /// The application's protocol, which comes before the name's.
    pub app_protocol: Option<String>,
    /// Port of the node.
    pub node_port: u16,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TransportProtocol {
    /// TCP
    #[default]
    Tcp,
    /// UDP
    Udp,
    /// SCTP
    Sctp,
}

impl Service {
    /// Whether the Service has no address of its own.
    pub fn is_headless(&self) -> bool {
        self.spec.cluster_ip == "None"
    }

    /// Whether the Service selects pods with these labels.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        !self.spec.selector.is_empty()
            && self.spec.selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}
