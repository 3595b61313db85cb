//! The HTTP connection manager: everything about HTTP on one filter chain.

use std::sync::Arc;
use std::time::Duration;

use xds::envoy::extensions::filters::network::http_connection_manager::v3 as wire;
use xds::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager as nested;
use xds::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::RouteSpecifier;

use crate::access_log::AccessLog;
use crate::address_range::AddressRange;
use crate::http_filter::HttpFilters;
use crate::http2::Http2;
use crate::invalid::{Invalid, Within};
use crate::message::{duration, positive};
use crate::path::{EscapedSlashes, Normalization};
use crate::virtual_host::RouteTable;

/// A compiled HTTP connection manager.
#[derive(Debug, Clone)]
pub struct HttpConnectionManager {
    /// The prefix of its statistics.
    pub stat_prefix: Box<str>,
    /// Where its routes come from.
    pub routes: RouteSource,
    /// Its filters.
    pub filters: HttpFilters,
    /// What `server` becomes.
    pub server_name: Box<str>,
    /// When `server` is written.
    pub server_header: ServerHeader,
    /// Who the client is and what it may say about itself.
    pub trust: Trust,
    /// What `via` says, if anything.
    pub via: Box<str>,
    /// A request without `x-request-id` gets one.
    pub generate_request_id: bool,
    /// A request id from outside is kept.
    pub preserve_external_request_id: bool,
    /// The response tells the request id.
    pub request_id_in_response: bool,
    /// Spans are made, so operations have names.
    pub traces: bool,
    /// How paths are made equal.
    pub normalization: Normalization,
    /// What becomes of the port in the authority.
    pub strip_port: StripPort,
    /// A dot at the end of the host is removed.
    pub strip_trailing_host_dot: bool,
    /// Upgrades that are allowed, in lower case.
    pub upgrades: Box<[Box<str>]>,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Which version clients speak.
    pub codec: Codec,
    /// Size limits and dialects.
    pub http1: Http1,
    /// Limits of HTTP/2.
    pub http2: Http2,
    /// Where requests are recorded.
    pub access_log: Box<[AccessLog]>,
}

/// Where routes come from.
#[derive(Debug, Clone)]
pub enum RouteSource {
    /// The route configuration of this name.
    Named(Arc<str>),
    /// Here.
    Inline(Arc<RouteTable>),
}

/// Which version of HTTP clients speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// The first bytes tell.
    Auto,
    /// HTTP/1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// When the `server` header is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerHeader {
    /// Always.
    Overwrite,
    /// When the upstream wrote none.
    AppendIfAbsent,
    /// Never.
    PassThrough,
}

/// Who the client is and what it may say about itself.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The peer is the client: this is the edge.
    pub use_remote_address: bool,
    /// How many proxies in front are believed.
    pub trusted_hops: u32,
    /// `x-forwarded-for` is left alone.
    pub skip_xff_append: bool,
    /// Addresses that count as inside; `None`: Envoy's default.
    pub internal_ranges: Option<Box<[AddressRange]>>,
    /// What becomes of `x-forwarded-client-cert`.
    pub client_certificate: ForwardClientCertificate,
    /// What is said about a client's certificate.
    pub certificate_details: CertificateDetails,
}

/// What is said about a client's certificate, besides its hash and who we
/// are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CertificateDetails {
    /// All of it.
    pub certificate: bool,
    /// The whole chain.
    pub chain: bool,
    /// Whose it is.
    pub subject: bool,
    /// Its URIs.
    pub uri: bool,
    /// Its hosts.
    pub dns: bool,
}

/// What becomes of `x-forwarded-client-cert`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardClientCertificate {
    /// It is removed.
    Sanitize,
    /// It stays when the connection is mutual TLS.
    ForwardOnly,
    /// It is appended to when the connection is mutual TLS.
    AppendForward,
    /// It is replaced when the connection is mutual TLS, else removed.
    SanitizeSet,
    /// It always stays.
    AlwaysForward,
}

/// What becomes of the port in the authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StripPort {
    /// It stays.
    Keep,
    /// It goes when it is the listener's.
    Matching,
    /// It goes.
    Any,
}

/// Time limits; `None` is no limit.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// A connection without requests.
    pub idle: Option<Duration>,
    /// A request on which nothing moves.
    pub stream_idle: Option<Duration>,
    /// Until a whole request has come.
    pub request: Option<Duration>,
    /// Until a whole request head has come.
    pub request_headers: Option<Duration>,
    /// A request as a whole.
    pub max_stream_duration: Option<Duration>,
    /// A connection as a whole.
    pub max_connection_duration: Option<Duration>,
    /// Between the last response and the end of a closing connection.
    pub delayed_close: Duration,
}

