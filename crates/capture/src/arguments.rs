//! The command line of the init container, as `istio-iptables` has it, in both directions.

use std::fmt::Display;

use ipnet::IpNet;

use crate::{DnsCapture, Family, Options, PROXY_ID, Ports, ProxyMatch, Ranges};

/// What the init container is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// The capture options.
    pub options: Options,
    /// The address families to write rules for.
    pub families: Vec<Family>,
    /// The program that takes the rules.
    pub backend: Backend,
    /// Print the rules instead of applying them.
    pub dry_run: bool,
}

/// Which program takes the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// `nft` when it is there, else `iptables-restore`.
    Any,
    /// `nft`.
    Nftables,
    /// `iptables-restore`.
    Iptables,
}

/// Why a command line was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// A flag that is not known.
    #[error("unknown flag `{0}`")]
    UnknownFlag(String),
    /// A word that is no flag.
    #[error("unexpected argument `{0}`: only flags are taken")]
    UnexpectedWord(String),
    /// A flag without its value.
    #[error("flag `{0}` needs a value")]
    MissingValue(String),
    /// A value that is not of the flag's kind.
    #[error("flag `{flag}`: `{value}` is not {expected}")]
    InvalidValue {
        /// The flag.
        flag: String,
        /// What was given.
        value: String,
        /// What would have been right.
        expected: &'static str,
    },
}

/// Reads the arguments of an init container: `-p 15001 -z 15006 -u 1337 -m REDIRECT -i * -b * -d 15090,15021,15020`.
///
/// Values follow their flag or are joined to it by `=`.
pub fn parse<S: AsRef<str>>(arguments: &[S]) -> Result<Invocation, ArgumentError> {
    let mut reader = Reader::new(arguments);
    let mut options = Options::default();
    let mut families = vec![Family::V4];
    let mut backend = Backend::Any;
    let mut dry_run = false;
    let mut owner = Owner::default();
    while let Some(flag) = reader.next_flag()? {
        match flag.as_str() {
            "-p" | "--envoy-port" => options.outbound_capture_port = reader.port()?,
            "-z" | "--inbound-capture-port" => options.inbound_capture_port = reader.port()?,
            "-e" | "--inbound-tunnel-port" => options.inbound_tunnel_port = reader.port()?,
            "-u" | "--proxy-uid" => owner.uids = Some(reader.ids()?),
            "-g" | "--proxy-gid" => owner.gids = Some(reader.ids()?),
            "--proxy-dscp" => owner.dscp = Some(reader.dscp()?),
            "-m" | "--istio-inbound-interception-mode" => reader.interception_mode()?,
            "-b" | "--istio-inbound-ports" => options.inbound_ports = reader.ports_or_all()?,
            "-d" | "--istio-local-exclude-ports" => options.inbound_ports_excluded = reader.ports()?,
            "-i" | "--istio-service-cidr" => options.outbound_ranges = reader.ranges_or_all()?,
            "-x" | "--istio-service-exclude-cidr" => options.outbound_ranges_excluded = reader.ranges()?,
            "-q" | "--istio-outbound-ports" => options.outbound_ports = reader.ports()?,
            "-o" | "--istio-local-outbound-ports-exclude" => {
                options.outbound_ports_excluded = reader.ports()?;
            }
            "-k" | "--kube-virt-interfaces" => options.rerouted_interfaces = reader.words()?,
            "-c" | "--istio-exclude-interfaces" => options.excluded_interfaces = reader.words()?,
            "--redirect-dns" => {
                if reader.switch()? && options.dns == DnsCapture::Off {
                    // Who they are is known in the pod alone.
                    options.dns = DnsCapture::Servers(Vec::new());
                }
            }
            "--capture-all-dns" => {
                if reader.switch()? {
                    options.dns = DnsCapture::All;
                }
            }
            "-n" | "--dry-run" => dry_run = reader.switch()?,
            "--dual-stack" => {
                if reader.switch()? {
                    families = vec![Family::V4, Family::V6];
                }
            }
            "--native-nftables" => {
                if reader.switch()? {
                    backend = Backend::Nftables;
                }
            }
            "--force-iptables-binary" => {
                reader.value()?;
                backend = Backend::Iptables;
            }
            // About logs, and about a self-test that this program does in another way.
            "--log_output_level" | "--iptables-probe-port" | "--probe-timeout" => {
                reader.value()?;
            }
            _ => return Err(ArgumentError::UnknownFlag(flag)),
        }
    }
    options.proxy = owner.proxy_match();
    Ok(Invocation { options, families, backend, dry_run })
}

