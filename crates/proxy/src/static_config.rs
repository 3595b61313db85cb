//! Starting from a bootstrap file: the listeners and clusters of
//! `static_resources`, in YAML or JSON, as Envoy reads them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use routing::address::Address;
use routing::compile::Changes;
use xds::envoy::config::bootstrap::v3::Bootstrap;
use xds::envoy::config::core::v3::Node;
use xds::envoy::config::overload::v3::OverloadManager;
use xds::envoy::config::overload::v3::resource_monitor::ConfigType;
use xds::envoy::extensions::resource_monitors::downstream_connections::v3::DownstreamConnectionsConfig;

/// What a bootstrap file says.
#[derive(Debug, Clone, Default)]
pub struct StaticConfig {
    /// Who the proxy is.
    pub node: Node,
    /// Listeners and clusters.
    pub resources: Changes,
    /// Where the admin endpoint listens.
    pub admin: Option<SocketAddr>,
    /// How many connections clients may have, of the overload manager.
    pub connection_limit: Option<u32>,
}

/// Why a bootstrap file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StaticConfigError {
    /// It cannot be read.
    #[error("read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// It is neither YAML nor JSON.
    #[error("parse `{path}`: {reason}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        reason: String,
    },
    /// It is no bootstrap.
    #[error("`{path}` is no bootstrap")]
    Shape {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        source: xds::json::JsonError,
    },
}

impl StaticConfig {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<StaticConfig, StaticConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| StaticConfigError::Read { path: path.to_owned(), source })?;
        let json: serde_json::Value = serde_saphyr::from_str(&text)
            .map_err(|error| StaticConfigError::Parse { path: path.to_owned(), reason: error.to_string() })?;
        StaticConfig::from_json(&json)
            .map_err(|source| StaticConfigError::Shape { path: path.to_owned(), source })
    }

    /// Reads the JSON form of a bootstrap.
    pub fn from_json(json: &serde_json::Value) -> Result<StaticConfig, xds::json::JsonError> {
        let bootstrap: Bootstrap = xds::json::decode(json)?;
        let resources = bootstrap.static_resources.unwrap_or_default();
        let admin = bootstrap.admin.as_ref().and_then(|admin| admin.address.as_ref());
        Ok(StaticConfig {
            node: bootstrap.node.unwrap_or_default(),
            connection_limit: bootstrap.overload_manager.as_ref().and_then(connection_limit),
            admin: Address::compile(admin).ok().and_then(|address| address.socket()),
            resources: Changes {
                listeners: resources.listeners,
                clusters: resources.clusters,
                ..Changes::default()
            },
        })
    }
}

/// What the monitor `envoy.resource_monitors.global_downstream_max_connections`
/// says.
fn connection_limit(overload: &OverloadManager) -> Option<u32> {
    let config = overload.resource_monitors.iter().find_map(|monitor| match &monitor.config_type {
        Some(ConfigType::TypedConfig(any)) => xds::any::unpack::<DownstreamConnectionsConfig>(any).ok(),
        _ => None,
    })?;
    Some(u32::try_from(config.max_active_downstream_connections).unwrap_or(u32::MAX))
}