/// Limits and dialect of HTTP/1.
#[derive(Debug, Clone, Copy)]
pub struct Http1 {
    /// Requests of HTTP/1.0 are served.
    pub accept_http_10: bool,
    /// Trailers are passed on.
    pub trailers: bool,
    /// The largest request head, in bytes.
    pub max_head: usize,
    /// The most headers of a request.
    pub max_headers: usize,
    /// What happens to names with underscores.
    pub underscores: Underscores,
    /// The most requests of one connection.
    pub max_requests: Option<u32>,
    /// `100-continue` is the upstream's affair.
    pub proxy_100_continue: bool,
}

/// What happens to header names with underscores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Underscores {
    /// They pass.
    Allow,
    /// The request is refused.
    Reject,
    /// The header is dropped.
    Drop,
}

const IDLE: Duration = Duration::from_secs(3600);
const STREAM_IDLE: Duration = Duration::from_secs(300);
const DELAYED_CLOSE: Duration = Duration::from_secs(1);
const MAX_HEAD_KB: u32 = 60;
const MAX_HEADERS: u32 = 100;

impl HttpConnectionManager {
    /// Compiles the filter's message. What is passed over is in the filters'
    /// `skipped`.
    pub fn compile(wire: &wire::HttpConnectionManager) -> Result<HttpConnectionManager, Invalid> {
        let routes = match &wire.route_specifier {
            Some(RouteSpecifier::Rds(rds)) if !rds.route_config_name.is_empty() => {
                RouteSource::Named(rds.route_config_name.as_str().into())
            }
            Some(RouteSpecifier::RouteConfig(table)) => {
                RouteSource::Inline(Arc::new(RouteTable::compile(table).within("route_config")?))
            }
            Some(RouteSpecifier::Rds(_)) => return Err(Invalid::new("rds.route_config_name", "is empty")),
            Some(RouteSpecifier::ScopedRoutes(_)) => {
                return Err(Invalid::new("scoped_routes", "is not supported"));
            }
            None => return Err(Invalid::new("route_specifier", "is missing")),
        };
        let mut filters = HttpFilters::compile(&wire.http_filters)?;
        let (access_log, skipped) = AccessLog::compile_all(&wire.access_log)?;
        filters.skipped.extend(skipped);
        Ok(HttpConnectionManager {
            stat_prefix: wire.stat_prefix.as_str().into(),
            routes,
            filters,
            server_name: if wire.server_name.is_empty() { "envoy" } else { &wire.server_name }.into(),
            server_header: server_header(wire),
            trust: Trust::compile(wire)?,
            via: wire.via.as_str().into(),
            generate_request_id: wire.generate_request_id.unwrap_or(true),
            preserve_external_request_id: wire.preserve_external_request_id,
            request_id_in_response: wire.always_set_request_id_in_response,
            traces: wire.tracing.is_some(),
            normalization: normalization(wire),
            strip_port: match &wire.strip_port_mode {
                Some(nested::StripPortMode::StripAnyHostPort(true)) => StripPort::Any,
                _ if wire.strip_matching_host_port => StripPort::Matching,
                _ => StripPort::Keep,
            },
            strip_trailing_host_dot: wire.strip_trailing_host_dot,
            upgrades: wire
                .upgrade_configs
                .iter()
                .filter(|upgrade| upgrade.enabled.unwrap_or(true))
                .map(|upgrade| upgrade.upgrade_type.to_ascii_lowercase().into())
                .collect(),
            timeouts: Timeouts::compile(wire),
            codec: codec(wire)?,
            http1: Http1::compile(wire),
            http2: Http2::compile(wire.http2_protocol_options.as_ref()),
            access_log,
        })
    }

    /// The name of the route configuration that must be there.
    pub fn route_name(&self) -> Option<&Arc<str>> {
        match &self.routes {
            RouteSource::Named(name) => Some(name),
            RouteSource::Inline(_) => None,
        }
    }
}

fn codec(wire: &wire::HttpConnectionManager) -> Result<Codec, Invalid> {
    match nested::CodecType::try_from(wire.codec_type) {
        Ok(nested::CodecType::Auto) => Ok(Codec::Auto),
        Ok(nested::CodecType::Http1) => Ok(Codec::Http1),
        Ok(nested::CodecType::Http2) => Ok(Codec::Http2),
        _ => Err(Invalid::new("codec_type", "is not supported")),
    }
}

fn server_header(wire: &wire::HttpConnectionManager) -> ServerHeader {
    use nested::ServerHeaderTransformation as Transformation;
    match Transformation::try_from(wire.server_header_transformation) {
        Ok(Transformation::AppendIfAbsent) => ServerHeader::AppendIfAbsent,
        Ok(Transformation::PassThrough) => ServerHeader::PassThrough,
        _ => ServerHeader::Overwrite,
    }
}