/// The arguments from which [`parse`] reads `options` back.
pub fn render(options: &Options) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut flag = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
    flag("-p", options.outbound_capture_port.to_string());
    flag("-z", options.inbound_capture_port.to_string());
    match &options.proxy {
        ProxyMatch::Owner { uids, gids } => {
            flag("-u", join(uids));
            if gids != uids {
                flag("-g", join(gids));
            }
        }
        ProxyMatch::Dscp(value) => flag("--proxy-dscp", format!("{value:#04x}")),
    }
    flag("-m", "REDIRECT".to_owned());
    flag("-i", ranges(&options.outbound_ranges));
    flag("-x", join(&options.outbound_ranges_excluded));
    flag("-b", ports(&options.inbound_ports));
    flag("-d", join(&options.inbound_ports_excluded));
    let default_tunnel = Options::default().inbound_tunnel_port;
    if options.inbound_tunnel_port != default_tunnel {
        flag("-e", options.inbound_tunnel_port.to_string());
    }
    for (name, value) in [
        ("-q", join(&options.outbound_ports)),
        ("-o", join(&options.outbound_ports_excluded)),
        ("-k", options.rerouted_interfaces.join(",")),
        ("-c", options.excluded_interfaces.join(",")),
    ] {
        if !value.is_empty() {
            flag(name, value);
        }
    }
    match &options.dns {
        DnsCapture::Off => {}
        DnsCapture::Servers(_) => arguments.push("--redirect-dns".to_owned()),
        DnsCapture::All => arguments.push("--capture-all-dns".to_owned()),
    }
    arguments
}

/// Reads a list of ports or `*`, as annotations write it.
pub fn parse_ports(flag: &str, value: &str) -> Result<Ports, ArgumentError> {
    if value.trim() == "*" {
        return Ok(Ports::All);
    }
    list(flag, value, "a list of ports").map(Ports::Only)
}

/// Reads a list of address ranges or `*`, as annotations write it.
pub fn parse_ranges(flag: &str, value: &str) -> Result<Ranges, ArgumentError> {
    if value.trim() == "*" {
        return Ok(Ranges::All);
    }
    list(flag, value, "a list of address ranges like 10.96.0.0/16").map(Ranges::Only)
}

/// Reads a list of ports, as annotations write it.
pub fn parse_port_list(flag: &str, value: &str) -> Result<Vec<u16>, ArgumentError> {
    list(flag, value, "a list of ports")
}

/// Reads a list of address ranges, as annotations write it.
pub fn parse_range_list(flag: &str, value: &str) -> Result<Vec<IpNet>, ArgumentError> {
    list(flag, value, "a list of address ranges like 10.96.0.0/16")
}

fn list<T: std::str::FromStr>(
    flag: &str,
    value: &str,
    expected: &'static str,
) -> Result<Vec<T>, ArgumentError> {
    items(value).map(|item| item.parse().map_err(|_| invalid(flag, item, expected))).collect()
}

