//! The operators of format strings.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use super::Record;
use super::time::TimeFormat;
use super::tls::{self, Fact, Side};
use super::words::{GRPC_STATUSES, long_flags};

/// Why a format string cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// A percent sign begins an operator that never ends.
    #[error("`%{0}`: the operator does not end; a percent sign itself is written `%%`")]
    Unterminated(String),
    /// There is no such operator.
    #[error("`%{0}%`: no such operator")]
    Unknown(String),
    /// The operator lacks its argument.
    #[error("`%{0}%` needs an argument in parentheses")]
    MissingArgument(String),
    /// The length limit is no number.
    #[error("`%{0}%`: the length after the colon is no number")]
    Length(String),
    /// A template is nested too deeply.
    #[error("the template is nested too deeply")]
    TooDeep,
}

/// An operator with its argument and length limit.
#[derive(Debug, Clone)]
pub(super) struct Operator {
    what: What,
    limit: Option<usize>,
}

#[derive(Debug, Clone)]
enum What {
    StartTime(TimeFormat),
    RequestHeader(Names),
    PathWithoutQuery(Names),
    ResponseHeader(Names),
    ResponseTrailer(Names),
    Metadata {
        owner: Box<str>,
        namespace: Box<str>,
        key: Box<str>,
    },
    Text(Text),
    Number(Number),
    Duration(Span),
    Address(Address, Part),
    Path {
        names: Names,
        with_query: bool,
    },
    QueryParameter(Box<str>),
    GrpcStatus(GrpcForm),
    ResponseStatus,
    ServerNameOrHost {
        host_first: bool,
    },
    EmitTime(TimeFormat),
    Tls(Side, Fact),
    LongFlags,
    /// Known to Envoy, never present here.
    Absent,
}

/// A header, and the one that is asked for in its absence.
#[derive(Debug, Clone)]
struct Names {
    first: Box<str>,
    second: Option<Box<str>>,
}

#[derive(Debug, Clone, Copy)]
enum Text {
    Protocol,
    Flags,
    CodeDetails,
    TerminationDetails,
    TransportFailure,
    ClientTransportFailure,
    Cluster,
    ClusterRaw,
    ServerName,
    RouteName,
    VirtualHost,
    Hostname,
    UpstreamProtocol,
    FilterChain,
    LogType,
}

/// How a status of gRPC is written.
#[derive(Debug, Clone, Copy)]
enum GrpcForm {
    Camel,
    Snake,
    Number,
}

#[derive(Debug, Clone, Copy)]
enum Number {
    ResponseCode,
    BytesReceived,
    BytesSent,
    Attempts,
}

#[derive(Debug, Clone, Copy)]
enum Span {
    Whole,
    Request,
    Response,
    ResponseSending,
    RequestSending,
}

#[derive(Debug, Clone, Copy)]
enum Address {
    UpstreamHost,
    UpstreamRemote,
    UpstreamLocal,
    DownstreamLocal,
    DownstreamRemote,
    DownstreamDirectRemote,
    DownstreamDirectLocal,
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Whole,
    Ip,
    Port,
}

impl Operator {
    /// Reads an operator that begins after its percent sign; the second
    /// result is what follows its closing one.
    pub(super) fn parse(text: &str) -> Result<(Operator, &str), FormatError> {
        let unterminated = || FormatError::Unterminated(text.chars().take(40).collect());
        let name_end = text
            .find(|character: char| !character.is_ascii_alphanumeric() && character != '_')
            .ok_or_else(unterminated)?;
        let (name, mut rest) = text.split_at(name_end);
        let mut argument = None;
        if let Some(inside) = rest.strip_prefix('(') {
            let close = closing_parenthesis(inside).ok_or_else(unterminated)?;
            argument = Some(&inside[..close]);
            rest = &inside[close + 1..];
        }
        let mut limit = None;
        if let Some(after) = rest.strip_prefix(':') {
            let end = after.find('%').ok_or_else(unterminated)?;
            limit = Some(after[..end].parse().map_err(|_| FormatError::Length(name.to_owned()))?);
            rest = &after[end..];
        }
        let rest = rest.strip_prefix('%').ok_or_else(unterminated)?;
        Ok((Operator { what: What::compile(name, argument)?, limit }, rest))
    }