fn normalization(wire: &wire::HttpConnectionManager) -> Normalization {
    use nested::PathWithEscapedSlashesAction as Action;
    Normalization {
        normalize: wire.normalize_path.unwrap_or(false),
        merge_slashes: wire.merge_slashes,
        escaped_slashes: match Action::try_from(wire.path_with_escaped_slashes_action) {
            Ok(Action::RejectRequest) => EscapedSlashes::Reject,
            Ok(Action::UnescapeAndRedirect) => EscapedSlashes::Redirect,
            Ok(Action::UnescapeAndForward) => EscapedSlashes::Decode,
            _ => EscapedSlashes::Keep,
        },
    }
}

impl Trust {
    fn compile(wire: &wire::HttpConnectionManager) -> Result<Trust, Invalid> {
        use nested::ForwardClientCertDetails as Details;
        if !wire.original_ip_detection_extensions.is_empty() {
            return Err(Invalid::new("original_ip_detection_extensions", "are not supported"));
        }
        let internal_ranges = match &wire.internal_address_config {
            Some(config) => {
                Some(AddressRange::compile_all(&config.cidr_ranges).within("internal_address_config")?)
            }
            None => None,
        };
        Ok(Trust {
            use_remote_address: wire.use_remote_address.unwrap_or(false),
            trusted_hops: wire.xff_num_trusted_hops,
            skip_xff_append: wire.skip_xff_append,
            internal_ranges,
            client_certificate: match Details::try_from(wire.forward_client_cert_details) {
                Ok(Details::ForwardOnly) => ForwardClientCertificate::ForwardOnly,
                Ok(Details::AppendForward) => ForwardClientCertificate::AppendForward,
                Ok(Details::SanitizeSet) => ForwardClientCertificate::SanitizeSet,
                Ok(Details::AlwaysForwardOnly) => ForwardClientCertificate::AlwaysForward,
                _ => ForwardClientCertificate::Sanitize,
            },
            certificate_details: wire.set_current_client_cert_details.as_ref().map_or_else(
                CertificateDetails::default,
                |details| CertificateDetails {
                    certificate: details.cert,
                    chain: details.chain,
                    subject: details.subject.unwrap_or(false),
                    uri: details.uri,
                    dns: details.dns,
                },
            ),
        })
    }
}

impl Timeouts {
    fn compile(wire: &wire::HttpConnectionManager) -> Timeouts {
        let options = wire.common_http_protocol_options.as_ref();
        Timeouts {
            idle: or_default(options.and_then(|options| options.idle_timeout.as_ref()), IDLE),
            stream_idle: or_default(wire.stream_idle_timeout.as_ref(), STREAM_IDLE),
            request: positive(wire.request_timeout.as_ref()),
            request_headers: positive(wire.request_headers_timeout.as_ref()),
            max_stream_duration: positive(options.and_then(|options| options.max_stream_duration.as_ref())),
            max_connection_duration: positive(
                options.and_then(|options| options.max_connection_duration.as_ref()),
            ),
            delayed_close: wire.delayed_close_timeout.as_ref().and_then(duration).unwrap_or(DELAYED_CLOSE),
        }
    }
}

/// An absent limit is Envoy's default, zero is none.
fn or_default(wire: Option<&prost_types::Duration>, default: Duration) -> Option<Duration> {
    match wire {
        None => Some(default),
        Some(limit) => duration(limit).filter(|limit| !limit.is_zero()),
    }
}

impl Http1 {
    fn compile(wire: &wire::HttpConnectionManager) -> Http1 {
        use xds::envoy::config::core::v3::http_protocol_options::HeadersWithUnderscoresAction as Action;
        let options = wire.common_http_protocol_options.as_ref();
        let http1 = wire.http_protocol_options.as_ref();
        let kilobytes = wire.max_request_headers_kb.unwrap_or(MAX_HEAD_KB).clamp(1, 8192);
        let headers = options.and_then(|options| options.max_headers_count).unwrap_or(MAX_HEADERS);
        Http1 {
            accept_http_10: http1.is_some_and(|http1| http1.accept_http_10),
            trailers: http1.is_some_and(|http1| http1.enable_trailers),
            max_head: usize::try_from(kilobytes).unwrap_or(60) * 1024,
            max_headers: usize::try_from(headers.min(10_000)).unwrap_or(100),
            underscores: match options
                .map(|options| Action::try_from(options.headers_with_underscores_action))
            {
                Some(Ok(Action::RejectRequest)) => Underscores::Reject,
                Some(Ok(Action::DropHeader)) => Underscores::Drop,
                _ => Underscores::Allow,
            },
            max_requests: options
                .and_then(|options| options.max_requests_per_connection)
                .filter(|max| *max > 0),
            proxy_100_continue: wire.proxy_100_continue,
        }
    }
}
