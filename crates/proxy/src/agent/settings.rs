//! What the environment and the command line tell the agent, under the names
//! that Istio's injection templates use (`pilot-agent`'s own).

mod identity;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

pub use identity::{Credential, IdentitySettings};

/// What the proxy is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Beside an application, behind captured traffic.
    Sidecar,
    /// A gateway: its listeners are its own.
    Router,
}

impl Role {
    /// The first part of the node's id.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sidecar => "sidecar",
            Self::Router => "router",
        }
    }
}

/// Everything that the agent needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Sidecar or gateway.
    pub role: Role,
    /// `POD_NAME`.
    pub pod_name: String,
    /// `POD_NAMESPACE`, `default` when unset.
    pub namespace: String,
    /// `INSTANCE_IP`.
    pub instance_ip: IpAddr,
    /// `SERVICE_ACCOUNT`.
    pub service_account: String,
    /// `--domain`, or `NAMESPACE.svc.cluster.local`.
    pub domain: String,
    /// `PROXY_CONFIG` as it came, for the node's metadata.
    pub proxy_config_json: Value,
    /// The parts of `PROXY_CONFIG` that the agent itself reads.
    pub proxy_config: ProxyConfig,
    /// `ISTIO_META_*` and `ISTIO_METAJSON_*`, prefix removed.
    pub metadata: BTreeMap<String, Value>,
    /// Pod labels, from the downward API file.
    pub labels: BTreeMap<String, String>,
    /// Pod annotations, from the downward API file.
    pub annotations: BTreeMap<String, String>,
    /// `ISTIO_KUBE_APP_PROBERS`: the application's probes by path.
    pub app_probers: Value,
    /// `ISTIO_PROMETHEUS_ANNOTATIONS`: where the application serves metrics.
    pub app_metrics: Option<AppMetrics>,
    /// Set on every upstream connection so that capture lets it pass, where it
    /// does not know the proxy by its user (`LATEEN_UPSTREAM_TOS`).
    pub upstream_tos: Option<u8>,
    /// `DNS_PROXY_ADDR`, where questions about names are answered.
    pub dns_proxy_address: SocketAddr,
    /// `EXIT_ON_ZERO_ACTIVE_CONNECTIONS`, false by default.
    pub exit_on_zero_active_connections: bool,
    /// `MINIMUM_DRAIN_DURATION`, 5 s by default.
    pub minimum_drain_duration: Duration,
    /// How the workload gets its certificates.
    pub identity: IdentitySettings,
    /// Stock Envoy in the proxy's place.
    pub envoy_path: Option<PathBuf>,
    /// Where Envoy's bootstrap and the agent's sockets go.
    pub run_folder: PathBuf,
}

/// What the agent reads of Istio's `ProxyConfig`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyConfig {
    /// Control plane, `host:port`; `istiod.istio-system.svc:15010` by default.
    pub discovery_address: Option<String>,
    /// Worker threads; unset or 0 means one per core.
    pub concurrency: Option<u32>,
    /// Loopback admin port, 15000 by default.
    pub proxy_admin_port: Option<u16>,
    /// Health and merged metrics, 15020 by default.
    pub status_port: Option<u16>,
    /// How long a listener drains, `45s` by default.
    pub drain_duration: Option<String>,
    /// How long a proxy that was replaced serves what it has, `60s` by default.
    pub parent_shutdown_duration: Option<String>,
    /// How long a stopping proxy drains, `5s` by default.
    pub termination_drain_duration: Option<String>,
    /// Envoy's runtime, of which the limit of connections is known here.
    pub runtime_values: BTreeMap<String, String>,
}

/// The application's own metrics, from its `prometheus.io` annotations.
#[derive(Clone, Debug, Deserialize)]
pub struct AppMetrics {
    /// `"true"` when the application wants to be scraped.
    #[serde(default)]
    pub scrape: String,
    /// Path, `/metrics` by default.
    #[serde(default)]
    pub path: String,
    /// Port, 80 by default.
    #[serde(default)]
    pub port: String,
}

/// Why the agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A variable that has no default is unset.
    #[error("`{0}` is not set: the injected container sets it from the pod")]
    Missing(&'static str),
    /// A variable holds something else than it should.
    #[error("`{name}` is `{value}`: {why}")]
    Malformed {
        /// The variable.
        name: String,
        /// What it holds.
        value: String,
        /// What is wrong with that.
        why: String,
    },
}

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// Sidecar or gateway.
    pub role: Role,
    /// `--domain`.
    pub domain: Option<String>,
    /// `--envoy-path`.
    pub envoy_path: Option<PathBuf>,
    /// `--concurrency`, which wins over `PROXY_CONFIG`.
    pub concurrency: Option<u32>,
}