fn items(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn invalid(flag: &str, value: &str, expected: &'static str) -> ArgumentError {
    ArgumentError::InvalidValue { flag: flag.to_owned(), value: value.to_owned(), expected }
}

fn join<T: Display>(values: &[T]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn ports(ports: &Ports) -> String {
    match ports {
        Ports::All => "*".to_owned(),
        Ports::Only(ports) => join(ports),
    }
}

fn ranges(ranges: &Ranges) -> String {
    match ranges {
        Ranges::All => "*".to_owned(),
        Ranges::Only(ranges) => join(ranges),
    }
}

#[derive(Default)]
struct Owner {
    uids: Option<Vec<u32>>,
    gids: Option<Vec<u32>>,
    dscp: Option<u8>,
}

impl Owner {
    /// A group that is not named is the user's, as in Istio.
    fn proxy_match(self) -> ProxyMatch {
        if let Some(value) = self.dscp {
            return ProxyMatch::Dscp(value);
        }
        let uids = self.uids.filter(|ids| !ids.is_empty()).unwrap_or_else(|| vec![PROXY_ID]);
        let gids = self.gids.filter(|ids| !ids.is_empty()).unwrap_or_else(|| uids.clone());
        ProxyMatch::Owner { uids, gids }
    }
}

struct Reader {
    words: std::vec::IntoIter<String>,
    flag: String,
    joined: Option<String>,
}

impl Reader {
    fn new<S: AsRef<str>>(arguments: &[S]) -> Self {
        let words: Vec<String> = arguments.iter().map(|word| word.as_ref().to_owned()).collect();
        Reader { words: words.into_iter(), flag: String::new(), joined: None }
    }

    fn next_flag(&mut self) -> Result<Option<String>, ArgumentError> {
        let Some(word) = self.words.next() else { return Ok(None) };
        if !word.starts_with('-') {
            return Err(ArgumentError::UnexpectedWord(word));
        }
        let (flag, joined) = match word.split_once('=') {
            Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
            None => (word, None),
        };
        self.flag = flag.clone();
        self.joined = joined;
        Ok(Some(flag))
    }

    fn value(&mut self) -> Result<String, ArgumentError> {
        self.joined
            .take()
            .or_else(|| self.words.next())
            .ok_or_else(|| ArgumentError::MissingValue(self.flag.clone()))
    }

    /// A switch takes no separate word: `--dry-run` or `--dry-run=false`.
    fn switch(&mut self) -> Result<bool, ArgumentError> {
        match self.joined.take().as_deref() {
            None | Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => Err(invalid(&self.flag, other, "true or false")),
        }
    }

    fn port(&mut self) -> Result<u16, ArgumentError> {
        let value = self.value()?;
        value.parse().map_err(|_| invalid(&self.flag, &value, "a port"))
    }

    fn ports(&mut self) -> Result<Vec<u16>, ArgumentError> {
        let value = self.value()?;
        parse_port_list(&self.flag, &value)
    }

    fn ports_or_all(&mut self) -> Result<Ports, ArgumentError> {
        let value = self.value()?;
        parse_ports(&self.flag, &value)
    }

    fn ranges(&mut self) -> Result<Vec<IpNet>, ArgumentError> {
        let value = self.value()?;
        parse_range_list(&self.flag, &value)
    }

    fn ranges_or_all(&mut self) -> Result<Ranges, ArgumentError> {
        let value = self.value()?;
        parse_ranges(&self.flag, &value)
    }

    fn ids(&mut self) -> Result<Vec<u32>, ArgumentError> {
        let value = self.value()?;
        list(&self.flag, &value, "a list of user or group ids")
    }

    fn words(&mut self) -> Result<Vec<String>, ArgumentError> {
        Ok(items(&self.value()?).map(str::to_owned).collect())
    }

    fn dscp(&mut self) -> Result<u8, ArgumentError> {
        let value = self.value()?;
        let number = match value.strip_prefix("0x") {
            Some(digits) => u8::from_str_radix(digits, 16).ok(),
            None => value.parse().ok(),
        };
        number
            .filter(|number| *number < 64)
            .ok_or_else(|| invalid(&self.flag, &value, "a DSCP value below 64"))
    }

    fn interception_mode(&mut self) -> Result<(), ArgumentError> {
        let value = self.value()?;
        match value.as_str() {
            "REDIRECT" => Ok(()),
            _ => Err(invalid(&self.flag, &value, "REDIRECT, the one mode there is")),
        }
    }
}

#[cfg(test)]
mod tests;
