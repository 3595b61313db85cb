//! How a cluster's endpoints are chosen.

use std::time::Duration;

use xds::envoy::config::cluster::v3 as wire;
use xds::envoy::config::cluster::v3::cluster::ring_hash_lb_config::HashFunction as WireHash;
use xds::envoy::config::cluster::v3::cluster::{LbConfig, LbPolicy};

use crate::balance::RingSize;
use crate::hash::HashFunction;
use crate::invalid::Invalid;
use crate::message::duration;

/// How an endpoint is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Policy {
    /// In turn, by weight.
    RoundRobin,
    /// The least busy of some that are drawn.
    LeastRequest {
        /// How many are drawn.
        choices: u32,
        /// Where weights differ: how much being busy takes from a weight.
        bias: f64,
    },
    /// Any.
    Random,
    /// By a hash of the request, on a ring.
    RingHash(RingSize),
    /// By a hash of the request, in a table.
    Maglev {
        /// The table's size, a prime.
        table: u64,
    },
    /// The cluster itself knows.
    ClusterProvided,
}

/// Endpoints that are new get less.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlowStart {
    /// For how long.
    pub window: Duration,
    /// The form of the growth; one is a straight line.
    pub aggression: f64,
    /// The part of its weight that an endpoint has at least.
    pub least: f64,
}

impl SlowStart {
    /// The part of its weight that an endpoint of this age has.
    pub fn factor(&self, age: Duration) -> f64 {
        if age >= self.window {
            return 1.0;
        }
        let time = age.max(Duration::from_millis(1)).as_secs_f64() / self.window.as_secs_f64();
        time.min(1.0).powf(1.0 / self.aggression).max(self.least)
    }
}

const PANIC_PERCENT: u8 = 50;
const RING_LEAST: u64 = 1024;
const RING_MOST: u64 = 8 * 1024 * 1024;
const MAGLEV_TABLE: u64 = 65_537;
const MAGLEV_MOST: u64 = 5_000_011;
/// A number of draws beyond which a draw more makes no difference.
const CHOICES: u32 = 64;

impl Policy {
    /// Compiles the policy of a cluster.
    pub(super) fn compile(wire: &wire::Cluster) -> Result<Policy, Invalid> {
        Ok(match LbPolicy::try_from(wire.lb_policy) {
            Ok(LbPolicy::RoundRobin) => Policy::RoundRobin,
            Ok(LbPolicy::LeastRequest) => least_request(wire),
            Ok(LbPolicy::Random) => Policy::Random,
            Ok(LbPolicy::RingHash) => Policy::RingHash(ring_size(wire)?),
            Ok(LbPolicy::Maglev) => Policy::Maglev { table: table_size(wire)? },
            Ok(LbPolicy::ClusterProvided) => Policy::ClusterProvided,
            _ => return Err(Invalid::new("lb_policy", "is not supported")),
        })
    }

    /// Whether a hash decides.
    pub fn is_hashed(self) -> bool {
        matches!(self, Policy::RingHash(_) | Policy::Maglev { .. })
    }
}

fn least_request(wire: &wire::Cluster) -> Policy {
    let config = match &wire.lb_config {
        Some(LbConfig::LeastRequestLbConfig(config)) => Some(config),
        _ => None,
    };
    let choices = config.and_then(|config| config.choice_count).unwrap_or(2);
    let bias = config.and_then(|config| config.active_request_bias.as_ref()).map(|bias| bias.default_value);
    Policy::LeastRequest {
        choices: choices.clamp(2, CHOICES),
        bias: bias.filter(|bias| bias.is_finite() && *bias >= 0.0).unwrap_or(1.0),
    }
}