impl Settings {
    /// Reads the process's environment and the pod's downward API files.
    pub fn from_env(arguments: Arguments) -> Result<Self, SettingsError> {
        #[expect(clippy::disallowed_methods, reason = "the one place where the agent reads its environment")]
        let environment: BTreeMap<String, String> = std::env::vars().collect();
        let file = |name: &str| {
            std::fs::read_to_string(PathBuf::from("/etc/istio/pod").join(name)).unwrap_or_default()
        };
        Self::from_parts(arguments, &environment, &file("labels"), &file("annotations"))
    }

    /// The same from values.
    pub fn from_parts(
        arguments: Arguments,
        environment: &BTreeMap<String, String>,
        labels: &str,
        annotations: &str,
    ) -> Result<Self, SettingsError> {
        let get = |name: &str| environment.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let namespace = get("POD_NAMESPACE").unwrap_or("default").to_owned();
        let metadata = metadata_of(environment)?;
        let mut labels = downward(labels);
        if let Some(Value::Object(more)) = metadata.get("LABELS") {
            labels.extend(
                more.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))),
            );
        }
        let proxy_config_json = json(environment, "PROXY_CONFIG")?.unwrap_or(Value::Null);
        let mut proxy_config: ProxyConfig = typed("PROXY_CONFIG", &proxy_config_json)?.unwrap_or_default();
        proxy_config.concurrency = arguments.concurrency.or(proxy_config.concurrency);
        let app_metrics = json(environment, "ISTIO_PROMETHEUS_ANNOTATIONS")?;
        Ok(Self {
            role: arguments.role,
            pod_name: get("POD_NAME").ok_or(SettingsError::Missing("POD_NAME"))?.to_owned(),
            instance_ip: parsed(environment, "INSTANCE_IP")?.ok_or(SettingsError::Missing("INSTANCE_IP"))?,
            service_account: get("SERVICE_ACCOUNT").unwrap_or("default").to_owned(),
            domain: arguments.domain.unwrap_or_else(|| format!("{namespace}.svc.cluster.local")),
            proxy_config,
            proxy_config_json,
            metadata,
            labels,
            annotations: downward(annotations),
            app_probers: json(environment, "ISTIO_KUBE_APP_PROBERS")?.unwrap_or(Value::Null),
            app_metrics: typed("ISTIO_PROMETHEUS_ANNOTATIONS", &app_metrics.unwrap_or(Value::Null))?,
            upstream_tos: parsed(environment, "LATEEN_UPSTREAM_TOS")?,
            dns_proxy_address: dns_proxy_address(get("DNS_PROXY_ADDR"))?,
            exit_on_zero_active_connections: get("EXIT_ON_ZERO_ACTIVE_CONNECTIONS") == Some("true"),
            minimum_drain_duration: duration("MINIMUM_DRAIN_DURATION", get("MINIMUM_DRAIN_DURATION"), 5)?,
            identity: IdentitySettings::from_environment(environment)?,
            envoy_path: arguments.envoy_path,
            run_folder: get("LATEEN_RUN").map_or_else(|| PathBuf::from("/etc/istio/proxy"), PathBuf::from),
            namespace,
        })
    }

    /// Where the control plane is, `host:port`.
    pub fn discovery_address(&self) -> &str {
        self.proxy_config.discovery_address.as_deref().unwrap_or("istiod.istio-system.svc:15010")
    }

    /// Whether the application's questions about names come here
    /// (`ISTIO_META_DNS_CAPTURE`).
    pub fn captures_names(&self) -> bool {
        self.metadata.get("DNS_CAPTURE").is_some_and(|value| value == "true")
    }

    /// The loopback admin port.
    pub fn admin_port(&self) -> u16 {
        self.proxy_config.proxy_admin_port.unwrap_or(15000)
    }

    /// The port of health, merged metrics and the application's probes.
    pub fn status_port(&self) -> u16 {
        self.proxy_config.status_port.unwrap_or(15020)
    }

    /// The application's metrics, unless they are said to be where the merged
    /// ones are: that would never end.
    pub fn scraped_metrics(&self) -> Option<AppMetrics> {
        let metrics = self.app_metrics.clone()?;
        if metrics.port.parse() == Ok(self.status_port()) {
            tracing::warn!(
                "`prometheus.io/port` is the agent's own port {}: it is not scraped",
                metrics.port
            );
            return None;
        }
        Some(metrics)
    }

    /// How long a stopping proxy goes on with what it has.
    pub fn termination_drain(&self) -> Result<Duration, SettingsError> {
        duration("terminationDrainDuration", self.proxy_config.termination_drain_duration.as_deref(), 5)
    }

    /// How long a proxy that was replaced serves what it has.
    pub fn parent_shutdown_duration(&self) -> Result<Duration, SettingsError> {
        duration("parentShutdownDuration", self.proxy_config.parent_shutdown_duration.as_deref(), 60)
    }

    /// Where a running proxy is found by the one that replaces it.
    pub fn hot_restart_socket(&self) -> PathBuf {
        self.run_folder.join("hot-restart.sock")
    }

    /// How many connections clients may have
    /// (`overload.global_downstream_max_connections` of `runtimeValues`).
    pub fn connection_limit(&self) -> Result<Option<u32>, SettingsError> {
        const NAME: &str = "overload.global_downstream_max_connections";
        parsed(&self.proxy_config.runtime_values, NAME)
    }

    /// How long a listener that goes away drains.
    pub fn drain_duration(&self) -> Result<Duration, SettingsError> {
        duration("drainDuration", self.proxy_config.drain_duration.as_deref(), 45)
    }
}

