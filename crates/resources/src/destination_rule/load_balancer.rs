//! How an endpoint is chosen.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::field;

/// Choice of an endpoint.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(try_from = "RawLoadBalancerSettings")]
pub struct LoadBalancerSettings {
    /// The algorithm; none means the mesh default.
    pub policy: Option<LoadBalancerPolicy>,
    /// Preference by locality, in place of the mesh's.
    pub locality_lb_setting: Option<LocalityLoadBalancerSetting>,
    /// Preference by zone, in place of the mesh's.
    pub zone_aware_lb_setting: Option<ZoneAwareLoadBalancerSetting>,
    /// Deprecated spelling of `warmup.duration`.
    pub warmup_duration_secs: Option<Duration>,
    /// Give a new endpoint less traffic at first.
    pub warmup: Option<WarmupConfiguration>,
}

/// The algorithm that chooses an endpoint.
#[derive(Debug, Clone, PartialEq)]
pub enum LoadBalancerPolicy {
    /// Without settings of its own.
    Simple(SimpleLb),
    /// By a hash of the request, so that equal requests reach the same endpoint.
    ConsistentHash(ConsistentHashLb),
}

/// Algorithms without settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SimpleLb {
    /// Not said; the mesh default.
    #[default]
    Unspecified,
    /// Deprecated name of `LEAST_REQUEST`.
    LeastConn,
    /// Any, at random.
    Random,
    /// The address that the client asked for.
    Passthrough,
    /// One after the other.
    RoundRobin,
    /// The one with fewer requests under way, of two drawn at random.
    LeastRequest,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawLoadBalancerSettings {
    simple: Option<SimpleLb>,
    consistent_hash: Option<ConsistentHashLb>,
    locality_lb_setting: Option<LocalityLoadBalancerSetting>,
    zone_aware_lb_setting: Option<ZoneAwareLoadBalancerSetting>,
    #[serde(deserialize_with = "field::duration")]
    warmup_duration_secs: Option<Duration>,
    warmup: Option<WarmupConfiguration>,
}

impl TryFrom<RawLoadBalancerSettings> for LoadBalancerSettings {
    type Error = String;

    fn try_from(raw: RawLoadBalancerSettings) -> Result<Self, String> {
        let policy = field::at_most_one([
            ("simple", raw.simple.map(LoadBalancerPolicy::Simple)),
            ("consistentHash", raw.consistent_hash.map(LoadBalancerPolicy::ConsistentHash)),
        ])?;
        Ok(Self {
            policy,
            locality_lb_setting: raw.locality_lb_setting,
            zone_aware_lb_setting: raw.zone_aware_lb_setting,
            warmup_duration_secs: raw.warmup_duration_secs,
            warmup: raw.warmup,
        })
    }
}

/// Choice by a hash of the request.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "RawConsistentHashLb")]
pub struct ConsistentHashLb {
    /// What is hashed.
    pub hash_key: Option<HashKey>,
    /// How the hash chooses; none means a ring.
    pub algorithm: Option<HashAlgorithm>,
    /// Deprecated spelling of the ring's size.
    pub minimum_ring_size: u64,
}

/// What is hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashKey {
    /// A header.
    HttpHeaderName(String),
    /// A cookie, made when it is missing and has a lifetime.
    HttpCookie(HttpCookie),
    /// The client's address.
    SourceIp,
    /// A query parameter.
    HttpQueryParameterName(String),
}

/// How a hash chooses an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashAlgorithm {
    /// A ring of at least so many points; 0 means 1024.
    RingHash {
        /// Points on the ring.
        minimum_ring_size: u64,
    },
    /// A table of this size; 0 means 65537.
    Maglev {
        /// Entries of the table, a prime.
        table_size: u64,
    },
}

/// A cookie to hash.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpCookie {
    /// Its name.
    pub name: String,
    /// Path that it is set for.
    pub path: String,
    /// Its lifetime; without one no cookie is made.
    #[serde(deserialize_with = "field::duration")]
    pub ttl: Option<Duration>,
    /// Further attributes of a cookie that is made.
    pub attributes: Vec<CookieAttribute>,
}

/// An attribute of a cookie.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CookieAttribute {
    /// Its name.
    pub name: String,
    /// Its value; may be empty.
    pub value: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawConsistentHashLb {
    http_header_name: Option<String>,
    http_cookie: Option<HttpCookie>,
    use_source_ip: bool,
    http_query_parameter_name: Option<String>,
    ring_hash: Option<RawRingHash>,
    maglev: Option<RawMaglev>,
    minimum_ring_size: u64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawRingHash {
    minimum_ring_size: u64,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawMaglev {
    table_size: u64,
}

impl TryFrom<RawConsistentHashLb> for ConsistentHashLb {
    type Error = String;

    fn try_from(raw: RawConsistentHashLb) -> Result<Self, String> {
        let hash_key = field::at_most_one([
            ("httpHeaderName", raw.http_header_name.map(HashKey::HttpHeaderName)),
            ("httpCookie", raw.http_cookie.map(HashKey::HttpCookie)),
            ("useSourceIp", raw.use_source_ip.then_some(HashKey::SourceIp)),
            ("httpQueryParameterName", raw.http_query_parameter_name.map(HashKey::HttpQueryParameterName)),
        ])?;
        let ring = raw.ring_hash.map(|r| HashAlgorithm::RingHash { minimum_ring_size: r.minimum_ring_size });
        let maglev = raw.maglev.map(|m| HashAlgorithm::Maglev { table_size: m.table_size });
        let algorithm = field::at_most_one([("ringHash", ring), ("maglev", maglev)])?;
        Ok(Self { hash_key, algorithm, minimum_ring_size: raw.minimum_ring_size })
    }
}

/// Less traffic for a new endpoint at first.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct WarmupConfiguration {
    /// How long.
    #[serde(deserialize_with = "field::duration")]
    pub duration: Option<Duration>,
    /// Share of its weight at the beginning; none means 10.
    pub minimum_percent: Option<f64>,
    /// Shape of the growth; none means 1, a straight line.
    pub aggression: Option<f64>,
}

/// Preference by locality.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LocalityLoadBalancerSetting {
    /// Shares by locality.
    pub distribute: Vec<Distribute>,
    /// Where traffic goes when a region fails.
    pub failover: Vec<Failover>,
    /// Labels by which endpoints are ranked.
    pub failover_priority: Vec<String>,
    /// Whether preference is on; none means as the mesh says.
    pub enabled: Option<bool>,
}

/// Shares of the traffic from one locality.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Distribute {
    /// `region/zone/subzone`, `*` at the end.
    pub from: String,
    /// Localities and their shares, 100 together.
    pub to: BTreeMap<String, u32>,
}

/// Where traffic goes when a region fails.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Failover {
    /// The region that fails.
    pub from: String,
    /// The region that takes over.
    pub to: String,
}

/// Preference by zone.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ZoneAwareLoadBalancerSetting {
    /// Whether preference is on; none means as the mesh says.
    pub enabled: Option<bool>,
    /// Where traffic goes when a region fails.
    pub failover: Vec<Failover>,
    /// Labels by which endpoints are ranked.
    pub failover_priority: Vec<String>,
    /// Endpoints that the region must have.
    pub min_cluster_size: Option<u64>,
}
