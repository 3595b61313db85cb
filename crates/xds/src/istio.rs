//! Istio's own messages, which no published crate holds.
//!
//! They are written by hand from their field numbers. Wire compatibility is
//! with istiod and Istio's proxy; the modules carry the protobuf package's
//! name in short.

pub(crate) mod descriptors;

use prost::Name;

use crate::google::protobuf::Any;

const DOMAIN: &str = "type.googleapis.com";

macro_rules! named {
    ($message:ty, $package:literal, $name:literal) => {
        impl Name for $message {
            const NAME: &'static str = $name;
            const PACKAGE: &'static str = $package;
            fn type_url() -> String {
                format!("{DOMAIN}/{}", Self::full_name())
            }
        }
    };
}

/// `udpa.type.v1`: JSON in protobuf's clothes.
pub mod udpa {
    /// A message given as its type URL and its JSON form. Receivers convert
    /// the value into the named message; the proxy unwraps it in `compile`.
    #[derive(Clone, PartialEq, ::prost::Message)]
    pub struct TypedStruct {
        /// The message that `value` stands for.
        #[prost(string, tag = "1")]
        pub type_url: String,
        /// Its JSON form.
        #[prost(message, optional, tag = "2")]
        pub value: Option<::prost_types::Struct>,
    }
}
named!(udpa::TypedStruct, "udpa.type.v1", "TypedStruct");

/// `stats`: the filter that keeps Istio's standard metrics.
pub mod stats {
    use std::collections::BTreeMap;

    /// The configuration of `istio.stats`.
    #[derive(Clone, PartialEq, ::prost::Message)]
    pub struct PluginConfig {
        /// Do not take the destination service from the Host header.
        #[prost(bool, tag = "6")]
        pub disable_host_header_fallback: bool,
        /// How often long TCP connections are reported.
        #[prost(message, optional, tag = "7")]
        pub tcp_reporting_duration: Option<::prost_types::Duration>,
        /// Changes to the standard metrics.
        #[prost(message, repeated, tag = "8")]
        pub metrics: Vec<MetricConfig>,
        /// Further metrics.
        #[prost(message, repeated, tag = "9")]
        pub definitions: Vec<MetricDefinition>,
        /// Which side this proxy reports as.
        #[prost(enumeration = "Reporter", tag = "10")]
        pub reporter: i32,
        /// How often unused series are looked for.
        #[prost(message, optional, tag = "11")]
        pub rotation_interval: Option<::prost_types::Duration>,
        /// How long an unused series stays after that.
        #[prost(message, optional, tag = "12")]
        pub graceful_deletion_interval: Option<::prost_types::Duration>,
    }

    /// A change to one standard metric, or to all.
    #[derive(Clone, PartialEq, ::prost::Message)]
    pub struct MetricConfig {
        /// Labels added or replaced, as expressions.
        #[prost(btree_map = "string, string", tag = "1")]
        pub dimensions: BTreeMap<String, String>,
        /// The metric; empty for all.
        #[prost(string, tag = "2")]
        pub name: String,
        /// Labels taken away.
        #[prost(string, repeated, tag = "3")]
        pub tags_to_remove: Vec<String>,
        /// An expression that must hold for the metric to be kept.
        #[prost(string, tag = "4")]
        pub r#match: String,
        /// Do not keep the metric at all.
        #[prost(bool, tag = "5")]
        pub drop: bool,
    }

    /// A metric beyond the standard ones.
    #[derive(Clone, PartialEq, ::prost::Message)]
    pub struct MetricDefinition {
        /// Its name, without the `istio_` prefix.
        #[prost(string, tag = "1")]
        pub name: String,
        /// The expression that gives its value.
        #[prost(string, tag = "2")]
        pub value: String,
        /// Counter, gauge or histogram.
        #[prost(enumeration = "MetricType", tag = "3")]
        pub r#type: i32,
    }

    /// The kinds of metric.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
    #[repr(i32)]
    pub enum MetricType {
        /// Only grows.
        Counter = 0,
        /// Goes up and down.
        Gauge = 1,
        /// Counts in buckets.
        Histogram = 2,
    }