    /// Whether the value is a number in JSON.
    pub(super) fn is_number(&self) -> bool {
        matches!(
            self.what,
            What::Number(_)
                | What::Duration(_)
                | What::Address(_, Part::Port)
                | What::GrpcStatus(GrpcForm::Number)
        )
    }

    /// Appends the value; false when there is none.
    pub(super) fn write<R: Record>(&self, record: &R, out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let present = self.what.write(record, out);
        if let Some(limit) = self.limit {
            out.truncate(start + limit.min(out.len() - start));
        }
        present
    }
}

/// Arguments of CEL hold parentheses themselves.
fn closing_parenthesis(text: &str) -> Option<usize> {
    let mut depth = 0;
    text.char_indices().find_map(|(at, character)| {
        match character {
            '(' => depth += 1,
            ')' if depth == 0 => return Some(at),
            ')' => depth -= 1,
            _ => {}
        }
        None
    })
}

impl Names {
    fn parse(name: &str, argument: Option<&str>) -> Result<Names, FormatError> {
        let argument = argument.ok_or_else(|| FormatError::MissingArgument(name.to_owned()))?;
        let (first, second) = match argument.split_once('?') {
            Some((first, second)) => (first, Some(second.to_ascii_lowercase().into())),
            None => (argument, None),
        };
        Ok(Names { first: first.to_ascii_lowercase().into(), second })
    }

    fn find<'a>(&self, get: impl Fn(&str) -> Option<&'a [u8]>) -> Option<&'a [u8]> {
        get(&self.first).or_else(|| get(self.second.as_deref()?))
    }
}

impl What {
    fn compile(name: &str, argument: Option<&str>) -> Result<What, FormatError> {
        Ok(match name {
            "START_TIME" => What::StartTime(TimeFormat::compile(argument)),
            "REQ" => What::RequestHeader(Names::parse(name, argument)?),
            "REQ_WITHOUT_QUERY" => What::PathWithoutQuery(Names::parse(name, argument)?),
            "RESP" if argument.is_some_and(|name| name.eq_ignore_ascii_case(":status")) => {
                What::ResponseStatus
            }
            "RESP" => What::ResponseHeader(Names::parse(name, argument)?),
            "TRAILER" => What::ResponseTrailer(Names::parse(name, argument)?),
            "METADATA" => metadata(argument, None)?,
            "UPSTREAM_METADATA" => metadata(argument, Some("UPSTREAM_HOST"))?,
            "DYNAMIC_METADATA" => metadata(argument, Some("DYNAMIC"))?,
            "CLUSTER_METADATA" => metadata(argument, Some("CLUSTER"))?,
            "PATH" => path(argument.unwrap_or_default()),
            "QUERY_PARAM" => What::QueryParameter(
                argument.ok_or_else(|| FormatError::MissingArgument(name.to_owned()))?.into(),
            ),
            "GRPC_STATUS" => What::GrpcStatus(match argument {
                Some("SNAKE_STRING") => GrpcForm::Snake,
                Some("NUMBER") => GrpcForm::Number,
                _ => GrpcForm::Camel,
            }),
            "GRPC_STATUS_NUMBER" => What::GrpcStatus(GrpcForm::Number),
            "RESPONSE_FLAGS_LONG" => What::LongFlags,
            "STREAM_ID" => What::RequestHeader(Names { first: "x-request-id".into(), second: None }),
            "UPSTREAM_PROTOCOL" => What::Text(Text::UpstreamProtocol),
            "FILTER_CHAIN_NAME" => What::Text(Text::FilterChain),
            "ACCESS_LOG_TYPE" => What::Text(Text::LogType),
            "UPSTREAM_HOST_NAME" => What::Address(Address::UpstreamHost, Part::Whole),
            "UPSTREAM_HOST_NAME_WITHOUT_PORT" => What::Address(Address::UpstreamHost, Part::Ip),
            "START_TIME_LOCAL" => What::StartTime(TimeFormat::compile(argument)),
            "REQUEST_TX_DURATION" => What::Duration(Span::RequestSending),
            "PROTOCOL" => What::Text(Text::Protocol),
            "RESPONSE_FLAGS" => What::Text(Text::Flags),
            "RESPONSE_CODE_DETAILS" => What::Text(Text::CodeDetails),
            "CONNECTION_TERMINATION_DETAILS" => What::Text(Text::TerminationDetails),
            "UPSTREAM_TRANSPORT_FAILURE_REASON" => What::Text(Text::TransportFailure),
            "DOWNSTREAM_TRANSPORT_FAILURE_REASON" => What::Text(Text::ClientTransportFailure),
            "UPSTREAM_CLUSTER" => What::Text(Text::Cluster),
            "UPSTREAM_CLUSTER_RAW" => What::Text(Text::ClusterRaw),
            "REQUESTED_SERVER_NAME" => match argument {
                Some("SNI_FIRST") => What::ServerNameOrHost { host_first: false },
                Some("HOST_FIRST") => What::ServerNameOrHost { host_first: true },
                _ => What::Text(Text::ServerName),
            },
            "EMIT_TIME" => What::EmitTime(TimeFormat::compile(argument)),
            "ROUTE_NAME" => What::Text(Text::RouteName),
            "VIRTUAL_HOST_NAME" => What::Text(Text::VirtualHost),
            "HOSTNAME" => What::Text(Text::Hostname),
            "RESPONSE_CODE" => What::Number(Number::ResponseCode),
            "BYTES_RECEIVED" => What::Number(Number::BytesReceived),
            "BYTES_SENT" => What::Number(Number::BytesSent),
            "UPSTREAM_REQUEST_ATTEMPT_COUNT" => What::Number(Number::Attempts),
            "DURATION" => What::Duration(Span::Whole),
            "REQUEST_DURATION" => What::Duration(Span::Request),
            "RESPONSE_DURATION" => What::Duration(Span::Response),
            "RESPONSE_TX_DURATION" => What::Duration(Span::ResponseSending),
            _ => {
                return tls::operator(name)
                    .map(|(side, fact)| What::Tls(side, fact))
                    .or_else(|| address(name))
                    .or_else(|| absent(name))
                    .ok_or_else(|| FormatError::Unknown(name.to_owned()));
            }
        })
    }

