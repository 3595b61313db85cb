//! Conditions under which a rule of a VirtualService applies.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::field;

/// Conditions on a request; all that are set must hold.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpMatchRequest {
    /// Name for logs; joined with the name of the rule.
    pub name: String,
    /// Path, with the query left out for `exact` and `prefix`.
    pub uri: Option<StringMatch>,
    /// `http` or `https`.
    pub scheme: Option<StringMatch>,
    /// Request method.
    pub method: Option<StringMatch>,
    /// Authority (Host) of the request.
    pub authority: Option<StringMatch>,
    /// Headers by lower-case name.
    pub headers: BTreeMap<String, StringMatch>,
    /// Port of the service that was addressed.
    pub port: Option<u16>,
    /// Labels that the calling workload must carry.
    pub source_labels: BTreeMap<String, String>,
    /// Gateways to which this match is limited; replaces the list of the object.
    pub gateways: Vec<String>,
    /// Query parameters by name.
    pub query_params: BTreeMap<String, StringMatch>,
    /// Compare `exact` and `prefix` of `uri` without regard to case.
    pub ignore_uri_case: bool,
    /// Headers that must not match.
    pub without_headers: BTreeMap<String, StringMatch>,
    /// Namespace of the calling workload; empty means any.
    pub source_namespace: String,
    /// Prefix of the statistics for this route.
    pub stat_prefix: String,
}

/// Conditions on a TCP connection; all that are set must hold.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct L4MatchAttributes {
    /// Destination addresses, with or without a prefix length.
    pub destination_subnets: Vec<String>,
    /// Port of the service that was addressed.
    pub port: Option<u16>,
    /// Source address, with or without a prefix length.
    pub source_subnet: String,
    /// Labels that the calling workload must carry.
    pub source_labels: BTreeMap<String, String>,
    /// Gateways to which this match is limited; replaces the list of the object.
    pub gateways: Vec<String>,
    /// Namespace of the calling workload; empty means any.
    pub source_namespace: String,
}

/// Conditions on a TLS connection; all that are set must hold.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsMatchAttributes {
    /// Server names of the handshake, wildcard prefixes allowed.
    pub sni_hosts: Vec<String>,
    /// Destination addresses, with or without a prefix length.
    pub destination_subnets: Vec<String>,
    /// Port of the service that was addressed.
    pub port: Option<u16>,
    /// Labels that the calling workload must carry.
    pub source_labels: BTreeMap<String, String>,
    /// Gateways to which this match is limited; replaces the list of the object.
    pub gateways: Vec<String>,
    /// Namespace of the calling workload; empty means any.
    pub source_namespace: String,
}

/// A condition on a string.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "RawStringMatch")]
pub enum StringMatch {
    /// Any value (`{}` in YAML): a header or query parameter only has to be there.
    #[default]
    Any,
    /// The whole value.
    Exact(String),
    /// The beginning of the value.
    Prefix(String),
    /// An RE2 expression that the whole value satisfies.
    Regex(String),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawStringMatch {
    exact: Option<String>,
    prefix: Option<String>,
    regex: Option<String>,
}

impl TryFrom<RawStringMatch> for StringMatch {
    type Error = String;

    fn try_from(raw: RawStringMatch) -> Result<Self, String> {
        let choices = [
            ("exact", raw.exact.map(Self::Exact)),
            ("prefix", raw.prefix.map(Self::Prefix)),
            ("regex", raw.regex.map(Self::Regex)),
        ];
        Ok(field::at_most_one(choices)?.unwrap_or_default())
    }
}