    /// The side a proxy reports as.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
    #[repr(i32)]
    pub enum Reporter {
        /// By the direction of the listener.
        Unspecified = 0,
        /// As the server, on behalf of the service behind it: waypoints.
        ServerGateway = 1,
    }
}
named!(stats::PluginConfig, "stats", "PluginConfig");

/// `istio.envoy.config.filter.http.alpn.v2alpha1`: ALPN by request protocol.
pub mod alpn {
    /// The configuration of `istio.alpn`.
    #[derive(Clone, PartialEq, ::prost::Message)]
    pub struct FilterConfig {
        /// What is offered upstream for each protocol of the request.
        #[prost(message, repeated, tag = "1")]
        pub alpn_override: Vec<AlpnOverride>,
    }

    /// The ALPN list for one upstream protocol.
    #[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
    pub struct AlpnOverride {
        /// The protocol spoken to the upstream.
        #[prost(enumeration = "Protocol", tag = "1")]
        pub upstream_protocol: i32,
        /// What is offered in its place.
        #[prost(string, repeated, tag = "2")]
        pub alpn_override: Vec<String>,
    }

    /// The protocols that ALPN tells apart.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
    #[repr(i32)]
    pub enum Protocol {
        /// HTTP/1.0.
        Http10 = 0,
        /// HTTP/1.1.
        Http11 = 1,
        /// HTTP/2.
        Http2 = 2,
    }
}
named!(alpn::FilterConfig, "istio.envoy.config.filter.http.alpn.v2alpha1", "FilterConfig");

/// `istio.networking.nds.v1`: the names a proxy's DNS server answers.
pub mod nds {
    use std::collections::BTreeMap;

    /// All names, by host.
    #[derive(Clone, PartialEq, ::prost::Message)]
    pub struct NameTable {
        /// Host name to what is known of it.
        #[prost(btree_map = "string, message", tag = "1")]
        pub table: BTreeMap<String, NameInfo>,
    }

    /// One name's answer.
    #[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
    pub struct NameInfo {
        /// The addresses to answer with.
        #[prost(string, repeated, tag = "1")]
        pub ips: Vec<String>,
        /// Where the name comes from: `Kubernetes` or `External`.
        #[prost(string, tag = "2")]
        pub registry: String,
        /// The name without namespace and domain; Kubernetes only.
        #[prost(string, tag = "3")]
        pub shortname: String,
        /// The namespace; Kubernetes only.
        #[prost(string, tag = "4")]
        pub namespace: String,
        /// Further names with the same answer.
        #[prost(string, repeated, tag = "5")]
        pub alt_hosts: Vec<String>,
    }
}
named!(nds::NameTable, "istio.networking.nds.v1", "NameTable");

/// `istio.v1.auth`: asking the mesh's authority for a certificate.
pub mod auth {
    /// A signing request, PEM.
    #[derive(Clone, PartialEq, ::prost::Message)]
    pub struct IstioCertificateRequest {
        /// The certificate signing request, PEM.
        #[prost(string, tag = "1")]
        pub csr: String,
        /// How long the certificate should hold, in seconds.
        #[prost(int64, tag = "3")]
        pub validity_duration: i64,
        /// `CertSigner`, `ImpersonatedIdentity`.
        #[prost(message, optional, tag = "4")]
        pub metadata: Option<::prost_types::Struct>,
    }

    /// The chain, leaf first, root last.
    #[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
    pub struct IstioCertificateResponse {
        /// PEM certificates.
        #[prost(string, repeated, tag = "1")]
        pub cert_chain: Vec<String>,
    }
}
named!(auth::IstioCertificateRequest, "istio.v1.auth", "IstioCertificateRequest");
named!(auth::IstioCertificateResponse, "istio.v1.auth", "IstioCertificateResponse");

/// Wraps a configuration of which only the JSON form is known here, as Istio
/// does for `peer_metadata` and `metadata_exchange`.
pub fn typed_struct(type_url: &str, value: prost_types::Struct) -> Any {
    crate::any::pack(&udpa::TypedStruct { type_url: type_url.to_owned(), value: Some(value) })
}