    fn write<R: Record>(&self, record: &R, out: &mut Vec<u8>) -> bool {
        match self {
            What::StartTime(format) => {
                format.write(record.start_time(), out);
                true
            }
            What::RequestHeader(names) => append(names.find(|name| record.request_header(name)), out),
            What::PathWithoutQuery(names) => {
                let value = names.find(|name| record.request_header(name));
                append(value.map(|value| value.split(|byte| *byte == b'?').next().unwrap_or(value)), out)
            }
            What::ResponseHeader(names) => append(names.find(|name| record.response_header(name)), out),
            What::ResponseTrailer(names) => append(names.find(|name| record.response_trailer(name)), out),
            What::Metadata { owner, namespace, key } => {
                append(record.metadata(owner, namespace, key).map(str::as_bytes), out)
            }
            What::Text(text) => append(text.of(record).map(str::as_bytes), out),
            What::Number(number) => {
                write_number(number.of(record), out);
                true
            }
            What::Duration(span) => match span.of(record) {
                Some(duration) => {
                    write_number(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), out);
                    true
                }
                None => false,
            },
            What::Address(address, part) => match address.of(record) {
                Some(address) => {
                    part.write(address, out);
                    true
                }
                None => false,
            },
            What::Path { names, with_query } => {
                let value = names.find(|name| record.request_header(name));
                let without =
                    |value: &[u8]| value.iter().position(|byte| *byte == b'?').unwrap_or(value.len());
                append(value.map(|value| if *with_query { value } else { &value[..without(value)] }), out)
            }
            What::Tls(side, fact) => append(record.tls(*side, *fact).as_deref().map(str::as_bytes), out),
            What::QueryParameter(name) => {
                append(record.request_header(":path").and_then(|path| query_parameter(path, name)), out)
            }
            What::GrpcStatus(form) => record.grpc_status().is_some_and(|status| form.write(status, out)),
            What::ServerNameOrHost { host_first } => {
                let name = record.requested_server_name().map(str::as_bytes);
                let host = record.request_header(":authority");
                append(if *host_first { host.or(name) } else { name.or(host) }, out)
            }
            What::EmitTime(format) => {
                format.write(record.start_time() + record.duration().unwrap_or_default(), out);
                true
            }
            What::ResponseStatus => {
                let status = record.response_code();
                write_number(u64::from(status), out);
                status != 0
            }
            What::LongFlags => {
                append(record.response_flags().map(long_flags).as_deref().map(str::as_bytes), out)
            }
            What::Absent => false,
        }
    }
}