/// `localhost:15053` when unset.
fn dns_proxy_address(text: Option<&str>) -> Result<SocketAddr, SettingsError> {
    let Some(text) = text else {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, capture::DNS_CAPTURE_PORT)));
    };
    let numeric = text.replacen("localhost", "127.0.0.1", 1);
    numeric.parse().map_err(|error| malformed("DNS_PROXY_ADDR", text, error))
}

fn malformed(name: &str, value: &str, why: impl ToString) -> SettingsError {
    SettingsError::Malformed { name: name.to_owned(), value: value.to_owned(), why: why.to_string() }
}

fn parsed<T>(environment: &BTreeMap<String, String>, name: &str) -> Result<Option<T>, SettingsError>
where
    T: std::str::FromStr<Err: ToString>,
{
    match environment.get(name).filter(|value| !value.is_empty()) {
        Some(value) => value.parse().map(Some).map_err(|error: T::Err| malformed(name, value, error)),
        None => Ok(None),
    }
}

fn json(environment: &BTreeMap<String, String>, name: &str) -> Result<Option<Value>, SettingsError> {
    match environment.get(name).filter(|value| !value.trim().is_empty()) {
        Some(value) => serde_json::from_str(value).map(Some).map_err(|error| malformed(name, value, error)),
        None => Ok(None),
    }
}

fn typed<T: serde::de::DeserializeOwned>(name: &str, value: &Value) -> Result<Option<T>, SettingsError> {
    if value.is_null() {
        return Ok(None);
    }
    serde_json::from_value(value.clone())
        .map(Some)
        .map_err(|error| malformed(name, &value.to_string(), error))
}

fn metadata_of(environment: &BTreeMap<String, String>) -> Result<BTreeMap<String, Value>, SettingsError> {
    let mut metadata = BTreeMap::new();
    for (name, value) in environment {
        if let Some(key) = name.strip_prefix("ISTIO_META_") {
            metadata.insert(key.to_owned(), Value::String(value.clone()));
        } else if let Some(key) = name.strip_prefix("ISTIO_METAJSON_") {
            let value = serde_json::from_str(value).map_err(|error| malformed(name, value, error))?;
            metadata.insert(key.to_owned(), value);
        }
    }
    Ok(metadata)
}

/// The downward API's file format: `key="value"` a line, the value quoted as Go
/// quotes strings.
fn downward(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| {
            let (key, value) = line.split_once('=')?;
            // Go's quoting is JSON's but for escapes that label values never hold.
            let value = serde_json::from_str(value).unwrap_or_else(|_| value.trim_matches('"').to_owned());
            Some((key.to_owned(), value))
        })
        .collect()
}

/// `1.5s`, `200ms`, `1m`, `1h`.
fn duration(name: &str, text: Option<&str>, default_seconds: u64) -> Result<Duration, SettingsError> {
    let Some(text) = text else {
        return Ok(Duration::from_secs(default_seconds));
    };
    let unit_at = text.find(|character: char| character.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let factor = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(malformed(name, text, "a duration ends in ms, s, m or h")),
    };
    let number: f64 = number.parse().map_err(|error| malformed(name, text, error))?;
    Duration::try_from_secs_f64(number * factor).map_err(|error| malformed(name, text, error))
}
