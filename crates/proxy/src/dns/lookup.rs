//! One name, asked for once.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use routing::cluster::DnsFamily;

use super::Files;
use super::resolver_file::{ResolverFile, in_hosts};
use crate::name_servers::{NameServers, Transport};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The addresses of the wanted family, in their order.
    pub addresses: Vec<IpAddr>,
    /// How long they are good; unknown where no name server said them.
    pub time: Option<Duration>,
}

/// Why nothing is known about a name.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// It cannot be asked for.
    #[error("not a name that can be asked for")]
    Name,
    /// The resolver's configuration cannot be read.
    #[error("read the resolver's configuration")]
    File(#[source] io::Error),
    /// No name server has answered.
    #[error("no name server answers")]
    Silence,
    /// A name server has refused.
    #[error("a name server says {0}")]
    Refused(ResponseCode),
}

/// The addresses of a name. That there are none is an answer, too.
pub async fn lookup(
    name: &str,
    family: DnsFamily,
    files: &Files,
    tos: Option<u32>,
) -> Result<Found, LookupError> {
    let hosts = tokio::fs::read_to_string(&files.hosts).await.unwrap_or_default();
    let addresses = chosen(in_hosts(&hosts, name), family);
    if !addresses.is_empty() {
        return Ok(Found { addresses, time: None });
    }
    let text = tokio::fs::read_to_string(&files.resolver).await.map_err(LookupError::File)?;
    let file = ResolverFile::parse(&text);
    let servers = NameServers::new(file.servers.clone(), tos);
    for candidate in file.candidates(name) {
        let found = ask(&servers, &candidate, family).await?;
        if !found.addresses.is_empty() {
            return Ok(found);
        }
    }
    Ok(Found::default())
}

async fn ask(servers: &NameServers, name: &str, family: DnsFamily) -> Result<Found, LookupError> {
    let (v4, v6) = tokio::join!(
        async {
            match family {
                DnsFamily::V6 => Ok(Found::default()),
                _ => ask_for(servers, name, RecordType::A).await,
            }
        },
        async {
            match family {
                DnsFamily::V4 => Ok(Found::default()),
                _ => ask_for(servers, name, RecordType::AAAA).await,
            }
        }
    );
    // One family is enough where both would do.
    let (v4, v6) = match (v4, v6) {
        (Err(error), Err(_)) => return Err(error),
        (Err(error), Ok(other)) | (Ok(other), Err(error)) if other.addresses.is_empty() => return Err(error),
        (v4, v6) => (v4.unwrap_or_default(), v6.unwrap_or_default()),
    };
    let time = [v4.time, v6.time].into_iter().flatten().min();
    Ok(Found { addresses: chosen([v4.addresses, v6.addresses].concat(), family), time })
}

async fn ask_for(servers: &NameServers, name: &str, wanted: RecordType) -> Result<Found, LookupError> {
    let name = Name::from_ascii(name).map_err(|_| LookupError::Name)?;
    let mut request = Message::new(fastrand::u16(..), MessageType::Query, OpCode::Query);
    request.add_query(Query::query(name, wanted));
    request.metadata.recursion_desired = true;
    let bytes = request.to_vec().map_err(|_| LookupError::Name)?;
    let mut answer = parsed(servers.ask(&request, &bytes, Transport::Udp).await)?;
    if answer.metadata.truncation {
        answer = parsed(servers.ask(&request, &bytes, Transport::Tcp).await)?;
    }
    match answer.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => Ok(found(&answer)),
        code => Err(LookupError::Refused(code)),
    }
}

fn parsed(answer: Option<Vec<u8>>) -> Result<Message, LookupError> {
    answer.and_then(|bytes| Message::from_vec(&bytes).ok()).ok_or(LookupError::Silence)
}

fn found(answer: &Message) -> Found {
    let addresses = answer.answers.iter().filter_map(|record| match &record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    });
    let mut addresses: Vec<IpAddr> = addresses.collect();
    addresses.sort_unstable();
    addresses.dedup();
    let least = answer.answers.iter().map(|record| record.ttl).min();
    Found { addresses, time: least.map(|seconds| Duration::from_secs(seconds.into())) }
}

/// The addresses that a family means.
fn chosen(addresses: Vec<IpAddr>, family: DnsFamily) -> Vec<IpAddr> {
    let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = addresses.into_iter().partition(IpAddr::is_ipv4);
    match family {
        DnsFamily::V4 => v4,
        DnsFamily::V6 => v6,
        DnsFamily::PreferV6 if v6.is_empty() => v4,
        DnsFamily::PreferV6 => v6,
        DnsFamily::PreferV4 if v4.is_empty() => v6,
        DnsFamily::PreferV4 => v4,
        DnsFamily::All => [v4, v6].concat(),
    }
}