fn metadata(argument: Option<&str>, owner: Option<&str>) -> Result<What, FormatError> {
    let argument = argument.ok_or_else(|| FormatError::MissingArgument("METADATA".to_owned()))?;
    let mut parts = argument.split(':');
    let owner = match owner {
        Some(owner) => owner,
        None => parts.next().unwrap_or_default(),
    };
    Ok(What::Metadata {
        owner: owner.into(),
        namespace: parts.next().unwrap_or_default().into(),
        key: parts.collect::<Vec<_>>().join(":").into(),
    })
}

fn address(name: &str) -> Option<What> {
    let (name, part) = match (name.strip_suffix("_WITHOUT_PORT"), name.strip_suffix("_PORT")) {
        (Some(stem), _) => (stem, Part::Ip),
        (None, Some(stem)) => (stem, Part::Port),
        (None, None) => (name, Part::Whole),
    };
    let address = match name.strip_suffix("_ADDRESS").unwrap_or(name) {
        "UPSTREAM_HOST" => Address::UpstreamHost,
        "UPSTREAM_REMOTE" => Address::UpstreamRemote,
        "UPSTREAM_LOCAL" => Address::UpstreamLocal,
        "DOWNSTREAM_LOCAL" => Address::DownstreamLocal,
        "DOWNSTREAM_REMOTE" => Address::DownstreamRemote,
        "DOWNSTREAM_DIRECT_REMOTE" => Address::DownstreamDirectRemote,
        "DOWNSTREAM_DIRECT_LOCAL" => Address::DownstreamDirectLocal,
        _ => return None,
    };
    Some(What::Address(address, part))
}

/// `%PATH(WQ:ORIG)%`: with or without the query, and whose path it is.
fn path(argument: &str) -> What {
    let (query, whose) = argument.split_once(':').unwrap_or((argument, ""));
    let names =
        |first: &str, second: Option<&str>| Names { first: first.into(), second: second.map(Into::into) };
    What::Path {
        names: match whose {
            "PATH" => names(":path", None),
            "ORIG" => names("x-envoy-original-path", None),
            _ => names("x-envoy-original-path", Some(":path")),
        },
        with_query: query != "NQ",
    }
}

fn query_parameter<'p>(path: &'p [u8], name: &str) -> Option<&'p [u8]> {
    let at = path.iter().position(|byte| *byte == b'?')?;
    path[at + 1..].split(|byte| *byte == b'&').find_map(|pair| {
        let value = pair.strip_prefix(name.as_bytes())?;
        if value.is_empty() { Some(value) } else { value.strip_prefix(b"=") }
    })
}

impl GrpcForm {
    fn write(self, status: u32, out: &mut Vec<u8>) -> bool {
        let name = usize::try_from(status).ok().and_then(|at| GRPC_STATUSES.get(at));
        match (self, name) {
            (GrpcForm::Number, _) | (_, None) => write_number(u64::from(status), out),
            (GrpcForm::Camel, Some((camel, _))) => out.extend_from_slice(camel.as_bytes()),
            (GrpcForm::Snake, Some((_, snake))) => out.extend_from_slice(snake.as_bytes()),
        }
        true
    }
}