fn ring_size(wire: &wire::Cluster) -> Result<RingSize, Invalid> {
    let config = match &wire.lb_config {
        Some(LbConfig::RingHashLbConfig(config)) => *config,
        _ => Default::default(),
    };
    let size = RingSize {
        least: config.minimum_ring_size.unwrap_or(RING_LEAST),
        most: config.maximum_ring_size.unwrap_or(RING_MOST),
        function: match WireHash::try_from(config.hash_function) {
            Ok(WireHash::MurmurHash2) => HashFunction::Murmur2,
            _ => HashFunction::Xx,
        },
    };
    if size.most > RING_MOST {
        return Err(Invalid::new("maximum_ring_size", format!("{} is above {RING_MOST}", size.most)));
    }
    if size.least > size.most {
        let text = format!("{} is above maximum_ring_size {}", size.least, size.most);
        return Err(Invalid::new("minimum_ring_size", text));
    }
    Ok(size)
}

fn table_size(wire: &wire::Cluster) -> Result<u64, Invalid> {
    let size = match &wire.lb_config {
        Some(LbConfig::MaglevLbConfig(config)) => config.table_size,
        _ => None,
    };
    let size = size.unwrap_or(MAGLEV_TABLE);
    if size > MAGLEV_MOST || !is_prime(size) {
        return Err(Invalid::new("table_size", format!("{size} is no prime up to {MAGLEV_MOST}")));
    }
    Ok(size)
}

fn is_prime(number: u64) -> bool {
    number >= 2
        && (2..).take_while(|factor| factor * factor <= number).all(|factor| !number.is_multiple_of(factor))
}

impl SlowStart {
    pub(super) fn compile(wire: &wire::Cluster) -> Option<SlowStart> {
        let config = match &wire.lb_config {
            Some(LbConfig::RoundRobinLbConfig(config)) => config.slow_start_config.as_ref(),
            Some(LbConfig::LeastRequestLbConfig(config)) => config.slow_start_config.as_ref(),
            _ => None,
        }?;
        let window =
            config.slow_start_window.as_ref().and_then(duration).filter(|window| !window.is_zero())?;
        let aggression = config.aggression.as_ref().map_or(1.0, |aggression| aggression.default_value);
        let least = config.min_weight_percent.map_or(10.0, |percent| percent.value);
        Some(SlowStart {
            window,
            aggression: if aggression > 0.0 && aggression.is_finite() { aggression } else { 1.0 },
            least: least.clamp(0.0, 100.0) / 100.0,
        })
    }
}

pub(super) fn panic_threshold(wire: &wire::Cluster) -> u8 {
    let percent = wire.common_lb_config.as_ref().and_then(|config| config.healthy_panic_threshold.as_ref());
    percent.map_or(PANIC_PERCENT, |percent| {
        // Saturates, and NaN becomes zero.
        percent.value.clamp(0.0, 100.0) as u8
    })
}

pub(super) fn locality_weighted(wire: &wire::Cluster) -> bool {
    use wire::cluster::common_lb_config::LocalityConfigSpecifier as Specifier;
    let config = wire.common_lb_config.as_ref().and_then(|config| config.locality_config_specifier.as_ref());
    matches!(config, Some(Specifier::LocalityWeightedLbConfig(_)))
}

pub(super) fn hash_balance(wire: &wire::Cluster) -> Option<u32> {
    let config = wire.common_lb_config.as_ref()?.consistent_hashing_lb_config.as_ref()?;
    config.hash_balance_factor.filter(|factor| *factor >= 100)
}

pub(super) fn hash_by_hostname(wire: &wire::Cluster) -> bool {
    let config =
        wire.common_lb_config.as_ref().and_then(|config| config.consistent_hashing_lb_config.as_ref());
    config.is_some_and(|config| config.use_hostname_for_hashing)
}

pub(super) fn fails_on_panic(wire: &wire::Cluster) -> bool {
    use wire::cluster::common_lb_config::LocalityConfigSpecifier as Specifier;
    let config = wire.common_lb_config.as_ref().and_then(|config| config.locality_config_specifier.as_ref());
    matches!(config, Some(Specifier::ZoneAwareLbConfig(zone)) if zone.fail_traffic_on_panic)
}
