//! Rules for single values that several kinds share.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::Checker;
use crate::decode;
use crate::field::{Protocol, format_duration};
use crate::host;
use crate::path::{StepRef, Trail};
use crate::problem::Code;

/// Longest regular expression that is accepted, in bytes.
const MAX_REGEX: usize = 1024;
/// What a Unix socket begins with where an address may stand too.
const UNIX_PREFIX: &str = "unix://";

impl Checker<'_> {
    /// A port from 1 to 65535.
    pub(crate) fn port(&mut self, at: &Trail<'_>, port: u16) {
        if port == 0 {
            self.note(at, Code::InvalidPort, "a port is a number from 1 to 65535, but this is 0 or missing");
        }
    }

    /// A duration of at least a millisecond, in whole milliseconds.
    pub(crate) fn duration(&mut self, at: &Trail<'_>, duration: Option<Duration>) {
        let Some(duration) = duration else { return };
        if duration < Duration::from_millis(1) {
            let message =
                format!("a duration here is at least 1ms, but this is {}", format_duration(duration));
            self.note(at, Code::InvalidDuration, message);
        } else if duration.subsec_nanos() % 1_000_000 != 0 {
            let message =
                format!("durations are whole milliseconds, but this is {}", format_duration(duration));
            self.note(at, Code::InvalidDuration, message);
        }
    }

    /// A share from 0 to 100.
    pub(crate) fn percentage(&mut self, at: &Trail<'_>, percentage: Option<f64>) {
        let Some(value) = percentage else { return };
        if !(0.0..=100.0).contains(&value) {
            let message = format!("a percentage is from 0 to 100, but this is {value}");
            self.note(&at.key("value"), Code::InvalidPercentage, message);
        } else if value > 0.0 && value < 0.0001 {
            let message = format!("the least percentage above 0 is 0.0001, but this is {value}");
            self.note(&at.key("value"), Code::InvalidPercentage, message);
        }
    }

    /// A share from 0 to 100 in whole percent.
    pub(crate) fn whole_percentage(&mut self, at: &Trail<'_>, value: u32) {
        if value > 100 {
            let message = format!("a percentage is from 0 to 100, but this is {value}");
            self.note(at, Code::InvalidPercentage, message);
        }
    }

    /// A host name without wildcard. Whether it is one.
    pub(crate) fn host(&mut self, at: &Trail<'_>, name: &str) -> bool {
        self.host_result(at, name, host::check_name(name))
    }

    /// A host name that may begin with a wildcard. Whether it is one.
    pub(crate) fn wildcard_host(&mut self, at: &Trail<'_>, name: &str) -> bool {
        self.host_result(at, name, host::check_wildcard_name(name))
    }

    pub(crate) fn host_result(
        &mut self,
        at: &Trail<'_>,
        name: &str,
        result: Result<(), host::HostError>,
    ) -> bool {
        let Err(error) = result else { return true };
        if name.is_empty() && matches!(at.step, StepRef::Index(_)) {
            self.note(at, Code::InvalidHost, "the host is empty");
        } else if name.is_empty() {
            self.required(at);
        } else {
            let found = self.note(at, Code::InvalidHost, format!("the host `{name}` {error}"));
            if matches!(error, host::HostError::MisplacedWildcard) {
                found.help("a wildcard may only stand in front: `*.example.com`");
            }
        }
        false
    }

    /// A wildcard stands for whole parts of a name: `*.example.com`, not `*example.com`.
    pub(crate) fn no_partial_wildcard(&mut self, at: &Trail<'_>, name: &str, code: Code) {
        if name.contains('*') && name != "*" && !name.starts_with("*.") {
            self.note(at, code, format!("the host `{name}` has a wildcard for a part of a name"))
                .help("write `*.` and the rest of the name");
        }
    }

    /// A list of namespaces that may see the object.
    pub(crate) fn export_to(&mut self, at: &Trail<'_>, namespaces: &[String], none: NobodyAllowed) {
        let own = self.key.namespace.clone();
        let mut seen = BTreeSet::new();
        for (index, entry) in namespaces.iter().enumerate() {
            let at = at.index(index);
            let meant = if entry == "." { own.as_str() } else { entry.as_str() };
            if !seen.insert(meant.to_owned()) {
                self.note(
                    &at,
                    Code::Duplicate,
                    format!("`{entry}` stands for a namespace that is listed already"),
                );
            }
            match entry.as_str() {
                "." | "*" => {}
                "~" if none == NobodyAllowed::Yes => {}
                "~" => {
                    self.note(&at, Code::InvalidExportTo, "`~` (nobody) is for ServiceEntry only");
                }
                name if host::is_label(name) => {}
                name => {
                    self.note(&at, Code::InvalidExportTo, format!("`{name}` is not a namespace"))
                        .help("write `.` for this namespace, `*` for all, or a name");
                }
            }
        }
        for (all, meaning) in [("*", "every namespace"), ("~", "nobody")] {
            if namespaces.len() > 1 && seen.contains(all) {
                self.note(
                    at,
                    Code::InvalidExportTo,
                    format!("`{all}` means {meaning}; it cannot stand with others"),
                );
            }
        }
    }

    /// Labels: keys and values as Kubernetes takes them.
    pub(crate) fn labels(&mut self, at: &Trail<'_>, labels: &BTreeMap<String, String>) {
        for (key, value) in labels {
            if !is_qualified_name(key) {
                self.note(&at.key(key), Code::InvalidLabel, format!("`{key}` is not a valid label name"))
                    .help("at most 63 letters, digits, `-`, `_` and `.`, perhaps with a domain and `/` in front");
            }
            if !is_label_value(value) {
                self.note(&at.key(key), Code::InvalidLabel, format!("`{value}` is not a valid label value"))
                    .help(
                        "at most 63 letters, digits, `-`, `_` and `.`, the first and last a letter or digit",
                    );
            }
        }
    }

    /// Labels by which workloads are selected.
    pub(crate) fn workload_selector(&mut self, at: &Trail<'_>, labels: &BTreeMap<String, String>) {
        if labels.is_empty() {
            self.note(
                at,
                Code::EmptySelector,
                "a selector without labels selects every workload of the namespace",
            );
        }
        for (key, value) in labels {
            if key.is_empty() || key.contains('*') || value.contains('*') {
                let message = format!("`{key}: {value}` selects nothing: labels are compared as they are");
                self.note(&at.key(key), Code::InvalidSelector, message)
                    .help("write a full label, without `*`");
            }
        }
    }

    /// An RE2 expression.
    pub(crate) fn regex(&mut self, at: &Trail<'_>, pattern: &str) {
        if pattern.is_empty() {
            self.note(at, Code::InvalidRegex, "an empty expression matches nothing useful");
        } else if pattern.len() > MAX_REGEX {
            let message =
                format!("an expression has at most {MAX_REGEX} bytes, but this has {}", pattern.len());
            self.note(at, Code::InvalidRegex, message);
        } else if let Err(error) = regex_syntax(pattern) {
            self.note(at, Code::InvalidRegex, format!("`{pattern}` is not a valid expression: {error}"))
                .help("expressions are RE2: no look-around and no back-references");
        }
    }

    /// An address or a range of addresses.
    pub(crate) fn subnet(&mut self, at: &Trail<'_>, text: &str) {
        if !is_address(text) && text.parse::<IpNet>().is_err() {
            self.note(
                at,
                Code::InvalidAddress,
                format!("`{text}` is not an address or a range such as 10.0.0.0/8"),
            );
        }
    }

    /// An address.
    pub(crate) fn address(&mut self, at: &Trail<'_>, text: &str) {
        if !is_address(text) {
            self.note(at, Code::InvalidAddress, format!("`{text}` is not an IP address"));
        }
    }

    /// The path of a Unix socket.
    pub(crate) fn socket(&mut self, at: &Trail<'_>, path: &str) {
        let absolute = path.starts_with('/') && !path.ends_with('/');
        let is_abstract = path.starts_with('@') && path.len() > 1;
        if !absolute && !is_abstract {
            self.note(at, Code::InvalidSocket, format!("`{path}` is not the path of a socket"))
                .help("write `unix:///path/to/socket`, or `unix://@name` for an abstract one");
        }
    }

    /// The name of a port.
    pub(crate) fn port_name(&mut self, at: &Trail<'_>, name: &str) {
        if name.is_empty() {
            self.required(at);
        } else if !host::is_label(name) {
            self.note(at, Code::InvalidPortName, format!("`{name}` is not a valid name for a port"))
                .help("letters, digits and `-`, at most 63");
        }
    }

    /// The name of a container's port, as a cluster takes it.
    pub(crate) fn container_port_name(&mut self, at: &Trail<'_>, name: &str) {
        let characters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let letter = name.bytes().any(|byte| byte.is_ascii_lowercase());
        let edges = !name.starts_with('-') && !name.ends_with('-') && !name.contains("--");
        if !(1..=15).contains(&name.len()) || !name.bytes().all(characters) || !letter || !edges {
            self.note(at, Code::InvalidPortName, format!("`{name}` is not a valid name for a port"))
                .help("at most 15 lower-case letters, digits and single `-`, at least one letter");
        }
    }

    /// The name of a protocol; none when it is not known.
    pub(crate) fn protocol(&mut self, at: &Trail<'_>, name: &str) -> Option<Protocol> {
        let protocol = Protocol::parse(name);
        if protocol.is_none() {
            let all = Protocol::ALL.map(Protocol::as_str);
            let found = self.note(at, Code::InvalidProtocol, format!("the protocol `{name}` is not known"));
            match decode::nearest(name, all) {
                Some(near) => found.help(format!("did you mean `{near}`?")),
                None => found.help(format!("known are {}", all.join(", "))),
            };
        }
        protocol
    }
}

/// Whether `exportTo` may say that nobody sees the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NobodyAllowed {
    Yes,
    No,
}

/// What follows `unix://`; none when it is not a socket.
pub(crate) fn as_socket(address: &str) -> Option<&str> {
    address.strip_prefix(UNIX_PREFIX)
}

pub(crate) fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// A name with an optional domain in front: `app.kubernetes.io/name`.
fn is_qualified_name(name: &str) -> bool {
    let (domain, name) = name.split_once('/').map_or((None, name), |(domain, name)| (Some(domain), name));
    let domain_holds =
        domain.is_none_or(|domain| domain.len() <= 253 && domain.split('.').all(host::is_label));
    domain_holds && !name.is_empty() && is_label_value(name)
}

fn is_label_value(value: &str) -> bool {
    let bytes = value.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return true };
    bytes.len() <= 63
        && first.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// What is wrong with an expression, in one line.
fn regex_syntax(pattern: &str) -> Result<(), String> {
    match regex::Regex::new(pattern) {
        Ok(_) => Ok(()),
        Err(regex::Error::CompiledTooBig(_)) => Ok(()),
        Err(error) => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default().trim();
            Err(last.strip_prefix("error: ").unwrap_or(last).to_owned())
        }
    }
}
