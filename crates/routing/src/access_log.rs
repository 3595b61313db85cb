//! Where access logs go, in which form, and which requests they record.

use std::sync::Arc;

use prost_types::Struct;
use xds::any::is;
use xds::envoy::config::accesslog::v3 as wire;
use xds::envoy::config::accesslog::v3::access_log::ConfigType;
use xds::envoy::config::accesslog::v3::access_log_filter::FilterSpecifier;
use xds::envoy::config::core::v3::data_source::Specifier;
use xds::envoy::config::core::v3::substitution_format_string::Format;
use xds::envoy::config::core::v3::{DataSource, SubstitutionFormatString};
use xds::envoy::data::accesslog::v3::AccessLogType;
use xds::envoy::extensions::access_loggers::file::v3 as file;
use xds::envoy::extensions::access_loggers::stream::v3 as stream;

use crate::invalid::{Invalid, Within};
use crate::message::decode;
use crate::percent::Fraction;

/// One access log of a listener, connection manager or TCP proxy.
#[derive(Debug, Clone)]
pub struct AccessLog {
    /// Where the lines go.
    pub sink: Sink,
    /// What a line holds.
    pub format: LogFormat,
    /// Which requests are recorded; `None`: all.
    pub filter: Option<LogFilter>,
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Sink {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file that is appended to.
    File(Arc<str>),
}

/// What a line holds.
#[derive(Debug, Clone, PartialEq)]
pub enum LogFormat {
    /// Envoy's default line.
    Default,
    /// A format string.
    Text(Arc<str>),
    /// An object whose texts are format strings.
    Json(Arc<Struct>),
}

/// A test of a finished request.
#[derive(Debug, Clone)]
pub enum LogFilter {
    /// By status.
    Status(Comparison, u32),
    /// By duration in milliseconds.
    Duration(Comparison, u32),
    /// By response flags in their short form; empty: any flag.
    Flags(Box<[Box<str>]>),
    /// By the moment of the line.
    Moments {
        /// The moments.
        moments: Box<[Moment]>,
        /// All but these.
        exclude: bool,
    },
    /// A share of the requests.
    Share(Fraction),
    /// All of them hold.
    And(Box<[LogFilter]>),
    /// One of them holds.
    Or(Box<[LogFilter]>),
}

/// When a line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A request has ended.
    RequestEnd,
    /// A connection has ended.
    ConnectionEnd,
    /// Another one, at which nothing is written here.
    Other,
}

/// How a number is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Equal.
    Equal,
    /// Not equal.
    NotEqual,
    /// Greater or equal.
    AtLeast,
    /// Less or equal.
    AtMost,
}

/// What a filter looks at.
#[derive(Debug, Clone, Copy)]
pub struct LogFacts<'a> {
    /// The response status.
    pub status: u16,
    /// How long the request took, in milliseconds.
    pub duration: u64,
    /// The response flags, short, joined by commas; `-` for none.
    pub flags: &'a str,
    /// A random number for shares.
    pub random: u64,
    /// When the line is written.
    pub moment: Moment,
}

impl AccessLog {
    /// Compiles the loggers that are known; the names of the others come
    /// second.
    pub fn compile_all(wire: &[wire::AccessLog]) -> Result<(Box<[AccessLog]>, Vec<String>), Invalid> {
        let mut logs = Vec::new();
        let mut skipped = Vec::new();
        for (index, log) in wire.iter().enumerate() {
            match AccessLog::compile(log).within_entry("access_log", index)? {
                Some(log) => logs.push(log),
                None => skipped.push(log.name.clone()),
            }
        }
        Ok((logs.into(), skipped))
    }

    fn compile(log: &wire::AccessLog) -> Result<Option<AccessLog>, Invalid> {
        let Some(ConfigType::TypedConfig(any)) = &log.config_type else {
            return Err(Invalid::new("typed_config", "is missing"));
        };
        let (sink, format) = if is::<file::FileAccessLog>(any) {
            let config: file::FileAccessLog = decode(any)?;
            (file_sink(&config.path), file_format(config.access_log_format)?)
        } else if is::<stream::StdoutAccessLog>(any) {
            let config: stream::StdoutAccessLog = decode(any)?;
            let format = config
                .access_log_format
                .map(|stream::stdout_access_log::AccessLogFormat::LogFormat(format)| format);
            (Sink::Stdout, log_format(format)?)
        } else if is::<stream::StderrAccessLog>(any) {
            let config: stream::StderrAccessLog = decode(any)?;
            let format = config
                .access_log_format
                .map(|stream::stderr_access_log::AccessLogFormat::LogFormat(format)| format);
            (Sink::Stderr, log_format(format)?)
        } else {
            return Ok(None);
        };
        let filter = match log.filter.as_ref().map(|filter| LogFilter::compile(filter, 0)) {
            None => None,
            Some(Ok(filter)) => Some(filter),
            // Better no lines than the wrong ones.
            Some(Err(_)) => return Ok(None),
        };
        Ok(Some(AccessLog { sink, format, filter }))
    }
}

fn file_sink(path: &str) -> Sink {
    match path {
        "/dev/stdout" => Sink::Stdout,
        "/dev/stderr" => Sink::Stderr,
        path => Sink::File(path.into()),
    }
}

fn file_format(format: Option<file::file_access_log::AccessLogFormat>) -> Result<LogFormat, Invalid> {
    use file::file_access_log::AccessLogFormat as Wire;
    match format {
        None => Ok(LogFormat::Default),
        Some(Wire::Format(text)) if text.is_empty() => Ok(LogFormat::Default),
        Some(Wire::Format(text)) => Ok(LogFormat::Text(text.into())),
        Some(Wire::JsonFormat(fields) | Wire::TypedJsonFormat(fields)) => {
            Ok(LogFormat::Json(Arc::new(fields)))
        }
        Some(Wire::LogFormat(format)) => log_format(Some(format)),
    }
}

