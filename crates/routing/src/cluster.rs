//! Clusters: groups of endpoints and how to talk to them.

mod policy;
mod protection;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prost::Name;
use prost_types::Struct;
use prost_types::value::Kind;
use xds::any::message_name;
use xds::envoy::config::cluster::v3 as wire;
use xds::envoy::config::cluster::v3::cluster::{ClusterDiscoveryType, DiscoveryType, LbConfig};
use xds::envoy::config::core::v3::{
    BindConfig, Http2ProtocolOptions, TransportSocket, socket_option, transport_socket,
};
use xds::envoy::extensions::transport_sockets::proxy_protocol::v3::ProxyProtocolUpstreamTransport;
use xds::envoy::extensions::upstreams::http::v3::HttpProtocolOptions;
use xds::envoy::extensions::upstreams::http::v3::http_protocol_options::UpstreamProtocolOptions;
use xds::envoy::extensions::upstreams::http::v3::http_protocol_options::explicit_http_config::ProtocolConfig;

use crate::address::socket_address;
use crate::endpoint::Endpoints;
use crate::http2::Http2;
use crate::invalid::{Invalid, Within};
use crate::message::{decode, duration, positive};
use crate::metadata::{self, origin};
use crate::proxy_protocol::Version;
use crate::tls::{self, ClientTls, Transport};
pub use policy::{Policy, SlowStart};
pub use protection::{FailurePercentage, Limits, OutlierDetection, RetryBudget, Rule, SuccessRate};

/// A compiled cluster.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// Its name.
    pub name: Arc<str>,
    /// The name under which it is counted.
    pub stat_name: Arc<str>,
    /// The object that caused it.
    pub origin: Option<xds::origin::Origin>,
    /// Where its endpoints come from.
    pub discovery: Discovery,
    /// How an endpoint is chosen.
    pub policy: Policy,
    /// Below this share of healthy endpoints all of them are used, in
    /// percent.
    pub panic_threshold: u8,
    /// Weights of localities count.
    pub locality_weighted: bool,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long an idle connection is kept.
    pub idle_timeout: Option<Duration>,
    /// The most requests of one connection.
    pub max_requests_per_connection: Option<u32>,
    /// How bytes travel when no endpoint says otherwise.
    pub transport: Transport<ClientTls>,
    /// The header that tells endpoints who the client is.
    pub proxy_protocol: Option<Version>,
    /// How bytes travel to endpoints with these marks.
    pub transport_matches: Box<[TransportMatch]>,
    /// Which HTTP is spoken.
    pub protocol: Protocol,
    /// Limits of HTTP/2.
    pub http2: Http2,
    /// What connections look like on this machine.
    pub bind: Bind,
    /// The services that it stands for, as Istio names them.
    pub services: Box<[Service]>,
    /// Outside the mesh, as Istio says.
    pub external: bool,
    /// What requests say about application protocols does not count.
    pub keeps_alpn: bool,
    /// Limits of normal priority.
    pub limits: Limits,
    /// Limits of high priority.
    pub high_limits: Limits,
    /// When an endpoint is left out for a while.
    pub outlier_detection: Option<OutlierDetection>,
    /// New endpoints get less for a while.
    pub slow_start: Option<SlowStart>,
    /// Endpoints are hashed by their host names.
    pub hash_by_hostname: bool,
    /// How much more than its share an endpoint may get by hash, in percent.
    pub hash_balance: Option<u32>,
    /// Below the panic threshold no endpoint is used at all.
    pub fails_on_panic: bool,
    /// Connections of an endpoint that leaves are closed.
    pub closes_on_change: bool,
    /// How long a connection may exist.
    pub max_connection_duration: Option<Duration>,
    /// Probes of idle connections.
    pub keepalive: Option<Keepalive>,
}

