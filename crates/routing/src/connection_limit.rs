//! How many connections a filter chain may have at once
//! (`envoy.filters.network.connection_limit`).

use std::time::Duration;

use xds::envoy::extensions::filters::network::connection_limit::v3 as wire;

use crate::invalid::Invalid;
use crate::message::positive;

/// A limit of a filter chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionLimit {
    /// The name under which it is counted.
    pub stat_prefix: Box<str>,
    /// So many at once.
    pub most: u64,
    /// How long one too many is kept waiting before it is closed.
    pub delay: Option<Duration>,
}

impl ConnectionLimit {
    /// Compiles the filter; `None` when it is switched off.
    pub fn compile(wire: &wire::ConnectionLimit) -> Result<Option<ConnectionLimit>, Invalid> {
        let is_on = wire.runtime_enabled.as_ref().and_then(|flag| flag.default_value).unwrap_or(true);
        let most = wire.max_connections.filter(|most| *most > 0);
        let most = most.ok_or_else(|| Invalid::new("max_connections", "is missing or zero"))?;
        let limit = ConnectionLimit {
            stat_prefix: wire.stat_prefix.as_str().into(),
            most,
            delay: positive(wire.delay.as_ref()),
        };
        Ok(is_on.then_some(limit))
    }
}