fn log_format(format: Option<SubstitutionFormatString>) -> Result<LogFormat, Invalid> {
    match format.and_then(|format| format.format) {
        None => Ok(LogFormat::Default),
        Some(Format::TextFormat(text)) => Ok(LogFormat::Text(text.into())),
        Some(Format::JsonFormat(fields)) => Ok(LogFormat::Json(Arc::new(fields))),
        Some(Format::TextFormatSource(source)) => match inline(&source).within("text_format_source")? {
            text if text.is_empty() => Ok(LogFormat::Default),
            text => Ok(LogFormat::Text(String::from_utf8_lossy(&text).into())),
        },
    }
}

/// The bytes of a data source that stands inside the message.
pub fn inline(source: &DataSource) -> Result<Vec<u8>, Invalid> {
    match &source.specifier {
        None => Ok(Vec::new()),
        Some(Specifier::InlineString(text)) => Ok(text.clone().into_bytes()),
        Some(Specifier::InlineBytes(bytes)) => Ok(bytes.clone()),
        Some(Specifier::Filename(_) | Specifier::EnvironmentVariable(_)) => {
            Err(Invalid::new("specifier", "only inline data is supported"))
        }
    }
}

/// Filters may hold filters, but not without end.
const DEPTH: usize = 16;

impl LogFilter {
    fn compile(wire: &wire::AccessLogFilter, depth: usize) -> Result<LogFilter, Invalid> {
        if depth > DEPTH {
            return Err(Invalid::new("filter", "is nested too deeply"));
        }
        let all = |filters: &[wire::AccessLogFilter]| {
            filters.iter().map(|filter| LogFilter::compile(filter, depth + 1)).collect::<Result<_, _>>()
        };
        match &wire.filter_specifier {
            Some(FilterSpecifier::StatusCodeFilter(filter)) => {
                let (comparison, value) = comparison(filter.comparison.as_ref())?;
                Ok(LogFilter::Status(comparison, value))
            }
            Some(FilterSpecifier::DurationFilter(filter)) => {
                let (comparison, value) = comparison(filter.comparison.as_ref())?;
                Ok(LogFilter::Duration(comparison, value))
            }
            Some(FilterSpecifier::ResponseFlagFilter(filter)) => {
                Ok(LogFilter::Flags(filter.flags.iter().map(|flag| flag.as_str().into()).collect()))
            }
            Some(FilterSpecifier::LogTypeFilter(filter)) => Ok(LogFilter::Moments {
                moments: filter.types.iter().map(|wire| Moment::compile(*wire)).collect(),
                exclude: filter.exclude,
            }),
            Some(FilterSpecifier::RuntimeFilter(filter)) => {
                let share = filter.percent_sampled.as_ref().map_or(Fraction::ALWAYS, Fraction::compile);
                Ok(LogFilter::Share(share))
            }
            Some(FilterSpecifier::AndFilter(and)) => Ok(LogFilter::And(all(&and.filters)?)),
            Some(FilterSpecifier::OrFilter(or)) => Ok(LogFilter::Or(all(&or.filters)?)),
            Some(FilterSpecifier::NotHealthCheckFilter(_) | FilterSpecifier::TraceableFilter(_)) => {
                Ok(LogFilter::And(Box::default()))
            }
            _ => Err(Invalid::new("filter_specifier", "is not supported")),
        }
    }

    /// Whether the request is recorded.
    pub fn passes(&self, facts: &LogFacts<'_>) -> bool {
        match self {
            LogFilter::Status(comparison, value) => comparison.holds(u64::from(facts.status), *value),
            LogFilter::Duration(comparison, value) => comparison.holds(facts.duration, *value),
            LogFilter::Flags(flags) if flags.is_empty() => facts.flags != "-",
            LogFilter::Flags(flags) => {
                facts.flags.split(',').any(|set| flags.iter().any(|flag| &**flag == set))
            }
            LogFilter::Moments { moments, exclude } => moments.contains(&facts.moment) != *exclude,
            LogFilter::Share(share) => share.happens(facts.random),
            LogFilter::And(filters) => filters.iter().all(|filter| filter.passes(facts)),
            LogFilter::Or(filters) => filters.iter().any(|filter| filter.passes(facts)),
        }
    }
}

impl Moment {
    fn compile(wire: i32) -> Moment {
        match AccessLogType::try_from(wire) {
            Ok(AccessLogType::DownstreamEnd) => Moment::RequestEnd,
            Ok(AccessLogType::TcpConnectionEnd) => Moment::ConnectionEnd,
            _ => Moment::Other,
        }
    }
}

impl Comparison {
    fn holds(self, left: u64, right: u32) -> bool {
        let right = u64::from(right);
        match self {
            Comparison::Equal => left == right,
            Comparison::NotEqual => left != right,
            Comparison::AtLeast => left >= right,
            Comparison::AtMost => left <= right,
        }
    }
}

fn comparison(wire: Option<&wire::ComparisonFilter>) -> Result<(Comparison, u32), Invalid> {
    use wire::comparison_filter::Op;
    let wire = wire.ok_or_else(|| Invalid::new("comparison", "is missing"))?;
    let comparison = match Op::try_from(wire.op) {
        Ok(Op::Ge) => Comparison::AtLeast,
        Ok(Op::Le) => Comparison::AtMost,
        Ok(Op::Ne) => Comparison::NotEqual,
        _ => Comparison::Equal,
    };
    Ok((comparison, wire.value.as_ref().map_or(0, |value| value.default_value)))
}