/// When names are asked for again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refresh {
    /// Where nothing else says when.
    pub rate: Duration,
    /// An answer says how long it is good.
    pub respects_ttl: bool,
    /// Up to so much later, so that not all proxies ask at once.
    pub jitter: Duration,
    /// After a failure: the first pause, doubled up to the longest.
    pub after_failure: Option<(Duration, Duration)>,
}

/// Where endpoints come from.
#[derive(Debug, Clone)]
pub enum Discovery {
    /// They stand in the cluster.
    Static(Arc<Endpoints>),
    /// The load assignment of this name.
    Eds(Arc<str>),
    /// Names that the proxy resolves, all addresses at once.
    StrictDns {
        /// The endpoints, named.
        endpoints: Arc<Endpoints>,
        /// When they are asked for again.
        refresh: Refresh,
        /// Only the first address is used.
        logical: bool,
        /// Which families are asked for.
        family: DnsFamily,
    },
    /// Where the client wanted to go.
    OriginalDestination {
        /// A port in place of the client's.
        port: Option<u16>,
        /// A request header that names the destination.
        header: Option<Box<str>>,
    },
}

/// Which address families a name is resolved to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DnsFamily {
    /// IPv6, else IPv4: Envoy's AUTO.
    PreferV6,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// IPv4, else IPv6.
    PreferV4,
    /// Both.
    All,
}

/// How bytes travel to endpoints with certain marks.
#[derive(Debug, Clone)]
pub struct TransportMatch {
    /// Its name.
    pub name: Box<str>,
    /// The marks that an endpoint must have.
    pub marks: BTreeMap<String, String>,
    /// How bytes travel then.
    pub transport: Transport<ClientTls>,
}

/// Which HTTP an upstream is spoken to with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// What the client speaks.
    Downstream,
}

/// What upstream connections look like on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bind {
    /// The address they come from.
    pub source: Option<SocketAddr>,
    /// The IPv4 type of service.
    pub tos: Option<u32>,
    /// The IPv6 traffic class.
    pub traffic_class: Option<u32>,
    /// The packet mark.
    pub mark: Option<u32>,
}

/// A service, as Istio's metrics name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The full host name.
    pub host: Arc<str>,
    /// The short name.
    pub name: Arc<str>,
    /// The namespace.
    pub namespace: Arc<str>,
}

/// Probes of idle connections; `None` is the kernel's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keepalive {
    /// Probes without answer before the connection is dead.
    pub probes: Option<u32>,
    /// How long a connection is idle before the first probe.
    pub time: Option<Duration>,
    /// The time between probes.
    pub interval: Option<Duration>,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const IDLE: Duration = Duration::from_secs(3600);
const DNS_REFRESH: Duration = Duration::from_secs(5);