/// Operators about TLS, traces, Wasm and the like.
fn absent(name: &str) -> Option<What> {
    const PREFIXES: [&str; 5] = ["DOWNSTREAM_", "UPSTREAM_", "FILTER_STATE", "CEL", "TRACE_ID"];
    const NAMES: [&str; 17] = [
        "CONNECTION_ID",
        "COALESCE",
        "COMMON_DURATION",
        "CUSTOM_FLAGS",
        "ENVIRONMENT",
        "LOCAL_REPLY_BODY",
        "ACCESS_LOG_TYPE",
        "QUERY_PARAMS",
        "REQUEST_HEADERS_BYTES",
        "RESPONSE_HEADERS_BYTES",
        "RESPONSE_TRAILERS_BYTES",
        "ROUNDTRIP_DURATION",
        "SPAN_ID",
        "TLS_JA3_FINGERPRINT",
        "TLS_JA4_FINGERPRINT",
        "UNIQUE_ID",
        "VIRTUAL_CLUSTER_NAME",
    ];
    let known = PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || NAMES.contains(&name);
    known.then_some(What::Absent)
}

impl Text {
    fn of<R: Record>(self, record: &R) -> Option<&str> {
        match self {
            Text::Protocol => record.protocol(),
            Text::Flags => record.response_flags(),
            Text::CodeDetails => record.response_code_details(),
            Text::TerminationDetails => record.connection_termination_details(),
            Text::TransportFailure => record.upstream_transport_failure_reason(),
            Text::ClientTransportFailure => record.downstream_transport_failure_reason(),
            Text::Cluster => record.upstream_cluster(),
            Text::ClusterRaw => record.upstream_cluster_raw(),
            Text::ServerName => record.requested_server_name(),
            Text::RouteName => record.route_name(),
            Text::VirtualHost => record.virtual_host_name(),
            Text::Hostname => record.hostname(),
            Text::UpstreamProtocol => record.upstream_protocol(),
            Text::FilterChain => record.filter_chain_name(),
            Text::LogType => Some(record.log_type()),
        }
    }
}

impl Number {
    fn of<R: Record>(self, record: &R) -> u64 {
        match self {
            Number::ResponseCode => u64::from(record.response_code()),
            Number::BytesReceived => record.bytes_received(),
            Number::BytesSent => record.bytes_sent(),
            Number::Attempts => u64::from(record.attempt_count()),
        }
    }
}

impl Span {
    fn of<R: Record>(self, record: &R) -> Option<Duration> {
        match self {
            Span::Whole => record.duration(),
            Span::Request => record.request_duration(),
            Span::Response => record.response_duration(),
            Span::ResponseSending => record.duration()?.checked_sub(record.response_duration()?),
            Span::RequestSending => record.request_sent_duration(),
        }
    }
}

impl Address {
    fn of<R: Record>(self, record: &R) -> Option<SocketAddr> {
        match self {
            Address::UpstreamHost => record.upstream_host(),
            // Only who is connected has an address at the other end.
            Address::UpstreamRemote => record.upstream_local_address().and(record.upstream_host()),
            Address::UpstreamLocal => record.upstream_local_address(),
            Address::DownstreamLocal => record.downstream_local_address(),
            Address::DownstreamRemote => record.downstream_remote_address(),
            Address::DownstreamDirectRemote => record.downstream_direct_remote_address(),
            Address::DownstreamDirectLocal => record.downstream_direct_local_address(),
        }
    }
}

impl Part {
    fn write(self, address: SocketAddr, out: &mut Vec<u8>) {
        match (self, address) {
            (Part::Port, _) => write_number(u64::from(address.port()), out),
            (Part::Ip, _) => write_ip(address, out),
            (Part::Whole, SocketAddr::V4(_)) => {
                write_ip(address, out);
                out.push(b':');
                write_number(u64::from(address.port()), out);
            }
            (Part::Whole, SocketAddr::V6(v6)) => {
                // Writing to a vector cannot fail.
                let _ = write!(out, "[{}]:{}", v6.ip(), v6.port());
            }
        }
    }
}

fn write_ip(address: SocketAddr, out: &mut Vec<u8>) {
    match address {
        SocketAddr::V4(v4) => {
            for (place, octet) in v4.ip().octets().into_iter().enumerate() {
                if place > 0 {
                    out.push(b'.');
                }
                write_number(u64::from(octet), out);
            }
        }
        SocketAddr::V6(v6) => {
            let _ = write!(out, "{}", v6.ip());
        }
    }
}

fn write_number(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn append(value: Option<&[u8]>, out: &mut Vec<u8>) -> bool {
    match value {
        Some(value) => {
            out.extend_from_slice(value);
            true
        }
        None => false,
    }
}