impl Cluster {
    /// Compiles a cluster message.
    pub fn compile(wire: &wire::Cluster) -> Result<Cluster, Invalid> {
        if wire.name.is_empty() {
            return Err(Invalid::new("name", "is empty"));
        }
        if wire.load_balancing_policy.is_some() {
            return Err(Invalid::new("load_balancing_policy", "is not supported"));
        }
        if wire.lb_subset_config.is_some() {
            return Err(Invalid::new("lb_subset_config", "is not supported"));
        }
        let options = http_options(wire)?;
        let common = options
            .as_ref()
            .and_then(|options| options.common_http_protocol_options.as_ref())
            .or(wire.common_http_protocol_options.as_ref());
        let (socket, proxy_protocol) = announced(wire.transport_socket.as_ref())?;
        let istio = wire.metadata.as_ref().and_then(|metadata| metadata.filter_metadata.get("istio"));
        Ok(Cluster {
            name: wire.name.as_str().into(),
            stat_name: if wire.alt_stat_name.is_empty() { &wire.name } else { &wire.alt_stat_name }
                .as_str()
                .into(),
            origin: origin(wire.metadata.as_ref()),
            discovery: Discovery::compile(wire)?,
            policy: Policy::compile(wire)?,
            panic_threshold: policy::panic_threshold(wire),
            locality_weighted: policy::locality_weighted(wire),
            connect_timeout: positive(wire.connect_timeout.as_ref()).unwrap_or(CONNECT_TIMEOUT),
            idle_timeout: match common.and_then(|common| common.idle_timeout.as_ref()) {
                None => Some(IDLE),
                Some(limit) => duration(limit).filter(|limit| !limit.is_zero()),
            },
            max_requests_per_connection: common
                .and_then(|common| common.max_requests_per_connection)
                .or(wire.max_requests_per_connection)
                .filter(|max| *max > 0),
            transport: tls::upstream(socket.as_ref()).within("transport_socket")?,
            proxy_protocol: proxy_protocol.or(announced_to_some(wire)?),
            transport_matches: transport_matches(wire)?,
            protocol: protocol(wire, options.as_ref()),
            http2: Http2::compile(http2_options(wire, options.as_ref())),
            bind: Bind::compile(wire.upstream_bind_config.as_ref())?,
            services: istio.map(services).unwrap_or_default(),
            external: istio.is_some_and(|istio| metadata::flag(istio, "external")),
            keeps_alpn: istio.is_some_and(|istio| metadata::text(istio, "alpn_override") == Some("false")),
            limits: Limits::compile(wire, 0),
            high_limits: Limits::compile(wire, 1),
            outlier_detection: wire.outlier_detection.as_ref().map(|detection| {
                OutlierDetection::compile(detection, protection::error_codes(options.as_ref()))
            }),
            slow_start: SlowStart::compile(wire),
            hash_by_hostname: policy::hash_by_hostname(wire),
            hash_balance: policy::hash_balance(wire),
            fails_on_panic: policy::fails_on_panic(wire),
            closes_on_change: wire
                .common_lb_config
                .as_ref()
                .is_some_and(|config| config.close_connections_on_host_set_change),
            max_connection_duration: common
                .and_then(|common| positive(common.max_connection_duration.as_ref())),
            keepalive: keepalive(wire),
        })
    }

    /// Every way in which bytes may travel to an endpoint.
    pub fn transports(&self) -> impl Iterator<Item = &Transport<ClientTls>> {
        std::iter::once(&self.transport).chain(self.transport_matches.iter().map(|entry| &entry.transport))
    }

    /// The load assignment that must be there.
    pub fn eds_name(&self) -> Option<&Arc<str>> {
        match &self.discovery {
            Discovery::Eds(name) => Some(name),
            _ => None,
        }
    }
}

impl Discovery {
    fn compile(wire: &wire::Cluster) -> Result<Discovery, Invalid> {
        let kind = match &wire.cluster_discovery_type {
            None => DiscoveryType::Static,
            Some(ClusterDiscoveryType::Type(kind)) => DiscoveryType::try_from(*kind)
                .map_err(|_| Invalid::new("type", format!("{kind} is unknown")))?,
            Some(ClusterDiscoveryType::ClusterType(custom)) => {
                return Err(Invalid::new("cluster_type", format!("`{}` is not supported", custom.name)));
            }
        };
        let endpoints = || match &wire.load_assignment {
            Some(assignment) => Endpoints::compile(assignment).within("load_assignment").map(Arc::new),
            None => Ok(Arc::default()),
        };
        Ok(match kind {
            DiscoveryType::Static => {
                let endpoints = endpoints()?;
                if let Some(named) = endpoints.names().next() {
                    return Err(Invalid::new("load_assignment", format!("`{named}` is no IP address")));
                }
                Discovery::Static(endpoints)
            }
            DiscoveryType::StrictDns | DiscoveryType::LogicalDns => Discovery::StrictDns {
                endpoints: endpoints()?,
                refresh: refresh(wire),
                logical: kind == DiscoveryType::LogicalDns,
                family: dns_family(wire.dns_lookup_family),
            },
            DiscoveryType::Eds => {
                let service =
                    wire.eds_cluster_config.as_ref().map_or("", |config| config.service_name.as_str());
                let name = if service.is_empty() { wire.name.as_str() } else { service };
                Discovery::Eds(name.into())
            }
            DiscoveryType::OriginalDst => {
                let config = match &wire.lb_config {
                    Some(LbConfig::OriginalDstLbConfig(config)) => Some(config),
                    _ => None,
                };
                Discovery::OriginalDestination {
                    port: config
                        .and_then(|config| config.upstream_port_override)
                        .and_then(|port| u16::try_from(port).ok()),
                    header: config.filter(|config| config.use_http_header).map(|config| {
                        match config.http_header_name.as_str() {
                            "" => "x-envoy-original-dst-host".into(),
                            name => name.to_ascii_lowercase().into(),
                        }
                    }),
                }
            }
        })
    }
}

fn refresh(wire: &wire::Cluster) -> Refresh {
    let failure = wire.dns_failure_refresh_rate.as_ref().and_then(|rate| {
        let first = positive(rate.base_interval.as_ref())?;
        Some((first, positive(rate.max_interval.as_ref()).unwrap_or(first * 10)))
    });
    Refresh {
        rate: positive(wire.dns_refresh_rate.as_ref()).unwrap_or(DNS_REFRESH),
        respects_ttl: wire.respect_dns_ttl,
        jitter: positive(wire.dns_jitter.as_ref()).unwrap_or_default(),
        after_failure: failure,
    }
}

fn dns_family(wire: i32) -> DnsFamily {
    use wire::cluster::DnsLookupFamily as Family;
    match Family::try_from(wire) {
        Ok(Family::V4Only) => DnsFamily::V4,
        Ok(Family::V6Only) => DnsFamily::V6,
        Ok(Family::V4Preferred) => DnsFamily::PreferV4,
        Ok(Family::All) => DnsFamily::All,
        _ => DnsFamily::PreferV6,
    }
}

fn http_options(wire: &wire::Cluster) -> Result<Option<HttpProtocolOptions>, Invalid> {
    let name = HttpProtocolOptions::full_name();
    match wire.typed_extension_protocol_options.get(&name) {
        Some(any) => decode(any).within("typed_extension_protocol_options").map(Some),
        None => Ok(None),
    }
}

fn protocol(wire: &wire::Cluster, options: Option<&HttpProtocolOptions>) -> Protocol {
    match options.and_then(|options| options.upstream_protocol_options.as_ref()) {
        Some(UpstreamProtocolOptions::UseDownstreamProtocolConfig(_)) => Protocol::Downstream,
        Some(UpstreamProtocolOptions::ExplicitHttpConfig(explicit)) => match explicit.protocol_config {
            Some(ProtocolConfig::Http2ProtocolOptions(_)) => Protocol::Http2,
            _ => Protocol::Http1,
        },
        Some(UpstreamProtocolOptions::AutoConfig(_)) => Protocol::Http1,
        None if wire.http2_protocol_options.is_some() => Protocol::Http2,
        None => Protocol::Http1,
    }
}

fn http2_options<'w>(
    wire: &'w wire::Cluster,
    options: Option<&'w HttpProtocolOptions>,
) -> Option<&'w Http2ProtocolOptions> {
    match options.and_then(|options| options.upstream_protocol_options.as_ref()) {
        Some(UpstreamProtocolOptions::UseDownstreamProtocolConfig(config)) => {
            config.http2_protocol_options.as_ref()
        }
        Some(UpstreamProtocolOptions::ExplicitHttpConfig(explicit)) => match &explicit.protocol_config {
            Some(ProtocolConfig::Http2ProtocolOptions(options)) => Some(options),
            _ => None,
        },
        Some(UpstreamProtocolOptions::AutoConfig(config)) => config.http2_protocol_options.as_ref(),
        None => wire.http2_protocol_options.as_ref(),
    }
}

/// What is inside a transport that begins with a PROXY header, and the
/// header's version.
fn announced(
    socket: Option<&TransportSocket>,
) -> Result<(Option<TransportSocket>, Option<Version>), Invalid> {
    let Some(transport_socket::ConfigType::TypedConfig(any)) =
        socket.and_then(|socket| socket.config_type.as_ref())
    else {
        return Ok((socket.cloned(), None));
    };
    if message_name(&any.type_url) != ProxyProtocolUpstreamTransport::full_name() {
        return Ok((socket.cloned(), None));
    }
    let wire: ProxyProtocolUpstreamTransport = decode(any).within("transport_socket")?;
    Ok((wire.transport_socket, Some(Version::compile(wire.config.as_ref()))))
}

/// What is announced to the endpoints of one match is announced to all.
fn announced_to_some(wire: &wire::Cluster) -> Result<Option<Version>, Invalid> {
    let sockets = wire.transport_socket_matches.iter().map(|entry| entry.transport_socket.as_ref());
    sockets.map(|socket| Ok(announced(socket)?.1)).find_map(Result::transpose).transpose()
}

fn transport_matches(wire: &wire::Cluster) -> Result<Box<[TransportMatch]>, Invalid> {
    wire.transport_socket_matches
        .iter()
        .enumerate()
        .map(|(index, entry)| {
            let marks = entry.r#match.as_ref().map(marks).unwrap_or_default();
            let (socket, _) = announced(entry.transport_socket.as_ref())?;
            let transport = tls::upstream(socket.as_ref()).within_entry("transport_socket_matches", index)?;
            Ok(TransportMatch { name: entry.name.as_str().into(), marks, transport })
        })
        .collect()
}

/// The text fields of a struct.
pub fn marks(fields: &Struct) -> BTreeMap<String, String> {
    let text = |(name, value): (&String, &prost_types::Value)| match value.kind.as_ref()? {
        Kind::StringValue(text) => Some((name.clone(), text.clone())),
        _ => None,
    };
    fields.fields.iter().filter_map(text).collect()
}

impl Bind {
    /// Level and name of socket options, as Linux numbers them.
    const IP_TOS: (i64, i64) = (0, 1);
    const IPV6_TCLASS: (i64, i64) = (41, 67);
    const SO_MARK: (i64, i64) = (1, 36);

    fn compile(wire: Option<&BindConfig>) -> Result<Bind, Invalid> {
        let mut bind = Bind::default();
        let Some(wire) = wire else { return Ok(bind) };
        if let Some(source) = &wire.source_address {
            let address = socket_address(source).within("upstream_bind_config")?;
            bind.source = address.socket();
        }
        for option in &wire.socket_options {
            let Some(socket_option::Value::IntValue(value)) = option.value else { continue };
            let value = u32::try_from(value).ok();
            match (option.level, option.name) {
                Bind::IP_TOS => bind.tos = value,
                Bind::IPV6_TCLASS => bind.traffic_class = value,
                Bind::SO_MARK => bind.mark = value,
                _ => {}
            }
        }
        Ok(bind)
    }
}

fn services(istio: &Struct) -> Box<[Service]> {
    metadata::list(istio, "services")
        .iter()
        .filter_map(metadata::as_struct)
        .map(|service| Service {
            host: metadata::text(service, "host").unwrap_or_default().into(),
            name: metadata::text(service, "name").unwrap_or_default().into(),
            namespace: metadata::text(service, "namespace").unwrap_or_default().into(),
        })
        .collect()
}

fn keepalive(wire: &wire::Cluster) -> Option<Keepalive> {
    let keepalive = wire.upstream_connection_options.as_ref()?.tcp_keepalive.as_ref()?;
    let seconds = |seconds: Option<u32>| seconds.map(|seconds| Duration::from_secs(u64::from(seconds)));
    Some(Keepalive {
        probes: keepalive.keepalive_probes,
        time: seconds(keepalive.keepalive_time),
        interval: seconds(keepalive.keepalive_interval),
    })
}
